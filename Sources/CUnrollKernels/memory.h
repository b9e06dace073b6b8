// Aligned memory, and scratch memory that threads keep.
#pragma once
#include <stddef.h>

/// Memory on a line of the cache of its own, in huge pages where it fills some: reading a weight for one row
/// is bound by memory, and looks up an address for each page. The caller frees it; NULL if there is none.
void *unroll_take_memory(size_t size);

/// The uses of a thread's scratch memory: the rows that it packs, or a whole operand that other threads read, too.
typedef enum { OF_ROWS, OF_FACTOR, PURPOSES } purpose;

/// The scratch memory of this thread, at least `size` bytes; its contents are lost. NULL if memory is short.
void *unroll_thread_scratch(purpose purpose, size_t size);
