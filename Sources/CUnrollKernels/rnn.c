// One time step of the vanilla (Elman) cell, forwards and backwards.
#include "UnrollKernels.h"
#include "elementary.h"
#include "threads.h"

/// The arguments of the vanilla RNN's steps.
typedef struct {
  const float *gates;
  float *h_next;
  size_t H;
} rnn_arguments;

INLINED void tanh_row_body(const float *restrict x, float *restrict y, size_t n) {
  for (size_t j = 0; j < n; j++) y[j] = tanh_float(x[j]);
}

COMPILED_FOR_EACH(
    static, void, tanh_row,
    (const float *restrict x, float *restrict y, size_t n),
    (x, y, n))

INLINED void relu_row_body(const float *restrict x, float *restrict y, size_t n) {
  // Not `x > 0 ? x : 0`, which would turn a NaN into 0.
  for (size_t j = 0; j < n; j++) y[j] = x[j] < 0.0f ? 0.0f : x[j];
}

COMPILED_FOR_EACH(
    static, void, relu_row,
    (const float *restrict x, float *restrict y, size_t n),
    (x, y, n))

static void tanh_rows(void *context, size_t begin, size_t end) {
  const rnn_arguments *a = context;
  tanh_row(a->gates + begin * a->H, a->h_next + begin * a->H, (end - begin) * a->H);
}

static void relu_rows(void *context, size_t begin, size_t end) {
  const rnn_arguments *a = context;
  relu_row(a->gates + begin * a->H, a->h_next + begin * a->H, (end - begin) * a->H);
}

void unroll_rnn_tanh_step(const float *gates, float *h_next, size_t B, size_t H) {
  rnn_arguments arguments = {gates, h_next, H};
  unroll_for_rows(B, B * H, tanh_rows, &arguments);
}

void unroll_rnn_relu_step(const float *gates, float *h_next, size_t B, size_t H) {
  rnn_arguments arguments = {gates, h_next, H};
  // A comparison an element is not worth a second thread.
  relu_rows(&arguments, 0, B);
}

// MARK: Backwards

INLINED void unroll_rnn_tanh_step_backward_body(
    float *gates, const float *h_next, const float *dh, size_t count) {
  for (size_t j = 0; j < count; j++) gates[j] = dh[j] * (1.0f - h_next[j] * h_next[j]);
}

COMPILED_FOR_EACH(
    , void, unroll_rnn_tanh_step_backward,
    (float *gates, const float *h_next, const float *dh, size_t count),
    (gates, h_next, dh, count))

INLINED void unroll_rnn_relu_step_backward_body(
    float *gates, const float *h_next, const float *dh, size_t count) {
  for (size_t j = 0; j < count; j++) gates[j] = h_next[j] > 0.0f ? dh[j] : 0.0f;
}

COMPILED_FOR_EACH(
    , void, unroll_rnn_relu_step_backward,
    (float *gates, const float *h_next, const float *dh, size_t count),
    (gates, h_next, dh, count))
