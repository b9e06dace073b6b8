// How many threads compute.

import CUnrollKernels

/// The threads of matrix products and loops, for the whole process; results do not depend on them.
public enum Threads {
  /// The number of threads; 0 leaves the choice to OpenMP, which honours `OMP_NUM_THREADS`.
  public static var count: Int {
    get { Int(unroll_threads()) }
    set { unroll_set_threads(Int32(clamping: newValue)) }
  }
}
