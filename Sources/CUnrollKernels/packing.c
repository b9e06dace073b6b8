#include "packing.h"

#include <stdatomic.h>
#include <string.h>

#include "elementary.h"
#include "memory.h"
#include "threads.h"

typedef float four_floats __attribute__((ext_vector_type(4)));
typedef four_floats stored_four __attribute__((aligned(4)));
typedef four_floats four_pairs __attribute__((aligned(2)));
typedef uint32_t four_words __attribute__((ext_vector_type(4)));
typedef uint16_t four_halves __attribute__((ext_vector_type(4), aligned(2)));

/// Stores four words of a packed row; if they are pairs to be widened, as two rows of floats, the second numbers first.
INLINED void store_words(four_floats words, float *to, size_t width, const bool widens) {
  if (!widens) {
    *(stored_four *)to = words;
    return;
  }
  const four_words pairs = (four_words)words;
  *(stored_four *)to = (four_floats)(pairs & 0xFFFF0000);
  *(stored_four *)(to + width) = (four_floats)(pairs << 16);
}

/// Packs rows of floats, or of pairs of bfloat16, side by side: `packed[k * width + i]` is word k of row i; rows are
/// `stride` bytes apart. Squares of 4 x 4 words are transposed in registers; the last squares of both directions
/// overlap those before. Each word becomes two floats if `widens`.
INLINED void interleave_words(
    const char *x, size_t stride, size_t rows, size_t K, float *packed, size_t width, const bool widens) {
  const size_t line = widens ? 2 * width : width;
  if (rows < 4 || K < 4) {
    for (size_t i = 0; i < rows; i++)
      for (size_t k = 0; k < K; k++) {
        uint32_t word;
        memcpy(&word, x + i * stride + k * 4, 4);
        packed[k * line + i] = float_of_bits(widens ? word & 0xFFFF0000 : word);
        if (widens) packed[k * line + width + i] = float_of_bits(word << 16);
      }
    return;
  }
  for (size_t row = 0; row < rows; row += 4) {
    const size_t i = row + 4 <= rows ? row : rows - 4;
    const char *from = x + i * stride;
    for (size_t step = 0; step < K; step += 4) {
      const size_t k = step + 4 <= K ? step : K - 4;
      const four_floats a = *(const four_pairs *)(const void *)(from + 4 * k);
      const four_floats b = *(const four_pairs *)(const void *)(from + stride + 4 * k);
      const four_floats c = *(const four_pairs *)(const void *)(from + 2 * stride + 4 * k);
      const four_floats d = *(const four_pairs *)(const void *)(from + 3 * stride + 4 * k);
      const four_floats ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      const four_floats cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
      const four_floats ab_end = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const four_floats cd_end = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      float *to = packed + k * line + i;
      store_words(__builtin_shufflevector(ab, cd, 0, 1, 4, 5), to, width, widens);
      store_words(__builtin_shufflevector(ab, cd, 2, 3, 6, 7), to + line, width, widens);
      store_words(__builtin_shufflevector(ab_end, cd_end, 0, 1, 4, 5), to + 2 * line, width, widens);
      store_words(__builtin_shufflevector(ab_end, cd_end, 2, 3, 6, 7), to + 3 * line, width, widens);
    }
  }
}

/// Returns the float that a bfloat16 stands for: its upper half.
INLINED float float_of_half(uint16_t half) { return float_of_bits((uint32_t)half << 16); }

/// The rows by which those of a transposed matrix are fetched: each lies in another page, which the processor does
/// not foresee.
enum { ROWS_AHEAD = 16 };

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
  const float *from = (const float *)x->numbers + row * across + first * along;
  if (!x->transposed) return interleave_words((const char *)from, across * sizeof *from, rows, K, packed, width, false);
  for (size_t k = 0; k < K; k++, from += along) {
    __builtin_prefetch(from + ROWS_AHEAD * along);
    __builtin_prefetch(from + ROWS_AHEAD * along + rows - 1);
    copy_few(from, packed + k * width, rows);
  }
}

