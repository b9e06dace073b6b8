// The random lengths of windows in AWD-LSTM's training (Merity, Keskar & Socher 2017).

import CUnrollKernels
import Foundation
import UnrollTensors

/// The most by which a random window is longer than the usual one.
public let randomWindowMargin = 20

/// Returns the random length of a window: usually around `window`, seldom around half of it; `spec/FORMAT.md`
/// has the formula.
///
/// - Parameters:
///   - window: The usual length.
///   - step: The number of the step, counted from 0.
///   - seed: The random seed.
/// - Returns: A length from 5 to `window + randomWindowMargin`.
public func randomWindow(around window: Int, step: Int, seed: UInt32) -> Int {
  let number = UInt64(step)
  var words = [UInt32(truncatingIfNeeded: number), UInt32(number >> 32), 0, 0]
  unroll_philox(&words, seed, 0x7769_6e64)
  let units = words.map { Double($0 >> 8) * 0x1p-24 }
  let base = units[0] < 0.95 ? Double(window) : Double(window) / 2
  let normal =
    (-2 * Elementary.log(1 - units[1])).squareRoot() * Elementary.cosineOfPi(2 * units[2])
  return min(max(5, Int((base + 5 * normal).rounded(.down))), window + randomWindowMargin)
}
