// Ranks of a program that an MPI launcher started. MPI is loaded at run time: nothing here needs it to compile, to link
// or to run without a launcher.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// The place of this process among those that a launcher started, by its environment.
typedef struct {
  /// The number of this process among those that the launcher started, from 0.
  int rank;
  /// The number of processes; 0 if the launcher does not say; 1 without a launcher.
  int size;
  /// The number of them on this host; 1 if the launcher does not say.
  int local_size;
} unroll_launch;

/// Returns the place that mpirun, mpiexec or srun gives this process; rank 0 of 1 without a launcher.
unroll_launch unroll_launch_by_environment(void);

/// Loads the MPI library of the launcher; UNROLL_MPI_LIBRARY names another one.
///
/// Returns NULL, or the reason why none was loaded.
const char *unroll_group_load(void);

/// Begins the communication, after `unroll_group_load`. One thread at a time may make the calls below.
///
/// @param rank Out: the number of this rank.
/// @param size Out: the number of ranks.
/// Returns 0, or an error of MPI.
int unroll_group_open(int *rank, int *size);

/// Returns the path of the library and its own name, in one line.
const char *unroll_group_library(void);

/// Sends a part of `sent` to each rank and receives one from each. Counts and places are in bytes.
///
/// Returns 0, or an error of MPI.
int unroll_group_exchange(
    const void *sent, const int *sent_counts, const int *sent_places, void *received, const int *received_counts,
    const int *received_places);

/// Gathers a part of each rank on every rank. Counts and places are in bytes.
///
/// @param part The part of this rank. It may be in its place in `all`, then at every rank.
/// Returns 0, or an error of MPI.
int unroll_group_gather(const void *part, int count, void *all, const int *counts, const int *places);

/// Gives every rank the bytes of rank 0. Returns 0, or an error of MPI.
int unroll_group_broadcast(void *bytes, int count);

/// Ends the communication, after all ranks came here. Returns 0, or an error of MPI.
int unroll_group_close(void);

/// Ends the processes of all ranks.
void unroll_group_abort(int code);

/// Writes the text of an error of MPI.
void unroll_group_describe(int error, char *text, size_t size);

/// Starts a thread that ends this process with code 2 when a call has waited longer for the other ranks.
///
/// @param seconds The patience.
/// @param name    The name of this rank for the message, as "rank 2 on h2".
/// Returns 0, or an error number.
int unroll_group_watch(int seconds, const char *name);

/// Names the step that the following calls belong to, for the message of the thread.
void unroll_group_set_step(int64_t step);
