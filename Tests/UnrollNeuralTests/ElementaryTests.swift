// exp, tanh and the logistic function against the double-precision library.

import CUnrollKernels
import Foundation
import Testing

@Suite("Elementary functions of floats") struct ElementaryTests {
  /// Numbers of every magnitude and both signs: all exponents, 200 fractions each.
  static let magnitudes: [Float] = {
    var generator = SeededGenerator(seed: 1)
    return (0..<255).flatMap { exponent in
      (0..<200).flatMap { _ in
        let fraction = UInt32.random(in: 0..<1 << 23, using: &generator)
        let x = Float(bitPattern: UInt32(exponent) << 23 | fraction)
        return [x, -x]
      }
    }
  }()

  /// Numbers where the functions bend, closely spaced.
  static let dense = (0...400_000).map { Float($0 - 200_000) / 1800 }

  /// The largest error in units in the last place of the result, by the spacing of floats there.
  func worst(
    _ function: (UnsafeMutablePointer<Float>, Int) -> Void, _ exact: (Double) -> Double
  ) -> (ulps: Double, at: Float) {
    let inputs = Self.magnitudes + Self.dense
    var outputs = inputs
    function(&outputs, outputs.count)
    var (largest, place) = (0.0, Float(0))
    for (x, y) in zip(inputs, outputs) {
      let expected = exact(Double(x))
      let rounded = Float(expected)
      if rounded == y { continue }
      let error = rounded.isInfinite ? .infinity : abs(Double(y) - expected) / Double(rounded.ulp)
      if !(error <= largest) { (largest, place) = (error, x) }
    }
    return (largest, place)
  }

  @Test("exp is accurate to 1.1 units in the last place")
  func exponential() {
    let (ulps, place) = worst(unroll_exp) { exp($0) }
    #expect(ulps < 1.1, "at \(place)")
  }

  @Test("tanh is accurate to 1.5 units in the last place")
  func tangent() {
    let (ulps, place) = worst(unroll_tanh) { tanh($0) }
    #expect(ulps < 1.5, "at \(place)")
  }

  @Test("The logistic function is accurate to 2.5 units in the last place")
  func logisticFunction() {
    let (ulps, place) = worst(unroll_sigmoid) { Naive.sigmoid($0) }
    // The roundings of e^x, 1 ulp, of 1 + e^x, at most 1 of the quotient's, and of the quotient.
    #expect(ulps < 2.5, "at \(place)")
  }

  @Test("exp, tanh and the logistic function are exact at infinities and zeros")
  func limits() {
    let inputs: [Float] = [.infinity, -.infinity, 0, -0.0, .greatestFiniteMagnitude]
    var (exponentials, tangents, logistic) = (inputs, inputs, inputs)
    unroll_exp(&exponentials, 5)
    unroll_tanh(&tangents, 5)
    unroll_sigmoid(&logistic, 5)
    #expect(exponentials == [.infinity, 0, 1, 1, .infinity])
    #expect(tangents == [1, -1, 0, 0, 1])
    #expect(tangents[3].sign == .minus)
    #expect(logistic == [1, 0, 0.5, 0.5, 1])
  }

  @Test("exp, tanh and the logistic function propagate NaN")
  func nanArguments() {
    for nan in [Float.nan, -Float.nan, Float(nan: 5, signaling: false)] {
      // Seventeen: sixteen in a vector and one after it.
      for function in [unroll_exp, unroll_tanh, unroll_sigmoid] {
        var values = [Float](repeating: nan, count: 17)
        function(&values, values.count)
        #expect(values.allSatisfy { $0.isNaN })
      }
    }
  }

  @Test("A result does not depend on its place in a vector")
  func placeInVector() {
    for function in [unroll_exp, unroll_tanh, unroll_sigmoid] {
      var together = Array(Self.dense.prefix(100_003))
      function(&together, together.count)
      for place in stride(from: 0, to: together.count, by: 997) {
        var alone = Self.dense[place]
        function(&alone, 1)
        #expect(alone.bitPattern == together[place].bitPattern)
      }
    }
  }
}
