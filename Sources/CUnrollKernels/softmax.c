// Log-softmax over the vocabulary in panels, in one fixed order of additions.
#include <math.h>

#include "Elementary.h"
#include "UnrollKernels.h"
#include "elementary.h"
#include "threads.h"

// Sixteen running sums fill one AVX-512 register. They never meet before the end, so no addition
// waits for its neighbour; chunks are short, so that a float sum loses little, and add in double.
enum { LANES = 16, CHUNK = 16 * LANES };

/// Returns the largest of n numbers, -infinity for none; a NaN may be passed over, `sum_of_exp` keeps it.
INLINED float maximum_of(const float *x, size_t n) {
  // The order does not matter to a maximum, so four registers work side by side.
  enum { WIDE = 4 * LANES };
  float lanes[WIDE];
  for (int l = 0; l < WIDE; l++) lanes[l] = -INFINITY;
  size_t whole = n - n % WIDE;
  for (size_t i = 0; i < whole; i += WIDE)
    for (int l = 0; l < WIDE; l++) lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
  for (size_t l = 0; l < n - whole; l++)
    lanes[l] = x[whole + l] > lanes[l] ? x[whole + l] : lanes[l];
  float largest = -INFINITY;
  for (int l = 0; l < WIDE; l++) largest = lanes[l] > largest ? lanes[l] : largest;
  return largest;
}

/// Returns the sum of `exp(x - offset)` over n numbers.
INLINED double sum_of_exp(const float *x, size_t n, float offset) {
  double sums[LANES] = {0};
  for (size_t start = 0; start < n; start += CHUNK) {
    size_t count = n - start < CHUNK ? n - start : CHUNK;
    float e[CHUNK];
    for (size_t i = 0; i < count; i++) e[i] = exp_float(x[start + i] - offset);
    for (size_t i = count; i < CHUNK; i++) e[i] = 0.0f;
    float lanes[LANES];
    for (int l = 0; l < LANES; l++) lanes[l] = e[l];
    for (size_t i = LANES; i < CHUNK; i += LANES)
      for (int l = 0; l < LANES; l++) lanes[l] += e[i + l];
    for (int l = 0; l < LANES; l++) sums[l] += (double)lanes[l];
  }
  double sum = 0;
  for (int l = 0; l < LANES; l++) sum += sums[l];
  return sum;
}

/// Returns the sum of `(x - offset) * exp(x - offset)` over n numbers; impossible tokens add nothing.
INLINED double weighted_sum_of_exp(const float *x, size_t n, float offset) {
  double sums[LANES] = {0};
  for (size_t start = 0; start < n; start += LANES) {
    size_t count = n - start < LANES ? n - start : LANES;
    float terms[LANES] = {0};
    for (size_t l = 0; l < count; l++) {
      float distance = x[start + l] - offset, e = exp_float(distance);
      terms[l] = e > 0.0f ? distance * e : 0.0f;
    }
    for (int l = 0; l < LANES; l++) sums[l] += (double)terms[l];
  }
  double sum = 0;
  for (int l = 0; l < LANES; l++) sum += sums[l];
  return sum;
}

INLINED void add_row_body(const float *x, size_t n, float *maximum, double *sum) {
  float largest = maximum_of(x, n);
  largest = largest > *maximum ? largest : *maximum;
  // If all logits so far are -infinity, any finite offset gives the sum 0; infinity gives NaN.
  float offset = largest == -INFINITY ? 0.0f : largest;
  double before = *sum;
  if (largest != *maximum) before *= unroll_double_exp((double)*maximum - (double)offset);
  *sum = before + sum_of_exp(x, n, offset);
  *maximum = largest;
}

COMPILED_FOR_EACH(
    static, void, add_row,
    (const float *x, size_t n, float *maximum, double *sum),
    (x, n, maximum, sum))

/// As `add_row`, with the sum of `(x - maximum) * exp(x - maximum)`.
INLINED void add_row_with_entropy_body(
    const float *x, size_t n, float *maximum, double *sum, double *weighted) {
  float before = *maximum;
  double sum_before = *sum;
  add_row(x, n, maximum, sum);
  float offset = *maximum == -INFINITY ? 0.0f : *maximum;
  if (before != *maximum && sum_before > 0) {
    double shift = (double)before - (double)offset;
    *weighted = unroll_double_exp(shift) * (*weighted + shift * sum_before);
  }
  *weighted += weighted_sum_of_exp(x, n, offset);
}

COMPILED_FOR_EACH(
    static, void, add_row_with_entropy,
    (const float *x, size_t n, float *maximum, double *sum, double *weighted),
    (x, n, maximum, sum, weighted))

/// The arguments of `unroll_softmax_add_panel` and its sibling with entropies.
typedef struct {
  const float *logits;
  size_t N;
  float *maximum;
  double *sum, *weighted;
} panel_arguments;

static void add_rows(void *context, size_t begin, size_t end) {
  const panel_arguments *a = context;
  for (size_t r = begin; r < end; r++)
    add_row(a->logits + r * a->N, a->N, a->maximum + r, a->sum + r);
}

void unroll_softmax_add_panel(
    const float *logits, size_t M, size_t N, float *maximum, double *sum) {
  panel_arguments arguments = {logits, N, maximum, sum, NULL};
  unroll_for_rows(M, M * N, add_rows, &arguments);
}

static void add_rows_with_entropy(void *context, size_t begin, size_t end) {
  const panel_arguments *a = context;
  for (size_t r = begin; r < end; r++)
    add_row_with_entropy(
        a->logits + r * a->N, a->N, a->maximum + r, a->sum + r, a->weighted + r);
}

void unroll_softmax_add_panel_with_entropy(
    const float *logits, size_t M, size_t N, float *maximum, double *sum, double *weighted) {
  panel_arguments arguments = {logits, N, maximum, sum, weighted};
  unroll_for_rows(M, M * N, add_rows_with_entropy, &arguments);
}

void unroll_softmax_entropy(const double *sum, double *weighted, size_t M) {
  for (size_t r = 0; r < M; r++) weighted[r] = unroll_double_log(sum[r]) - weighted[r] / sum[r];
}

void unroll_softmax_finish(const float *maximum, double *sum, size_t M) {
  for (size_t r = 0; r < M; r++) sum[r] = (double)maximum[r] + unroll_double_log(sum[r]);
}

INLINED void unroll_softmax_normalize_body(float *row, size_t N, double log_partition) {
  for (size_t j = 0; j < N; j++) row[j] = (float)((double)row[j] - log_partition);
}

COMPILED_FOR_EACH(
    , void, unroll_softmax_normalize,
    (float *row, size_t N, double log_partition),
    (row, N, log_partition))
