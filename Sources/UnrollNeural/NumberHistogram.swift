// Histograms of the numbers of a parameter or of its gradient.

import UnrollFormat
import UnrollTensors

/// A histogram of finite numbers, in bins of equal width.
public struct NumberHistogram: Sendable, Hashable {
  /// The number of bins.
  public static let binCount = 30

  /// The smallest and the largest number.
  public let range: ClosedRange<Double>
  /// The sum of all numbers.
  public let sum: Double
  /// The sum of their squares.
  public let sumOfSquares: Double
  /// The number of numbers in each bin, from the smallest; those at a bound belong to the bin above it, but for the
  /// largest.
  public let counts: [Int]

  /// Counts numbers; `nil` without numbers, and if one is not finite.
  ///
  /// - Parameters:
  ///   - values: The numbers.
  ///   - zeros: The number of zeros beside them.
  public init?(_ values: [Float], zeros: Int = 0) {
    var (low, high) = zeros > 0 ? (0 as Float, 0 as Float) : (Float.infinity, -Float.infinity)
    var (sum, squares) = (0.0, 0.0)
    for value in values {
      low = min(low, value)
      high = max(high, value)
      sum += Double(value)
      squares += Double(value) * Double(value)
    }
    guard sum.isFinite, low <= high else { return nil }
    range = Double(low)...Double(high)
    (self.sum, sumOfSquares) = (sum, squares)
    var counts = [Int](repeating: 0, count: Self.binCount)
    let width = (Double(high) - Double(low)) / Double(Self.binCount)
    func bin(_ value: Double) -> Int {
      width > 0 ? min(Self.binCount - 1, Int((value - Double(low)) / width)) : 0
    }
    for value in values { counts[bin(Double(value))] += 1 }
    if zeros > 0 { counts[bin(0)] += zeros }
    self.counts = counts
  }

  /// The upper bound of each bin.
  public var upperBounds: [Double] {
    let width = (range.upperBound - range.lowerBound) / Double(Self.binCount)
    return (1...Self.binCount).map {
      $0 == Self.binCount ? range.upperBound : range.lowerBound + width * Double($0)
    }
  }
}

extension TrainableModel {
  /// The histograms of the gradients of the last window or step, before clipping, in the order of the parameters; none
  /// before the first window, and after `releaseMemory`.
  public var gradientHistograms: [(path: ParameterPath, histogram: NumberHistogram)] {
    let gradients = gradients
    return architecture.parameters.compactMap { path, shape in
      let histogram: NumberHistogram? =
        switch gradients[path] {
        case .dense(let values): NumberHistogram(values)
        case .rows(let rows) where !rows.values.isEmpty:
          NumberHistogram(rows.values, zeros: (shape.elementCount ?? 0) - rows.values.count)
        case .rows, nil: nil
        }
      return histogram.map { (path, $0) }
    }
  }
}
