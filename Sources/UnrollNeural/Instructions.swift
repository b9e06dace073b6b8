// The instruction sets of the kernels.

import CUnrollKernels
import Foundation

/// The instruction set that products and loops are compiled for; every set gives the same bits.
public enum Instructions {
  private static let all = [UNROLL_AVX512, UNROLL_AVX2, UNROLL_NEON, UNROLL_PORTABLE]

  /// The names of the instruction sets that the processor has, the best first.
  public static var available: [String] {
    all.filter(unroll_processor_has).map { String(cString: unroll_instructions_name($0)) }
  }

  /// The name of the set in use.
  public static var current: String {
    String(cString: unroll_instructions_name(unroll_current_instructions()))
  }

  /// The value of the environment variable UNROLL_KERNELS.
  static var wanted: String { ProcessInfo.processInfo.environment["UNROLL_KERNELS"] ?? "" }
}
