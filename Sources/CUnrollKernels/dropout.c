// Dropout with masks from a counter-based generator: a number of a mask depends on its own index and on
// nothing that was drawn before, so masks are drawn again on the way back and on any number of threads.

#include "UnrollKernels.h"
#include "elementary.h"
#include "threads.h"

/// Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3").
INLINED void philox(uint32_t x[4], uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; round++) {
    const uint64_t first = (uint64_t)0xD2511F53u * x[0], second = (uint64_t)0xCD9E8D57u * x[2];
    const uint32_t y0 = (uint32_t)(second >> 32) ^ x[1] ^ key0, y2 = (uint32_t)(first >> 32) ^ x[3] ^ key1;
    x[1] = (uint32_t)second;
    x[3] = (uint32_t)first;
    x[0] = y0;
    x[2] = y2;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

void unroll_philox(uint32_t x[4], uint32_t key0, uint32_t key1) { philox(x, key0, key1); }

// A number is kept where 24 random bits are at least this.
INLINED uint32_t threshold(float rate) { return (uint32_t)(rate * 16777216.0f); }

// Multiplies a row by its mask: number k of it belongs to word k % 4 of block k / 4.
INLINED void drop_row_body(
    const float *x, float *y, size_t n, uint32_t time, uint32_t column, unroll_dropout d) {
  const uint32_t bound = threshold(d.rate);
  const float scale = 1 / (1 - d.rate);
  const uint32_t key0 = (uint32_t)d.seed, key1 = (uint32_t)(d.seed >> 32) ^ d.site * 0x9E3779B9u;
  // Sixteen blocks at a time: their rounds do not wait for each other.
  for (size_t start = 0; start < n; start += 64) {
    float masks[64];
    for (uint32_t block = 0; block < 16; block++) {
      uint32_t words[4] = {(uint32_t)(start / 4) + block, time, column, d.draw};
      philox(words, key0, key1);
      for (int word = 0; word < 4; word++)
        masks[4 * block + word] = words[word] >> 8 >= bound ? scale : 0;
    }
    const size_t count = n - start < 64 ? n - start : 64;
    for (size_t i = 0; i < count; i++) y[start + i] = x[start + i] * masks[i];
  }
}

COMPILED_FOR_EACH(
    static, void, drop_row,
    (const float *x, float *y, size_t n, uint32_t time, uint32_t column, unroll_dropout d),
    (x, y, n, time, column, d))

/// The arguments of `unroll_drop`.
typedef struct {
  const float *x;
  float *y;
  size_t B, N;
  bool locked;
  unroll_dropout dropout;
} drop_arguments;

static void drop_rows(void *context, size_t begin, size_t end) {
  const drop_arguments *a = context;
  for (size_t row = begin; row < end; row++) {
    const uint32_t time = a->locked ? 0 : (uint32_t)(row / a->B);
    const uint32_t column = (uint32_t)(row % a->B) + a->dropout.first_column;
    drop_row(a->x + row * a->N, a->y + row * a->N, a->N, time, column, a->dropout);
  }
}

void unroll_drop(
    const float *x, float *y, size_t T, size_t B, size_t N, bool locked, unroll_dropout dropout) {
  drop_arguments arguments = {x, y, B, N, locked, dropout};
  unroll_for_rows(T * B, T * B * N * 16, drop_rows, &arguments);
}

float unroll_row_mask(uint32_t row, unroll_dropout dropout) {
  float one = 1, mask;
  drop_row(&one, &mask, 1, row, 0, dropout);
  return mask;
}

// MARK: Penalties on the hidden states

INLINED void unroll_add_scaled_body(
    float *restrict y, const float *restrict x, float scale, size_t n) {
  for (size_t i = 0; i < n; i++) y[i] += scale * x[i];
}

COMPILED_FOR_EACH(
    , void, unroll_add_scaled,
    (float *restrict y, const float *restrict x, float scale, size_t n),
    (y, x, scale, n))

INLINED void unroll_add_temporal_gradient_body(
    float *restrict y, const float *restrict h, float scale, size_t T, size_t size) {
  for (size_t t = 0; t < T; t++) {
    const float *here = h + t * size;
    float *gradient = y + t * size;
    if (t > 0)
      for (size_t i = 0; i < size; i++) gradient[i] += scale * (here[i] - here[i - (ptrdiff_t)size]);
    if (t + 1 < T)
      for (size_t i = 0; i < size; i++) gradient[i] -= scale * (here[i + size] - here[i]);
  }
}

COMPILED_FOR_EACH(
    , void, unroll_add_temporal_gradient,
    (float *restrict y, const float *restrict h, float scale, size_t T, size_t size),
    (y, h, scale, T, size))
