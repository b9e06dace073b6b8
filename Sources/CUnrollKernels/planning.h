// What packed and plain products share: the engine, and how a product is planned.
#pragma once
#include "UnrollKernels.h"
#include "onednn.h"

/// oneDNN's engine for this processor; valid after `unroll_start_engine`.
extern dnnl_engine_t unroll_engine;

/// Creates the engine, once.
dnnl_status_t unroll_start_engine(void);

/// Plans `y = x W`, with scratch memory of the caller's, with y a row-major [M, N] of floats or, of int8
/// factors, of their sums, optionally `+ bias` [1, N] and `+ y`.
dnnl_status_t plan_matrix_product(
    dnnl_primitive_desc_t *made, const layout *x, const layout *weight, dnnl_data_type_t result,
    size_t M, size_t N, bool bias, bool accumulate);

/// The type of a product's factors in oneDNN's words.
static inline dnnl_data_type_t type_of(unroll_precision precision) {
  switch (precision) {
  case UNROLL_BF16: return dnnl_bf16;
  case UNROLL_INT8: return dnnl_s8;
  default: return dnnl_f32;
  }
}

/// A status in our own words.
static inline unroll_status status_of(dnnl_status_t status) {
  if (status == dnnl_success) return UNROLL_OK;
  if (status == dnnl_out_of_memory) return UNROLL_OUT_OF_MEMORY;
  return status == dnnl_unimplemented ? UNROLL_UNSUPPORTED : UNROLL_PRODUCT_FAILED;
}
