// Gradients and updates: the backward half of softmax and cross-entropy, sums over rows and tensors,
// and a step of gradient descent. Every sum has one fixed order, whatever the number of threads.
#include <math.h>

#include "UnrollKernels.h"
#include "elementary.h"
#include "threads.h"

// MARK: Softmax and cross-entropy

/// The arguments of `unroll_softmax_gradient`.
typedef struct {
  float *logits;
  size_t N;
  const double *log_partition;
  const int32_t *targets;
  size_t first;
  float scale;
} gradient_arguments;

INLINED void gradient_row_body(float *row, size_t N, double log_partition, float scale) {
  // In two parts, since a float holds a logarithm of this size to 1e-6 only.
  float high = (float)log_partition, low = (float)(log_partition - (double)high);
  for (size_t j = 0; j < N; j++) row[j] = exp_float((row[j] - high) - low) * scale;
}

COMPILED_FOR_EACH(
    static, void, gradient_row,
    (float *row, size_t N, double log_partition, float scale),
    (row, N, log_partition, scale))

static void gradient_rows(void *context, size_t begin, size_t end) {
  const gradient_arguments *a = context;
  for (size_t r = begin; r < end; r++) {
    float *row = a->logits + r * a->N;
    gradient_row(row, a->N, a->log_partition[r], a->scale);
    size_t target = (size_t)a->targets[r];
    if (target >= a->first && target - a->first < a->N) row[target - a->first] -= a->scale;
  }
}

void unroll_softmax_gradient(
    float *logits, size_t M, size_t N, const double *log_partition, const int32_t *targets,
    size_t first, float scale) {
  gradient_arguments arguments = {logits, N, log_partition, targets, first, scale};
  unroll_for_rows(M, M * N, gradient_rows, &arguments);
}

// MARK: Sums

enum { SUM_WIDTH = 128 };

/// The arguments of `unroll_add_column_sums`.
typedef struct {
  const float *x;
  size_t M, N;
  float *sums;
} column_arguments;

INLINED void add_columns_body(const float *x, size_t M, size_t stride, float *sums, size_t width) {
  double totals[SUM_WIDTH] = {0};
  for (size_t r = 0; r < M; r++)
    for (size_t j = 0; j < width; j++) totals[j] += (double)x[r * stride + j];
  for (size_t j = 0; j < width; j++) sums[j] += (float)totals[j];
}

COMPILED_FOR_EACH(
    static, void, add_columns,
    (const float *x, size_t M, size_t stride, float *sums, size_t width),
    (x, M, stride, sums, width))

static void add_column_blocks(void *context, size_t begin, size_t end) {
  const column_arguments *a = context;
  for (size_t block = begin; block < end; block++) {
    size_t first = block * SUM_WIDTH, left = a->N - first;
    add_columns(a->x + first, a->M, a->N, a->sums + first, left < SUM_WIDTH ? left : SUM_WIDTH);
  }
}

void unroll_add_column_sums(const float *x, size_t M, size_t N, float *sums) {
  column_arguments arguments = {x, M, N, sums};
  unroll_for_rows((N + SUM_WIDTH - 1) / SUM_WIDTH, M * N, add_column_blocks, &arguments);
}

INLINED void unroll_add_body(float *restrict y, const float *restrict x, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += x[i];
}

COMPILED_FOR_EACH(
    , void, unroll_add,
    (float *restrict y, const float *restrict x, size_t n),
    (y, x, n))

/// The interleaved sums of a part, a number that nothing may change: it is part of the result.
enum { SUM_LANES = 16 };

INLINED double unroll_dot_body(const float *w, const double *x, size_t n) {
  double lanes[SUM_LANES] = {0};
  size_t whole = n - n % SUM_LANES;
  for (size_t i = 0; i < whole; i += SUM_LANES)
    for (int l = 0; l < SUM_LANES; l++) lanes[l] += (double)w[i + l] * x[i + l];
  for (size_t i = whole; i < n; i++) lanes[i - whole] += (double)w[i] * x[i];
  double sum = 0;
  for (int l = 0; l < SUM_LANES; l++) sum += lanes[l];
  return sum;
}

COMPILED_FOR_EACH(, double, unroll_dot, (const float *w, const double *x, size_t n), (w, x, n))

/// The arguments of `unroll_sum_squares_of_parts`.
typedef struct {
  const float *x;
  size_t n, first;
  double *sums;
} square_arguments;

INLINED double sum_of_squares_body(const float *x, size_t n) {
  double lanes[SUM_LANES] = {0};
  size_t whole = n - n % SUM_LANES;
  for (size_t i = 0; i < whole; i += SUM_LANES)
    for (int l = 0; l < SUM_LANES; l++) lanes[l] += (double)x[i + l] * (double)x[i + l];
  for (size_t i = whole; i < n; i++) lanes[i - whole] += (double)x[i] * (double)x[i];
  double sum = 0;
  for (int l = 0; l < SUM_LANES; l++) sum += lanes[l];
  return sum;
}

COMPILED_FOR_EACH(static, double, sum_of_squares, (const float *x, size_t n), (x, n))

size_t unroll_part_begin(size_t n, size_t part) { return n * part / UNROLL_SUM_PARTS; }

static void sum_parts(void *context, size_t begin, size_t end) {
  const square_arguments *a = context;
  const size_t start = unroll_part_begin(a->n, a->first);
  for (size_t part = begin; part < end; part++) {
    const size_t from = unroll_part_begin(a->n, a->first + part), to = unroll_part_begin(a->n, a->first + part + 1);
    a->sums[part] = sum_of_squares(a->x + (from - start), to - from);
  }
}

void unroll_sum_squares_of_parts(const float *x, size_t n, size_t first, size_t count, double *sums) {
  square_arguments arguments = {x, n, first, sums};
  const size_t numbers = unroll_part_begin(n, first + count) - unroll_part_begin(n, first);
  unroll_for_rows(count, numbers, sum_parts, &arguments);
}

double unroll_sum_of_squares(const float *x, size_t n) {
  double sum = 0;
  for (size_t first = 0; first < n; first += UNROLL_SUM_PIECE) {
    const size_t size = n - first < UNROLL_SUM_PIECE ? n - first : UNROLL_SUM_PIECE;
    double parts[UNROLL_SUM_PARTS];
    unroll_sum_squares_of_parts(x + first, size, 0, UNROLL_SUM_PARTS, parts);
    for (int part = 0; part < UNROLL_SUM_PARTS; part++) sum += parts[part];
  }
  return sum;
}

// MARK: Checks

INLINED bool unroll_all_finite_body(const float *x, size_t n) {
  // The difference of a number with itself is 0, and NaN where it is infinite or NaN.
  float lanes[SUM_LANES] = {0};
  size_t whole = n - n % SUM_LANES;
  for (size_t i = 0; i < whole; i += SUM_LANES)
    for (int l = 0; l < SUM_LANES; l++) lanes[l] += x[i + l] - x[i + l];
  for (size_t i = whole; i < n; i++) lanes[i - whole] += x[i] - x[i];
  float sum = 0;
  for (int l = 0; l < SUM_LANES; l++) sum += lanes[l];
  return sum == 0.0f;
}

COMPILED_FOR_EACH(, bool, unroll_all_finite, (const float *x, size_t n), (x, n))
