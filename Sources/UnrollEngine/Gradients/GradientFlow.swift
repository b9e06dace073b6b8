// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Gradient flow through time: the settings and the result of a measurement.

import UnrollFormat
import UnrollNeural

/// The settings of a measurement of gradients.
public struct GradientSettings: Sendable {
  /// The largest lag, K.
  public var lags = 70
  /// The minimum number of positions whose losses are backpropagated, rounded up to a multiple of
  /// the batch size.
  public var positions = 400
  /// Batch size B.
  public var columns = 20
  /// BPTT length T.
  public var window = 35
  /// The maximum number of windows whose full gradient is computed.
  public var windows = 100
  /// The norm at which training clips the gradient.
  public var clip = 0.25
  /// The fraction of the gradient at lag 0 that defines the horizon.
  public var threshold = 0.01
  /// Random seed for the choice of positions and windows.
  public var seed: UInt32 = 1
  /// The largest hidden size of layers whose eigenvalues are listed; 0 for none.
  public var eigenvalueLimit = 0

  /// Creates the defaults.
  public init() {}
}

/// The gradient of one step's loss with respect to the states of earlier steps.
///
/// For sampled steps t the loss L_t of that step alone is backpropagated K steps, through all
/// layers. The text is cut into the streams of a batch as in training; the state is zero at their
/// beginning and carried from there, so every position has at least K real steps before it. All
/// streams of the batch are positions at each sampled step.
public struct GradientFlow: Sendable {
  /// The settings of the measurement.
  public let settings: GradientSettings
  /// The number of tokens of the text.
  public let tokens: Int
  /// The number of tokens that stand for words outside the vocabulary.
  public let unknown: Int
  /// The sampled steps, counted from 0 in each stream, in order.
  public let steps: [Int]
  /// Curves for h of each layer, and for c of each layer that has one, first layer first.
  public let curves: [LagCurve]
  /// The effect of gradient clipping on training windows of this text.
  public let clipping: Clipping
  /// The spectrum of each gate's block of `weight_hh`, for each layer that has one.
  public let recurrences: [Recurrence]

  /// A stage of the measurement.
  public enum Stage: Sendable {
    /// Reads the text.
    case reading
    /// Backpropagates from sampled steps and windows.
    case measuring
    /// Analyzes the recurrent weights.
    case weights
  }

  /// The full gradients of truncated-BPTT windows as training computes them, without dropout.
  public struct Clipping: Sendable {
    /// The sampled windows, counted from 0, in order.
    public let windows: [Int]
    /// The norms of their gradients over all parameters.
    public let norms: [Double]
    /// The norm at which a gradient is clipped.
    public let limit: Double

    /// The number of windows whose gradient is clipped.
    public var clipped: Int { norms.count { !($0 <= limit) } }
    /// The share of windows whose gradient is clipped.
    public var share: Double { Double(clipped) / Double(norms.count) }
    /// The median norm.
    public var median: Double { quantile(0.5, of: norms.sorted()) }
  }

  /// The block of `weight_hh` of one gate, `[H, H]`; with a projection `[H, P]`, multiplied by
  /// `weight_hr`.
  public struct Recurrence: Sendable {
    /// The layer, counted from 0.
    public let layer: Int
    /// The gate as in the file: i f g o of an LSTM, r z n of a GRU, h of a vanilla RNN.
    public let gate: String
    /// Spectral radius and largest singular value.
    public let spectrum: MatrixSpectrum
  }
}
