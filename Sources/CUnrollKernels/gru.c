// One time step of the GRU, with both places of its reset gate, forwards and backwards.
#include "UnrollKernels.h"
#include "elementary.h"
#include "threads.h"

// A loop is written once and compiled for both functions of gates: each copy knows its own, so the
// logistic one is as fast as without the other.

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

// MARK: Reset gate before the product

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

// MARK: Backwards, the derivatives line by line

/// The arguments of `unroll_gru_step_backward`.
typedef struct {
  float *gates, *recurrent;
  const float *h, *dh;
  float *dh_previous;
  size_t H;
  unroll_gates kind;
} gru_backward_arguments;

INLINED void gru_backward_loop(
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

INLINED void gru_backward_row_body(
    float *gates, float *recurrent, const float *h, const float *dh, size_t H) {
  gru_backward_loop(gates, recurrent, h, dh, H, logistic);
}

COMPILED_FOR_EACH(
    static, void, gru_backward_row,
    (float *gates, float *recurrent, const float *h, const float *dh, size_t H),
    (gates, recurrent, h, dh, H))

INLINED void gru_backward_hard_row_body(
    float *gates, float *recurrent, const float *h, const float *dh, size_t H, float alpha) {
  gru_backward_loop(gates, recurrent, h, dh, H, hard_gates(alpha, 0));
}

COMPILED_FOR_EACH(
    static, void, gru_backward_hard_row,
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

static void gru_backward_rows(void *context, size_t begin, size_t end) {
  const gru_backward_arguments *a = context;
  size_t H = a->H;
  for (size_t b = begin; b < end; b++) {
    float *gates = a->gates + b * 3 * H, *recurrent = a->recurrent + b * 3 * H;
    const float *dh = a->dh + b * H, *h = a->h + b * H;
    if (a->dh_previous) gru_pass_row(gates + H, dh, a->dh_previous + b * H, H);
    if (a->kind.is_hard)
      gru_backward_hard_row(gates, recurrent, h, dh, H, a->kind.alpha);
    else
      gru_backward_row(gates, recurrent, h, dh, H);
  }
}

void unroll_gru_step_backward(
    float *gates, float *recurrent, const float *h, const float *dh, float *dh_previous, size_t B,
    size_t H, unroll_gates kind) {
  gru_backward_arguments arguments = {gates, recurrent, h, dh, dh_previous, H, kind};
  unroll_for_rows(B, B * H, gru_backward_rows, &arguments);
}

// MARK: Backwards, reset gate before the product

// Additions and multiplications only: not worth a second thread.

INLINED void gru_candidate_backward_row_body(
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
    static, void, gru_candidate_backward_row,
    (float *gates, float *dz, float *dn, const float *h, const float *dh, size_t H, unroll_gates kind),
    (gates, dz, dn, h, dh, H, kind))

void unroll_gru_candidate_step_backward(
    float *gates, float *drecurrent, float *dcandidate, const float *h, const float *dh,
    float *dh_previous, size_t B, size_t H, unroll_gates kind) {
  for (size_t b = 0; b < B; b++) {
    float *row = gates + b * 3 * H;
    if (dh_previous) gru_pass_row(row + H, dh + b * H, dh_previous + b * H, H);
    gru_candidate_backward_row(
        row, drecurrent + b * 2 * H + H, dcandidate + b * H, h + b * H, dh + b * H, H, kind);
  }
}

INLINED void gru_reset_backward_row_body(
    float *r, float *dr, const float *h, const float *dreset_h, size_t H, unroll_gates kind) {
#pragma clang loop vectorize(assume_safety)
  for (size_t j = 0; j < H; j++) r[j] = dr[j] = through_gate(dreset_h[j] * h[j], r[j], kind);
}

COMPILED_FOR_EACH(
    static, void, gru_reset_backward_row,
    (float *r, float *dr, const float *h, const float *dreset_h, size_t H, unroll_gates kind),
    (r, dr, h, dreset_h, H, kind))

void unroll_gru_reset_step_backward(
    float *gates, float *drecurrent, const float *h, const float *dreset_h, float *dh_previous,
    size_t B, size_t H, unroll_gates kind) {
  for (size_t b = 0; b < B; b++) {
    float *row = gates + b * 3 * H;
    if (dh_previous) gru_pass_row(row, dreset_h + b * H, dh_previous + b * H, H);
    gru_reset_backward_row(row, drecurrent + b * 2 * H, h + b * H, dreset_h + b * H, H, kind);
  }
}
