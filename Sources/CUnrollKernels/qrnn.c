// One time step of the QRNN's pooling, forwards and backwards.
#include "UnrollKernels.h"
#include "elementary.h"
#include "threads.h"

/// The arguments of `unroll_qrnn_step`.
typedef struct {
  float *gates;
  const float *c;
  float *c_next, *h_next;
  size_t H;
} qrnn_arguments;

INLINED void qrnn_row_body(float *gates, const float *c, float *c_next, float *h_next, size_t H) {
  float *z = gates, *f = gates + H, *o = gates + 2 * H;
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) {
    float candidate = tanh_float(z[j]), in = sigmoid_float(f[j]), out = sigmoid_float(o[j]);
    float cell = in * candidate + (1.0f - in) * c[j];
    z[j] = candidate;
    f[j] = in;
    o[j] = out;
    c_next[j] = cell;
    h_next[j] = out * cell;
  }
}

COMPILED_FOR_EACH(
    static, void, qrnn_row,
    (float *gates, const float *c, float *c_next, float *h_next, size_t H),
    (gates, c, c_next, h_next, H))

static void qrnn_rows(void *context, size_t begin, size_t end) {
  const qrnn_arguments *a = context;
  size_t H = a->H;
  for (size_t b = begin; b < end; b++)
    qrnn_row(a->gates + b * 3 * H, a->c + b * H, a->c_next + b * H, a->h_next + b * H, H);
}

void unroll_qrnn_step(
    float *gates, const float *c, float *c_next, float *h_next, size_t B, size_t H) {
  qrnn_arguments arguments = {gates, c, c_next, h_next, H};
  unroll_for_rows(B, B * H * 3, qrnn_rows, &arguments);
}

// MARK: Backwards, the derivatives line by line

// Additions and multiplications only: not worth a second thread.

INLINED void qrnn_backward_row_body(
    float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t H) {
  float *z = gates, *f = gates + H, *o = gates + 2 * H;
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) {
    float candidate = z[j], in = f[j], out = o[j];
    float dcell = dc[j] + dh[j] * out;
    z[j] = dcell * in * (1.0f - candidate * candidate);
    f[j] = dcell * (candidate - c[j]) * in * (1.0f - in);
    o[j] = dh[j] * c_next[j] * out * (1.0f - out);
    dc[j] = dcell * (1.0f - in);
  }
}

COMPILED_FOR_EACH(
    static, void, qrnn_backward_row,
    (float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t H),
    (gates, c, c_next, dh, dc, H))

void unroll_qrnn_step_backward(
    float *gates, const float *c, const float *c_next, const float *dh, float *dc, float *total,
    size_t B, size_t H) {
  for (size_t b = 0; b < B; b++) {
    const float *out = gates + b * 3 * H + 2 * H;
    for (size_t j = 0; total && j < H; j++)
      total[b * H + j] = dc[b * H + j] + dh[b * H + j] * out[j];
    qrnn_backward_row(
        gates + b * 3 * H, c + b * H, c_next + b * H, dh + b * H, dc + b * H, H);
  }
}
