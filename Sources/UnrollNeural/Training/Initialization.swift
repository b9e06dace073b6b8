// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The initial weights of a model.

import CUnrollKernels
import Foundation
import UnrollFormat
import UnrollTensors

/// The weight initialization of a new model.
public enum Initialization: String, Sendable, CaseIterable {
  /// As pytorch/examples' word_language_model: PyTorch's recurrent layers, embedding and output uniform
  /// in ±0.1, the output's bias 0.
  case wordLanguageModel = "word_language_model"
  /// PyTorch's modules: recurrent layers uniform in ±1/√H, the embedding normal, the output uniform in
  /// ±1/√(its input's width).
  case pytorch
  /// Each square block of `weight_hh` orthogonal (Saxe, McClelland & Ganguli 2013), biases 0, all else as
  /// in word_language_model.
  case orthogonal
  /// `weight_hh` the identity, `weight_ih` normal with deviation 0.001, biases 0 (Le, Jaitly & Hinton 2015),
  /// all else as in word_language_model; for vanilla RNN layers with relu.
  case irnn

  /// Draws the parameters of a model.
  ///
  /// A number depends only on the seed, the index of its parameter in the model and its own index.
  ///
  /// - Parameters:
  ///   - architecture: The sizes and cells.
  ///   - seed: The random seed.
  ///   - forgetBias: The sum of the biases of each forget gate of LSTM layers; `nil` leaves them.
  /// - Returns: One tensor for each of `architecture.parameters`, f32.
  public func parameters(
    of architecture: Architecture, seed: UInt32, forgetBias: Double? = nil
  ) -> ParameterTree<Tensor> {
    var tree = ParameterTree<Tensor>()
    for (number, (path, shape)) in architecture.parameters.enumerated() {
      var source = RandomNumbers(seed: seed, stream: UInt32(number))
      var values = values(of: path, shape, in: architecture, from: &source)
      if let forgetBias, let layer = architecture.layer(of: path), layer.cell == .lstm,
        [LayerParameter.biasIH, .biasHH, .bias].contains(where: { path.isLayerParameter($0) })
      {
        // The order of the blocks is i, f, g, o.
        let H = layer.hiddenSize
        let value = path.isLayerParameter(.biasHH) ? 0 : Float(forgetBias)
        values.replaceSubrange(H..<2 * H, with: repeatElement(value, count: H))
      }
      tree[path] = Tensor(values, shape: shape)
    }
    return tree
  }

  private func values(
    of path: ParameterPath, _ shape: Shape, in architecture: Architecture,
    from source: inout RandomNumbers
  ) -> [Float] {
    let count = shape.elementCount ?? 0
    guard let layer = architecture.layer(of: path) else {
      switch (self, path) {
      case (.pytorch, .embeddingWeight): return source.normal(count, deviation: 1)
      case (.pytorch, _):
        // A linear layer's bound follows from the width of its input; that of a bias is the weight's.
        let width =
          shape.dimensions.count == 2 ? shape.dimensions[1] : architecture.outputInputSize
        return source.uniform(count, bound: 1 / Double(width).squareRoot())
      case (_, .outputBias): return Array(repeating: 0, count: count)
      default: return source.uniform(count, bound: 0.1)
      }
    }
    let H = layer.hiddenSize
    switch self {
    case .wordLanguageModel, .pytorch:
      return source.uniform(count, bound: 1 / Double(H).squareRoot())
    case .orthogonal, .irnn:
      // A recurrent weight after a projection is not square.
      if path.isLayerParameter(.weightHH), layer.projectionSize == nil {
        return (0..<layer.cell.gateCount).flatMap { _ in
          self == .irnn ? identity(H) : source.orthogonal(H)
        }
      }
      guard shape.dimensions.count == 2 else { return Array(repeating: 0, count: count) }
      return self == .irnn
        ? source.normal(count, deviation: 0.001)
        : source.uniform(count, bound: 1 / Double(H).squareRoot())
    }
  }

  private func identity(_ H: Int) -> [Float] {
    var values = [Float](repeating: 0, count: H * H)
    for index in 0..<H { values[index * H + index] = 1 }
    return values
  }
}

extension Architecture {
  /// Returns the layer that a parameter belongs to.
  fileprivate func layer(of path: ParameterPath) -> LayerArchitecture? {
    layers.indices.first { path.description.hasPrefix(ParameterPath.layerGroup($0) + "/") }
      .map { layers[$0] }
  }
}

extension ParameterPath {
  fileprivate func isLayerParameter(_ parameter: LayerParameter) -> Bool {
    description.hasSuffix("/\(parameter.rawValue)")
  }
}

/// Numbers drawn from Philox4x32-10: the n-th block of a stream of a seed.
struct RandomNumbers {
  private let seed: UInt32
  private let stream: UInt32
  private var block: UInt64 = 0
  private var words: [UInt32] = []

  init(seed: UInt32, stream: UInt32) {
    self.seed = seed
    self.stream = stream
  }

  private mutating func next() -> UInt32 {
    if words.isEmpty {
      // The key's second word keeps these apart from masks, whose seed has no high bits.
      var counter = [UInt32(truncatingIfNeeded: block), UInt32(block >> 32), stream, 0]
      unroll_philox(&counter, seed, 0x756e_726f)
      words = counter.reversed()
      block += 1
    }
    return words.removeLast()
  }

  /// From 0 up to but not 1, with 24 bits.
  mutating func unit() -> Double { Double(next() >> 8) * 0x1p-24 }

  mutating func uniform(_ count: Int, bound: Double) -> [Float] {
    (0..<count).map { _ in Float((2 * unit() - 1) * bound) }
  }

  /// Box and Muller's pairs, one of each.
  mutating func normal(_ count: Int, deviation: Double) -> [Float] {
    (0..<count).map { _ in
      let radius = (-2 * Elementary.log(1 - unit())).squareRoot()
      return Float(deviation * radius * Elementary.cosineOfPi(2 * unit()))
    }
  }

  /// `[H, H]` with orthonormal rows: Gram and Schmidt's procedure on rows of normal numbers, twice for
  /// each row, which keeps them orthogonal to rounding.
  mutating func orthogonal(_ H: Int) -> [Float] {
    var rows: [[Double]] = []
    for _ in 0..<H {
      var row = normal(H, deviation: 1).map(Double.init)
      for _ in 0..<2 {
        for other in rows {
          let product = zip(row, other).reduce(0) { $0 + $1.0 * $1.1 }
          for index in 0..<H { row[index] -= product * other[index] }
        }
        let norm = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
        for index in 0..<H { row[index] /= norm }
      }
      rows.append(row)
    }
    return rows.flatMap { $0.map(Float.init) }
  }
}
