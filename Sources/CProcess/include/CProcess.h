// What Swift's C library overlay hides: `fork`, wait-status macros, the state of standard output.
#pragma once
#include <stdbool.h>
#include <sys/types.h>

/// `fork(2)`. Call it only while the process has one thread, or do nothing in the child that takes a lock.
pid_t unroll_fork(void);

/// The signal that ended a process, from its wait status, or 0.
int unroll_wait_signal(int status);

/// The exit code of a process that exited, from its wait status, or -1.
int unroll_wait_exit_code(int status);

/// From now on the first SIGINT (Ctrl-C), SIGTERM or SIGHUP is only noted; the second of its kind ends
/// the process. SIGHUP stays ignored where it was, as below `nohup`.
void unroll_catch_requests_to_stop(void);

/// Whether one was noted.
bool unroll_asked_to_stop(void);

/// Writes what standard output holds back: 0, or -1 if not all of the output could be written.
int unroll_finish_stdout(void);
