// The layout of the operands of a product, made for its tiles.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "UnrollKernels.h"
#include "tiles.h"

/// A row-major matrix, or the transpose of one: number (i, k) is at `i * stride + k`, or `k * stride + i`.
typedef struct {
  const void *numbers;
  size_t stride;
  bool transposed;
  unroll_precision precision;
} matrix;

/// Packs rows of floats side by side: `packed[k * width + i]` is number (row + i, first + k).
void unroll_pack_rows(
    const matrix *x, size_t row, size_t rows, size_t first, size_t K, float *packed, size_t width);

/// Packs rows of bfloat16 side by side: `packed[p * width + i]` is the pair of numbers 2 (first + p) and the one after
/// it of row `row + i`, the first in the lower half; numbers from K on are 0.
void unroll_pack_halves(
    const matrix *x, size_t row, size_t rows, size_t first, size_t pairs, size_t K, uint32_t *packed, size_t width);

/// Packs the same pairs as floats: `packed[2 p * width + i]` is the second number of a pair, `packed[(2 p + 1) * width
/// + i]` the first.
void unroll_widen_halves(
    const matrix *x, size_t row, size_t rows, size_t first, size_t pairs, size_t K, float *packed, size_t width);

/// Rounds floats to pairs of bfloat16: `pairs[p * columns + i]` has `x[2 p * columns + i]` in its lower half and the
/// number `columns` after that in its upper one, or 0 at the end of an odd K.
void unroll_round_pairs(const float *x, uint32_t *pairs, size_t K, size_t columns);

/// Packs rows of int8 as pairs of int16: `packed[k * rows + i]` holds numbers 2k and 2k + 1 of row i.
void unroll_pack_pairs(const int8_t *x, size_t stride, size_t rows, size_t K, int32_t *packed);

/// An operand in panels, as `unroll_pack_panels` leaves it.
typedef struct {
  const tile_kernels *kernels;
  unroll_precision precision;
  const void *numbers;
  /// The numbers of a panel; pairs of them in bf16 and int8.
  size_t stride;
} panels;

/// Returns the size in bytes of a float, or of a pair in bf16 and int8.
INLINED size_t size_of(unroll_precision precision) {
  return precision == UNROLL_INT8 ? sizeof(uint16_t) : sizeof(float);
}

/// Returns the number of floats, or of pairs in bf16 and int8, along K.
INLINED size_t length_of(unroll_precision precision, size_t K) {
  return precision == UNROLL_F32 ? K : (K + 1) / 2;
}

/// An operand that is to be packed in panels.
typedef struct {
  const tile_kernels *kernels;
  unroll_precision precision;
  /// Row n of this is column n of the operand b: the rows of a weight, or the transpose of b.
  matrix from;
  size_t N, K;
  void *packed;
  /// [N] Out: the scales of int8.
  float *scales;
} packing;

/// Packs on all threads.
unroll_status unroll_pack_panels(const packing *packing);
