#include "Elementary.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#pragma STDC FP_CONTRACT OFF

static double double_of_bits(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint64_t bits_of_double(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// `a b + c`, rounded once.
static double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }

/// Returns a polynomial by Horner's rule: `coefficients[0] x^(count - 1) + ...`.
static double polynomial(double x, const double *coefficients, int count) {
  double sum = coefficients[0];
  for (int i = 1; i < count; i++) sum = fused(sum, x, coefficients[i]);
  return sum;
}

/// 2^n for -1022 <= n <= 1023.
static double power_of_two(int64_t n) { return double_of_bits((uint64_t)(n + 1023) << 52); }

// log 2 in two parts: the first has 21 trailing zeros, so that multiples up to 2^21 are exact.
static const double LOG2_HIGH = 0x1.62e42feep-1, LOG2_LOW = 0x1.a39ef35793c76p-33;

double unroll_double_exp(double x) {
  if (x != x) return x;
  if (x > 709.8) return INFINITY;
  if (x < -745.2) return 0;
  // x = n log 2 + r, |r| <= log(2)/2. Adding 1.5 * 2^52 leaves n in the low bits of the sum.
  const double shift = 0x1.8p52, shifted = fused(x, 0x1.71547652b82fep0, shift);
  const int64_t n = (int64_t)(bits_of_double(shifted) - bits_of_double(shift));
  const double k = shifted - shift;
  const double high = fused(-k, LOG2_HIGH, x), low = k * LOG2_LOW, r = high - low;
  // Taylor's series of e^r - 1 - r; the next term is below 2^-62.
  static const double terms[] = {
      1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
      1.0 / 5040,       1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      0.5};
  const double rest = (high - r) - low;
  const double e = 1 + (r + fused(r * r, polynomial(r, terms, 12), rest));
  // 2^n in two factors, since n reaches from -1075 to 1024. The shift keeps the sign.
  const int64_t half = n >> 1;
  return e * power_of_two(half) * power_of_two(n - half);
}

double unroll_double_log(double x) {
  if (x != x || x == INFINITY) return x;
  if (x < 0) return NAN;
  if (x == 0) return -INFINITY;
  // x = 2^n m, m from sqrt(1/2) to sqrt(2).
  int64_t n = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    n = -54;
  }
  uint64_t bits = bits_of_double(x);
  const uint64_t root = 0x3FE6A09E667F3BCD;
  const int64_t exponent = (int64_t)(bits - root) >> 52;
  n += exponent;
  const double m = double_of_bits(bits - ((uint64_t)exponent << 52));
  // log m = 2 artanh s, s = f / (2 + f), |s| < 0.172: Taylor's series; the next term is below 2^-58 of s.
  const double f = m - 1, sum = 2 + f, s = f / sum;
  static const double terms[] = {2.0 / 23, 2.0 / 21, 2.0 / 19, 2.0 / 17, 2.0 / 15, 2.0 / 13,
                                 2.0 / 11, 2.0 / 9,  2.0 / 7,  2.0 / 5,  2.0 / 3};
  const double square = s * s, k = (double)n;
  // The rounding error of the divisor; the remainder is that of the division: f = s (sum + lost) + remainder.
  const double lost = (2 - sum) + f;
  const double remainder = fused(-s, lost, fused(-s, sum, f));
  const double correction = 2 * (remainder / sum);
  const double tail = fused(square * s, polynomial(square, terms, 11), correction);
  // 2 s is large where tail is small, and n log 2 where both are: the largest last.
  const double small = fused(k, LOG2_LOW, tail);
  const double high = k * LOG2_HIGH, whole = high + 2 * s;
  const double rounding = (high - whole) + 2 * s;
  return whole + (rounding + small);
}

double unroll_double_cos_pi(double x) {
  x = fabs(x);
  if (!(x < 0x1p53)) return x == x && x != INFINITY ? 1 : NAN;
  // The cosine has the period 2, and the sign turns at 1.
  double part = x - 2 * floor(x / 2);
  if (part > 1) part = 2 - part;
  const int is_negative = part > 0.5;
  if (is_negative) part = 1 - part;
  // pi in two parts.
  const double PI_HIGH = 0x1.921fb54442d18p1, PI_LOW = 0x1.1a62633145c07p-53;
  double result;
  if (part <= 0.25) {
    const double y = part * PI_HIGH, square = y * y;
    static const double terms[] = {
        -1.0 / 6402373705728000, 1.0 / 20922789888000, -1.0 / 87178291200, 1.0 / 479001600,
        -1.0 / 3628800,          1.0 / 40320,          -1.0 / 720,         1.0 / 24};
    const double error = fused(part, PI_HIGH, -y) + part * PI_LOW;
    const double half = 0.5 * square, one = 1 - half;
    const double lost = (1 - one) - half, square_error = fused(y, y, -square);
    result = one + (fused(square * square, polynomial(square, terms, 8), lost) - 0.5 * square_error
                    - y * error);
  } else {
    // cos(pi x) = sin(pi (1/2 - x)), and 1/2 - x is exact.
    const double left = 0.5 - part, y = left * PI_HIGH, square = y * y;
    static const double terms[] = {
        -1.0 / 121645100408832000, 1.0 / 355687428096000, -1.0 / 1307674368000, 1.0 / 6227020800,
        -1.0 / 39916800,           1.0 / 362880,          -1.0 / 5040,          1.0 / 120,
        -1.0 / 6};
    const double error = fused(left, PI_HIGH, -y) + left * PI_LOW;
    result = y + fused(square * y, polynomial(square, terms, 9), error);
  }
  return is_negative ? -result : result;
}

double unroll_double_power(double x, unsigned long n) {
  double result = 1;
  for (; n > 0; n >>= 1, x *= x)
    if (n & 1) result *= x;
  return result;
}

#ifdef __linux__
/// The C library's function, which only Swift's own overlay refers to. It stands here because glibc's has a version of
/// 2022, the newest of all symbols of the program: with this one it also runs on systems with glibc 2.34.
float hypotf(float x, float y) {
  if (isinf(x) || isinf(y)) return INFINITY;
  return (float)__builtin_sqrt((double)x * x + (double)y * y);
}
#endif
