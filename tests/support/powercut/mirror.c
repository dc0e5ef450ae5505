/* See mirror.h. Only raw system calls touch the data folder's files: an open and close of a database here would drop SQLite's locks
 * in the whole process, so content is read through the descriptor that the program itself flushes. */
#define _GNU_SOURCE
#include "mirror.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK_BYTES 4096u
#define FILE_BYTES_MAX (16ull << 30)
#define WORDS (FILE_BYTES_MAX / BLOCK_BYTES / 64)
#define KEY_BYTES 56
#define NEVER UINT64_MAX

typedef struct {
    _Atomic uint64_t lowest_size_bytes; /* smallest size since the last flush: what lay beyond it is gone even if the file grew again */
    _Atomic uint64_t unseen;
    _Atomic uint64_t flushing; /* a process that died while it copied leaves this set: the next flush takes the whole file */
    _Atomic uint64_t written[WORDS];
} Marks;

struct Inode {
    char key[KEY_BYTES];
    Marks *marks;
    Inode *next;
};

static char data_dir[PATH_MAX], mirror_dir[PATH_MAX];
static size_t data_dir_length;
static uint32_t device_major, device_minor;
static _Atomic(Inode *) known;

static void give_up(const char *what, const char *name) {
    dprintf(2, "powercut: %s %s: %s\n", what, name, strerror(errno));
    abort();
}

static int open_raw(int dir_fd, const char *path, int flags) {
    return (int)syscall(SYS_openat, dir_fd, path, flags | O_CLOEXEC, 0600);
}

static int open_mirror(const char *key, const char *suffix, int flags) {
    char path[PATH_MAX + 128];
    snprintf(path, sizeof path, "%s/%s%s", mirror_dir, key, suffix);
    return open_raw(AT_FDCWD, path, flags);
}

static int look(int dir_fd, const char *name, int flags, struct statx *facts) {
    return statx(dir_fd, name, flags | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, facts);
}

static void key_of(const struct statx *facts, char key[KEY_BYTES]) {
    snprintf(key, KEY_BYTES, "%llu-%lld.%09u", (unsigned long long)facts->stx_ino, (long long)facts->stx_btime.tv_sec, facts->stx_btime.tv_nsec);
}

static int is_wal_index(const char *name) {
    size_t length = strlen(name);
    return length > 4 && !strcmp(name + length - 4, "-shm");
}

static int lock_mirror(void) {
    int fd = open_mirror("lock", "", O_RDWR | O_CREAT);
    if (fd < 0 || flock(fd, LOCK_EX)) give_up("cannot lock", mirror_dir);
    return fd;
}

static void unlock_mirror(int fd) { syscall(SYS_close, fd); }

/* Files: marks ------------------------------------------------------------------------------------------------------------- */

