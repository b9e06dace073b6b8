// One time step of each recurrent cell. Rows are independent, so they are shared out over threads.
#include "UnrollKernels.h"
#include "elementary.h"
#include "threads.h"

// A loop is written once and compiled for both functions of gates: each copy knows its own, so the
// logistic one is as fast as without the other.

/// The logistic function, known when a loop is compiled.
static const unroll_gates logistic = {.is_hard = false};

// MARK: LSTM

/// The arguments of `unroll_lstm_step`.
typedef struct {
  float *gates;
  const float *c;
  float *c_next, *h_next;
  size_t H;
  unroll_gates kind;
} lstm_arguments;

// Within a row nothing overlaps but c and c_next, element by element; the pragma says so, since
// `restrict` would forbid even that.
INLINED void lstm_loop(
    float *gates, const float *c, float *c_next, float *h_next, size_t H, unroll_gates kind) {
  float *i = gates, *f = gates + H, *g = gates + 2 * H, *o = gates + 3 * H;
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) {
    float in = gate_float(i[j], kind), forget = gate_float(f[j], kind);
    float candidate = tanh_float(g[j]), out = gate_float(o[j], kind);
    float cell = forget * c[j] + in * candidate;
    i[j] = in;
    f[j] = forget;
    g[j] = candidate;
    o[j] = out;
    c_next[j] = cell;
    h_next[j] = out * tanh_float(cell);
  }
}

INLINED void lstm_row_body(float *gates, const float *c, float *c_next, float *h_next, size_t H) {
  lstm_loop(gates, c, c_next, h_next, H, logistic);
}

COMPILED_FOR_EACH(
    static, void, lstm_row,
    (float *gates, const float *c, float *c_next, float *h_next, size_t H),
    (gates, c, c_next, h_next, H))

INLINED void lstm_hard_row_body(
    float *gates, const float *c, float *c_next, float *h_next, size_t H, float alpha, float beta) {
  lstm_loop(gates, c, c_next, h_next, H, hard_gates(alpha, beta));
}

COMPILED_FOR_EACH(
    static, void, lstm_hard_row,
    (float *gates, const float *c, float *c_next, float *h_next, size_t H, float alpha, float beta),
    (gates, c, c_next, h_next, H, alpha, beta))

static void lstm_rows(void *context, size_t begin, size_t end) {
  const lstm_arguments *a = context;
  size_t H = a->H;
  for (size_t b = begin; b < end; b++) {
    float *gates = a->gates + b * 4 * H, *c_next = a->c_next + b * H, *h_next = a->h_next + b * H;
    const float *c = a->c + b * H;
    if (a->kind.is_hard)
      lstm_hard_row(gates, c, c_next, h_next, H, a->kind.alpha, a->kind.beta);
    else
      lstm_row(gates, c, c_next, h_next, H);
  }
}

void unroll_lstm_step(
    float *gates, const float *c, float *c_next, float *h_next, size_t B, size_t H,
    unroll_gates kind) {
  lstm_arguments arguments = {gates, c, c_next, h_next, H, kind};
  unroll_for_rows(B, B * H * 5, lstm_rows, &arguments);
}

// MARK: GRU

/// The arguments of `unroll_gru_step`.
typedef struct {
  float *gates;
  const float *recurrent, *h;
  float *h_next;
  size_t H;
  unroll_gates kind;
} gru_arguments;

INLINED void gru_loop(
    float *gates, const float *recurrent, const float *h, float *h_next, size_t H,
    unroll_gates kind) {
  float *r = gates, *z = gates + H, *n = gates + 2 * H;
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) {
    float reset = gate_float(r[j] + recurrent[j], kind);
    float update = gate_float(z[j] + recurrent[H + j], kind);
    float candidate = tanh_float(n[j] + reset * recurrent[2 * H + j]);
    r[j] = reset;
    z[j] = update;
    n[j] = candidate;
    h_next[j] = (1.0f - update) * candidate + update * h[j];
  }
}

INLINED void gru_row_body(
    float *gates, const float *recurrent, const float *h, float *h_next, size_t H) {
  gru_loop(gates, recurrent, h, h_next, H, logistic);
}

COMPILED_FOR_EACH(
    static, void, gru_row,
    (float *gates, const float *recurrent, const float *h, float *h_next, size_t H),
    (gates, recurrent, h, h_next, H))

