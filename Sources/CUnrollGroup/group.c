// Loads MPI at run time and makes its calls. Constants of an ABI are facts of its header: MPICH's mpi.h, the standard's mpi_abi.h;
// Open MPI has addresses of its own variables in their place.
#include "UnrollGroup.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "waiting.h"

/// The calls, whichever the ABI.
typedef struct {
  int (*open)(int *, int *);
  int (*exchange)(const void *, const int *, const int *, void *, const int *, const int *);
  int (*gather)(const void *, int, void *, const int *, const int *);
  int (*broadcast)(void *, int);
  int (*close)(void);
  void (*abort)(int);
} functions;

#define JOIN(a, b) a##b
#define JOINED(a, b) JOIN(a, b)
#define NAME(x) JOINED(x, SUFFIX)
#define HANDLE int
#define SUFFIX _of_int
#include "abi.inc.h"
#undef HANDLE
#undef SUFFIX
typedef void *pointer_handle;
#define HANDLE pointer_handle
#define SUFFIX _of_pointer
#include "abi.inc.h"

static const functions *calls;
static int (*error_string)(int, char *, int *);
static int (*library_version)(char *, int *);
static char library_path[4096];

// MARK: The launcher

/// Returns the number in the first of some variables that is set, or `otherwise`.
static int number_of(const char *const names[], int otherwise) {
  for (; *names; names++) {
    const char *text = getenv(*names);
    char *end;
    if (!text || !*text) continue;
    const long number = strtol(text, &end, 10);
    if (*end == 0 && number >= 0 && number < 1 << 30) return (int)number;
  }
  return otherwise;
}

