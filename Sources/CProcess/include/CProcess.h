// C functions that Swift's C library overlay does not import: `fork`, wait-status macros, the state of standard
// output.
#pragma once
#include <stdbool.h>
#include <sys/types.h>

/// `fork(2)`. Call it only while the process has one thread, or do nothing in the child that takes a lock.
pid_t unroll_fork(void);

/// Starts this program anew, with an empty standard input and this process's standard output.
///
/// `arguments` begin with the name of the program and end with NULL; `standard_error` is a file open for writing.
/// Returns the identifier of the process, or -1 with `errno`.
pid_t unroll_start_again(char *const arguments[], int standard_error);

/// Returns the signal that ended a process, from its wait status, or 0.
int unroll_wait_signal(int status);

/// Returns the exit code of a process that exited, from its wait status, or -1.
int unroll_wait_exit_code(int status);

/// Closes all descriptors from 3 on except two, which may be equal or -1.
void unroll_close_descriptors_but(int kept, int also_kept);

/// Has SIGPROF end this process once it has used so many seconds of processor time; waiting does not count.
void unroll_limit_work(double seconds);

/// From now on SIGINT (Ctrl-C), SIGTERM, SIGHUP and SIGUSR1 are only recorded, however often they come. Exception: a
/// SIGINT half a second or more after the first signal ends the process. SIGHUP stays ignored if it was ignored
/// before, as under `nohup`.
void unroll_catch_requests_to_stop(void);

/// `true` if one of these signals was received.
bool unroll_asked_to_stop(void);

/// Flushes standard output. Returns 0, or -1 if not all of the output could be written.
int unroll_finish_stdout(void);

/// From the third second on, shows a text and the elapsed seconds on standard error until `unroll_end_task`:
/// every second, in one line, on a terminal; every ten seconds elsewhere.
///
/// At most 256 bytes are shown. One task at a time.
void unroll_begin_task(const char *text, bool is_on_terminal);

/// Ends the task and removes its line from a terminal.
void unroll_end_task(void);
