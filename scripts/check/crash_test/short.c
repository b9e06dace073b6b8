// Makes the nth transfer of a process to or from a regular file a short one: half of its bytes.
//
// SHORT_CALL names the kind of call ("read" or "write"), SHORT_WHEN is n. At the end the number of
// such transfers goes to the file SHORT_COUNT.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static long transfers;

static size_t shortened(const char *kind, int descriptor, size_t count) {
  const char *wanted = getenv("SHORT_CALL"), *when = getenv("SHORT_WHEN");
  struct stat status;
  if (!wanted || !when || strcmp(wanted, kind) != 0 || count < 2) return count;
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) return count;
  return ++transfers == atol(when) ? count / 2 : count;
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
  ssize_t (*next)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
  return next(descriptor, bytes, shortened("write", descriptor, count));
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) {
  ssize_t (*next)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
  return next(descriptor, bytes, shortened("write", descriptor, count), offset);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
  return pwrite64(descriptor, bytes, count, offset);
}

ssize_t read(int descriptor, void *bytes, size_t count) {
  ssize_t (*next)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
  return next(descriptor, bytes, shortened("read", descriptor, count));
}

ssize_t pread64(int descriptor, void *bytes, size_t count, off64_t offset) {
  ssize_t (*next)(int, void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pread64");
  return next(descriptor, bytes, shortened("read", descriptor, count), offset);
}

ssize_t pread(int descriptor, void *bytes, size_t count, off_t offset) {
  return pread64(descriptor, bytes, count, offset);
}

__attribute__((destructor)) static void tell(void) {
  const char *path = getenv("SHORT_COUNT");
  FILE *file = path ? fopen(path, "w") : NULL;
  if (!file) return;
  fprintf(file, "%ld\n", transfers);
  fclose(file);
}
