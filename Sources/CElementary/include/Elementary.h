// Elementary functions of doubles that give the same bits on every processor: sequences of additions,
// multiplications, divisions and fused multiply-adds, each rounded once. Those of the system's library
// differ from version to version, and from processor to processor.
#pragma once

/// e^x; 0 below the smallest subnormal, infinity above the largest number. Within 1 unit in the last place.
double unroll_double_exp(double x);

/// Returns the natural logarithm; -infinity of 0, NaN of less. Within 1 unit in the last place.
double unroll_double_log(double x);

/// Returns the cosine of pi x, exact at multiples of 1/2. Within 1 unit in the last place, but near its zeros
/// 2^-54.
double unroll_double_cos_pi(double x);

/// x^n by squaring, n at least 0: each multiplication rounds once.
double unroll_double_power(double x, unsigned long n);
