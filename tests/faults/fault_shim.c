// Lets system calls of a program fail on purpose: LD_PRELOAD of tests/faults/faults.py.
//
//   FAULT_KIND   memory (allocations), io (calls on files but stdin, stdout, stderr) or thread
//   FAULT_AT     the number of the call that fails, counted from the start of main()
//   FAULT_FROM   1: all later calls of the kind fail too, as on a full disk
//   FAULT_COUNT  file for the number of calls at the end of main()
//
// The symbols of glibc that are replaced are those that programs and libstdc++ call; calls inside glibc stay.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { kind_none, kind_memory, kind_io, kind_thread };

static atomic_int wanted = kind_none;
static atomic_long calls = 0;
static long fail_at = -1;
static int fail_from = 0;

static int fails(enum kind kind) {
  if (atomic_load(&wanted) != (int)kind) return 0;
  const long n = atomic_fetch_add(&calls, 1) + 1;
  return fail_at > 0 && (fail_from ? n >= fail_at : n == fail_at);
}

static int io_fails(int error) {
  if (!fails(kind_io)) return 0;
  errno = error;
  return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

// Memory. dlsym allocates, so the allocator is reached by its other names.
extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);

static void* no_memory(void) {
  errno = ENOMEM;
  return NULL;
}

void* malloc(size_t size) {
  return fails(kind_memory) ? no_memory() : __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  return fails(kind_memory) ? no_memory() : __libc_calloc(count, size);
}
void* realloc(void* old, size_t size) {
  return fails(kind_memory) ? no_memory() : __libc_realloc(old, size);
}
void* memalign(size_t alignment, size_t size) {
  return fails(kind_memory) ? no_memory() : __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  return memalign(alignment, size);
}
int posix_memalign(void** result, size_t alignment, size_t size) {
  void* const memory = memalign(alignment, size);
  if (!memory) return ENOMEM;
  *result = memory;
  return 0;
}
void* mmap(void* address, size_t size, int protection, int flags, int fd, off_t offset) {
  if (fd < 0 && fails(kind_memory)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return NEXT(mmap)(address, size, protection, flags, fd, offset);
}
int mprotect(void* address, size_t size, int protection) {
  if (fails(kind_memory)) {
    errno = ENOMEM;
    return -1;
  }
  return NEXT(mprotect)(address, size, protection);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
  return fails(kind_thread) ? EAGAIN : NEXT(pthread_create)(thread, attributes, start, argument);
}

// Files. A full disk takes a part of what is written first.
static int is_file(int fd) {
  return fd > STDERR_FILENO;
}
ssize_t write(int fd, const void* data, size_t size) {
  if (is_file(fd) && io_fails(ENOSPC)) return size > 1 && !fail_from ? NEXT(write)(fd, data, size / 2) : -1;
  return NEXT(write)(fd, data, size);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  return is_file(fd) && io_fails(ENOSPC) ? -1 : NEXT(pwrite)(fd, data, size, offset);
}
ssize_t read(int fd, void* data, size_t size) {
  return is_file(fd) && io_fails(EIO) ? -1 : NEXT(read)(fd, data, size);
}
ssize_t pread(int fd, void* data, size_t size, off_t offset) {
  return is_file(fd) && io_fails(EIO) ? -1 : NEXT(pread)(fd, data, size, offset);
}
int fsync(int fd) {
  return io_fails(EIO) ? -1 : NEXT(fsync)(fd);
}
int close(int fd) {
  if (!is_file(fd) || !io_fails(EIO)) return NEXT(close)(fd);
  NEXT(close)(fd);
  errno = EIO;
  return -1;
}
int flock(int fd, int operation) {
  return io_fails(ENOLCK) ? -1 : NEXT(flock)(fd, operation);
}
int rename(const char* from, const char* to) {
  return io_fails(EIO) ? -1 : NEXT(rename)(from, to);
}
int link(const char* from, const char* to) {
  return io_fails(EPERM) ? -1 : NEXT(link)(from, to);
}
int unlink(const char* path) {
  return io_fails(EIO) ? -1 : NEXT(unlink)(path);
}
int mkdir(const char* path, mode_t mode) {
  return io_fails(ENOSPC) ? -1 : NEXT(mkdir)(path, mode);
}
// What glibc and the program ask the system about themselves is not of the disk.
static int opening_fails(const char* path) {
  return strncmp(path, "/sys/", 5) && strncmp(path, "/proc/", 6) && io_fails(EMFILE);
}
#define OPEN(name)                                                          \
  int name(const char* path, int flags, ...) {                              \
    va_list rest;                                                           \
    va_start(rest, flags);                                                  \
    const mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                           \
    return opening_fails(path) ? -1 : NEXT(name)(path, flags, mode);        \
  }
OPEN(open)
OPEN(open64)
FILE* fopen(const char* path, const char* mode) {
  return opening_fails(path) ? NULL : NEXT(fopen)(path, mode);
}
FILE* fopen64(const char* path, const char* mode) {
  return opening_fails(path) ? NULL : NEXT(fopen64)(path, mode);
}
size_t fwrite(const void* data, size_t size, size_t count, FILE* file) {
  const int own = file != stdout && file != stderr;
  return own && io_fails(ENOSPC) ? 0 : NEXT(fwrite)(data, size, count, file);
}
int fflush(FILE* file) {
  const int own = file && file != stdout && file != stderr;
  return own && io_fails(ENOSPC) ? EOF : NEXT(fflush)(file);
}

// Counting starts when main() does and ends when it returns.
static int (*real_main)(int, char**, char**);

static int counted_main(int argc, char** argv, char** environment) {
  const char* kind = getenv("FAULT_KIND");
  const char* count = getenv("FAULT_COUNT");
  if (getenv("FAULT_AT")) fail_at = atol(getenv("FAULT_AT"));
  if (getenv("FAULT_FROM")) fail_from = atoi(getenv("FAULT_FROM"));
  unsetenv("LD_PRELOAD");
  if (kind)
    atomic_store(&wanted, !strcmp(kind, "memory")   ? kind_memory
                          : !strcmp(kind, "io")     ? kind_io
                          : !strcmp(kind, "thread") ? kind_thread
                                                    : kind_none);
  const int code = real_main(argc, argv, environment);
  atomic_store(&wanted, kind_none);
  FILE* file = count ? fopen(count, "w") : NULL;
  if (file) {
    fprintf(file, "%ld\n", atomic_load(&calls));
    fclose(file);
  }
  return code;
}

int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv, void (*init)(void),
                      void (*fini)(void), void (*end)(void), void* stack) {
  real_main = main;
  return NEXT(__libc_start_main)(counted_main, argc, argv, init, fini, end, stack);
}
