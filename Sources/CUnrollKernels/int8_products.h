// Exact sums of int8 products for processors on which oneDNN's are not exact.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// `true` if oneDNN's sums of int8 products are exact on this processor: where it has VNNI.
bool unroll_onednn_int8_is_exact(void);

/// Computes `sums = x W^T` exactly.
///
/// @param x      [M, K]
/// @param weight [N, K]
/// @param sums   [M, N]
void unroll_int8_sums(
    const int8_t *x, const int8_t *weight, int32_t *sums, size_t M, size_t N, size_t K);
