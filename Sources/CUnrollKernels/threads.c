// sched_getaffinity is a GNU function.
#define _GNU_SOURCE
#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "UnrollKernels.h"

// A pool of threads that wait for work: a short time in a loop, since the next product comes within
// microseconds, then asleep. One caller at a time has the pool; others work alone. Parts of the work are
// claimed one by one, so that a thread whose processor another program has keeps nobody waiting: the caller
// takes its part.

enum { MOST_WORKERS = 255, ROUNDS_AWAKE = 2000 };

/// The work that is to be done: its number, how many parts it has, and how many are claimed.
typedef struct {
  uint32_t generation;
  uint16_t parts, claimed;
} ticket;

/// The state that the threads of the pool share.
static struct {
  /// Held by the caller that uses the pool.
  pthread_mutex_t owner;
  /// Guards sleeping and waking.
  pthread_mutex_t lock;
  pthread_cond_t work_came;
  _Atomic ticket ticket;
  /// The parts that are done.
  atomic_int done;
  int workers;
  // The fields below change only while every claimed part is done.
  size_t rows, parts;
  unroll_row_task task;
  void *context;
} pool = {
    .owner = PTHREAD_MUTEX_INITIALIZER,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .work_came = PTHREAD_COND_INITIALIZER,
};

static atomic_int threads_wanted;

/// `true` while this thread runs a part of a loop: loops inside the part run on this thread alone.
static _Thread_local bool is_in_part;

void unroll_set_threads(int count) { atomic_store(&threads_wanted, count < 0 ? 0 : count); }

int unroll_threads(void) { return atomic_load(&threads_wanted); }

/// Returns the number of processors that this process may run on.
static size_t processor_count(void) {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return (size_t)CPU_COUNT(&set);
#endif
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (size_t)online : 1;
}

size_t unroll_thread_count(void) {
  static atomic_size_t processors;
  if (is_in_part) return 1;
  size_t count = (size_t)unroll_threads();
  if (count == 0) {
    count = atomic_load(&processors);
    if (count == 0) atomic_store(&processors, count = processor_count());
  }
  return count < MOST_WORKERS + 1 ? count : MOST_WORKERS + 1;
}

/// Claims and runs parts of the work until all are claimed.
static void run_parts(void) {
  ticket now = atomic_load(&pool.ticket);
  while (now.claimed < now.parts) {
    ticket next = now;
    next.claimed++;
    if (!atomic_compare_exchange_weak(&pool.ticket, &now, next)) continue;
    const size_t index = now.claimed;
    const size_t begin = pool.rows * index / pool.parts, end = pool.rows * (index + 1) / pool.parts;
    is_in_part = true;
    if (begin < end) pool.task(pool.context, begin, end);
    is_in_part = false;
    atomic_fetch_add_explicit(&pool.done, 1, memory_order_release);
    now = atomic_load(&pool.ticket);
  }
}

/// Tells the processor that a loop waits.
static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// Waits until the generation is no longer `seen`; returns the new one.
static uint32_t wait_for_work(uint32_t seen) {
  for (int round = 0; round < ROUNDS_AWAKE; round++) {
    if (atomic_load(&pool.ticket).generation != seen) return atomic_load(&pool.ticket).generation;
    pause_briefly();
  }
  pthread_mutex_lock(&pool.lock);
  while (atomic_load(&pool.ticket).generation == seen) pthread_cond_wait(&pool.work_came, &pool.lock);
  seen = atomic_load(&pool.ticket).generation;
  pthread_mutex_unlock(&pool.lock);
  return seen;
}

static void *work(void *context) {
  (void)context;
  for (uint32_t seen = 0;;) {
    seen = wait_for_work(seen);
    run_parts();
  }
  return NULL;
}

/// Starts workers until there are `wanted`, or no more can be had. They end with the process.
static void start_workers(int wanted) {
  while (pool.workers < wanted) {
    pthread_attr_t attributes;
    pthread_t thread;
    int failure = pthread_attr_init(&attributes);
    if (failure == 0) {
      failure = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
      if (failure == 0) failure = pthread_create(&thread, &attributes, work, NULL);
      pthread_attr_destroy(&attributes);
    }
    if (failure != 0) return;
    pool.workers++;
  }
}

/// Runs a task in `parts` parts, on this thread and those of the pool.
static void run(size_t rows, size_t parts, unroll_row_task task, void *context) {
  if (parts < 2 || is_in_part || pthread_mutex_trylock(&pool.owner) != 0)
    return task(context, 0, rows);
  start_workers((int)parts - 1);
  pool.rows = rows;
  pool.parts = parts;
  pool.task = task;
  pool.context = context;
  atomic_store(&pool.done, 0);
  const uint32_t generation = atomic_load(&pool.ticket).generation + 1;
  pthread_mutex_lock(&pool.lock);
  atomic_store(&pool.ticket, ((ticket){generation, (uint16_t)parts, 0}));
  pthread_cond_broadcast(&pool.work_came);
  pthread_mutex_unlock(&pool.lock);
  run_parts();
  for (int round = 0; atomic_load_explicit(&pool.done, memory_order_acquire) < (int)parts; round++) {
    // A worker whose processor another program has needs this one.
    if (round > ROUNDS_AWAKE)
      sched_yield();
    else
      pause_briefly();
  }
  pthread_mutex_unlock(&pool.owner);
}

void unroll_for_rows(size_t rows, size_t work, unroll_row_task task, void *context) {
  // Waking the pool costs about a microsecond, as much as a thousand elements.
  const size_t parts = rows < 2 || work < 4096 ? 1 : unroll_thread_count();
  run(rows, parts < rows ? parts : rows, task, context);
}

void unroll_for_columns(size_t columns, size_t least, unroll_row_task task, void *context) {
  const size_t parts = unroll_thread_count();
  run(columns, parts < columns / least ? parts : columns / least, task, context);
}
