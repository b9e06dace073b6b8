// swift-format-ignore-file: AlwaysUseLowerCamelCase
// How far back in time a model's gradients reach: what is measured, and the result.

import UnrollFormat
import UnrollNeural

/// What a person decides about a measurement of gradients.
public struct GradientSettings: Sendable {
  /// The largest lag, K.
  public var lags = 70
  /// The positions whose losses go back, at least; a multiple of the columns is taken.
  public var positions = 400
  /// The parallel streams that the text is cut into, B, as training cuts it.
  public var columns = 20
  /// The time steps of a window of truncated BPTT, T.
  public var window = 35
  /// The windows whose full gradient is computed, at most.
  public var windows = 100
  /// The norm over which training clips the gradient.
  public var clip = 0.25
  /// The share of lag 0 that still counts, for the horizon.
  public var threshold = 0.01
  /// What positions and windows are drawn from.
  public var seed: UInt32 = 1

  /// Creates the defaults.
  public init() {}
}

/// How the gradient of one step's loss reaches the states of earlier steps.
///
/// For sampled steps t the loss L_t of that step alone goes back K steps, through all layers. The text is
/// cut into columns as in training, the state is zero at their beginning and carried from there, so that
/// every position has at least K real steps before it. All columns are positions at each sampled step.
public struct GradientFlow: Sendable {
  /// What it was measured with.
  public let settings: GradientSettings
  /// The tokens of the text.
  public let tokens: Int
  /// The tokens that stand for words that the vocabulary lacks.
  public let unknown: Int
  /// The sampled steps, counted from 0 in each column, in order.
  public let steps: [Int]
  /// A curve for h of each layer, and for c of each LSTM, the first layer first.
  public let curves: [LagCurve]
  /// What clipping would do to the windows of a training on this text.
  public let clipping: Clipping
  /// What `weight_hh` of each layer does to a vector, gate by gate.
  public let recurrences: [Recurrence]

  /// What a measurement is at.
  public enum Stage: Sendable {
    /// It reads the text.
    case reading
    /// It goes back from sampled steps and windows.
    case measuring
    /// It looks at the recurrent weights.
    case weights
  }

  /// The full gradients of windows of truncated BPTT, as training computes them, without dropout.
  public struct Clipping: Sendable {
    /// The sampled windows, counted from 0, in order.
    public let windows: [Int]
    /// The norms of their gradients by all parameters.
    public let norms: [Double]
    /// The norm over which a gradient is clipped.
    public let limit: Double

    /// The number of windows that clipping touches.
    public var clipped: Int { norms.count { !($0 <= limit) } }
    /// The share of windows that clipping touches.
    public var share: Double { Double(clipped) / Double(norms.count) }
    /// The median norm.
    public var median: Double { quantile(0.5, of: norms.sorted()) }
  }

  /// A part of `weight_hh`, `[H, H]`, that one gate multiplies the hidden state by; with a projection
  /// `[H, P]`, and then times `weight_hr`.
  public struct Recurrence: Sendable {
    /// The layer, counted from 0.
    public let layer: Int
    /// The gate as in the file: i f g o of an LSTM, r z n of a GRU, h of a plain cell.
    public let gate: String
    /// Spectral radius and largest singular value.
    public let spectrum: MatrixSpectrum
  }
}

extension Cell {
  /// The names of the gates in the order of the file; a plain cell has the hidden state itself.
  var gates: [String] {
    switch self {
    case .lstm: ["i", "f", "g", "o"]
    case .gru: ["r", "z", "n"]
    case .rnn: ["h"]
    }
  }
}
