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

/// Packs rows of a matrix side by side as floats: `packed[k * width + i]` is number (row + i, first + k).
void unroll_pack_rows(
    const matrix *x, size_t row, size_t rows, size_t first, size_t K, float *packed, size_t width);

/// Packs rows of int8 as pairs of int16: `packed[k * rows + i]` holds numbers 2k and 2k + 1 of row i.
void unroll_pack_pairs(const int8_t *x, size_t stride, size_t rows, size_t K, int32_t *packed);

/// An operand in panels, as `unroll_pack_panels` leaves it.
typedef struct {
  const tile_kernels *kernels;
  unroll_precision precision;
  const void *numbers;
  /// The numbers of a panel; pairs of them in int8.
  size_t stride;
} panels;

/// Returns the size in bytes of an element, or of a pair in int8.
INLINED size_t size_of(unroll_precision precision) {
  return precision == UNROLL_F32 ? sizeof(float) : sizeof(uint16_t);
}

/// Returns the number of elements, or of pairs in int8, along K.
INLINED size_t length_of(unroll_precision precision, size_t K) {
  return precision == UNROLL_INT8 ? (K + 1) / 2 : K;
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
