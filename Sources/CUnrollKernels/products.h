// A matrix times an operand in panels.
#pragma once
#include "packing.h"

/// A product of a matrix and an operand in panels.
typedef struct {
  matrix a;
  panels b;
  size_t M, N, K;
  const float *bias;
  void *y;
  size_t y_stride;
  bool accumulate;
} product;

/// Multiplies on all threads; in int8 y gets the sums as int32.
unroll_status unroll_multiply_panels(const product *product);
