// The micro-kernels of matrix products: small tiles of the result, summed in registers.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "instructions.h"

/// The longest sum that is added up in one chain. A longer one is cut into parts of nearly equal length,
/// whose sums are added in their order: this is part of the result, on every processor.
enum { LONGEST_CHAIN = 384 };

/// Returns the start of part `index` of `count` nearly equal parts of a whole.
INLINED size_t part_start(size_t whole, size_t count, size_t index) { return whole * index / count; }

/// Returns the number of parts of at most `most` elements that a whole is cut into.
INLINED size_t part_count(size_t whole, size_t most) { return (whole + most - 1) / most; }

/// A product of one part of the sums: `y = a b`, or `y += a b`.
///
/// In bf16 and int8 two numbers that follow each other along K, a pair, stand side by side and count as one.
typedef struct {
  /// The operand a, [M, K], packed in tiles: cut into `part_count(M, rows of a tile)` tiles of nearly equal height;
  /// in each, the numbers of its rows stand side by side, k after k. In bf16 without an instruction for pairs each
  /// pair is two floats of a row, the second number before the first.
  const void *a;
  size_t M;
  /// The operand b, [K, N], packed in panels: `columns of a tile` columns, whose numbers stand side by
  /// side, k after k; columns beyond N are zero.
  const void *b;
  /// The distance between the beginnings of two panels, in elements.
  size_t panel_stride;
  /// The distance from a panel's numbers to those that are multiplied after them, in elements.
  size_t next_distance;
  size_t N, K;
  /// [M, N], its rows `y_stride` numbers apart.
  void *y;
  size_t y_stride;
  /// [N], added to the sums; or NULL. Not for int8.
  const float *bias;
  /// `true` if the sums are added to the contents of y. Not for int8.
  bool accumulate;
} tile_product;

/// The micro-kernels of an instruction set.
typedef struct {
  /// The most rows of a tile, of a tile of bfloat16, and the columns of a panel.
  size_t rows, rows_of_halves, columns;
  /// `true` if the processor adds products of pairs of bfloat16: rows stay in pairs.
  bool has_halves;
  /// Floats by floats.
  void (*f32)(const tile_product *);
  /// Rows of pairs, or of floats, by pairs of bfloat16.
  void (*bf16)(const tile_product *);
  /// Pairs of int16 by pairs of int8; y is of int32.
  void (*int8)(const tile_product *);
} tile_kernels;

/// Returns the micro-kernels of a set that the processor has.
const tile_kernels *unroll_tile_kernels(unroll_instructions set);
