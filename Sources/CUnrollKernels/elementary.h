// exp, tanh and the logistic function without branches or tables, so that loops over them become vector code.
// They are sequences of operations that round once, so every processor gives the same bits.
#pragma once
#include <stdint.h>
#include <string.h>

#include "UnrollKernels.h"
#include "instructions.h"

// Each operation rounds once, as it is written; `fmaf` where a multiplication and an addition are meant as one.
#pragma STDC FP_CONTRACT OFF

INLINED float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

INLINED uint32_t bits_of_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// `a b + c`, rounded once.
INLINED float fused(float a, float b, float c) { return __builtin_elementwise_fma(a, b, c); }

/// 2^n for -126 <= n <= 127; anything for other n, which only a NaN's exponent reaches.
INLINED float power_of_two(int32_t n) { return float_of_bits((uint32_t)(n + 127) << 23); }

/// e^x; 0 below the smallest subnormal, infinity above the largest number.
INLINED float exp_float(float x) {
  // Outside of these bounds the result is 0 or infinity anyway. A NaN fails both comparisons.
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  // x = n log 2 + r, |r| <= log(2)/2. Adding 1.5 * 2^23 leaves n in the low bits of the sum.
  const float shift = 0x1.8p23f;
  float shifted = fused(x, 0x1.715476p0f, shift);
  int32_t n = (int32_t)(bits_of_float(shifted) - bits_of_float(shift));
  float k = shifted - shift;
  // log 2 in two parts; the first has 9 trailing zeros, so k times it is exact.
  float r = fused(k, -0x1.7f7d1cp-20f, fused(k, -0x1.62e4p-1f, x));
  // Minimax in relative error 3e-9 over |r| <= log(2)/2: e^r = 1 + r + r^2 p(r).
  float p = 0x1.6a2434p-10f;
  p = fused(p, r, 0x1.1239e2p-7f);
  p = fused(p, r, 0x1.5558f2p-5f);
  p = fused(p, r, 0x1.555492p-3f);
  p = fused(p, r, 0x1.fffffcp-2f);
  float e = fused(p * r, r, r) + 1.0f;
  // 2^n in two factors, since n reaches from -150 to 128. The shift keeps the sign.
  int32_t half = n >> 1;
  int32_t rest = n - half;
  return e * power_of_two(half) * power_of_two(rest);
}

/// 1 / (1 + e^-x), with full relative accuracy where it is near 0.
INLINED float sigmoid_float(float x) {
  float magnitude = float_of_bits(bits_of_float(x) & 0x7FFFFFFF);
  float e = exp_float(-magnitude);
  return (x >= 0.0f ? 1.0f : e) / (1.0f + e);
}

/// Returns the hyperbolic tangent, with full relative accuracy near 0.
INLINED float tanh_float(float x) {
  uint32_t sign = bits_of_float(x) & 0x80000000;
  float magnitude = float_of_bits(bits_of_float(x) ^ sign);
  // Minimax in relative error 4e-9 over |x| <= 0.625: tanh x = x + x^3 p(x^2).
  float u = magnitude * magnitude;
  float p = -0x1.75e1c8p-8f;
  p = fused(p, u, 0x1.52269ap-6f);
  p = fused(p, u, -0x1.b83c5ap-5f);
  p = fused(p, u, 0x1.110726p-3f);
  p = fused(p, u, -0x1.555532p-2f);
  float near = fused(p * u, magnitude, magnitude);
  float far = 1.0f - 2.0f / (exp_float(2.0f * magnitude) + 1.0f);
  return float_of_bits(bits_of_float(magnitude <= 0.625f ? near : far) | sign);
}

/// The logistic function, known when a loop is compiled.
static const unroll_gates logistic = {.is_hard = false};

/// Gates that are `alpha x + beta`, cut off at 0 and 1.
INLINED unroll_gates hard_gates(float alpha, float beta) {
  unroll_gates gates = {true, alpha, beta};
  return gates;
}

/// Returns the function of gates. A NaN fails both comparisons and stays one.
INLINED float gate_float(float x, unroll_gates kind) {
  if (!kind.is_hard) return sigmoid_float(x);
  float y = kind.alpha * x + kind.beta;
  y = y < 0.0f ? 0.0f : y;
  return y > 1.0f ? 1.0f : y;
}

/// Returns the gradient d of a gate that is y, times the slope there: 0 where a hard gate is cut off.
INLINED float through_gate(float d, float y, unroll_gates kind) {
  if (!kind.is_hard) return d * y * (1.0f - y);
  return y > 0.0f && y < 1.0f ? d * kind.alpha : 0.0f;
}
