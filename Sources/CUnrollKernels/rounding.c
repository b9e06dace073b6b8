// Rounding to bfloat16: the upper half of a float's bits, to the nearest, ties to even.
#include "UnrollKernels.h"
#include "elementary.h"
#include "threads.h"

/// The arguments of `unroll_round_to_bf16`.
typedef struct {
  const float *x;
  uint16_t *rounded;
} rounding;

MULTIVERSIONED static void round_range(void *context, size_t begin, size_t end) {
  const float *restrict x = ((rounding *)context)->x;
  uint16_t *restrict rounded = ((rounding *)context)->rounded;
  for (size_t i = begin; i < end; i++) {
    uint32_t bits = bits_of_float(x[i]);
    uint32_t nearest = bits + 0x7FFF + (bits >> 16 & 1);
    // Rounding a NaN could carry into its exponent.
    uint32_t kept = (bits & 0x7FFFFFFF) > 0x7F800000 ? bits | 0x400000 : nearest;
    rounded[i] = (uint16_t)(kept >> 16);
  }
}

void unroll_round_to_bf16(const float *x, uint16_t *rounded, size_t n) {
  rounding arguments = {x, rounded};
  unroll_for_rows(n, n, round_range, &arguments);
}
