#include "instructions.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/// The names of the sets, as UNROLL_KERNELS gives them.
static const char *const names[] = {
    [UNROLL_PORTABLE] = "portable",
    [UNROLL_NEON] = "neon",
    [UNROLL_AVX2] = "avx2",
    [UNROLL_AVX512] = "avx512",
};

enum { NAME_COUNT = sizeof names / sizeof *names, NOT_CHOSEN = -1 };

static atomic_int chosen = NOT_CHOSEN;

const char *unroll_instructions_name(unroll_instructions set) {
  return (size_t)set < NAME_COUNT ? names[set] : "unknown";
}

bool unroll_processor_has(unroll_instructions set) {
  switch (set) {
  case UNROLL_PORTABLE: return true;
#if defined(__aarch64__)
  case UNROLL_NEON: return true;
#endif
#if defined(__x86_64__)
  case UNROLL_AVX2: return __builtin_cpu_supports("x86-64-v3") != 0;
  case UNROLL_AVX512: return __builtin_cpu_supports("x86-64-v4") != 0;
#endif
  default: return false;
  }
}

bool unroll_processor_has_vnni(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512vnni") != 0;
#else
  return false;
#endif
}

bool unroll_processor_has_bf16(void) {
#if defined(__x86_64__)
  return unroll_processor_has_vnni() && __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

/// Returns the best set of the processor.
static unroll_instructions best(void) {
  for (int set = NAME_COUNT - 1; set > UNROLL_PORTABLE; set--)
    if (unroll_processor_has((unroll_instructions)set)) return (unroll_instructions)set;
  return UNROLL_PORTABLE;
}

unroll_status unroll_use_instructions(unroll_instructions set) {
  if (!unroll_processor_has(set)) return UNROLL_UNSUPPORTED;
  atomic_store(&chosen, (int)set);
  return UNROLL_OK;
}

unroll_status unroll_check_instructions(void) {
  const char *wanted = getenv("UNROLL_KERNELS");
  if (!wanted || !*wanted) return UNROLL_OK;
  for (int set = 0; set < NAME_COUNT; set++)
    if (strcmp(wanted, names[set]) == 0)
      return unroll_processor_has((unroll_instructions)set) ? UNROLL_OK : UNROLL_UNSUPPORTED;
  return UNROLL_UNKNOWN_INSTRUCTIONS;
}

/// Returns the set that the environment names where the processor has it, else the best one.
static unroll_instructions choose(void) {
  const char *wanted = getenv("UNROLL_KERNELS");
  for (int set = 0; wanted && set < NAME_COUNT; set++)
    if (strcmp(wanted, names[set]) == 0 && unroll_processor_has((unroll_instructions)set))
      return (unroll_instructions)set;
  return best();
}

unroll_instructions unroll_current_instructions(void) {
  int set = atomic_load_explicit(&chosen, memory_order_relaxed);
  if (set != NOT_CHOSEN) return (unroll_instructions)set;
  // Threads that come here at the same time choose the same.
  set = (int)choose();
  int before = NOT_CHOSEN;
  atomic_compare_exchange_strong(&chosen, &before, set);
  return (unroll_instructions)atomic_load(&chosen);
}
