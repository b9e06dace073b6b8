#include "threads.h"

#include <stdatomic.h>

#include "UnrollKernels.h"

static atomic_int threads;

void unroll_set_threads(int count) { atomic_store(&threads, count < 0 ? 0 : count); }

int unroll_threads(void) { return atomic_load(&threads); }

#if defined(__linux__)

// libgomp's entry points. The compiler emits these calls for `#pragma omp parallel`; we call them
// ourselves, since -fopenmp would be an unsafe flag and bring in another runtime.
void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
int omp_in_parallel(void);
int omp_get_thread_num(void);
int omp_get_num_threads(void);
int omp_get_max_threads(void);
void omp_set_num_threads(int);

int unroll_apply_threads(void) {
  // OpenMP keeps the number per calling thread, and Swift's tasks move between threads.
  int count = omp_in_parallel() ? 1 : unroll_threads();
  if (count > 0) omp_set_num_threads(count);
  return omp_get_max_threads();
}

int unroll_part(void) { return omp_in_parallel() ? omp_get_thread_num() : 0; }

typedef struct {
  size_t rows;
  unroll_row_task task;
  void *context;
} share;

static void run_share(void *data) {
  const share *work = data;
  size_t index = (size_t)omp_get_thread_num(), count = (size_t)omp_get_num_threads();
  size_t begin = work->rows * index / count, end = work->rows * (index + 1) / count;
  if (begin < end) work->task(work->context, begin, end);
}

void unroll_for_rows(size_t rows, size_t work, unroll_row_task task, void *context) {
  // Waking the pool costs about a microsecond, as much as a thousand elements.
  if (rows < 2 || work < 4096 || omp_in_parallel()) {
    task(context, 0, rows);
    return;
  }
  unroll_apply_threads();
  share whole = {rows, task, context};
  GOMP_parallel(run_share, &whole, 0, 0);
}

void unroll_for_columns(size_t columns, size_t least, unroll_row_task task, void *context) {
  size_t parts = omp_in_parallel() ? 1 : (size_t)unroll_apply_threads();
  if (parts > columns / least) parts = columns / least;
  if (parts < 2) {
    task(context, 0, columns);
    return;
  }
  share whole = {columns, task, context};
  GOMP_parallel(run_share, &whole, (unsigned)parts, 0);
}

#else

int unroll_apply_threads(void) { return 0; }

int unroll_part(void) { return 0; }

void unroll_for_columns(size_t columns, size_t least, unroll_row_task task, void *context) {
  task(context, 0, columns);
}

void unroll_for_rows(size_t rows, size_t work, unroll_row_task task, void *context) {
  task(context, 0, rows);
}

#endif
