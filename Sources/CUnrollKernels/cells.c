// One time step of each recurrent cell. Rows are independent, so they are shared out over threads.
#include "UnrollKernels.h"
#include "elementary.h"
#include "threads.h"

// MARK: LSTM

/// The arguments of `unroll_lstm_step`.
typedef struct {
  float *gates;
  const float *c;
  float *c_next, *h_next;
  size_t H;
} lstm_arguments;

// Within a row nothing overlaps but c and c_next, element by element; the pragma says so, since
// `restrict` would forbid even that.
MULTIVERSIONED static void lstm_row(
    float *gates, const float *c, float *c_next, float *h_next, size_t H) {
  float *i = gates, *f = gates + H, *g = gates + 2 * H, *o = gates + 3 * H;
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) {
    float in = sigmoid_float(i[j]), forget = sigmoid_float(f[j]);
    float candidate = tanh_float(g[j]), out = sigmoid_float(o[j]);
    float cell = forget * c[j] + in * candidate;
    i[j] = in;
    f[j] = forget;
    g[j] = candidate;
    o[j] = out;
    c_next[j] = cell;
    h_next[j] = out * tanh_float(cell);
  }
}

static void lstm_rows(void *context, size_t begin, size_t end) {
  const lstm_arguments *a = context;
  size_t H = a->H;
  for (size_t b = begin; b < end; b++)
    lstm_row(a->gates + b * 4 * H, a->c + b * H, a->c_next + b * H, a->h_next + b * H, H);
}

void unroll_lstm_step(
    float *gates, const float *c, float *c_next, float *h_next, size_t B, size_t H) {
  lstm_arguments arguments = {gates, c, c_next, h_next, H};
  unroll_for_rows(B, B * H * 5, lstm_rows, &arguments);
}

// MARK: GRU

/// The arguments of `unroll_gru_step`.
typedef struct {
  float *gates;
  const float *recurrent, *h;
  float *h_next;
  size_t H;
} gru_arguments;

MULTIVERSIONED static void gru_row(
    float *gates, const float *recurrent, const float *h, float *h_next, size_t H) {
  float *r = gates, *z = gates + H, *n = gates + 2 * H;
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) {
    float reset = sigmoid_float(r[j] + recurrent[j]);
    float update = sigmoid_float(z[j] + recurrent[H + j]);
    float candidate = tanh_float(n[j] + reset * recurrent[2 * H + j]);
    r[j] = reset;
    z[j] = update;
    n[j] = candidate;
    h_next[j] = (1.0f - update) * candidate + update * h[j];
  }
}

static void gru_rows(void *context, size_t begin, size_t end) {
  const gru_arguments *a = context;
  size_t H = a->H;
  for (size_t b = begin; b < end; b++)
    gru_row(
        a->gates + b * 3 * H, a->recurrent + b * 3 * H, a->h + b * H, a->h_next + b * H, H);
}

void unroll_gru_step(
    float *gates, const float *recurrent, const float *h, float *h_next, size_t B, size_t H) {
  gru_arguments arguments = {gates, recurrent, h, h_next, H};
  unroll_for_rows(B, B * H * 3, gru_rows, &arguments);
}

// MARK: The plain cell

/// The arguments of the plain cells' steps.
typedef struct {
  const float *gates;
  float *h_next;
  size_t H;
} rnn_arguments;

MULTIVERSIONED static void tanh_row(const float *restrict x, float *restrict y, size_t n) {
  for (size_t j = 0; j < n; j++) y[j] = tanh_float(x[j]);
}

MULTIVERSIONED static void relu_row(const float *restrict x, float *restrict y, size_t n) {
  // Not `x > 0 ? x : 0`, which would turn a NaN into 0.
  for (size_t j = 0; j < n; j++) y[j] = x[j] < 0.0f ? 0.0f : x[j];
}

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
