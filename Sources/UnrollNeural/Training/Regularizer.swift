// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The regularization of one window: which masks are drawn, and what is added to gradients.

import CUnrollKernels
import UnrollFormat

/// The regularization terms of a training, and the masks that a window draws.
public struct Regularizer: Sendable {
  /// The terms.
  public var terms: [RegularizationTerm]
  /// The seed of dropout masks.
  public var seed: UInt32
  /// The number of the window that draws.
  public var draw: UInt32
  /// The index of the window's first stream among those of the batch: masks do not depend on shards.
  public var firstColumn = 0

  /// The number of tokens that a sampled softmax draws; `nil` for a softmax over the whole vocabulary.
  public var sampleCount: Int?

  /// Creates a regularizer.
  ///
  /// - Parameters:
  ///   - terms: Valid terms, `RegularizationTerm.isLawful`.
  ///   - seed: The seed of dropout masks.
  ///   - draw: The number of the window that draws.
  public init(_ terms: [RegularizationTerm] = [], seed: UInt32 = 0, draw: UInt32 = 0) {
    self.terms = terms
    self.seed = seed
    self.draw = draw
  }

  /// A dropout of states.
  struct Dropout {
    fileprivate let settings: unroll_dropout
    fileprivate let isLocked: Bool

    /// Multiplies numbers, or their gradients, by the mask.
    ///
    /// - Parameters:
    ///   - x: `[T, B, N]`
    ///   - y: `[T, B, N]` Out: the product; may be x.
    ///   - T: The number of time steps.
    ///   - B: The batch size.
    ///   - N: The numbers of a stream at a time step.
    func apply(
      _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, T: Int, B: Int, N: Int
    ) {
      unroll_drop(x, y, T, B, N, isLocked, settings)
    }
  }

  /// The dropout of the embedding's output, if there is one.
  var embedding: Dropout? { dropout(.embedding, number: 1) }
  /// The dropout of the output layer's input, if there is one.
  var output: Dropout? { dropout(.output, number: 2) }

  /// Returns the tokens that the window's sampled softmax draws, the same for all shards; `nil` if there is none.
  func sampledTokens(of V: Int) -> SampledTokens? {
    sampleCount.map { SampledTokens($0, of: V, seed: seed, draw: draw) }
  }

  /// Returns the dropout between a layer and the layer above, if there is one.
  func between(layer: Int) -> Dropout? { dropout(.between, number: 16 + UInt32(layer)) }

  private func dropout(_ site: RegularizationTerm.Site, number: UInt32) -> Dropout? {
    guard
      let term = terms.first(where: {
        $0.site == site && $0.rate > 0 && ($0.kind == .element || $0.kind == .locked)
      })
    else { return nil }
    var settings = settings(number, term.rate)
    settings.first_column = UInt32(firstColumn)
    return Dropout(settings: settings, isLocked: term.kind == .locked)
  }

  private func settings(_ site: UInt32, _ rate: Double) -> unroll_dropout {
    unroll_dropout(
      seed: UInt64(seed), site: site, draw: draw, rate: Float(rate), first_column: 0)
  }

  private func rate(_ site: RegularizationTerm.Site, _ kind: RegularizationTerm.Kind) -> Double {
    terms.first { $0.site == site && $0.kind == kind }?.rate ?? 0
  }

  /// The factors of the rows of tokens, or `nil` if no row is dropped.
  var rowMask: ((_ token: Int32) -> Float)? {
    let rate = rate(.embedding, .row)
    guard rate > 0 else { return nil }
    let settings = settings(0, rate)
    return { unroll_row_mask(UInt32(bitPattern: $0), settings) }
  }

  /// `true` if recurrent weights are dropped.
  var dropsWeights: Bool { rate(.weightHH, .weight) > 0 }

  /// Drops recurrent weights of a layer, or their gradients.
  ///
  /// - Parameters:
  ///   - values: `[rows, H]`, in place.
  ///   - layer: The layer, counted from 0.
  ///   - H: The length of a row.
  func dropWeights(_ values: inout [Float], layer: Int, H: Int) {
    let settings = settings(65536 + UInt32(layer), rate(.weightHH, .weight))
    values.withUnsafeMutableBufferPointer {
      unroll_drop($0.start, $0.start, 1, $0.count / H, H, true, settings)
    }
  }

  /// Adds the gradient of the mean square of the hidden states as the output reads them.
  ///
  /// - Parameters:
  ///   - gradient: `[T, B, H]` Out: the sum.
  ///   - hidden: `[T, B, H]` after dropout.
  ///   - count: T*B*H.
  ///   - share: The factor of the gradients of this window.
  func addActivationGradient(
    to gradient: UnsafeMutablePointer<Float>, hidden: UnsafePointer<Float>, count: Int,
    share: Double
  ) {
    let rate = rate(.output, .activation)
    guard rate > 0 else { return }
    unroll_add_scaled(gradient, hidden, Float(2 * rate * share / Double(count)), count)
  }

  /// Adds the gradient of the mean square of the changes of the hidden states from step to step.
  ///
  /// - Parameters:
  ///   - gradient: `[T, size]` Out: the sum.
  ///   - hidden: `[T, size]` before dropout.
  ///   - T: The number of time steps.
  ///   - size: B*H.
  ///   - share: The factor of the gradients of this window.
  func addTemporalGradient(
    to gradient: UnsafeMutablePointer<Float>, hidden: UnsafePointer<Float>, T: Int, size: Int,
    share: Double
  ) {
    let rate = rate(.output, .temporal)
    guard rate > 0, T > 1 else { return }
    let scale = 2 * rate * share / Double((T - 1) * size)
    unroll_add_temporal_gradient(gradient, hidden, Float(scale), T, size)
  }
}
