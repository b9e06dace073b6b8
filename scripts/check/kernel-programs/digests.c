// Prints a digest of what each kernel computes from generated numbers, for every instruction set of the processor.
// The lines of all sets, threads and processors must be the same: scripts/check/kernels compares them.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "Elementary.h"
#include "UnrollKernels.h"

static uint64_t digest;

/// Takes bytes into the digest: FNV-1a.
static void take(const void *bytes, size_t size) {
  const unsigned char *b = bytes;
  for (size_t i = 0; i < size; i++) digest = (digest ^ b[i]) * 0x100000001b3;
}

static uint64_t state;

/// A number from -1 to 1: xorshift64*, and no function of the system.
static float number(void) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return (float)((int32_t)((state * 0x2545F4914F6CDD1D) >> 40) - (1 << 23)) / (float)(1 << 23);
}

/// Generated numbers; the caller frees them.
static float *numbers(size_t count, float scale) {
  float *made = malloc((count + 1) * sizeof *made);
  if (!made) exit(2);
  for (size_t i = 0; i < count; i++) made[i] = number() * scale;
  return made;
}

static void require(unroll_status status) {
  if (status != UNROLL_OK) {
    fprintf(stderr, "digests: status %d\n", (int)status);
    exit(2);
  }
}

static void begin(void) {
  digest = 0xcbf29ce484222325;
  state = 0x9E3779B97F4A7C15;
}

static void end(const char *name) { printf("%s %016llx\n", name, (unsigned long long)digest); }

/// Packed and plain products of all kinds and of sizes that fill no tile, of numbers up to a scale.
static void products(unroll_precision precision, float scale) {
  static const size_t sizes[][3] = {
      {1, 1, 1}, {1, 67, 385}, {2, 33, 200}, {3, 129, 50}, {5, 40, 650}, {14, 64, 384}, {37, 77, 1153}, {150, 31, 90}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    const size_t M = sizes[s][0], N = sizes[s][1], K = sizes[s][2];
    float *x = numbers(M * K, scale), *w = numbers(N * K, scale), *bias = numbers(N, scale * scale);
    float *y = numbers(M * N, scale * scale), *scales = numbers(M, 1);
    uint16_t *x_halves = malloc(M * K * 2), *w_halves = malloc(N * K * 2);
    int8_t *x_whole = malloc(M * K);
    if (!x_halves || !w_halves || !x_whole) exit(2);
    unroll_round_to_bf16(x, x_halves, M * K);
    unroll_round_to_bf16(w, w_halves, N * K);
    unroll_round_to_int8(x, x_whole, scales, M, K);
    const void *factor = precision == UNROLL_F32 ? (void *)x : precision == UNROLL_BF16 ? (void *)x_halves : x_whole;
    unroll_packed_weight *weight;
    require(unroll_packed_weight_create(N, K, s % 2, N, s % 3 == 0, precision, &weight));
    require(unroll_pack_panel(weight, 0, w, bias));
    require(unroll_product(weight, 0, factor, scales, y, M));
    take(y, M * N * sizeof *y);
    unroll_packed_weight_destroy(weight);
    for (int kind = 0; kind < 4 && precision != UNROLL_INT8; kind++) {
      const void *a = factor, *b = precision == UNROLL_F32 ? (void *)w : (void *)w_halves;
      // The numbers as they lie, taken as a matrix or as the transpose of one.
      unroll_operand left = {a, kind & 1}, right = {b, kind >> 1};
      require(unroll_multiply(precision, left, right, s % 2 ? bias : NULL, y, s % 3 == 0, M, N, K));
      take(y, M * N * sizeof *y);
    }
    free(x), free(w), free(bias), free(y), free(scales), free(x_halves), free(w_halves), free(x_whole);
  }
}

