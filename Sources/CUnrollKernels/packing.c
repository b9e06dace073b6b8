#include "packing.h"

#include <stdatomic.h>
#include <string.h>

#include "elementary.h"
#include "memory.h"
#include "threads.h"

typedef float four_floats __attribute__((ext_vector_type(4)));
typedef four_floats stored_four __attribute__((aligned(4)));

/// Packs rows of floats side by side: `packed[k * width + i] = x[i * stride + k]`. Squares of 4 x 4 numbers are
/// transposed in registers; the last squares of both directions overlap those before.
static void interleave_floats(
    const float *x, size_t stride, size_t rows, size_t K, float *packed, size_t width) {
  if (rows < 4 || K < 4) {
    for (size_t i = 0; i < rows; i++)
      for (size_t k = 0; k < K; k++) packed[k * width + i] = x[i * stride + k];
    return;
  }
  for (size_t row = 0; row < rows; row += 4) {
    const size_t i = row + 4 <= rows ? row : rows - 4;
    const float *from = x + i * stride;
    for (size_t step = 0; step < K; step += 4) {
      const size_t k = step + 4 <= K ? step : K - 4;
      const four_floats a = *(const stored_four *)(from + k);
      const four_floats b = *(const stored_four *)(from + stride + k);
      const four_floats c = *(const stored_four *)(from + 2 * stride + k);
      const four_floats d = *(const stored_four *)(from + 3 * stride + k);
      const four_floats ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      const four_floats cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
      const four_floats ab_end = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const four_floats cd_end = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      float *to = packed + k * width + i;
      *(stored_four *)to = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
      *(stored_four *)(to + width) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
      *(stored_four *)(to + 2 * width) = __builtin_shufflevector(ab_end, cd_end, 0, 1, 4, 5);
      *(stored_four *)(to + 3 * width) = __builtin_shufflevector(ab_end, cd_end, 2, 3, 6, 7);
    }
  }
}

/// Returns the float that a bfloat16 stands for: its upper half.
INLINED float float_of_half(uint16_t half) { return float_of_bits((uint32_t)half << 16); }

/// Copies a few floats that stand side by side.
INLINED void copy_few(const float *from, float *to, size_t count) {
  if (count < 4) {
    for (size_t i = 0; i < count; i++) to[i] = from[i];
    return;
  }
  for (size_t i = 0; i + 4 < count; i += 4) *(stored_four *)(to + i) = *(const stored_four *)(from + i);
  *(stored_four *)(to + count - 4) = *(const stored_four *)(from + count - 4);
}

void unroll_pack_rows(
    const matrix *x, size_t row, size_t rows, size_t first, size_t K, float *packed, size_t width) {
  const size_t across = x->transposed ? 1 : x->stride, along = x->transposed ? x->stride : 1;
  const size_t start = row * across + first * along;
  if (x->precision == UNROLL_BF16) {
    const uint16_t *from = (const uint16_t *)x->numbers + start;
    for (size_t k = 0; k < K; k++)
      for (size_t i = 0; i < rows; i++)
        packed[k * width + i] = float_of_half(from[i * across + k * along]);
    return;
  }
  const float *from = (const float *)x->numbers + start;
  if (!x->transposed) return interleave_floats(from, across, rows, K, packed, width);
  // Each row of a transposed matrix lies in another page, which the processor does not foresee.
  enum { ROWS_AHEAD = 16 };
  for (size_t k = 0; k < K; k++, from += along) {
    __builtin_prefetch(from + ROWS_AHEAD * along);
    __builtin_prefetch(from + ROWS_AHEAD * along + rows - 1);
    copy_few(from, packed + k * width, rows);
  }
}

void unroll_pack_pairs(const int8_t *x, size_t stride, size_t rows, size_t K, int32_t *packed) {
  for (size_t i = 0; i < rows; i++, x += stride)
    for (size_t k = 0; k < K; k += 2) {
      const int16_t pair[2] = {x[k], k + 1 < K ? x[k + 1] : 0};
      memcpy(&packed[k / 2 * rows + i], pair, sizeof pair);
    }
}

/// The arguments of `pack_some`.
typedef struct {
  const packing *all;
  atomic_bool is_out_of_memory;
} pack_arguments;

/// Packs one panel in int8: the rows of a weight with a scale each.
static bool pack_int8_panel(const packing *p, size_t row, size_t rows, size_t panel) {
  const size_t K = p->K, columns = p->kernels->columns, pairs = length_of(UNROLL_INT8, K);
  int8_t *packed = (int8_t *)p->packed + panel * pairs * columns * 2;
  int8_t *rounded = unroll_thread_scratch(OF_ROWS, K);
  if (!rounded) return false;
  memset(packed, 0, pairs * columns * 2);
  for (size_t i = 0; i < rows; i++) {
    const float *from = (const float *)p->from.numbers + (row + i) * p->from.stride;
    unroll_round_to_int8(from, rounded, p->scales + row + i, 1, K);
    for (size_t k = 0; k < K; k++) packed[(k / 2 * columns + i) * 2 + k % 2] = rounded[k];
  }
  return true;
}

/// Packs one panel in bfloat16.
static bool pack_bf16_panel(const packing *p, size_t row, size_t rows, size_t panel) {
  const size_t columns = p->kernels->columns, count = p->K * columns;
  float *floats = unroll_thread_scratch(OF_ROWS, count * sizeof *floats);
  if (!floats) return false;
  if (rows < columns) memset(floats, 0, count * sizeof *floats);
  unroll_pack_rows(&p->from, row, rows, 0, p->K, floats, columns);
  unroll_round_to_bf16(floats, (uint16_t *)p->packed + panel * count, count);
  return true;
}

/// Packs one panel; false if memory is short.
static bool pack_panel(const packing *p, size_t panel) {
  const size_t columns = p->kernels->columns, row = panel * columns;
  const size_t rows = p->N - row < columns ? p->N - row : columns;
  if (p->precision == UNROLL_INT8) return pack_int8_panel(p, row, rows, panel);
  if (p->precision == UNROLL_BF16) return pack_bf16_panel(p, row, rows, panel);
  float *packed = (float *)p->packed + panel * p->K * columns;
  if (rows < columns) memset(packed, 0, p->K * columns * sizeof *packed);
  unroll_pack_rows(&p->from, row, rows, 0, p->K, packed, columns);
  return true;
}

static void pack_some(void *context, size_t begin, size_t end) {
  pack_arguments *a = context;
  for (size_t panel = begin; panel < end; panel++)
    if (!pack_panel(a->all, panel)) atomic_store(&a->is_out_of_memory, true);
}

unroll_status unroll_pack_panels(const packing *p) {
  pack_arguments arguments = {.all = p};
  atomic_init(&arguments.is_out_of_memory, false);
  unroll_for_rows(part_count(p->N, p->kernels->columns), p->N * p->K, pack_some, &arguments);
  return atomic_load(&arguments.is_out_of_memory) ? UNROLL_OUT_OF_MEMORY : UNROLL_OK;
}
