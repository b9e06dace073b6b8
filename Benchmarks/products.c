// The rates of matrix products; called by Benchmarks/products.py.
//
// usage: products THREADS KIND PRECISION M N K     KIND: packed, ABt (b [N, K]), AtB (a [K, M]) or AB
//
// For each line on standard input it multiplies for half a second and prints the median of the seconds of a product.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "UnrollKernels.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int in_order(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/// Small numbers that differ.
static float *numbers(size_t count) {
  float *made = malloc(count * sizeof *made);
  if (!made) exit(2);
  for (size_t i = 0; i < count; i++) made[i] = (float)(i * 2654435761u % 1000) / 1000 - 0.5f;
  return made;
}

int main(int argc, char **argv) {
  enum { MOST = 100000 };
  if (argc != 7) return 2;
  unroll_set_threads(atoi(argv[1]));
  const char *kind = argv[2];
  const unroll_precision precision = strcmp(argv[3], "int8") == 0 ? UNROLL_INT8
                                     : strcmp(argv[3], "bf16") == 0 ? UNROLL_BF16
                                                                     : UNROLL_F32;
  const size_t M = strtoul(argv[4], NULL, 10), N = strtoul(argv[5], NULL, 10), K = strtoul(argv[6], NULL, 10);
  float *a = numbers(M * K), *b = numbers(N * K), *c = numbers(M * N), *scales = numbers(M);
  int8_t *whole = malloc(M * K);
  uint16_t *halves = malloc(M * K * sizeof *halves);
  static double times[MOST];
  if (!whole || !halves) return 2;
  unroll_round_to_bf16(a, halves, M * K);
  unroll_round_to_int8(a, whole, scales, M, K);
  const void *x = precision == UNROLL_F32 ? (void *)a : precision == UNROLL_BF16 ? (void *)halves : whole;
  unroll_packed_weight *weight = NULL;
  if (strcmp(kind, "packed") == 0
      && (unroll_packed_weight_create(N, K, false, N, false, precision, &weight) != UNROLL_OK
          || unroll_pack_panel(weight, 0, b, NULL) != UNROLL_OK))
    return 2;
  while (getchar() != EOF) {
    size_t count = 0;
    for (double start = now(); now() < start + 0.5 && count < MOST;) {
      const double before = now();
      const unroll_status status =
          weight ? unroll_product(weight, 0, x, scales, c, M)
                 : unroll_multiply(
                     UNROLL_F32, (unroll_operand){a, strcmp(kind, "AtB") == 0},
                     (unroll_operand){b, strcmp(kind, "ABt") == 0}, NULL, c, false, M, N, K);
      if (status != UNROLL_OK) return 2;
      times[count++] = now() - before;
    }
    qsort(times, count, sizeof *times, in_order);
    printf("%.9f\n", times[count / 2]);
    fflush(stdout);
  }
}
