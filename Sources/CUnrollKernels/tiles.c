#include "tiles.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Each addition and multiplication rounds as it is written.
#pragma STDC FP_CONTRACT OFF

#define UNROLLED _Pragma("clang loop unroll(full)")
#define NOT_UNROLLED _Pragma("clang loop unroll(disable)")

/// The number of steps of k by which a panel is prefetched.
enum { STEPS_AHEAD = 8 };

/// The bytes of a line of the cache.
enum { LINE = 64 };

/// Stores the sums of a tile, [rows, width], at the edge, where y has fewer columns.
static void leave_floats(
    const tile_product *p, size_t row, size_t column, size_t rows, size_t width,
    const float *sums) {
  const size_t count = p->N - column < width ? p->N - column : width;
  for (size_t i = 0; i < rows; i++, sums += width) {
    float *y = (float *)p->y + (row + i) * p->y_stride + column;
    for (size_t j = 0; j < count; j++) {
      const float sum = p->bias ? sums[j] + p->bias[column + j] : sums[j];
      y[j] = p->accumulate ? y[j] + sum : sum;
    }
  }
}

/// Stores the sums of a tile of int8.
static void leave_integers(
    const tile_product *p, size_t row, size_t column, size_t rows, size_t width,
    const int32_t *sums) {
  const size_t count = p->N - column < width ? p->N - column : width;
  for (size_t i = 0; i < rows; i++, sums += width)
    memcpy((int32_t *)p->y + (row + i) * p->y_stride + column, sums, count * sizeof *sums);
}

// MARK: Any processor

#define SET(name) portable_##name
#define FOR_SET
#define LANES 4
#define VECTORS 2
#define ROWS 4
#define HAS_FLOATS 1
#if defined(__x86_64__)
#define ADD_PAIRS(sums, x, w) \
  ((sums) + (portable_integers)_mm_madd_epi16((__m128i)(x), (__m128i)(w)))
#else
#define ADD_PAIRS(sums, x, w) add_pairs(sums, x, w)

typedef int32_t four_integers __attribute__((ext_vector_type(4)));
typedef int16_t four_pairs __attribute__((ext_vector_type(8)));

INLINED four_integers add_pairs(four_integers sums, four_pairs x, four_pairs w) {
  four_integers first = __builtin_convertvector(x.even, four_integers)
      * __builtin_convertvector(w.even, four_integers);
  four_integers second =
      __builtin_convertvector(x.odd, four_integers) * __builtin_convertvector(w.odd, four_integers);
  return sums + first + second;
}
#endif
#include "tile.inc.h"

static const tile_kernels portable = {
    4, portable_columns, portable_multiply_f32, portable_multiply_bf16, portable_multiply_int8};

// MARK: arm64

#if defined(__aarch64__)

// Thirty-two registers of four floats: 6 x 4 sums, 4 of the panel, and the numbers of rows.
#define SET(name) neon_##name
#define FOR_SET
#define LANES 4
#define VECTORS 4
#define ROWS 6
#define HAS_FLOATS 1
#define ADD_PAIRS(sums, x, w) add_pairs(sums, x, w)
#include "tile.inc.h"

static const tile_kernels neon = {
    6, neon_columns, neon_multiply_f32, neon_multiply_bf16, neon_multiply_int8};

#endif

// MARK: x86-64

#if defined(__x86_64__)

// Sixteen registers of eight floats: 6 x 2 sums, 2 of the panel, and one number of a row.
#define SET(name) avx2_##name
#define FOR_SET FOR_AVX2
#define LANES 8
#define VECTORS 2
#define ROWS 6
#define HAS_FLOATS 1
#define ADD_PAIRS(sums, x, w) \
  ((sums) + (avx2_integers)_mm256_madd_epi16((__m256i)(x), (__m256i)(w)))
#include "tile.inc.h"

static const tile_kernels avx2 = {
    6, avx2_columns, avx2_multiply_f32, avx2_multiply_bf16, avx2_multiply_int8};

// Thirty-two registers of sixteen floats: 14 x 2 sums, 2 of the panel; numbers of rows come from memory.
#define SET(name) avx512_##name
#define FOR_SET FOR_AVX512
#define LANES 16
#define VECTORS 2
#define ROWS 14
#define HAS_FLOATS 1
#define ADD_PAIRS(sums, x, w) \
  ((sums) + (avx512_integers)_mm512_madd_epi16((__m512i)(x), (__m512i)(w)))
#include "tile.inc.h"

static const tile_kernels avx512 = {
    14, avx512_columns, avx512_multiply_f32, avx512_multiply_bf16, avx512_multiply_int8};

// With VNNI the products of pairs are added by one instruction.
#define SET(name) vnni_##name
#define FOR_SET __attribute__((target("arch=x86-64-v4,avx512vnni")))
#define LANES 16
#define VECTORS 2
#define ROWS 14
#define HAS_FLOATS 0
#define ADD_PAIRS(sums, x, w) \
  ((vnni_integers)_mm512_dpwssd_epi32((__m512i)(sums), (__m512i)(x), (__m512i)(w)))
#include "tile.inc.h"

static const tile_kernels avx512_with_vnni = {
    14, avx512_columns, avx512_multiply_f32, avx512_multiply_bf16, vnni_multiply_int8};

#endif

const tile_kernels *unroll_tile_kernels(unroll_instructions set) {
  switch (set) {
#if defined(__aarch64__)
  case UNROLL_NEON: return &neon;
#endif
#if defined(__x86_64__)
  case UNROLL_AVX2: return &avx2;
  case UNROLL_AVX512: return unroll_processor_has_vnni() ? &avx512_with_vnni : &avx512;
#endif
  default: return &portable;
  }
}
