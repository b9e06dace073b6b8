// One step of each optimizer, in one pass over parameters, gradients and optimizer state.

#include "UnrollKernels.h"
#include "elementary.h"
#include "threads.h"

#include <math.h>

enum { PARTS = 64, BLOCK = 1024 };

// A block of parameters with their gradients and optimizer state.
typedef struct {
  float *restrict p;
  const float *restrict g;
  float *restrict s[UNROLL_OPTIMIZER_SLOTS];
  size_t n;
} block;

// The gradient as the optimizer sees it: scaled, clipped by value, and with L2 weight decay.
#define GRADIENT(i) (bounded(u.scale * g[i], u.limit) + u.weight_decay * p[i])

// NaN stays NaN.
INLINED float bounded(float x, float limit) {
  x = x < -limit ? -limit : x;
  return x > limit ? limit : x;
}

// The common beginning of all optimizers. Restrict-qualified locals let the loops be vectorised.
#define BEGIN                                          \
  float *restrict p = b.p;                             \
  const float *restrict g = b.g;                       \
  const size_t n = b.n;                                \
  if (u.shrink != 1)                                   \
    for (size_t i = 0; i < n; i++) p[i] *= u.shrink;

INLINED void sgd_body(block b, unroll_update u) {
  BEGIN
  float *restrict v = b.s[0];
  if (!v) {
    for (size_t i = 0; i < n; i++) p[i] -= u.rate * GRADIENT(i);
    return;
  }
  for (size_t i = 0; i < n; i++) {
    const float x = GRADIENT(i);
    v[i] = u.decay1 * v[i] + u.gain1 * x;
    p[i] -= u.rate * (u.gradient_share * x + u.buffer_share * v[i]);
  }
}

COMPILED_FOR_EACH(static, void, sgd, (block b, unroll_update u), (b, u))

INLINED void adam_body(block b, unroll_update u) {
  BEGIN
  float *restrict m = b.s[0], *restrict v = b.s[1], *restrict largest = b.s[2];
  if (largest) {
    for (size_t i = 0; i < n; i++) {
      const float x = GRADIENT(i);
      m[i] = u.decay1 * m[i] + u.gain1 * x;
      v[i] = u.decay2 * v[i] + u.gain2 * x * x;
      largest[i] = fmaxf(largest[i], v[i]);
      p[i] -= u.rate * m[i] / (sqrtf(largest[i]) * u.correction + u.outside);
    }
    return;
  }
  for (size_t i = 0; i < n; i++) {
    const float x = GRADIENT(i);
    m[i] = u.decay1 * m[i] + u.gain1 * x;
    v[i] = u.decay2 * v[i] + u.gain2 * x * x;
    p[i] -= u.rate * m[i] / (sqrtf(v[i]) * u.correction + u.outside);
  }
}

COMPILED_FOR_EACH(static, void, adam, (block b, unroll_update u), (b, u))

INLINED void rmsprop_body(block b, unroll_update u) {
  BEGIN
  float *restrict v = b.s[0], *restrict buffer = b.s[1], *restrict mean = b.s[2];
  for (size_t i = 0; i < n; i++) {
    const float x = GRADIENT(i);
    v[i] = u.decay2 * v[i] + u.gain2 * x * x;
    float variance = v[i];
    if (mean) {
      mean[i] = u.decay2 * mean[i] + u.gain2 * x;
      variance -= mean[i] * mean[i];
    }
    const float change = x / (sqrtf(variance + u.inside) + u.outside);
    if (buffer) {
      buffer[i] = u.decay1 * buffer[i] + u.gain1 * change;
      p[i] -= u.rate * buffer[i];
    } else {
      p[i] -= u.rate * change;
    }
  }
}

COMPILED_FOR_EACH(static, void, rmsprop, (block b, unroll_update u), (b, u))

INLINED void adagrad_body(block b, unroll_update u) {
  BEGIN
  float *restrict sum = b.s[0];
  for (size_t i = 0; i < n; i++) {
    const float x = GRADIENT(i);
    sum[i] += x * x;
    p[i] -= u.rate * x / (sqrtf(sum[i] + u.inside) + u.outside);
  }
}

COMPILED_FOR_EACH(static, void, adagrad, (block b, unroll_update u), (b, u))

INLINED void adadelta_body(block b, unroll_update u) {
  BEGIN
  float *restrict v = b.s[0], *restrict changes = b.s[1];
  for (size_t i = 0; i < n; i++) {
    const float x = GRADIENT(i);
    v[i] = u.decay2 * v[i] + u.gain2 * x * x;
    const float change = sqrtf(changes[i] + u.inside) / sqrtf(v[i] + u.inside) * x;
    changes[i] = u.decay2 * changes[i] + u.gain2 * change * change;
    p[i] -= u.rate * change;
  }
}

COMPILED_FOR_EACH(static, void, adadelta, (block b, unroll_update u), (b, u))

INLINED void asgd_body(block b, unroll_update u) {
  // The gradient, weight decay included, is that of the parameter before it shrinks.
  float *restrict p = b.p, *restrict average = b.s[0];
  const float *restrict g = b.g;
  for (size_t i = 0; i < b.n; i++) {
    const float x = GRADIENT(i);
    p[i] = p[i] * u.shrink - u.rate * x;
    average[i] = u.gain1 == 1 ? p[i] : average[i] + u.gain1 * (p[i] - average[i]);
  }
}

COMPILED_FOR_EACH(static, void, asgd, (block b, unroll_update u), (b, u))

/// The arguments of `unroll_update_step`.
typedef struct {
  block whole;
  unroll_update update;
} step_arguments;

static void step_part(void *context, size_t begin, size_t end) {
  // A missing gradient is zero.
  static const float zeros[BLOCK];
  const step_arguments *a = context;
  const size_t last = a->whole.n * end / PARTS;
  for (size_t from = a->whole.n * begin / PARTS; from < last; from += BLOCK) {
    block b = {.p = a->whole.p + from, .n = last - from < BLOCK ? last - from : BLOCK};
    b.g = a->whole.g ? a->whole.g + from : zeros;
    for (int slot = 0; slot < UNROLL_OPTIMIZER_SLOTS; slot++)
      b.s[slot] = a->whole.s[slot] ? a->whole.s[slot] + from : NULL;
    switch (a->update.rule) {
    case UNROLL_SGD: sgd(b, a->update); break;
    case UNROLL_ADAM: adam(b, a->update); break;
    case UNROLL_RMSPROP: rmsprop(b, a->update); break;
    case UNROLL_ADAGRAD: adagrad(b, a->update); break;
    case UNROLL_ADADELTA: adadelta(b, a->update); break;
    case UNROLL_ASGD: asgd(b, a->update); break;
    }
  }
}

void unroll_update_step(
    float *p, const float *g, float *const slots[UNROLL_OPTIMIZER_SLOTS], size_t n,
    unroll_update update) {
  step_arguments arguments = {{.p = p, .g = g, .n = n}, update};
  for (int slot = 0; slot < UNROLL_OPTIMIZER_SLOTS; slot++) arguments.whole.s[slot] = slots[slot];
  unroll_for_rows(PARTS, n, step_part, &arguments);
}
