// The largest errors of exp, tanh and the logistic function over all floats, by the size of x, as a Markdown table.
//
// usage: accuracy [STRIDE]     each STRIDE-th float; all 2^32 unless told, which takes some minutes
// The reference is the system's library in double precision, whose own error is below 1e-8 of a float's unit.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "UnrollKernels.h"

static double logistic(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }

/// The error of y in units of the last place that a float of the exact value has.
static double error(float y, double exact) {
  float rounded = (float)exact;
  if (rounded == y) return 0;
  if (isinf(rounded) || isinf(y) || isnan(y)) return INFINITY;
  float magnitude = fabsf(rounded);
  return fabs((double)y - exact) / ((double)nextafterf(magnitude, INFINITY) - (double)magnitude);
}

int main(int count, char **arguments) {
  enum { BLOCK = 1 << 16, RANGES = 7 };
  static const float bounds[RANGES] = {0x1p-24f, 0x1p-12f, 0x1p-4f, 1, 8, 104, INFINITY};
  static const char *names[RANGES] = {"below 2^-24", "to 2^-12", "to 2^-4", "to 1", "to 8", "to 104", "above"};
  static struct {
    const char *name;
    void (*own)(float *, size_t);
    double (*exact)(double);
    double largest[RANGES];
  } functions[] = {{"exp", unroll_exp, exp, {0}}, {"tanh", unroll_tanh, tanh, {0}}, {"logistic", unroll_sigmoid, logistic, {0}}};
  uint64_t stride = count > 1 ? strtoull(arguments[1], NULL, 10) : 1;
  if (stride == 0) return 2;
  float x[BLOCK], y[BLOCK];
  for (uint64_t bits = 0; bits < (uint64_t)1 << 32;) {
    size_t n = 0;
    for (; n < BLOCK && bits < (uint64_t)1 << 32; n++, bits += stride) {
      uint32_t pattern = (uint32_t)bits;
      memcpy(&x[n], &pattern, sizeof pattern);
    }
    for (size_t f = 0; f < 3; f++) {
      memcpy(y, x, sizeof x);
      functions[f].own(y, n);
      for (size_t i = 0; i < n; i++) {
        if (isnan(x[i])) continue;
        double found = error(y[i], functions[f].exact(x[i]));
        int range = 0;
        while (range < RANGES - 1 && fabsf(x[i]) >= bounds[range]) range++;
        if (found > functions[f].largest[range]) functions[f].largest[range] = found;
      }
    }
  }
  printf("| function |");
  for (int range = 0; range < RANGES; range++) printf(" %s |", names[range]);
  printf("\n|---|---|---|---|---|---|---|---|\n");
  for (size_t f = 0; f < 3; f++) {
    printf("| %s |", functions[f].name);
    for (int range = 0; range < RANGES; range++) printf(" %.3f |", functions[f].largest[range]);
    printf("\n");
  }
}