static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", NULL};
static const char *const ranks[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK", "PMIX_RANK", NULL};
static const char *const local_sizes[] = {
    "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "MV2_COMM_WORLD_LOCAL_SIZE", NULL};
// Slurm sets these for programs without MPI, too: they count only beside PMIX_RANK.
static const char *const slurm_sizes[] = {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", NULL};

unroll_launch unroll_launch_by_environment(void) {
  const int unknown = getenv("PMIX_RANK") ? number_of(slurm_sizes, 0) : 1;
  const int size = number_of(sizes, unknown);
  return (unroll_launch){
      .rank = size == 1 ? 0 : number_of(ranks, 0), .size = size, .local_size = number_of(local_sizes, 1)};
}

// MARK: The library

static void *load(const char *name) {
  // Global: Open MPI loads parts of itself that look for its symbols.
  void *library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
  if (library) snprintf(library_path, sizeof library_path, "%s", name);
  return library;
}

#ifdef __APPLE__
static const char *const open_mpi[] = {"libmpi.40.dylib", NULL};
static const char *const others[] = {"libmpi_abi.0.dylib", "libmpi_abi.dylib", "libmpich.12.dylib", "libmpi.12.dylib", NULL};
#else
static const char *const open_mpi[] = {"libmpi.so.40", NULL};
static const char *const others[] = {"libmpi_abi.so.1", "libmpi_abi.so.0", "libmpich.so.12", "libmpi.so.12", NULL};
#endif

/// Loads the library that is named, or the first that there is: that of the launcher comes first.
static void *load_any(void) {
  const char *named = getenv("UNROLL_MPI_LIBRARY");
  if (named && *named) return load(named);
  const bool is_open_mpi = getenv("OMPI_COMM_WORLD_SIZE") != NULL;
  const char *const *const lists[] = {is_open_mpi ? open_mpi : others, is_open_mpi ? others : open_mpi};
  void *library = NULL;
  for (int list = 0; list < 2; list++)
    for (const char *const *name = lists[list]; *name && !library; name++) library = load(*name);
  return library;
}

/// Takes the constants of Open MPI: addresses of its variables. Returns false for other libraries.
static bool take_open_mpi(void *library) {
  mpi_of_pointer.world = dlsym(library, "ompi_mpi_comm_world");
  mpi_of_pointer.byte = dlsym(library, "ompi_mpi_byte");
  mpi_of_pointer.errors_return = dlsym(library, "ompi_mpi_errors_return");
  mpi_of_pointer.in_place = (void *)1;
  mpi_of_pointer.serialized = 2;
  if (!mpi_of_pointer.world || !mpi_of_pointer.byte || !mpi_of_pointer.errors_return) return false;
  // With one TCP connection Open MPI 4.1 uses half of a link of 1 Gb/s when both ends send. A setting of the user's stays.
  setenv("OMPI_MCA_btl_tcp_links", "2", 0);
  return true;
}

/// Takes the constants of the standard ABI of MPI 5.
static void take_standard(void) {
  mpi_of_pointer.world = (void *)0x101;
  mpi_of_pointer.byte = (void *)0x247;
  mpi_of_pointer.errors_return = (void *)0x143;
  mpi_of_pointer.in_place = (void *)1;
  mpi_of_pointer.serialized = 2048;
}

/// Takes the constants of the ABI of MPICH, also of Intel MPI, MVAPICH and Cray MPICH.
static void take_mpich(void) {
  mpi_of_int.world = 0x44000000;
  mpi_of_int.byte = 0x4c00010d;
  mpi_of_int.errors_return = 0x54000001;
  mpi_of_int.in_place = (void *)-1;
  mpi_of_int.serialized = 2;
}

/// Returns true for a library of the standard ABI. The function is there in libraries that have another one besides.
static bool is_standard(void *library) {
  return strstr(library_path, "mpi_abi") && dlsym(library, "MPI_Abi_get_version");
}

const char *unroll_group_load(void) {
  static char reason[4600];
  if (calls) return NULL;
  void *library = load_any();
  if (!library) {
    const char *text = dlerror();
    return text ? text : "no library";
  }
  const char *missing;
  if (take_open_mpi(library) || is_standard(library)) {
    if (!mpi_of_pointer.world) take_standard();
    missing = find_of_pointer(library);
    error_string = mpi_of_pointer.error_string;
    library_version = mpi_of_pointer.version;
  } else {
    take_mpich();
    missing = find_of_int(library);
    error_string = mpi_of_int.error_string;
    library_version = mpi_of_int.version;
  }
  if (missing) {
    snprintf(reason, sizeof reason, "%s has no function %s", library_path, missing);
    return reason;
  }
  calls = mpi_of_pointer.world ? &functions_of_pointer : &functions_of_int;
  return NULL;
}

const char *unroll_group_library(void) {
  static char text[sizeof library_path + 300];
  // MPICH writes a page; its first line is enough.
  static char version[1 << 16];
  int length = 0;
  if (library_version) library_version(version, &length);
  version[strcspn(version, "\n,")] = 0;
  for (char *c = version; *c; c++)
    if (*c == '\t') *c = ' ';
  snprintf(text, sizeof text, "%s (%.200s)", library_path, version);
  return text;
}

// MARK: Calls

static int own_rank;

int unroll_group_open(int *rank, int *size) {
  begin_waiting();
  const int error = calls->open(rank, size);
  end_waiting();
  own_rank = *rank;
  return error;
}

int unroll_group_exchange(
    const void *sent, const int *sent_counts, const int *sent_places, void *received, const int *received_counts,
    const int *received_places) {
  begin_waiting();
  const int error = calls->exchange(sent, sent_counts, sent_places, received, received_counts, received_places);
  end_waiting();
  return error;
}

int unroll_group_gather(const void *part, int count, void *all, const int *counts, const int *places) {
  // MPI has a name for the place itself. The address of an empty part may be NULL, which is another name in some libraries.
  static const char empty;
  const bool is_in_place = all && part == (const char *)all + places[own_rank];
  begin_waiting();
  const int error = calls->gather(is_in_place ? NULL : count > 0 ? part : &empty, count, all, counts, places);
  end_waiting();
  return error;
}

int unroll_group_broadcast(void *bytes, int count) {
  begin_waiting();
  const int error = calls->broadcast(bytes, count);
  end_waiting();
  return error;
}

int unroll_group_close(void) {
  begin_waiting();
  const int error = calls->close();
  end_waiting();
  return error;
}

void unroll_group_abort(int code) { calls->abort(code); }

void unroll_group_describe(int error, char *text, size_t size) {
  // 8,192 is more than any implementation's MPI_MAX_ERROR_STRING.
  static char message[8192];
  int length = 0;
  if (!error_string || error_string(error, message, &length) != 0)
    snprintf(message, sizeof message, "error %d", error);
  snprintf(text, size, "%s", message);
}
