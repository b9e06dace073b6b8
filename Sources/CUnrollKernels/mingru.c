// One time step of the minGRU, forwards and backwards.
#include "UnrollKernels.h"
#include "elementary.h"
#include "threads.h"

/// The arguments of `unroll_mingru_step`.
typedef struct {
  float *gates;
  const float *h;
  float *h_next;
  size_t H;
} mingru_arguments;

INLINED void mingru_row_body(float *gates, const float *h, float *h_next, size_t H) {
  float *z = gates;
  const float *n = gates + H;
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) {
    float update = sigmoid_float(z[j]);
    z[j] = update;
    h_next[j] = (1.0f - update) * h[j] + update * n[j];
  }
}

COMPILED_FOR_EACH(
    static, void, mingru_row,
    (float *gates, const float *h, float *h_next, size_t H),
    (gates, h, h_next, H))

static void mingru_rows(void *context, size_t begin, size_t end) {
  const mingru_arguments *a = context;
  size_t H = a->H;
  for (size_t b = begin; b < end; b++)
    mingru_row(a->gates + b * 2 * H, a->h + b * H, a->h_next + b * H, H);
}

void unroll_mingru_step(float *gates, const float *h, float *h_next, size_t B, size_t H) {
  mingru_arguments arguments = {gates, h, h_next, H};
  unroll_for_rows(B, B * H, mingru_rows, &arguments);
}

// MARK: Backwards, the derivatives line by line

// Additions and multiplications only: not worth a second thread.

INLINED void mingru_backward_row_body(
    float *gates, const float *h, const float *dh, float *dh_previous, size_t H) {
  float *z = gates, *n = gates + H;
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) {
    float update = z[j], candidate = n[j];
    if (dh_previous) dh_previous[j] += dh[j] * (1.0f - update);
    z[j] = dh[j] * (candidate - h[j]) * update * (1.0f - update);
    n[j] = dh[j] * update;
  }
}

COMPILED_FOR_EACH(
    static, void, mingru_backward_row,
    (float *gates, const float *h, const float *dh, float *dh_previous, size_t H),
    (gates, h, dh, dh_previous, H))

void unroll_mingru_step_backward(
    float *gates, const float *h, const float *dh, float *dh_previous, size_t B, size_t H) {
  for (size_t b = 0; b < B; b++)
    mingru_backward_row(
        gates + b * 2 * H, h + b * H, dh + b * H, dh_previous ? dh_previous + b * H : NULL, H);
}
