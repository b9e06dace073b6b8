// One time step of the LSTM, forwards and backwards. Rows are independent, so they are shared out over threads.
#include "UnrollKernels.h"
#include "elementary.h"
#include "threads.h"

// A loop is written once and compiled for both functions of gates: each copy knows its own, so the
// logistic one is as fast as without the other.

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

// MARK: Backwards, the derivatives line by line

/// The arguments of `unroll_lstm_step_backward`.
typedef struct {
  float *gates;
  const float *c, *c_next, *dh;
  float *dc;
  size_t H;
  unroll_gates kind;
} lstm_backward_arguments;

INLINED void lstm_backward_loop(
    float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t H,
    unroll_gates kind) {
  float *i = gates, *f = gates + H, *g = gates + 2 * H, *o = gates + 3 * H;
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) {
    float in = i[j], forget = f[j], candidate = g[j], out = o[j];
    float squashed = tanh_float(c_next[j]);
    float dcell = dc[j] + dh[j] * out * (1.0f - squashed * squashed);
    i[j] = through_gate(dcell * candidate, in, kind);
    f[j] = through_gate(dcell * c[j], forget, kind);
    g[j] = dcell * in * (1.0f - candidate * candidate);
    o[j] = through_gate(dh[j] * squashed, out, kind);
    dc[j] = dcell * forget;
  }
}

INLINED void lstm_backward_row_body(
    float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t H) {
  lstm_backward_loop(gates, c, c_next, dh, dc, H, logistic);
}

COMPILED_FOR_EACH(
    static, void, lstm_backward_row,
    (float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t H),
    (gates, c, c_next, dh, dc, H))

INLINED void lstm_backward_hard_row_body(
    float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t H, float alpha) {
  lstm_backward_loop(gates, c, c_next, dh, dc, H, hard_gates(alpha, 0));
}

COMPILED_FOR_EACH(
    static, void, lstm_backward_hard_row,
    (float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t H, float alpha),
    (gates, c, c_next, dh, dc, H, alpha))

static void lstm_backward_rows(void *context, size_t begin, size_t end) {
  const lstm_backward_arguments *a = context;
  size_t H = a->H;
  for (size_t b = begin; b < end; b++) {
    float *gates = a->gates + b * 4 * H, *dc = a->dc + b * H;
    const float *c = a->c + b * H, *c_next = a->c_next + b * H, *dh = a->dh + b * H;
    if (a->kind.is_hard)
      lstm_backward_hard_row(gates, c, c_next, dh, dc, H, a->kind.alpha);
    else
      lstm_backward_row(gates, c, c_next, dh, dc, H);
  }
}

void unroll_lstm_step_backward(
    float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t B,
    size_t H, unroll_gates kind) {
  lstm_backward_arguments arguments = {gates, c, c_next, dh, dc, H, kind};
  unroll_for_rows(B, B * H * 3, lstm_backward_rows, &arguments);
}

INLINED void unroll_lstm_cell_gradient_body(
    const float *gates, const float *c_next, const float *dh, const float *dc, float *total, size_t B, size_t H) {
  for (size_t b = 0; b < B; b++) {
    const float *out = gates + b * 4 * H + 3 * H;
    for (size_t j = 0; j < H; j++) {
      size_t place = b * H + j;
      float squashed = tanh_float(c_next[place]);
      total[place] = dc[place] + dh[place] * out[j] * (1.0f - squashed * squashed);
    }
  }
}

COMPILED_FOR_EACH(
    , void, unroll_lstm_cell_gradient,
    (const float *gates, const float *c_next, const float *dh, const float *dc, float *total, size_t B, size_t H),
    (gates, c_next, dh, dc, total, B, H))
