// Rounding to bfloat16, the upper half of a float's bits, and to whole numbers of a scale; to the nearest,
// ties to even.
#include "UnrollKernels.h"
#include "elementary.h"
#include "threads.h"

/// The arguments of `unroll_round_to_bf16`.
typedef struct {
  const float *x;
  uint16_t *rounded;
} rounding;

/// Returns the bits of a float rounded to bfloat16 in their upper half.
INLINED uint32_t rounded_bits(float x) {
  const uint32_t bits = bits_of_float(x), nearest = bits + 0x7FFF + (bits >> 16 & 1);
  // Rounding a NaN could carry into its exponent.
  return (bits & 0x7FFFFFFF) > 0x7F800000 ? bits | 0x400000 : nearest;
}

INLINED void round_range_body(void *context, size_t begin, size_t end) {
  const float *restrict x = ((rounding *)context)->x;
  uint16_t *restrict rounded = ((rounding *)context)->rounded;
  for (size_t i = begin; i < end; i++) rounded[i] = (uint16_t)(rounded_bits(x[i]) >> 16);
}

COMPILED_FOR_EACH(
    static, void, round_range,
    (void *context, size_t begin, size_t end),
    (context, begin, end))

void unroll_round_to_bf16(const float *x, uint16_t *rounded, size_t n) {
  rounding arguments = {x, rounded};
  unroll_for_rows(n, n, round_range, &arguments);
}

/// The arguments of `unroll_round_to_int8`.
typedef struct {
  const float *x;
  int8_t *rounded;
  float *scales;
  size_t K;
} scaling;

INLINED void scale_rows_body(void *context, size_t begin, size_t end) {
  const scaling *a = context;
  for (size_t row = begin; row < end; row++) {
    const float *restrict x = a->x + row * a->K;
    int8_t *restrict rounded = a->rounded + row * a->K;
    // As bits, magnitudes are in the order of their sizes, infinity and NaN last.
    uint32_t bits = 0;
    for (size_t i = 0; i < a->K; i++) {
      uint32_t magnitude = bits_of_float(x[i]) & 0x7FFFFFFF;
      bits = magnitude > bits ? magnitude : bits;
    }
    float largest = float_of_bits(bits);
    bool is_finite = bits < 0x7F800000;
    a->scales[row] = is_finite ? largest / 127.0f : float_of_bits(0x7FC00000);
    float inverse = is_finite && largest > 0x1p-120f ? 127.0f / largest : 0.0f;
    // Adding 1.5 * 2^23 leaves the nearest whole number in the low bits of the sum.
    const float shift = 0x1.8p23f;
    for (size_t i = 0; i < a->K; i++)
      rounded[i] = (int8_t)(bits_of_float(x[i] * inverse + shift) - bits_of_float(shift));
  }
}

COMPILED_FOR_EACH(
    static, void, scale_rows,
    (void *context, size_t begin, size_t end),
    (context, begin, end))

void unroll_round_to_int8(const float *x, int8_t *rounded, float *scales, size_t M, size_t K) {
  scaling arguments = {x, rounded, scales, K};
  unroll_for_rows(M, M * K, scale_rows, &arguments);
}

INLINED void unroll_round_pairs_body(
    const float *restrict x, uint32_t *restrict pairs, size_t K, size_t columns) {
  for (; K >= 2; K -= 2, x += 2 * columns, pairs += columns)
    for (size_t i = 0; i < columns; i++)
      pairs[i] = rounded_bits(x[i]) >> 16 | (rounded_bits(x[columns + i]) & 0xFFFF0000);
  if (K == 1)
    for (size_t i = 0; i < columns; i++) pairs[i] = rounded_bits(x[i]) >> 16;
}

COMPILED_FOR_EACH(
    , void, unroll_round_pairs, (const float *x, uint32_t *pairs, size_t K, size_t columns),
    (x, pairs, K, columns))
