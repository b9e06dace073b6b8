#include "elementary.h"

#include "UnrollKernels.h"

MULTIVERSIONED void unroll_exp(float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = exp_float(x[i]);
}

MULTIVERSIONED void unroll_tanh(float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = tanh_float(x[i]);
}

MULTIVERSIONED void unroll_sigmoid(float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = sigmoid_float(x[i]);
}
