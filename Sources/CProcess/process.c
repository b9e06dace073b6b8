#include "CProcess.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t unroll_fork(void) { return fork(); }

int unroll_wait_signal(int status) { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }

int unroll_wait_exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }

int unroll_finish_stdout(void) { return fflush(stdout) == 0 && ferror(stdout) == 0 ? 0 : -1; }
