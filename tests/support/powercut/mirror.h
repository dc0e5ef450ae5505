/* The state of a simulated disk: what would be left of the data folder if the power failed now.
 *
 * The mirror folder holds, for every file and folder that was ever seen under the data folder:
 *   KEY.data   the flushed content of a file
 *   KEY.marks  shared memory of all processes: which blocks were written since the last flush
 *   KEY.list   the flushed entries of a folder: records "type key mode name\0" (see mirror.c)
 *   root       the KEY of the data folder itself
 * KEY is the inode number and the birth time, so a file keeps its content under every name and a reused inode starts empty. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Inode Inode;

/* Called once by the first function that needs it; ends the process with a message if the environment is incomplete. */
void mirror_open(void);

/* The tracked file behind a descriptor, or NULL: not a regular file under the data folder, or SQLite's -shm (rebuilt, never flushed). */
Inode *mirror_inode(int fd);

/* Bytes were written but not flushed. */
void mirror_wrote(Inode *inode, uint64_t offset, uint64_t length_bytes);

/* The file was cut to this size but not flushed. */
void mirror_truncated(Inode *inode, uint64_t size_bytes);

/* Writes to this file can no longer be seen (stdio, shared mapping): from now on each flush takes the whole file. */
void mirror_unseen(Inode *inode);

/* All written blocks of the file became durable (fsync, fdatasync). */
void mirror_flushed(Inode *inode, int fd);

/* Only this range became durable (O_SYNC, O_DSYNC, RWF_DSYNC, msync); source is the descriptor to read it from. */
void mirror_flushed_range(Inode *inode, int fd, uint64_t offset, uint64_t length_bytes);

/* The entries of a folder became durable (fsync of the folder). */
void mirror_folder_flushed(int fd);
