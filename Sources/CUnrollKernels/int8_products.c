// Exact sums of int8 products for processors on which oneDNN's are not exact.
//
// Without the instructions of VNNI, oneDNN adds pairs of products in 16 bits, which saturate: on AVX2 its sums are
// wrong by up to a third. Here each product is widened to 32 bits before it is added, so the sums are those
// of VNNI, bit for bit, for any K below 2^17.
#include "int8_products.h"

#include "elementary.h"
#include "threads.h"

bool unroll_onednn_int8_is_exact(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512vnni");
#else
  return true;
#endif
}

/// The arguments of `sum_columns`.
typedef struct {
  // [M, K] and [N, K].
  const int8_t *x, *weight;
  // [M, N]
  int32_t *sums;
  size_t M, N, K;
} int8_arguments;

/// Sums for some columns: each row of the weight is read once for all rows of x.
MULTIVERSIONED static void sum_columns(void *context, size_t begin, size_t end) {
  const int8_arguments *a = context;
  size_t K = a->K;
  for (size_t n = begin; n < end; n++) {
    const int8_t *restrict row = a->weight + n * K;
    for (size_t m = 0; m < a->M; m++) {
      const int8_t *restrict x = a->x + m * K;
      int32_t sum = 0;
      for (size_t k = 0; k < K; k++) sum += (int32_t)((int16_t)x[k] * (int16_t)row[k]);
      a->sums[m * a->N + n] = sum;
    }
  }
}

void unroll_int8_sums(
    const int8_t *x, const int8_t *weight, int32_t *sums, size_t M, size_t N, size_t K) {
  int8_arguments arguments = {x, weight, sums, M, N, K};
  unroll_for_rows(N, M * N * K, sum_columns, &arguments);
}
