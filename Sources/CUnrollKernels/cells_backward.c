// One time step of each recurrent cell, backwards: from the gradients of its results to those of its
// pre-activations. The formulas are the derivatives of cells.c, line by line.
#include "UnrollKernels.h"
#include "elementary.h"
#include "threads.h"

/// The logistic function, known when a loop is compiled; as in cells.c.
static const unroll_gates logistic = {.is_hard = false};

// MARK: LSTM

/// The arguments of `unroll_lstm_step_backward`.
typedef struct {
  float *gates;
  const float *c, *c_next, *dh;
  float *dc;
  size_t H;
  unroll_gates kind;
} lstm_arguments;

INLINED void lstm_loop(
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

INLINED void lstm_row_body(
    float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t H) {
  lstm_loop(gates, c, c_next, dh, dc, H, logistic);
}

COMPILED_FOR_EACH(
    static, void, lstm_row,
    (float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t H),
    (gates, c, c_next, dh, dc, H))

INLINED void lstm_hard_row_body(
    float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t H, float alpha) {
  lstm_loop(gates, c, c_next, dh, dc, H, hard_gates(alpha, 0));
}

COMPILED_FOR_EACH(
    static, void, lstm_hard_row,
    (float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t H, float alpha),
    (gates, c, c_next, dh, dc, H, alpha))

static void lstm_rows(void *context, size_t begin, size_t end) {
  const lstm_arguments *a = context;
  size_t H = a->H;
  for (size_t b = begin; b < end; b++) {
    float *gates = a->gates + b * 4 * H, *dc = a->dc + b * H;
    const float *c = a->c + b * H, *c_next = a->c_next + b * H, *dh = a->dh + b * H;
    if (a->kind.is_hard)
      lstm_hard_row(gates, c, c_next, dh, dc, H, a->kind.alpha);
    else
      lstm_row(gates, c, c_next, dh, dc, H);
  }
}

void unroll_lstm_step_backward(
    float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t B,
    size_t H, unroll_gates kind) {
  lstm_arguments arguments = {gates, c, c_next, dh, dc, H, kind};
  unroll_for_rows(B, B * H * 3, lstm_rows, &arguments);
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

// MARK: GRU

/// The arguments of `unroll_gru_step_backward`.
typedef struct {
  float *gates, *recurrent;
  const float *h, *dh;
  float *dh_previous;
  size_t H;
  unroll_gates kind;
} gru_arguments;

INLINED void gru_loop(
    float *gates, float *recurrent, const float *h, const float *dh, size_t H, unroll_gates kind) {
  float *r = gates, *z = gates + H, *n = gates + 2 * H;
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) {
    float reset = r[j], update = z[j], candidate = n[j];
    float dn = dh[j] * (1.0f - update) * (1.0f - candidate * candidate);
    float dz = through_gate(dh[j] * (h[j] - candidate), update, kind);
    float dr = through_gate(dn * recurrent[2 * H + j], reset, kind);
    r[j] = recurrent[j] = dr;
    z[j] = recurrent[H + j] = dz;
    n[j] = dn;
    recurrent[2 * H + j] = dn * reset;
  }
}

INLINED void gru_row_body(
    float *gates, float *recurrent, const float *h, const float *dh, size_t H) {
  gru_loop(gates, recurrent, h, dh, H, logistic);
}

COMPILED_FOR_EACH(
    static, void, gru_row,
    (float *gates, float *recurrent, const float *h, const float *dh, size_t H),
    (gates, recurrent, h, dh, H))

INLINED void gru_hard_row_body(
    float *gates, float *recurrent, const float *h, const float *dh, size_t H, float alpha) {
  gru_loop(gates, recurrent, h, dh, H, hard_gates(alpha, 0));
}

COMPILED_FOR_EACH(
    static, void, gru_hard_row,
    (float *gates, float *recurrent, const float *h, const float *dh, size_t H, float alpha),
    (gates, recurrent, h, dh, H, alpha))

/// The part of dh that the update gate lets pass by; computed before the gate is overwritten.
INLINED void gru_pass_row_body(
    const float *restrict update, const float *restrict dh, float *restrict dh_previous, size_t H) {
  for (size_t j = 0; j < H; j++) dh_previous[j] += dh[j] * update[j];
}

COMPILED_FOR_EACH(
    static, void, gru_pass_row,
    (const float *restrict update, const float *restrict dh, float *restrict dh_previous, size_t H),
    (update, dh, dh_previous, H))

static void gru_rows(void *context, size_t begin, size_t end) {
  const gru_arguments *a = context;
  size_t H = a->H;
  for (size_t b = begin; b < end; b++) {
    float *gates = a->gates + b * 3 * H, *recurrent = a->recurrent + b * 3 * H;
    const float *dh = a->dh + b * H, *h = a->h + b * H;
    if (a->dh_previous) gru_pass_row(gates + H, dh, a->dh_previous + b * H, H);
    if (a->kind.is_hard)
      gru_hard_row(gates, recurrent, h, dh, H, a->kind.alpha);
    else
      gru_row(gates, recurrent, h, dh, H);
  }
}

void unroll_gru_step_backward(
    float *gates, float *recurrent, const float *h, const float *dh, float *dh_previous, size_t B,
    size_t H, unroll_gates kind) {
  gru_arguments arguments = {gates, recurrent, h, dh, dh_previous, H, kind};
  unroll_for_rows(B, B * H, gru_rows, &arguments);
}

// MARK: GRU, reset gate before the product

// Additions and multiplications only: not worth a second thread.

INLINED void gru_candidate_row_body(
    float *gates, float *dz, float *dn, const float *h, const float *dh, size_t H, unroll_gates kind) {
  float *z = gates + H, *n = gates + 2 * H;
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) {
    float update = z[j], candidate = n[j];
    n[j] = dn[j] = dh[j] * (1.0f - update) * (1.0f - candidate * candidate);
    z[j] = dz[j] = through_gate(dh[j] * (h[j] - candidate), update, kind);
  }
}