INLINED void gru_hard_row_body(
    float *gates, const float *recurrent, const float *h, float *h_next, size_t H, float alpha, float beta) {
  gru_loop(gates, recurrent, h, h_next, H, hard_gates(alpha, beta));
}

COMPILED_FOR_EACH(
    static, void, gru_hard_row,
    (float *gates, const float *recurrent, const float *h, float *h_next, size_t H, float alpha, float beta),
    (gates, recurrent, h, h_next, H, alpha, beta))

static void gru_rows(void *context, size_t begin, size_t end) {
  const gru_arguments *a = context;
  size_t H = a->H;
  for (size_t b = begin; b < end; b++) {
    float *gates = a->gates + b * 3 * H, *h_next = a->h_next + b * H;
    const float *recurrent = a->recurrent + b * 3 * H, *h = a->h + b * H;
    if (a->kind.is_hard)
      gru_hard_row(gates, recurrent, h, h_next, H, a->kind.alpha, a->kind.beta);
    else
      gru_row(gates, recurrent, h, h_next, H);
  }
}

void unroll_gru_step(
    float *gates, const float *recurrent, const float *h, float *h_next, size_t B, size_t H,
    unroll_gates kind) {
  gru_arguments arguments = {gates, recurrent, h, h_next, H, kind};
  unroll_for_rows(B, B * H * 3, gru_rows, &arguments);
}

// MARK: GRU, reset gate before the product

/// The arguments of both halves of a step.
typedef struct {
  float *gates;
  const float *recurrent, *h;
  float *result;
  size_t H;
  unroll_gates kind;
} gru_half_arguments;

// Both functions in one loop: rare, and the product that follows takes longer.
INLINED void gru_reset_row_body(
    float *gates, const float *recurrent, const float *h, float *reset_h, size_t H, unroll_gates kind) {
  float *r = gates, *z = gates + H;
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) {
    float reset = gate_float(r[j] + recurrent[j], kind);
    r[j] = reset;
    z[j] = gate_float(z[j] + recurrent[H + j], kind);
    reset_h[j] = reset * h[j];
  }
}

COMPILED_FOR_EACH(
    static, void, gru_reset_row,
    (float *gates, const float *recurrent, const float *h, float *reset_h, size_t H, unroll_gates kind),
    (gates, recurrent, h, reset_h, H, kind))

static void gru_reset_rows(void *context, size_t begin, size_t end) {
  const gru_half_arguments *a = context;
  size_t H = a->H;
  for (size_t b = begin; b < end; b++)
    gru_reset_row(
        a->gates + b * 3 * H, a->recurrent + b * 2 * H, a->h + b * H, a->result + b * H, H,
        a->kind);
}

void unroll_gru_reset_step(
    float *gates, const float *recurrent, const float *h, float *reset_h, size_t B, size_t H,
    unroll_gates kind) {
  gru_half_arguments arguments = {gates, recurrent, h, reset_h, H, kind};
  unroll_for_rows(B, B * H * 2, gru_reset_rows, &arguments);
}

INLINED void gru_candidate_row_body(
    float *gates, const float *recurrent, const float *h, float *h_next, size_t H) {
  float *z = gates + H, *n = gates + 2 * H;
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) {
    float candidate = tanh_float(n[j] + recurrent[j]);
    n[j] = candidate;
    h_next[j] = (1.0f - z[j]) * candidate + z[j] * h[j];
  }
}

COMPILED_FOR_EACH(
    static, void, gru_candidate_row,
    (float *gates, const float *recurrent, const float *h, float *h_next, size_t H),
    (gates, recurrent, h, h_next, H))

static void gru_candidate_rows(void *context, size_t begin, size_t end) {
  const gru_half_arguments *a = context;
  size_t H = a->H;
  for (size_t b = begin; b < end; b++)
    gru_candidate_row(
        a->gates + b * 3 * H, a->recurrent + b * H, a->h + b * H, a->result + b * H, H);
}

void unroll_gru_candidate_step(
    float *gates, const float *recurrent, const float *h, float *h_next, size_t B, size_t H) {
  gru_half_arguments arguments = {gates, recurrent, h, h_next, H, logistic};
  unroll_for_rows(B, B * H, gru_candidate_rows, &arguments);
}

// MARK: The vanilla (Elman) cell

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
