#include "CProcess.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t unroll_fork(void) { return fork(); }

int unroll_wait_signal(int status) { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }

int unroll_wait_exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }

static volatile sig_atomic_t asked_to_stop;

static void note_request(int number) {
  (void)number;
  asked_to_stop = 1;
}

void unroll_catch_requests_to_stop(void) {
  // The handler serves once: a second signal does what it does to any program.
  struct sigaction action = {.sa_handler = note_request, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  // The end of a terminal or of a connection, unless `nohup` or the like wants it to mean nothing.
  struct sigaction hangup;
  if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
    sigaction(SIGHUP, &action, NULL);
  // Who started us may have blocked them, as threads of a dispatch queue do for their children.
  sigset_t requests;
  sigemptyset(&requests);
  sigaddset(&requests, SIGINT);
  sigaddset(&requests, SIGTERM);
  sigaddset(&requests, SIGHUP);
  sigprocmask(SIG_UNBLOCK, &requests, NULL);
}

bool unroll_asked_to_stop(void) { return asked_to_stop != 0; }

int unroll_finish_stdout(void) { return fflush(stdout) == 0 && ferror(stdout) == 0 ? 0 : -1; }
