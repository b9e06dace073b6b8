#include "elementary.h"

#include "UnrollKernels.h"

INLINED void unroll_exp_body(float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = exp_float(x[i]);
}

COMPILED_FOR_EACH(, void, unroll_exp, (float *x, size_t n), (x, n))

INLINED void unroll_tanh_body(float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = tanh_float(x[i]);
}

COMPILED_FOR_EACH(, void, unroll_tanh, (float *x, size_t n), (x, n))

INLINED void unroll_sigmoid_body(float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = sigmoid_float(x[i]);
}

COMPILED_FOR_EACH(, void, unroll_sigmoid, (float *x, size_t n), (x, n))
