// Weights that are packed once and multiplied often.
#include <stdlib.h>
#include <string.h>

#include "elementary.h"
#include "memory.h"
#include "products.h"
#include "threads.h"

/// A weight, cut along N into the panels of its users, here called pieces, and each piece into panels of tiles.
struct unroll_packed_weight {
  const tile_kernels *kernels;
  unroll_precision precision;
  size_t N, K, piece_width;
  bool accumulate;
  /// [N], or NULL.
  float *bias;
  /// [N], the scales of the rows in int8, or NULL.
  float *scales;
  char *memory;
};

/// Returns the number of elements of a panel.
static size_t panel_stride(const unroll_packed_weight *w) {
  return length_of(w->precision, w->K) * w->kernels->columns;
}

/// Returns the number of columns of y that a piece computes.
static size_t width_of(const unroll_packed_weight *w, size_t index) {
  const size_t left = w->N - index * w->piece_width;
  return left < w->piece_width ? left : w->piece_width;
}

/// Returns the number of bytes before a piece.
static size_t piece_offset(const unroll_packed_weight *w, size_t index) {
  const size_t panels = part_count(w->piece_width, w->kernels->columns);
  return index * panels * panel_stride(w) * size_of(w->precision);
}

static size_t piece_count(const unroll_packed_weight *w) { return part_count(w->N, w->piece_width); }

unroll_status unroll_packed_weight_create(
    size_t N, size_t K, bool bias, size_t panel, bool accumulate, unroll_precision precision,
    unroll_packed_weight **packed) {
  const unroll_status status = unroll_check_instructions();
  if (status != UNROLL_OK) return status;
  if (N == 0 || K == 0 || panel == 0) return UNROLL_PRODUCT_FAILED;
  unroll_packed_weight *w = calloc(1, sizeof *w);
  if (!w) return UNROLL_OUT_OF_MEMORY;
  w->kernels = unroll_tile_kernels(unroll_current_instructions());
  w->precision = precision;
  w->N = N;
  w->K = K;
  w->piece_width = panel < N ? panel : N;
  w->accumulate = accumulate;
  const size_t last = piece_count(w) - 1;
  const size_t last_panels = part_count(width_of(w, last), w->kernels->columns);
  // The multiplications cannot overflow: the weight itself is in memory.
  const size_t size = piece_offset(w, last) + last_panels * panel_stride(w) * size_of(precision);
  w->memory = unroll_take_memory(size);
  if (bias) w->bias = calloc(N, sizeof *w->bias);
  if (precision == UNROLL_INT8) w->scales = calloc(N, sizeof *w->scales);
  if (!w->memory || (bias && !w->bias) || (precision == UNROLL_INT8 && !w->scales)) {
    unroll_packed_weight_destroy(w);
    return UNROLL_OUT_OF_MEMORY;
  }
  *packed = w;
  return UNROLL_OK;
}

void unroll_packed_weight_destroy(unroll_packed_weight *w) {
  if (!w) return;
  free(w->memory);
  free(w->bias);
  free(w->scales);
  free(w);
}

/// Packs one piece of a weight.
static unroll_status pack_piece(unroll_packed_weight *w, size_t index, matrix from) {
  packing arguments = {
      .kernels = w->kernels,
      .precision = w->precision,
      .from = from,
      .N = width_of(w, index),
      .K = w->K,
      .packed = w->memory + piece_offset(w, index),
      .scales = w->scales ? w->scales + index * w->piece_width : NULL,
  };
  return unroll_pack_panels(&arguments);
}

unroll_status unroll_pack_panel(
    unroll_packed_weight *w, size_t index, const float *rows, const float *bias) {
  if (index >= piece_count(w)) return UNROLL_PRODUCT_FAILED;
  if (w->bias)
    memcpy(w->bias + index * w->piece_width, bias, width_of(w, index) * sizeof *bias);
  return pack_piece(w, index, (matrix){rows, w->K, false, UNROLL_F32});
}

unroll_status unroll_pack_columns(unroll_packed_weight *w, const float *columns) {
  if (piece_count(w) != 1 || w->bias || w->precision == UNROLL_INT8) return UNROLL_PRODUCT_FAILED;
  return pack_piece(w, 0, (matrix){columns, w->N, true, UNROLL_F32});
}

/// The arguments of `scale_sums`.
typedef struct {
  const int32_t *sums;
  const float *row_scales, *column_scales, *bias;
  float *y;
  size_t N;
  bool accumulate;
} sums_arguments;

/// One row of `scale_sums`; what is constant where this is inlined decides nothing in the loop.
INLINED void scale_row(const sums_arguments *a, size_t m, bool has_bias, bool accumulate) {
  const int32_t *sums = a->sums + m * a->N;
  const float *column_scales = a->column_scales, *bias = a->bias;
  float *y = a->y + m * a->N, scale = a->row_scales[m];
  size_t N = a->N;
#pragma clang loop vectorize(assume_safety)
  for (size_t n = 0; n < N; n++) {
    float number = (float)sums[n] * (scale * column_scales[n]);
    if (has_bias) number += bias[n];
    y[n] = accumulate ? y[n] + number : number;
  }
}

/// Converts int8 sums to floats: `y = scales sum + bias`, or `y += ...`; y may share the memory of the sums.
INLINED void scale_sums_body(void *context, size_t begin, size_t end) {
  const sums_arguments *a = context;
  for (size_t m = begin; m < end; m++) {
    if (a->bias && a->accumulate)
      scale_row(a, m, true, true);
    else if (a->bias)
      scale_row(a, m, true, false);
    else if (a->accumulate)
      scale_row(a, m, false, true);
    else
      scale_row(a, m, false, false);
  }
}

COMPILED_FOR_EACH(
    static, void, scale_sums, (void *context, size_t begin, size_t end), (context, begin, end))

/// Multiplies by a piece in int8: exact integer sums first, which are then scaled.
static unroll_status multiply_int8(
    const unroll_packed_weight *w, size_t index, product *p, const float *scales, float *y) {
  int32_t *sums = w->accumulate ? malloc(p->M * p->N * sizeof *sums) : (int32_t *)(void *)y;
  if (!sums) return UNROLL_OUT_OF_MEMORY;
  p->y = sums;
  p->bias = NULL;
  p->accumulate = false;
  const unroll_status status = unroll_multiply_panels(p);
  const size_t first = index * w->piece_width;
  sums_arguments made = {
      sums, scales, w->scales + first, w->bias ? w->bias + first : NULL, y, p->N, w->accumulate};
  if (status == UNROLL_OK) unroll_for_rows(p->M, p->M * p->N, scale_sums, &made);
  if (w->accumulate) free(sums);
  return status;
}

unroll_status unroll_product(
    const unroll_packed_weight *w, size_t index, const void *x, const float *scales, float *y,
    size_t M) {
  if (index >= piece_count(w)) return UNROLL_PRODUCT_FAILED;
  if (M == 0) return UNROLL_OK;
  product p = {
      .a = {x, w->K, false, w->precision},
      .b = {w->kernels, w->precision, w->memory + piece_offset(w, index), panel_stride(w)},
      .M = M,
      .N = width_of(w, index),
      .K = w->K,
      .bias = w->bias ? w->bias + index * w->piece_width : NULL,
      .y = y,
      .y_stride = width_of(w, index),
      .accumulate = w->accumulate,
  };
  return w->precision == UNROLL_INT8 ? multiply_int8(w, index, &p, scales, y) : unroll_multiply_panels(&p);
}