/// One step of each cell, forwards and backwards.
static void cells(bool is_hard) {
  enum { B = 5, H = 37, SIZE = B * 4 * H };
  const unroll_gates kind = {is_hard, 0.2f, 0.5f};
  float *gates = numbers(SIZE, 6), *recurrent = numbers(SIZE, 3), *c = numbers(B * H, 2), *h = numbers(B * H, 1);
  float *next = numbers(B * H, 1), *out = numbers(B * H, 1), *dh = numbers(B * H, 1), *dc = numbers(B * H, 1);
  unroll_lstm_step(gates, c, next, out, B, H, kind);
  unroll_lstm_step_backward(gates, c, next, dh, dc, B, H, kind);
  take(gates, SIZE * 4), take(next, B * H * 4), take(out, B * H * 4), take(dc, B * H * 4);
  unroll_gru_step(gates, recurrent, h, out, B, H, kind);
  unroll_gru_step_backward(gates, recurrent, h, dh, dc, B, H, kind);
  take(gates, SIZE * 4), take(recurrent, SIZE * 4), take(dc, B * H * 4);
  unroll_gru_reset_step(gates, recurrent, h, next, B, H, kind);
  unroll_gru_candidate_step(gates, recurrent, h, out, B, H);
  unroll_gru_candidate_step_backward(gates, recurrent, next, h, dh, dc, B, H, kind);
  unroll_gru_reset_step_backward(gates, recurrent, h, next, dc, B, H, kind);
  take(gates, SIZE * 4), take(recurrent, SIZE * 4), take(out, B * H * 4), take(dc, B * H * 4);
  unroll_rnn_tanh_step(gates, out, B, H);
  unroll_rnn_tanh_step_backward(gates, out, dh, B * H);
  take(gates, SIZE * 4);
  unroll_rnn_relu_step(recurrent, out, B, H);
  unroll_rnn_relu_step_backward(recurrent, out, dh, B * H);
  take(recurrent, SIZE * 4);
  free(gates), free(recurrent), free(c), free(h), free(next), free(out), free(dh), free(dc);
}

/// One step of each cell whose gates see its input alone, forwards and backwards.
static void input_cells(void) {
  enum { B = 5, H = 37, SIZE = B * 3 * H };
  float *gates = numbers(SIZE, 6), *c = numbers(B * H, 2), *h = numbers(B * H, 1), *next = numbers(B * H, 1);
  float *out = numbers(B * H, 1), *dh = numbers(B * H, 1), *dc = numbers(B * H, 1), *total = numbers(B * H, 1);
  unroll_qrnn_step(gates, c, next, out, B, H);
  take(gates, SIZE * 4), take(next, B * H * 4), take(out, B * H * 4);
  unroll_qrnn_step_backward(gates, c, next, dh, dc, total, B, H);
  take(gates, SIZE * 4), take(dc, B * H * 4), take(total, B * H * 4);
  unroll_mingru_step(gates, h, out, B, H);
  take(gates, B * 2 * H * 4), take(out, B * H * 4);
  unroll_mingru_step_backward(gates, h, dh, dc, B, H);
  take(gates, B * 2 * H * 4), take(dc, B * H * 4);
  free(gates), free(c), free(h), free(next), free(out), free(dh), free(dc), free(total);
}

/// Softmax over two panels, with entropies, gradients and log-probabilities.
static void softmax(void) {
  enum { M = 6, N = 701 };
  float *logits = numbers(M * N, 30), *more = numbers(M * N, 40);
  float maximum[M];
  double sum[M] = {0}, weighted[M] = {0};
  int32_t targets[M];
  for (int m = 0; m < M; m++) {
    maximum[m] = -INFINITY;
    targets[m] = m * 97;
  }
  unroll_softmax_add_panel_with_entropy(logits, M, N, maximum, sum, weighted);
  unroll_softmax_add_panel_with_entropy(more, M, N, maximum, sum, weighted);
  unroll_softmax_entropy(sum, weighted, M);
  unroll_softmax_finish(maximum, sum, M);
  take(sum, sizeof sum), take(weighted, sizeof weighted), take(maximum, sizeof maximum);
  unroll_softmax_gradient(logits, M, N, sum, targets, 0, 0.125f);
  unroll_softmax_normalize(more, N, sum[0]);
  take(logits, M * N * 4), take(more, M * N * 4);
  free(logits), free(more);
}

