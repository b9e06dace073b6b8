// The choice of the instruction set of loops and products: the best that the processor has, or the one that the
// environment variable UNROLL_KERNELS names. Every set gives the same bits.
#pragma once
#include "UnrollKernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// The attributes that compile a function for a set; other processors go without.
#if defined(__x86_64__)
#define FOR_AVX512 __attribute__((target("arch=x86-64-v4")))
#define FOR_AVX2 __attribute__((target("arch=x86-64-v3")))
#endif

// Inlined even without optimisation, since a function outside is compiled for any processor.
#define INLINED static inline __attribute__((always_inline))

/// Lets operations of this thread take subnormal numbers for 0, and give 0 in their place; returns the mode before.
/// Processors other than x86-64 and arm64 keep theirs.
INLINED uint64_t unroll_flush_subnormals(void) {
#if defined(__x86_64__)
  enum { FLUSH_RESULTS = 0x8000, FLUSH_OPERANDS = 0x40 };
  const unsigned int mode = _mm_getcsr();
  _mm_setcsr(mode | FLUSH_RESULTS | FLUSH_OPERANDS);
  return mode;
#elif defined(__aarch64__)
  uint64_t mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  __asm__ volatile("msr fpcr, %0" ::"r"(mode | 1 << 24) : "memory");
  return mode;
#else
  return 0;
#endif
}

/// Restores a mode that `unroll_flush_subnormals` returned.
INLINED void unroll_restore_subnormals(uint64_t mode) {
#if defined(__x86_64__)
  _mm_setcsr((unsigned int)mode);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" ::"r"(mode) : "memory");
#else
  (void)mode;
#endif
}

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
