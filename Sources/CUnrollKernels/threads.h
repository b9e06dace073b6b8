// Loops over rows on the threads of a pool.
#pragma once
#include <stddef.h>

#include "UnrollKernels.h"

/// Runs a task over all rows, split over the threads where `work`, in elements, is worth it.
void unroll_for_rows(size_t rows, size_t work, unroll_row_task task, void *context);