/// Sums, masks and one step of every optimizer.
static void updates(void) {
  enum { COUNT = 5003 };
  float *x = numbers(COUNT, 3), *g = numbers(COUNT, 2);
  float *slots[UNROLL_OPTIMIZER_SLOTS] = {numbers(COUNT, 0.5f), numbers(COUNT, 0.5f), numbers(COUNT, 0.5f)};
  for (int rule = UNROLL_SGD; rule <= UNROLL_ASGD; rule++) {
    for (int slot = 0; slot < UNROLL_OPTIMIZER_SLOTS; slot++)
      for (size_t i = 0; i < COUNT; i++) slots[slot][i] = fabsf(slots[slot][i]) * (slot == 2 ? 0.01f : 1);
    unroll_update update = {
        .rule = (unroll_rule)rule, .scale = 0.7f, .limit = 1.5f, .weight_decay = 1e-3f, .shrink = 0.999f,
        .rate = 0.01f, .decay1 = 0.9f, .gain1 = 0.1f, .decay2 = 0.99f, .gain2 = 0.01f, .gradient_share = 0.5f,
        .buffer_share = 0.5f, .correction = 1.1f, .inside = 1e-8f, .outside = 1e-6f};
    unroll_update_step(x, g, slots, COUNT, update);
    take(x, COUNT * 4);
    for (int slot = 0; slot < UNROLL_OPTIMIZER_SLOTS; slot++) take(slots[slot], COUNT * 4);
  }
  const double squares = unroll_sum_of_squares(x, COUNT);
  take(&squares, sizeof squares);
  unroll_add_column_sums(x, 50, 100, g);
  take(g, COUNT * 4);
  const unroll_dropout dropout = {12345, 3, 9, 0.3f, 0};
  unroll_drop(x, g, 10, 5, 100, false, dropout);
  take(g, COUNT * 4);
  free(x), free(g);
  for (int slot = 0; slot < UNROLL_OPTIMIZER_SLOTS; slot++) free(slots[slot]);
}

/// Elementary functions of floats over all exponents, and of doubles.
static void functions(void) {
  enum { COUNT = 1 << 16 };
  void (*const all[])(float *, size_t) = {unroll_exp, unroll_tanh, unroll_sigmoid};
  float *x = numbers(COUNT, 1);
  for (int f = 0; f < 3; f++) {
    for (uint32_t i = 0; i < COUNT; i++) {
      const uint32_t bits = i << 16 | 0x1234;
      memcpy(x + i, &bits, 4);
    }
    all[f](x, COUNT);
    for (size_t i = 0; i < COUNT; i++)
      if (x[i] == x[i]) take(x + i, 4);
  }
  for (int i = 0; i < COUNT; i++) {
    const double share = (double)i / COUNT, results[] = {
        unroll_double_exp(share * 1400 - 700), unroll_double_log(share * 10), unroll_double_cos_pi(share * 4),
        unroll_double_power(share, (unsigned long)i)};
    take(results, sizeof results);
  }
  free(x);
}

int main(void) {
  static const unroll_instructions sets[] = {UNROLL_PORTABLE, UNROLL_NEON, UNROLL_AVX2, UNROLL_AVX512};
  for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
    if (unroll_use_instructions(sets[s]) != UNROLL_OK) continue;
    for (int threads = 1; threads <= 2; threads++) {
      unroll_set_threads(threads);
      printf("# %s, threads %d\n", unroll_instructions_name(sets[s]), threads);
      begin(), products(UNROLL_F32, 1), end("products f32");
      begin(), products(UNROLL_BF16, 1), end("products bf16");
      // Their products are about the smallest normal number.
      begin(), products(UNROLL_BF16, 0x1p-62f), end("products bf16, small");
      begin(), products(UNROLL_INT8, 1), end("products int8");
      begin(), cells(false), cells(true), end("cells");
      begin(), softmax(), end("softmax");
      begin(), updates(), end("updates");
      begin(), functions(), end("functions");
      begin(), input_cells(), end("cells of inputs");
    }
  }
}
