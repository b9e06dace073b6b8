// Loops over rows on the thread pool that oneDNN uses: a second pool would fight it for the cores.
#pragma once
#include <stddef.h>

/// Handles the rows from `begin` up to `end`.
typedef void (*unroll_row_task)(void *context, size_t begin, size_t end);

/// Runs a task over all rows, split over the threads where `work`, in elements, is worth it.
void unroll_for_rows(size_t rows, size_t work, unroll_row_task task, void *context);

/// Makes the calling thread's parallel regions use the threads that were set; returns a number that
/// differs where oneDNN may plan differently.
int unroll_apply_threads(void);
