// Loops over rows on the thread pool that oneDNN uses: a second pool would fight it for the cores.
#pragma once
#include <stddef.h>

#include "UnrollKernels.h"

/// Runs a task over all rows, split over the threads where `work`, in elements, is worth it.
void unroll_for_rows(size_t rows, size_t work, unroll_row_task task, void *context);

/// Makes the calling thread's parallel regions use the threads that were set, or one in a part of
/// `unroll_for_columns`; returns a number that differs where oneDNN may plan differently.
int unroll_apply_threads(void);

/// The part of `unroll_for_columns` that the calling thread works on; 0 outside.
int unroll_part(void);
