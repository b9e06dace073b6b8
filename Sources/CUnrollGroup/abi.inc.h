// The functions of MPI for one kind of handles. Included twice: HANDLE is `int` for the ABI of MPICH, `void *` for Open MPI and
// the standard ABI of MPI 5. A cast would not do: arm64 passes an int and a pointer on the stack in different ways.

/// The library as this ABI calls it.
static struct {
  int (*init)(int *, char ***, int, int *);
  int (*finalize)(void);
  int (*abort)(HANDLE, int);
  int (*rank)(HANDLE, int *);
  int (*size)(HANDLE, int *);
  int (*version)(char *, int *);
  int (*error_string)(int, char *, int *);
  int (*set_errhandler)(HANDLE, HANDLE);
  int (*alltoallv)(
      const void *, const int *, const int *, HANDLE, void *, const int *, const int *, HANDLE, HANDLE);
  int (*allgatherv)(const void *, int, HANDLE, void *, const int *, const int *, HANDLE, HANDLE);
  int (*bcast)(void *, int, HANDLE, int, HANDLE);
  int (*barrier)(HANDLE);
  HANDLE world, byte, errors_return;
  const void *in_place;
  int serialized;
} NAME(mpi);

/// Finds the functions. Returns the name of the first that is missing, or NULL.
static const char *NAME(find)(void *library) {
#define FIND(field, symbol) \
  if (!(*(void **)&NAME(mpi).field = dlsym(library, symbol))) return symbol;
  FIND(init, "MPI_Init_thread")
  FIND(finalize, "MPI_Finalize")
  FIND(abort, "MPI_Abort")
  FIND(rank, "MPI_Comm_rank")
  FIND(size, "MPI_Comm_size")
  FIND(version, "MPI_Get_library_version")
  FIND(error_string, "MPI_Error_string")
  FIND(set_errhandler, "MPI_Comm_set_errhandler")
  FIND(alltoallv, "MPI_Alltoallv")
  FIND(allgatherv, "MPI_Allgatherv")
  FIND(bcast, "MPI_Bcast")
  FIND(barrier, "MPI_Barrier")
#undef FIND
  return NULL;
}

static int NAME(open)(int *rank, int *size) {
  int provided = 0;
  int error = NAME(mpi).init(NULL, NULL, NAME(mpi).serialized, &provided);
  if (!error) error = NAME(mpi).set_errhandler(NAME(mpi).world, NAME(mpi).errors_return);
  if (!error) error = NAME(mpi).rank(NAME(mpi).world, rank);
  if (!error) error = NAME(mpi).size(NAME(mpi).world, size);
  return error;
}

static int NAME(exchange)(
    const void *sent, const int *sent_counts, const int *sent_places, void *received, const int *received_counts,
    const int *received_places) {
  return NAME(mpi).alltoallv(
      sent, sent_counts, sent_places, NAME(mpi).byte, received, received_counts, received_places, NAME(mpi).byte,
      NAME(mpi).world);
}

static int NAME(gather)(const void *part, int count, void *all, const int *counts, const int *places) {
  return NAME(mpi).allgatherv(
      part ? part : NAME(mpi).in_place, count, NAME(mpi).byte, all, counts, places, NAME(mpi).byte, NAME(mpi).world);
}

static int NAME(broadcast)(void *bytes, int count) {
  return NAME(mpi).bcast(bytes, count, NAME(mpi).byte, 0, NAME(mpi).world);
}

static int NAME(close)(void) {
  const int error = NAME(mpi).barrier(NAME(mpi).world);
  return error ? error : NAME(mpi).finalize();
}

static void NAME(end_all)(int code) { NAME(mpi).abort(NAME(mpi).world, code); }

static const functions NAME(functions) = {NAME(open),  NAME(exchange), NAME(gather),
                                          NAME(broadcast), NAME(close), NAME(end_all)};