void unroll_pack_halves(
    const matrix *x, size_t row, size_t rows, size_t first, size_t pairs, size_t K, uint32_t *packed, size_t width) {
  const size_t across = x->transposed ? 1 : x->stride, along = x->transposed ? x->stride : 1;
  const uint16_t *from = (const uint16_t *)x->numbers + row * across + 2 * first * along;
  // The pairs that have both numbers.
  const size_t whole = 2 * (first + pairs) <= K ? pairs : pairs - 1;
  if (!x->transposed) {
    interleave_words(
        (const char *)from, across * sizeof *from, rows, whole, (float *)(void *)packed, width, false);
  } else {
    for (size_t p = 0; p < whole; p++) {
      const uint16_t *one = from + 2 * p * along, *other = one + along;
      __builtin_prefetch(one + ROWS_AHEAD * along);
      __builtin_prefetch(other + ROWS_AHEAD * along);
      for (size_t i = 0; i < rows; i++) packed[p * width + i] = one[i] | (uint32_t)other[i] << 16;
    }
  }
  if (whole < pairs)
    for (size_t i = 0; i < rows; i++)
      packed[whole * width + i] = from[i * across + 2 * whole * along];
}

/// Widens a few bfloat16 that stand side by side.
INLINED void widen_few(const uint16_t *from, float *to, size_t count) {
  if (count < 4) {
    for (size_t i = 0; i < count; i++) to[i] = float_of_half(from[i]);
    return;
  }
  for (size_t step = 0; step < count; step += 4) {
    const size_t i = step + 4 <= count ? step : count - 4;
    const four_words halves = __builtin_convertvector(*(const four_halves *)(from + i), four_words);
    *(stored_four *)(to + i) = (four_floats)(halves << 16);
  }
}

void unroll_widen_halves(
    const matrix *x, size_t row, size_t rows, size_t first, size_t pairs, size_t K, float *packed, size_t width) {
  const size_t across = x->transposed ? 1 : x->stride, along = x->transposed ? x->stride : 1;
  const uint16_t *from = (const uint16_t *)x->numbers + row * across + 2 * first * along;
  // The pairs that have both numbers.
  const size_t whole = 2 * (first + pairs) <= K ? pairs : pairs - 1;
  if (!x->transposed) {
    interleave_words((const char *)from, across * sizeof *from, rows, whole, packed, width, true);
  } else {
    for (size_t p = 0; p < whole; p++) {
      const uint16_t *one = from + 2 * p * along, *other = one + along;
      __builtin_prefetch(one + ROWS_AHEAD * along);
      __builtin_prefetch(other + ROWS_AHEAD * along);
      widen_few(other, packed + 2 * p * width, rows);
      widen_few(one, packed + (2 * p + 1) * width, rows);
    }
  }
  if (whole < pairs) {
    float *to = packed + 2 * whole * width;
    for (size_t i = 0; i < rows; i++) {
      to[i] = 0;
      to[width + i] = float_of_half(from[i * across + 2 * whole * along]);
    }
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

/// Packs one panel in pairs of bfloat16.
static bool pack_bf16_panel(const packing *p, size_t row, size_t rows, size_t panel) {
  const size_t columns = p->kernels->columns, pairs = length_of(UNROLL_BF16, p->K);
  uint32_t *packed = (uint32_t *)p->packed + panel * pairs * columns;
  if (p->from.precision == UNROLL_BF16) {
    if (rows < columns) memset(packed, 0, pairs * columns * sizeof *packed);
    unroll_pack_halves(&p->from, row, rows, 0, pairs, p->K, packed, columns);
    return true;
  }
  float *floats = unroll_thread_scratch(OF_ROWS, p->K * columns * sizeof *floats);
  if (!floats) return false;
  if (rows < columns) memset(floats, 0, p->K * columns * sizeof *floats);
  unroll_pack_rows(&p->from, row, rows, 0, p->K, floats, columns);
  unroll_round_pairs(floats, packed, p->K, columns);
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
