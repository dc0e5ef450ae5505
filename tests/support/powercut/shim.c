/* Simulated power cut: the functions of libc by which a program changes or flushes files, preloaded before libc's own.
 *
 * Each calls the kernel first and then tells the mirror (mirror.h) what happened. Nothing is assumed durable but what POSIX promises:
 *   file content      after fsync, fdatasync, or a write through O_SYNC, O_DSYNC, RWF_SYNC, RWF_DSYNC; mapped content after msync(MS_SYNC)
 *   names             after fsync of the folder: create, rename, link, unlink, mkdir are all judged by what the folder holds at its fsync
 * Not taken as durable: sync, syncfs, sync_file_range, MS_ASYNC. Not followed: io_uring, reflinks, extended attributes, owners.
 * Build: cc -shared -fPIC -O2 -o powercut.so shim.c mirror.c */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "mirror.h"

#define MAPPINGS 256

typedef struct {
    char *at;
    size_t length_bytes;
    uint64_t offset;
    int fd; /* our own duplicate: the program may close its descriptor and keep the mapping */
} Mapping;

static Mapping mappings[MAPPINGS];

__attribute__((constructor)) static void start(void) { mirror_open(); }

/* A duplicate keeps the file open; it is never closed, because closing it would drop the program's locks on the file. */
static void remember_mapping(void *at, size_t length_bytes, int fd, off_t offset) {
    for (int i = 0; i < MAPPINGS; i++) {
        if (mappings[i].at) continue;
        mappings[i] = (Mapping){at, length_bytes, (uint64_t)offset, (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0)};
        return;
    }
    dprintf(2, "powercut: more than %d shared mappings\n", MAPPINGS);
    abort();
}

/* Opening ------------------------------------------------------------------------------------------------------------------ */

/* The mirror reads what it copies through the program's own descriptor, so one that can only write is replaced by one that can do both. */
static void make_readable(int fd, int flags) {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int both = (int)syscall(SYS_openat, AT_FDCWD, link, (flags & ~(O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC)) | O_RDWR | O_CLOEXEC, 0);
    if (both < 0) return;
    syscall(SYS_dup3, both, fd, flags & O_CLOEXEC);
    syscall(SYS_close, both);
}

static int opened(int dir_fd, const char *path, int flags, mode_t mode) {
    int fd = (int)syscall(SYS_openat, dir_fd, path, flags, mode), errno_before = errno;
    Inode *inode = fd >= 0 && (flags & O_ACCMODE) != O_RDONLY ? mirror_inode(fd) : NULL;
    if (inode && flags & O_TRUNC) mirror_truncated(inode, 0);
    if (inode && (flags & O_ACCMODE) == O_WRONLY) make_readable(fd, flags);
    errno = errno_before;
    return fd;
}

#define MODE_ARGUMENT(flags)                                             \
    mode_t mode = 0;                                                     \
    if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) {       \
        va_list rest;                                                    \
        va_start(rest, flags);                                           \
        mode = va_arg(rest, mode_t);                                     \
        va_end(rest);                                                    \
    }

