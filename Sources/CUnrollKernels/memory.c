#include "memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { CACHE_LINE = 64, HUGE_PAGE = 2 << 20 };

void *unroll_take_memory(size_t size) {
  void *memory = NULL;
  if (posix_memalign(&memory, size < HUGE_PAGE ? CACHE_LINE : HUGE_PAGE, size ? size : 1) != 0)
    return NULL;
#ifdef MADV_HUGEPAGE
  // Advice: a refusal changes nothing.
  if (size >= HUGE_PAGE) (void)madvise(memory, size, MADV_HUGEPAGE);
#endif
  return memory;
}

/// Scratch memory that a thread keeps until it ends.
typedef struct {
  void *memory[PURPOSES];
  size_t size[PURPOSES];
} scratch;

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void release_scratch(void *context) {
  scratch *kept = context;
  for (int i = 0; i < PURPOSES; i++) free(kept->memory[i]);
  free(kept);
}

static void create_scratch_key(void) { (void)pthread_key_create(&scratch_key, release_scratch); }

void *unroll_thread_scratch(purpose purpose, size_t size) {
  pthread_once(&scratch_once, create_scratch_key);
  scratch *kept = pthread_getspecific(scratch_key);
  if (!kept) {
    kept = calloc(1, sizeof *kept);
    if (!kept) return NULL;
    if (pthread_setspecific(scratch_key, kept) != 0) {
      free(kept);
      return NULL;
    }
  }
  if (kept->size[purpose] < size) {
    free(kept->memory[purpose]);
    kept->memory[purpose] = unroll_take_memory(size);
    kept->size[purpose] = kept->memory[purpose] ? size : 0;
  }
  return kept->memory[purpose];
}
