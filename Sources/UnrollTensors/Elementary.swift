// Elementary functions that give the same bits on every processor.

import CElementary

/// Functions of doubles from operations that round once, in one order.
///
/// The system's functions differ in the last place from version to version, and between processors; whatever is
/// stored or printed uses these. Each is within one unit in the last place of the exact result.
package enum Elementary {
  /// e to the power of x.
  package static func exp(_ x: Double) -> Double { unroll_double_exp(x) }

  /// Returns the natural logarithm of x; -infinity of 0, NaN of less.
  package static func log(_ x: Double) -> Double { unroll_double_log(x) }

  /// Returns the cosine of π x.
  package static func cosineOfPi(_ x: Double) -> Double { unroll_double_cos_pi(x) }

  /// x to the power of another number, for x of at least 0.
  ///
  /// Whole powers come from multiplications, with a relative error of the exponent times a unit in the last
  /// place at most; others from exp and log.
  package static func power(_ x: Double, _ exponent: Double) -> Double {
    guard exponent == exponent.rounded(), exponent.magnitude < 0x1p31 else {
      return exp(exponent * log(x))
    }
    let power = unroll_double_power(x, UInt(exponent.magnitude))
    return exponent < 0 ? 1 / power : power
  }
}