int open(const char *path, int flags, ...) { MODE_ARGUMENT(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE_ARGUMENT(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int dir_fd, const char *path, int flags, ...) { MODE_ARGUMENT(flags) return opened(dir_fd, path, flags, mode); }
int openat64(int dir_fd, const char *path, int flags, ...) { MODE_ARGUMENT(flags) return opened(dir_fd, path, flags, mode); }
int __open_2(const char *path, int flags) { return opened(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return opened(AT_FDCWD, path, flags, 0); }
int __openat_2(int dir_fd, const char *path, int flags) { return opened(dir_fd, path, flags, 0); }
int __openat64_2(int dir_fd, const char *path, int flags) { return opened(dir_fd, path, flags, 0); }
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* stdio writes from inside libc, where no preloaded function sees it. */
static FILE *unseen(FILE *file, const char *mode) {
    int errno_before = errno, writes = mode[0] != 'r' || mode[1] == '+' || (mode[1] && mode[2] == '+');
    Inode *inode = file && writes ? mirror_inode(fileno(file)) : NULL;
    if (inode && mode[0] == 'w') mirror_truncated(inode, 0);
    if (inode) mirror_unseen(inode);
    errno = errno_before;
    return file;
}

#define LIBC(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
FILE *fopen(const char *path, const char *mode) { return unseen(LIBC(fopen)(path, mode), mode); }
FILE *fopen64(const char *path, const char *mode) { return unseen(LIBC(fopen64)(path, mode), mode); }
FILE *freopen(const char *path, const char *mode, FILE *file) { return unseen(LIBC(freopen)(path, mode, file), mode); }
FILE *freopen64(const char *path, const char *mode, FILE *file) { return unseen(LIBC(freopen64)(path, mode, file), mode); }
FILE *fdopen(int fd, const char *mode) { return unseen(LIBC(fdopen)(fd, mode), mode[0] == 'w' ? "r+" : mode); }

/* Writing ------------------------------------------------------------------------------------------------------------------ */

#define AT_POSITION ((off_t)-1)

static ssize_t wrote(int fd, off_t offset, ssize_t written_bytes, int flags) {
    int errno_before = errno;
    Inode *inode = written_bytes > 0 ? mirror_inode(fd) : NULL;
    if (inode) {
        int status = fcntl(fd, F_GETFL);
        if (offset == AT_POSITION || status & O_APPEND) offset = lseek(fd, 0, offset == AT_POSITION ? SEEK_CUR : SEEK_END) - written_bytes;
        mirror_wrote(inode, (uint64_t)offset, (uint64_t)written_bytes);
        if (status & O_DSYNC || flags & (RWF_DSYNC | RWF_SYNC)) mirror_flushed_range(inode, fd, (uint64_t)offset, (uint64_t)written_bytes);
    }
    errno = errno_before;
    return written_bytes;
}

/* The kernel takes the offset of the vector calls in two halves; on 64 bits the high one is not used. */
static ssize_t vector(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    return wrote(fd, offset, syscall(SYS_pwritev2, fd, parts, (unsigned long)count, offset, 0L, flags), flags);
}

ssize_t write(int fd, const void *bytes, size_t n) { return wrote(fd, AT_POSITION, syscall(SYS_write, fd, bytes, n), 0); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return wrote(fd, AT_POSITION, syscall(SYS_writev, fd, parts, count), 0); }
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset) { return wrote(fd, offset, syscall(SYS_pwrite64, fd, bytes, n, offset), 0); }
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t offset) { return wrote(fd, offset, syscall(SYS_pwrite64, fd, bytes, n, offset), 0); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return vector(fd, parts, count, offset, 0); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return vector(fd, parts, count, offset, 0); }
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) { return vector(fd, parts, count, offset, flags); }
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) { return vector(fd, parts, count, offset, flags); }
ssize_t sendfile(int out, int in, off_t *offset, size_t n) { return wrote(out, AT_POSITION, syscall(SYS_sendfile, out, in, offset, n), 0); }
ssize_t sendfile64(int out, int in, off64_t *offset, size_t n) { return wrote(out, AT_POSITION, syscall(SYS_sendfile, out, in, offset, n), 0); }

static ssize_t moved(int out, off64_t *offset, ssize_t moved_bytes) { return wrote(out, offset && moved_bytes > 0 ? *offset - moved_bytes : AT_POSITION, moved_bytes, 0); }
ssize_t copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t n, unsigned flags) {
    return moved(out, out_offset, syscall(SYS_copy_file_range, in, in_offset, out, out_offset, n, flags));
}
ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t n, unsigned flags) {
    return moved(out, out_offset, syscall(SYS_splice, in, in_offset, out, out_offset, n, flags));
}

/* Sizing ------------------------------------------------------------------------------------------------------------------- */

