// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Statistics of the gradient of a step's loss by lag.

import Foundation
import UnrollTensors

/// A state that a recurrent layer carries from step to step.
public enum CarriedQuantity: String, Sendable, CaseIterable {
  /// The hidden state.
  case hidden = "h"
  /// The cell state of an LSTM or QRNN.
  case cell = "c"
}

/// The norm of dL_t/dh_{t-k} (or dL_t/dc_{t-k}) relative to the norm at lag 0, for each lag k.
///
/// Positions whose gradient at lag 0 is zero have no ratio and are left out.
public struct LagCurve: Sendable {
  /// The layer, counted from 0.
  public let layer: Int
  /// The state that the gradient is taken with respect to.
  public let quantity: CarriedQuantity
  /// The number of positions with a ratio.
  public let positions: Int
  /// `[K+1]` the median of the ratio at each lag from 0, where it is 1; empty without positions.
  ///
  /// Infinite if the gradient overflows the range of a float.
  public let medians: [Double]
  /// `[K+1]` the lower quartile of the ratio at each lag.
  public let lowerQuartiles: [Double]
  /// `[K+1]` the upper quartile of the ratio at each lag.
  public let upperQuartiles: [Double]
  /// The exponential decay fitted to the medians, or `nil` if fewer than two lags can be fitted.
  public let decay: Decay?
  /// The largest lag whose median is at least `threshold`; `nil` without positions.
  public let horizon: Int?

  /// A straight line fitted to the logarithms of medians by least squares.
  public struct Decay: Sendable, Hashable {
    /// The factor by which the gradient changes per lag.
    public let rate: Double
    /// The lags that were fitted.
    public let lags: ClosedRange<Int>

    /// The number of steps in which the gradient halves; if it grows, minus the number in which it
    /// doubles.
    public var halfLife: Double { -Elementary.log(2) / Elementary.log(rate) }
  }

  /// The smallest median that is fitted: smaller ones approach the underflow of floats.
  static let smallestFitted = 1e-20

  /// Summarizes norms.
  ///
  /// - Parameters:
  ///   - layer: The layer.
  ///   - quantity: The state.
  ///   - norms: `[K+1][N]` the norms at each lag for each of N positions.
  ///   - threshold: The fraction of the gradient at lag 0 that defines the horizon.
  init(layer: Int, quantity: CarriedQuantity, norms: [[Double]], threshold: Double) {
    self.layer = layer
    self.quantity = quantity
    let first = norms.first ?? []
    let places = first.indices.filter { first[$0] > 0 }
    positions = places.count
    let sorted =
      places.isEmpty
      ? []
      : norms.map { norms in
        places.map { norms[$0].isFinite ? norms[$0] / first[$0] : .infinity }.sorted()
      }
    medians = sorted.map { quantile(0.5, of: $0) }
    lowerQuartiles = sorted.map { quantile(0.25, of: $0) }
    upperQuartiles = sorted.map { quantile(0.75, of: $0) }
    decay = Self.fit(medians)
    horizon = medians.lastIndex { $0 >= threshold }
  }

  /// Fits an exponential decay to the lags from 1 to the last before a median that is too small or
  /// infinite.
  ///
  /// Lag 0 is left out: the first step back also passes through the layers above.
  static func fit(_ medians: [Double]) -> Decay? {
    let fitted = medians.dropFirst().prefix { $0 >= smallestFitted && $0.isFinite }
    guard fitted.count >= 2 else { return nil }
    let points = fitted.enumerated().map { (Double($0.offset), Elementary.log($0.element)) }
    let count = Double(points.count)
    let (meanX, meanY) = (
      points.reduce(0) { $0 + $1.0 } / count, points.reduce(0) { $0 + $1.1 } / count
    )
    let covariance = points.reduce(0) { $0 + ($1.0 - meanX) * ($1.1 - meanY) }
    let variance = points.reduce(0) { $0 + ($1.0 - meanX) * ($1.0 - meanX) }
    return Decay(rate: Elementary.exp(covariance / variance), lags: 1...points.count)
  }
}

/// Returns a quantile of sorted numbers with linear interpolation, as NumPy does by default.
///
/// - Parameters:
///   - share: The quantile, from 0 to 1.
///   - sorted: At least one number.
/// - Returns: The quantile.
func quantile(_ share: Double, of sorted: [Double]) -> Double {
  let place = share * Double(sorted.count - 1)
  let lower = Int(place)
  let (low, high) = (sorted[lower], sorted[min(lower + 1, sorted.count - 1)])
  let rest = place - Double(lower)
  return rest == 0 || low == high ? low : low + rest * (high - low)
}