COMPILED_FOR_EACH(
    static, void, gru_candidate_row,
    (float *gates, float *dz, float *dn, const float *h, const float *dh, size_t H, unroll_gates kind),
    (gates, dz, dn, h, dh, H, kind))

void unroll_gru_candidate_step_backward(
    float *gates, float *drecurrent, float *dcandidate, const float *h, const float *dh,
    float *dh_previous, size_t B, size_t H, unroll_gates kind) {
  for (size_t b = 0; b < B; b++) {
    float *row = gates + b * 3 * H;
    if (dh_previous) gru_pass_row(row + H, dh + b * H, dh_previous + b * H, H);
    gru_candidate_row(
        row, drecurrent + b * 2 * H + H, dcandidate + b * H, h + b * H, dh + b * H, H, kind);
  }
}

INLINED void gru_reset_row_body(
    float *r, float *dr, const float *h, const float *dreset_h, size_t H, unroll_gates kind) {
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) r[j] = dr[j] = through_gate(dreset_h[j] * h[j], r[j], kind);
}

COMPILED_FOR_EACH(
    static, void, gru_reset_row,
    (float *r, float *dr, const float *h, const float *dreset_h, size_t H, unroll_gates kind),
    (r, dr, h, dreset_h, H, kind))

void unroll_gru_reset_step_backward(
    float *gates, float *drecurrent, const float *h, const float *dreset_h, float *dh_previous,
    size_t B, size_t H, unroll_gates kind) {
  for (size_t b = 0; b < B; b++) {
    float *row = gates + b * 3 * H;
    if (dh_previous) gru_pass_row(row, dreset_h + b * H, dh_previous + b * H, H);
    gru_reset_row(row, drecurrent + b * 2 * H, h + b * H, dreset_h + b * H, H, kind);
  }
}

// MARK: The vanilla (Elman) cell

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