static int truncated(int fd, off_t size_bytes, int result) {
    int errno_before = errno;
    Inode *inode = result ? NULL : mirror_inode(fd);
    if (inode) mirror_truncated(inode, (uint64_t)size_bytes);
    errno = errno_before;
    return result;
}

int ftruncate(int fd, off_t size_bytes) { return truncated(fd, size_bytes, (int)syscall(SYS_ftruncate, fd, size_bytes)); }
int ftruncate64(int fd, off64_t size_bytes) { return truncated(fd, size_bytes, (int)syscall(SYS_ftruncate, fd, size_bytes)); }

static int truncate_path(const char *path, off_t size_bytes) {
    int fd = opened(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0), result = fd < 0 ? -1 : ftruncate(fd, size_bytes), errno_before = errno;
    if (fd >= 0) close(fd);
    errno = errno_before;
    return result;
}

int truncate(const char *path, off_t size_bytes) { return truncate_path(path, size_bytes); }
int truncate64(const char *path, off64_t size_bytes) { return truncate_path(path, size_bytes); }

/* Growing needs no mark: a flush takes the size. Punched and shifted ranges change content. */
static int allocated(int fd, int mode, int result) {
    int errno_before = errno;
    Inode *inode = result || !(mode & ~FALLOC_FL_KEEP_SIZE) ? NULL : mirror_inode(fd);
    if (inode) mirror_unseen(inode);
    errno = errno_before;
    return result;
}

int fallocate(int fd, int mode, off_t offset, off_t n) { return allocated(fd, mode, (int)syscall(SYS_fallocate, fd, mode, offset, n)); }
int fallocate64(int fd, int mode, off64_t offset, off64_t n) { return allocated(fd, mode, (int)syscall(SYS_fallocate, fd, mode, offset, n)); }

/* Mapping ------------------------------------------------------------------------------------------------------------------ */

static void *mapped(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
    int errno_before = errno;
    Inode *inode = at != MAP_FAILED && flags & MAP_SHARED && !(flags & MAP_ANONYMOUS) && protection & PROT_WRITE ? mirror_inode(fd) : NULL;
    if (inode) {
        mirror_unseen(inode);
        remember_mapping(at, n, fd, offset);
    }
    errno = errno_before;
    return at;
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
    return mapped((void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset), n, protection, flags, fd, offset);
}
void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset) {
    return mapped((void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset), n, protection, flags, fd, offset);
}

int munmap(void *at, size_t n) {
    for (int i = 0; i < MAPPINGS; i++)
        if (mappings[i].at == at) mappings[i].at = NULL;
    return (int)syscall(SYS_munmap, at, n);
}

int msync(void *at, size_t n, int flags) {
    int result = (int)syscall(SYS_msync, at, n, flags), errno_before = errno;
    for (int i = 0; !result && flags & MS_SYNC && i < MAPPINGS; i++) {
        Mapping *m = &mappings[i];
        char *first = (char *)at > m->at ? (char *)at : m->at, *last = (char *)at + n < m->at + m->length_bytes ? (char *)at + n : m->at + m->length_bytes;
        Inode *inode = m->at && first < last ? mirror_inode(m->fd) : NULL;
        if (inode) mirror_flushed_range(inode, m->fd, m->offset + (uint64_t)(first - m->at), (uint64_t)(last - first));
    }
    errno = errno_before;
    return result;
}

/* Flushing ----------------------------------------------------------------------------------------------------------------- */

static int flushed(int fd, int result) {
    int errno_before = errno;
    Inode *inode = result ? NULL : mirror_inode(fd);
    if (inode) mirror_flushed(inode, fd);
    else if (!result) mirror_folder_flushed(fd);
    errno = errno_before;
    return result;
}

int fsync(int fd) { return flushed(fd, (int)syscall(SYS_fsync, fd)); }
int fdatasync(int fd) { return flushed(fd, (int)syscall(SYS_fdatasync, fd)); }
