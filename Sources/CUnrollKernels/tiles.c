#include "tiles.h"

#include <stdatomic.h>
#include <string.h>

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
#define ROWS_OF_HALVES 4
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
    4, 4, portable_columns, false, portable_multiply_f32, portable_multiply_bf16, portable_multiply_int8};

// MARK: arm64

#if defined(__aarch64__)

// Thirty-two registers of four floats: 6 x 4 sums, 4 of the panel, and the numbers of rows.
#define SET(name) neon_##name
#define FOR_SET
#define LANES 4
#define VECTORS 4
#define ROWS 6
#define ROWS_OF_HALVES 6
#define HAS_FLOATS 1
#define ADD_PAIRS(sums, x, w) add_pairs(sums, x, w)
#include "tile.inc.h"

static const tile_kernels neon = {
    6, 6, neon_columns, false, neon_multiply_f32, neon_multiply_bf16, neon_multiply_int8};

#endif

// MARK: x86-64

#if defined(__x86_64__)

// Sixteen registers of eight floats: 6 x 2 sums, 2 of the panel, and one number of a row.
#define SET(name) avx2_##name
#define FOR_SET FOR_AVX2
#define LANES 8
#define VECTORS 2
#define ROWS 6
#define ROWS_OF_HALVES 5
#define HAS_FLOATS 1
#define ADD_PAIRS(sums, x, w) \
  ((sums) + (avx2_integers)_mm256_madd_epi16((__m256i)(x), (__m256i)(w)))
#include "tile.inc.h"

static const tile_kernels avx2 = {
    6, 5, avx2_columns, false, avx2_multiply_f32, avx2_multiply_bf16, avx2_multiply_int8};

// Thirty-two registers of sixteen floats: 14 x 2 sums, 2 of the panel; numbers of rows come from memory.
#define SET(name) avx512_##name
#define FOR_SET FOR_AVX512
#define LANES 16
#define VECTORS 2
#define ROWS 14
#define ROWS_OF_HALVES 12
#define HAS_FLOATS 1
#define ADD_PAIRS(sums, x, w) \
  ((sums) + (avx512_integers)_mm512_madd_epi16((__m512i)(x), (__m512i)(w)))
#include "tile.inc.h"

static const tile_kernels avx512 = {
    14, 12, avx512_columns, false, avx512_multiply_f32, avx512_multiply_bf16, avx512_multiply_int8};

// With VNNI the products of pairs are added by one instruction.
#define SET(name) vnni_##name
#define FOR_SET __attribute__((target("arch=x86-64-v4,avx512vnni")))
#define LANES 16
#define VECTORS 2
#define ROWS 14
#define ROWS_OF_HALVES 14
#define HAS_FLOATS 0
#define ADD_PAIRS(sums, x, w) \
  ((vnni_integers)_mm512_dpwssd_epi32((__m512i)(sums), (__m512i)(x), (__m512i)(w)))
#include "tile.inc.h"

static const tile_kernels avx512_with_vnni = {
    14, 12, avx512_columns, false, avx512_multiply_f32, avx512_multiply_bf16, vnni_multiply_int8};

// With AVX512_BF16 so are those of pairs of bfloat16: first the second product, then the first, each addition rounded
// and without subnormal numbers. All processors with it have VNNI.
#define SET(name) halves_##name
#define FOR_SET __attribute__((target("arch=x86-64-v4,avx512vnni,avx512bf16")))
#define LANES 16
#define VECTORS 2
#define ROWS 14
#define ROWS_OF_HALVES 14
#define HAS_FLOATS 1
#define ADD_PAIRS(sums, x, w) \
  ((halves_integers)_mm512_dpwssd_epi32((__m512i)(sums), (__m512i)(x), (__m512i)(w)))
#define ADD_HALVES(sums, x, w) \
  ((halves_floats)_mm512_dpbf16_ps((__m512)(sums), (__m512bh)(x), (__m512bh)(w)))
#include "tile.inc.h"

static const tile_kernels avx512_with_halves = {
    14, 14, halves_columns, true, halves_multiply_f32, halves_multiply_bf16, halves_multiply_int8};

/// Checks that the processor's instruction for pairs of bfloat16 gives the bits of fused multiply-adds; what its
/// manufacturer states of it leaves room.
static bool halves_are_as_defined(void) {
  enum { M = 3, PAIRS = 24, N = 16 * 2, REPEATS = 8 };
  uint32_t pairs[M * PAIRS], weights[PAIRS * N], state = 1;
  float widened[2 * M * PAIRS], found[M * N], expected[M * N];
  for (int repeat = 0; repeat < REPEATS; repeat++) {
    // The exponents of both numbers are from 2^-127, 2^-63 or 2^-31 up to 1, so that products, and so sums, end
    // beyond the smallest float, near it and far above it.
    static const uint32_t least[] = {0, 0x20002000, 0x30003000};
    for (int i = 0; i < M * PAIRS + PAIRS * N; i++) {
      state = state * 1664525 + 1013904223;
      const uint32_t signs_and_fractions = state >> 8 ^ state << 16;
      state = state * 1664525 + 1013904223;
      const uint32_t exponents = state >> 8 ^ state << 16;
      const uint32_t number = (signs_and_fractions & 0x807F807F) | (exponents & 0x3F803F80) | least[repeat % 3];
      if (i < M * PAIRS)
        pairs[i] = number;
      else
        weights[i - M * PAIRS] = number;
    }
    for (int i = 0; i < M * PAIRS; i++) {
      const uint32_t second = pairs[i] & 0xFFFF0000, first = pairs[i] << 16;
      memcpy(widened + i / M * 2 * M + i % M, &second, 4);
      memcpy(widened + i / M * 2 * M + M + i % M, &first, 4);
    }
    tile_product product = {
        .a = pairs, .M = M, .b = weights, .panel_stride = PAIRS * N, .N = N, .K = PAIRS, .y = found, .y_stride = N};
    const uint64_t mode = unroll_flush_subnormals();
    halves_multiply_bf16(&product);
    product.a = widened;
    product.y = expected;
    avx512_multiply_bf16(&product);
    unroll_restore_subnormals(mode);
    if (memcmp(found, expected, sizeof found) != 0) return false;
  }
  return true;
}

/// The kernels of AVX-512 and what the processor has beside it.
static const tile_kernels *best_of_avx512(void) {
  static atomic_int has_halves = -1;
  int known = atomic_load_explicit(&has_halves, memory_order_relaxed);
  if (known < 0) {
    known = unroll_processor_has_bf16() && halves_are_as_defined();
    atomic_store(&has_halves, known);
  }
  return known ? &avx512_with_halves : unroll_processor_has_vnni() ? &avx512_with_vnni : &avx512;
}

#endif

const tile_kernels *unroll_tile_kernels(unroll_instructions set) {
  switch (set) {
#if defined(__aarch64__)
  case UNROLL_NEON: return &neon;
#endif
#if defined(__x86_64__)
  case UNROLL_AVX2: return &avx2;
  case UNROLL_AVX512: return best_of_avx512();
#endif
  default: return &portable;
  }
}
