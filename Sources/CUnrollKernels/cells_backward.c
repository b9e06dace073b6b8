// One time step of each recurrent cell, backwards: from the gradients of its results to those of its
// pre-activations. The formulas are the derivatives of cells.c, line by line.
#include "UnrollKernels.h"
#include "elementary.h"
#include "threads.h"

// MARK: LSTM

/// The arguments of `unroll_lstm_step_backward`.
typedef struct {
  float *gates;
  const float *c, *c_next, *dh;
  float *dc;
  size_t H;
} lstm_arguments;

MULTIVERSIONED static void lstm_row(
    float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t H) {
  float *i = gates, *f = gates + H, *g = gates + 2 * H, *o = gates + 3 * H;
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) {
    float in = i[j], forget = f[j], candidate = g[j], out = o[j];
    float squashed = tanh_float(c_next[j]);
    float dcell = dc[j] + dh[j] * out * (1.0f - squashed * squashed);
    i[j] = dcell * candidate * in * (1.0f - in);
    f[j] = dcell * c[j] * forget * (1.0f - forget);
    g[j] = dcell * in * (1.0f - candidate * candidate);
    o[j] = dh[j] * squashed * out * (1.0f - out);
    dc[j] = dcell * forget;
  }
}

static void lstm_rows(void *context, size_t begin, size_t end) {
  const lstm_arguments *a = context;
  size_t H = a->H;
  for (size_t b = begin; b < end; b++)
    lstm_row(
        a->gates + b * 4 * H, a->c + b * H, a->c_next + b * H, a->dh + b * H, a->dc + b * H, H);
}

void unroll_lstm_step_backward(
    float *gates, const float *c, const float *c_next, const float *dh, float *dc, size_t B,
    size_t H) {
  lstm_arguments arguments = {gates, c, c_next, dh, dc, H};
  unroll_for_rows(B, B * H * 3, lstm_rows, &arguments);
}

MULTIVERSIONED void unroll_lstm_cell_gradient(
    const float *gates, const float *c_next, const float *dh, const float *dc, float *total,
    size_t B, size_t H) {
  for (size_t b = 0; b < B; b++) {
    const float *out = gates + b * 4 * H + 3 * H;
    for (size_t j = 0; j < H; j++) {
      size_t place = b * H + j;
      float squashed = tanh_float(c_next[place]);
      total[place] = dc[place] + dh[place] * out[j] * (1.0f - squashed * squashed);
    }
  }
}

// MARK: GRU

/// The arguments of `unroll_gru_step_backward`.
typedef struct {
  float *gates, *recurrent;
  const float *h, *dh;
  float *dh_previous;
  size_t H;
} gru_arguments;

MULTIVERSIONED static void gru_row(
    float *gates, float *recurrent, const float *h, const float *dh, size_t H) {
  float *r = gates, *z = gates + H, *n = gates + 2 * H;
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) {
    float reset = r[j], update = z[j], candidate = n[j];
    float dn = dh[j] * (1.0f - update) * (1.0f - candidate * candidate);
    float dz = dh[j] * (h[j] - candidate) * update * (1.0f - update);
    float dr = dn * recurrent[2 * H + j] * reset * (1.0f - reset);
    r[j] = recurrent[j] = dr;
    z[j] = recurrent[H + j] = dz;
    n[j] = dn;
    recurrent[2 * H + j] = dn * reset;
  }
}

/// The part of dh that the update gate lets pass by; taken before the gate's place is overwritten.
MULTIVERSIONED static void gru_pass_row(
    const float *restrict update, const float *restrict dh, float *restrict dh_previous,
    size_t H) {
  for (size_t j = 0; j < H; j++) dh_previous[j] += dh[j] * update[j];
}

static void gru_rows(void *context, size_t begin, size_t end) {
  const gru_arguments *a = context;
  size_t H = a->H;
  for (size_t b = begin; b < end; b++) {
    float *gates = a->gates + b * 3 * H;
    const float *dh = a->dh + b * H;
    if (a->dh_previous) gru_pass_row(gates + H, dh, a->dh_previous + b * H, H);
    gru_row(gates, a->recurrent + b * 3 * H, a->h + b * H, dh, H);
  }
}

void unroll_gru_step_backward(
    float *gates, float *recurrent, const float *h, const float *dh, float *dh_previous, size_t B,
    size_t H) {
  gru_arguments arguments = {gates, recurrent, h, dh, dh_previous, H};
  unroll_for_rows(B, B * H, gru_rows, &arguments);
}

// MARK: The plain cell

MULTIVERSIONED void unroll_rnn_tanh_step_backward(
    float *gates, const float *h_next, const float *dh, size_t count) {
  for (size_t j = 0; j < count; j++) gates[j] = dh[j] * (1.0f - h_next[j] * h_next[j]);
}

MULTIVERSIONED void unroll_rnn_relu_step_backward(
    float *gates, const float *h_next, const float *dh, size_t count) {
  for (size_t j = 0; j < count; j++) gates[j] = h_next[j] > 0.0f ? dh[j] : 0.0f;
}
