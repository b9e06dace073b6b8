// Elementary functions of doubles against those of the system.

import Foundation
import Testing
import UnrollTensors

@Suite("Elementary functions of doubles") struct ElementaryDoubleTests {
  /// Numbers of every size, and many around 1.
  private static let numbers = (0..<20_000).flatMap { index -> [Double] in
    let share = Double(index) / 20_000
    return [
      1 + (share - 0.5), scalbn(1 + share, index % 2000 - 1000), share * 1400 - 700, -share,
      share * 64,
    ]
  }

  /// The largest distance from the system's function, in units in the last place of that.
  private func worst(
    _ function: (Double) -> Double, _ system: (Double) -> Double, where allowed: (Double) -> Bool
  ) -> Double {
    Self.numbers.filter(allowed).map { x in
      let (found, expected) = (function(x), system(x))
      return found == expected ? 0 : abs(found - expected) / expected.ulp
    }.max() ?? 0
  }

  // The system's own are within 1 unit, too.
  @Test("exp and log are within 2 units in the last place of the system's")
  func exponentialsAndLogarithms() {
    #expect(worst(Elementary.exp, { exp($0) }, where: { $0.magnitude < 709 }) < 2)
    #expect(worst(Elementary.log, { log($0) }, where: { $0 > 0 }) < 2)
  }

  @Test("The cosine of pi x is exact at its zeros and extremes, and near the system's elsewhere")
  func cosines() {
    #expect([0, 0.5, 1, 1.5, 2, -0.5, 1e15].map(Elementary.cosineOfPi) == [1, 0, -1, 0, 1, 0, 1])
    // The system's argument is rounded: an error of 64 pi 2^-53.
    for x in Self.numbers where x.magnitude <= 64 {
      #expect(abs(Elementary.cosineOfPi(x) - cos(.pi * x)) < 5e-14, "\(x)")
    }
  }

  @Test("Functions of numbers without a finite result")
  func limits() {
    #expect(Elementary.exp(-.infinity) == 0 && Elementary.exp(.infinity) == .infinity)
    #expect(Elementary.exp(710) == .infinity && Elementary.exp(-746) == 0)
    #expect(Elementary.exp(-745) == .leastNonzeroMagnitude && Elementary.exp(.nan).isNaN)
    #expect(Elementary.log(0) == -.infinity && Elementary.log(.infinity) == .infinity)
    #expect(Elementary.log(-1).isNaN && Elementary.log(.nan).isNaN)
    #expect(
      abs(Elementary.log(.leastNonzeroMagnitude) / log(Double.leastNonzeroMagnitude) - 1) < 1e-15)
    #expect(Elementary.cosineOfPi(.infinity).isNaN)
  }

  @Test("Whole powers are products; others come from exp and log")
  func powers() {
    #expect(Elementary.power(0.5, 10) == 0x1p-10 && Elementary.power(4, -2) == 0.0625)
    #expect(Elementary.power(0, 3) == 0 && Elementary.power(7, 0) == 1)
    #expect(abs(Elementary.power(1.7, 0.75) / pow(1.7, 0.75) - 1) < 1e-15)
    #expect(abs(Elementary.power(0.999, 1000) / pow(0.999, 1000) - 1) < 1e-13)
  }
}
