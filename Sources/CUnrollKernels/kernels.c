#include "UnrollKernels.h"
