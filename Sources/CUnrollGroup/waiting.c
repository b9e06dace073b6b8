// A thread that ends the process when a call waits too long: MPI itself may wait for ever for a host that is gone.
#include "waiting.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "UnrollGroup.h"

/// The second in which the current call began, or 0.
static atomic_llong waiting_since;
static atomic_llong current_step;
static int patience;
static char rank_name[400];

static long long seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long long)now.tv_sec + 1;
}

void begin_waiting(void) { atomic_store(&waiting_since, seconds_now()); }

void end_waiting(void) { atomic_store(&waiting_since, 0); }

void unroll_group_set_step(int64_t step) { atomic_store(&current_step, step); }

static void *watch(void *unused) {
  (void)unused;
  for (;;) {
    const struct timespec second = {.tv_sec = 1};
    nanosleep(&second, NULL);
    const long long since = atomic_load(&waiting_since);
    if (since == 0 || seconds_now() - since < patience) continue;
    char text[800];
    const int length = snprintf(
        text, sizeof text,
        "unroll: %s: step %lld: has waited %d s for the other ranks\n"
        "  fix: look for the host that is gone; resume from the last state, with any number of ranks up to --shards\n",
        rank_name, atomic_load(&current_step), patience);
    if (write(STDERR_FILENO, text, (size_t)length) < 0) _exit(2);
    // No destructors: those of MPI would wait, too. The launcher ends the other ranks.
    _exit(2);
  }
  return NULL;
}

int unroll_group_watch(int seconds, const char *name) {
  patience = seconds;
  snprintf(rank_name, sizeof rank_name, "%s", name);
  // Signals are for the thread that trains.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int error = pthread_create(&thread, NULL, watch, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error == 0) pthread_detach(thread);
  return error;
}
