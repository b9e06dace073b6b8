// The choice of the instruction set of loops and products: the best that the processor has, or the one that the
// environment variable UNROLL_KERNELS names. Every set gives the same bits.
#pragma once
#include "UnrollKernels.h"

// The attributes that compile a function for a set; other processors go without.
#if defined(__x86_64__)
#define FOR_AVX512 __attribute__((target("arch=x86-64-v4")))
#define FOR_AVX2 __attribute__((target("arch=x86-64-v3")))
#endif

// Inlined even without optimisation, since a function outside is compiled for any processor.
#define INLINED static inline __attribute__((always_inline))

/// Defines `name`, which runs `name_body` compiled for the instruction set in use.
///
/// `linkage` is `static` or empty; `parameters` and `arguments` stand in parentheses.
#if defined(__x86_64__)
#define COMPILED_FOR_EACH(linkage, result, name, parameters, arguments)       \
  FOR_AVX512 static result name##_avx512 parameters { return name##_body arguments; } \
  FOR_AVX2 static result name##_avx2 parameters { return name##_body arguments; }     \
  static result name##_portable parameters { return name##_body arguments; }  \
  linkage result name parameters {                                            \
    switch (unroll_current_instructions()) {                                  \
    case UNROLL_AVX512: return name##_avx512 arguments;                       \
    case UNROLL_AVX2: return name##_avx2 arguments;                           \
    default: return name##_portable arguments;                                \
    }                                                                         \
  }
#else
#define COMPILED_FOR_EACH(linkage, result, name, parameters, arguments) \
  linkage result name parameters { return name##_body arguments; }
#endif