static Marks *map_marks(const char *key) {
    int fd = open_mirror(key, ".marks", O_RDWR);
    if (fd < 0) {
        char fresh[PATH_MAX + 128], wanted[PATH_MAX + 128];
        snprintf(fresh, sizeof fresh, "%s/%s.%d.fresh", mirror_dir, key, gettid());
        snprintf(wanted, sizeof wanted, "%s/%s.marks", mirror_dir, key);
        fd = open_raw(AT_FDCWD, fresh, O_RDWR | O_CREAT | O_TRUNC);
        uint64_t never = NEVER;
        if (fd < 0 || syscall(SYS_ftruncate, fd, sizeof(Marks)) || syscall(SYS_pwrite64, fd, &never, sizeof never, 0) < 0) give_up("cannot make", fresh);
        if (syscall(SYS_link, fresh, wanted) && errno != EEXIST) give_up("cannot make", wanted);
        syscall(SYS_unlink, fresh);
        syscall(SYS_close, fd);
        fd = open_mirror(key, ".marks", O_RDWR);
    }
    void *at = (void *)syscall(SYS_mmap, NULL, sizeof(Marks), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
    if (fd < 0 || at == MAP_FAILED) give_up("cannot map", key);
    syscall(SYS_close, fd);
    return at;
}

static Inode *track(const char *key) {
    for (Inode *inode = known; inode; inode = inode->next)
        if (!strcmp(inode->key, key)) return inode;
    Inode *inode = calloc(1, sizeof *inode);
    if (!inode) give_up("no memory for", key);
    memcpy(inode->key, key, KEY_BYTES);
    inode->marks = map_marks(key);
    inode->next = known;
    /* Two threads may both add a key: both maps are the same memory, so the second is only a few bytes too many. */
    while (!atomic_compare_exchange_weak(&known, &inode->next, inode)) {}
    return inode;
}

static int is_below_data_dir(int fd) {
    char link[32], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return !strncmp(path, data_dir, data_dir_length) && (path[data_dir_length] == '/' || !path[data_dir_length]) && !is_wal_index(path);
}

Inode *mirror_inode(int fd) {
    struct statx facts;
    char key[KEY_BYTES] = "";
    mirror_open();
    if (fd < 0 || look(fd, "", AT_EMPTY_PATH, &facts) || !S_ISREG(facts.stx_mode)) return NULL;
    if (facts.stx_dev_major != device_major || facts.stx_dev_minor != device_minor) return NULL;
    key_of(&facts, key);
    for (Inode *inode = known; inode; inode = inode->next)
        if (!strcmp(inode->key, key)) return inode;
    return is_below_data_dir(fd) ? track(key) : NULL;
}

static void mark_blocks(Marks *marks, uint64_t first, uint64_t last) {
    if (last >= WORDS * 64) {
        errno = EFBIG;
        give_up("file too large for the simulated disk in", data_dir);
    }
    for (uint64_t block = first; block <= last; block++) atomic_fetch_or(&marks->written[block / 64], 1ull << (block % 64));
}

void mirror_wrote(Inode *inode, uint64_t offset, uint64_t length_bytes) {
    if (length_bytes) mark_blocks(inode->marks, offset / BLOCK_BYTES, (offset + length_bytes - 1) / BLOCK_BYTES);
}

void mirror_truncated(Inode *inode, uint64_t size_bytes) {
    uint64_t lowest = atomic_load(&inode->marks->lowest_size_bytes);
    while (size_bytes < lowest && !atomic_compare_exchange_weak(&inode->marks->lowest_size_bytes, &lowest, size_bytes)) {}
    mark_blocks(inode->marks, size_bytes / BLOCK_BYTES, size_bytes / BLOCK_BYTES);
}

void mirror_unseen(Inode *inode) { atomic_store(&inode->marks->unseen, 1); }

/* Files: flush ------------------------------------------------------------------------------------------------------------- */

static void copy_range(int from, int to, uint64_t offset, uint64_t length_bytes) {
    char buffer[4 * BLOCK_BYTES];
    while (length_bytes) {
        size_t want = length_bytes < sizeof buffer ? length_bytes : sizeof buffer;
        ssize_t got = syscall(SYS_pread64, from, buffer, want, (off_t)offset);
        if (got < 0) give_up("cannot read what was flushed in", data_dir);
        if (got == 0) return;
        if (syscall(SYS_pwrite64, to, buffer, (size_t)got, (off_t)offset) != got) give_up("cannot write to", mirror_dir);
        offset += (uint64_t)got;
        length_bytes -= (uint64_t)got;
    }
}

/* The shim makes write-only descriptors readable; one that came in another way is opened once more. */
static int readable(int fd, int *extra) {
    char link[32];
    *extra = -1;
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY) return fd;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    *extra = open_raw(AT_FDCWD, link, O_RDONLY);
    if (*extra < 0) give_up("cannot read", link);
    return *extra;
}

static void copy_written(Marks *marks, int from, int to, uint64_t size_bytes) {
    uint64_t blocks = (size_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
    for (uint64_t word = 0; word * 64 < blocks; word++) {
        uint64_t bits = atomic_exchange(&marks->written[word], 0);
        while (bits) {
            unsigned first = (unsigned)__builtin_ctzll(bits), count = 1;
            while (first + count < 64 && (bits >> (first + count)) & 1) count++;
            copy_range(from, to, (word * 64 + first) * BLOCK_BYTES, (uint64_t)count * BLOCK_BYTES);
            bits &= first + count == 64 ? (1ull << first) - 1 : ~(((1ull << count) - 1) << first);
        }
    }
}

void mirror_flushed(Inode *inode, int fd) {
    Marks *marks = inode->marks;
    struct stat now;
    int extra, lock = lock_mirror(), from = readable(fd, &extra), to = open_mirror(inode->key, ".data", O_RDWR | O_CREAT);
    if (to < 0 || fstat(fd, &now)) give_up("cannot open the mirror of", inode->key);
    int whole = atomic_exchange(&marks->flushing, 1) || atomic_load(&marks->unseen);
    uint64_t size = (uint64_t)now.st_size, lowest = atomic_exchange(&marks->lowest_size_bytes, NEVER);
    if (lowest != NEVER && lowest < size && syscall(SYS_ftruncate, to, (off_t)lowest)) give_up("cannot cut", inode->key);
    if (syscall(SYS_ftruncate, to, now.st_size)) give_up("cannot size", inode->key);
    if (whole && size) mark_blocks(marks, 0, (size - 1) / BLOCK_BYTES);
    copy_written(marks, from, to, size);
    atomic_store(&marks->flushing, 0);
    syscall(SYS_close, to);
    if (extra >= 0) syscall(SYS_close, extra);
    unlock_mirror(lock);
}

void mirror_flushed_range(Inode *inode, int fd, uint64_t offset, uint64_t length_bytes) {
    int extra, lock = lock_mirror(), from = readable(fd, &extra), to = open_mirror(inode->key, ".data", O_RDWR | O_CREAT);
    if (to < 0) give_up("cannot open the mirror of", inode->key);
    copy_range(from, to, offset, length_bytes);
    syscall(SYS_close, to);
    if (extra >= 0) syscall(SYS_close, extra);
    unlock_mirror(lock);
}

/* Folders ------------------------------------------------------------------------------------------------------------------ */

/* One record is "f KEY MODE NAME\0" for a file, "d KEY MODE NAME\0" for a folder, "l KEY MODE NAME\0TARGET\0" for a symbolic link. */
static void list_entry(FILE *list, int folder, const char *name, const struct statx *facts) {
    char key[KEY_BYTES], target[PATH_MAX];
    key_of(facts, key);
    char type = S_ISREG(facts->stx_mode) ? 'f' : S_ISDIR(facts->stx_mode) ? 'd' : 'l';
    fprintf(list, "%c %s %o %s%c", type, key, facts->stx_mode & 07777u, name, 0);
    if (type != 'l') return;
    ssize_t length = readlinkat(folder, name, target, sizeof target - 1);
    if (length < 0) length = 0;
    target[length] = 0;
    fprintf(list, "%s%c", target, 0);
}

typedef void Visit(int folder, const char *name, const struct statx *facts);

static void record_listing(int fd, const char *key, Visit *visit) {
    char link[32], fresh[PATH_MAX + 128], wanted[PATH_MAX + 128];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    snprintf(fresh, sizeof fresh, "%s/%s.%d.fresh", mirror_dir, key, gettid());
    snprintf(wanted, sizeof wanted, "%s/%s.list", mirror_dir, key);
    int own = open_raw(AT_FDCWD, link, O_RDONLY | O_DIRECTORY), out = open_raw(AT_FDCWD, fresh, O_RDWR | O_CREAT | O_TRUNC);
    DIR *folder = own < 0 ? NULL : fdopendir(own);
    FILE *list = out < 0 ? NULL : fdopen(out, "w");
    if (!folder || !list) give_up("cannot list", link);
    for (struct dirent *entry; (entry = readdir(folder));) {
        struct statx facts;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || is_wal_index(entry->d_name)) continue;
        if (look(dirfd(folder), entry->d_name, 0, &facts)) continue; /* gone since readdir: another thread's rename, not yet flushed */
        if (!S_ISREG(facts.stx_mode) && !S_ISDIR(facts.stx_mode) && !S_ISLNK(facts.stx_mode)) continue; /* sockets die with the power */
        list_entry(list, dirfd(folder), entry->d_name, &facts);
        if (visit) visit(dirfd(folder), entry->d_name, &facts);
    }
    closedir(folder);
    if (fclose(list) || syscall(SYS_rename, fresh, wanted)) give_up("cannot keep", wanted);
}

void mirror_folder_flushed(int fd) {
    struct statx facts;
    char key[KEY_BYTES];
    mirror_open();
    if (!is_below_data_dir(fd) || look(fd, "", AT_EMPTY_PATH, &facts)) return;
    key_of(&facts, key);
    int lock = lock_mirror();
    record_listing(fd, key, NULL);
    unlock_mirror(lock);
}

/* Start -------------------------------------------------------------------------------------------------------------------- */

/* What is there before the first process starts counts as durable. */
static void adopt(int folder, const char *name, const struct statx *facts) {
    char key[KEY_BYTES];
    if (S_ISLNK(facts->stx_mode)) return;
    key_of(facts, key);
    int fd = open_raw(folder, name, O_RDONLY);
    if (fd < 0) give_up("cannot read", name);
    if (S_ISDIR(facts->stx_mode)) {
        record_listing(fd, key, adopt);
    } else {
        int to = open_mirror(key, ".data", O_RDWR | O_CREAT | O_TRUNC);
        if (to < 0) give_up("cannot copy", name);
        copy_range(fd, to, 0, facts->stx_size);
        syscall(SYS_close, to);
    }
    syscall(SYS_close, fd);
}

static void adopt_data_dir(void) {
    struct statx facts;
    char key[KEY_BYTES];
    int lock = lock_mirror(), marker = open_mirror("root", "", O_RDONLY), fd = open_raw(AT_FDCWD, data_dir, O_RDONLY | O_DIRECTORY);
    if (fd < 0 || look(fd, "", AT_EMPTY_PATH, &facts)) give_up("cannot open", data_dir);
    device_major = facts.stx_dev_major;
    device_minor = facts.stx_dev_minor;
    if (marker < 0) {
        key_of(&facts, key);
        record_listing(fd, key, adopt);
        marker = open_mirror("root", "", O_RDWR | O_CREAT);
        if (marker < 0 || syscall(SYS_write, marker, key, strlen(key)) < 0) give_up("cannot mark", mirror_dir);
    }
    syscall(SYS_close, marker);
    syscall(SYS_close, fd);
    unlock_mirror(lock);
}

static void open_once(void) {
    const char *data = getenv("POWERCUT_DIR"), *mirror = getenv("POWERCUT_SHADOW");
    if (!data || !mirror || !realpath(data, data_dir) || !realpath(mirror, mirror_dir)) give_up("set to existing folders", "POWERCUT_DIR and POWERCUT_SHADOW");
    data_dir_length = strlen(data_dir);
    adopt_data_dir();
}

void mirror_open(void) {
    static int begun; /* plain: the constructor in shim.c gets here before any thread exists */
    if (begun) return;
    begun = 1;
    open_once();
}
