// The differences between two models: declared variants, tensors, tokens, companion data.

import UnrollTensors
import UnrollTokenization

/// The differences between the numbers of two tensors.
public struct TensorDifference: Sendable, Hashable {
  /// The path of the parameter.
  public let path: String
  /// Type and shape in each model, such as `f32 [65, 64]`; `nil` where a model has none.
  public let types: [String?]
  /// The number of elements with other bits or, for other types, other values; `nil` if shapes differ.
  public var differing: Int?
  /// The largest absolute difference; `nil` if shapes differ.
  public var largest: Double?
  /// The largest difference relative to the larger of both numbers; `nil` if shapes differ.
  public var largestRelative: Double?
  /// The cosine of the angle between the two; `nil` if shapes differ or one is zero.
  public var cosine: Double?
  /// The norm of the difference over the norm of the first tensor; `nil` if shapes differ, if the first is zero, or if
  /// a number is not finite.
  public var relativeNorm: Double?

  /// `true` if type, shape and all numbers are the same.
  public var isEmpty: Bool { types[0] == types[1] && differing == 0 }

  /// Compares two tensors, of which one may be missing.
  public init(path: String, _ a: Tensor?, _ b: Tensor?) {
    self.path = path
    types = [a, b].map { $0.map { "\($0.dtype.rawValue) \($0.shape)" } }
    guard let a, let b, a.shape == b.shape else { return }
    var sums = Sums()
    // Parts, so that tensors of any size take little memory.
    for start in stride(from: 0, to: a.elementCount, by: Self.partSize) {
      let part = start..<min(start + Self.partSize, a.elementCount)
      sums.add(a.numbers(part), b.numbers(part))
    }
    differing = sums.differing
    largest = sums.largest
    largestRelative = sums.largestRelative
    cosine = sums.cosine
    relativeNorm = sums.relativeNorm
  }

  private static let partSize = 1 << 18
}

/// Sums over the elements of two tensors.
private struct Sums {
  var differing = 0
  var largest = 0.0
  var largestRelative = 0.0
  private var (product, squares, otherSquares) = (0.0, 0.0, 0.0)
  private var differenceSquares = 0.0

  mutating func add(_ a: [Double], _ b: [Double]) {
    for (x, y) in zip(a, b) {
      product += x * y
      squares += x * x
      otherSquares += y * y
      // Equal bits are equal, NaN too; so are 0 and -0 not.
      guard x.bitPattern != y.bitPattern else { continue }
      differing += 1
      let difference = abs(x - y)
      differenceSquares += difference * difference
      largest = max(largest, difference.isNaN ? .infinity : difference)
      let scale = max(abs(x), abs(y))
      if scale > 0 { largestRelative = max(largestRelative, difference / scale) }
    }
  }

  var relativeNorm: Double? {
    let ratio = (differenceSquares / squares).squareRoot()
    return ratio.isFinite ? ratio : nil
  }

  var cosine: Double? {
    let scale = squares.squareRoot() * otherSquares.squareRoot()
    return scale > 0 && scale.isFinite ? product / scale : nil
  }
}

extension Tensor {
  /// Returns some of the numbers, exactly.
  fileprivate func numbers(_ range: Range<Int>) -> [Double] {
    let bytes = range.lowerBound * dtype.size..<range.upperBound * dtype.size
    let part = Tensor(shape: [range.count], dtype: dtype, storage: storage[bytes])
    guard dtype == .float64 else { return part?.floats()?.map { Double($0) } ?? [] }
    return part?.withUnsafeBytes { $0.elements(of: UInt64.self) { Double(bitPattern: $0) } } ?? []
  }
}

/// Something that is not the same in two models, in words.
public struct PartDifference: Sendable, Hashable {
  /// The name of the part, such as `layer 0: hidden_size`.
  public let part: String
  /// The value in each model; `nil` if a model has none.
  public let values: [String?]
}

/// The differences between two models.
public struct ModelDifference: Sendable {
  /// The declared variants and sizes that differ.
  public let architecture: [PartDifference]
  /// All parameters of both, in the order of their paths.
  public let tensors: [TensorDifference]
  /// The differences of vocabulary and tokenizer; `nil` where a file has none of its own.
  public let tokens: [PartDifference]?
  /// The differences of history, training, card, self-test and extensions.
  public let metadata: [PartDifference]

  /// `true` if models and companion data are the same.
  public var isEmpty: Bool {
    architecture.isEmpty && tensors.allSatisfy(\.isEmpty) && tokens?.isEmpty != false
      && metadata.isEmpty
  }

  /// Compares two models.
  ///
  /// - Parameters:
  ///   - a: One model.
  ///   - b: The other.
  ///   - areTokensKnown: `true` if both have tokens of their own.
  ///   - isMetadataKnown: `true` if both can have a history and companion data.
  public init(
    _ a: Checkpoint, _ b: Checkpoint, areTokensKnown: Bool = true, isMetadataKnown: Bool = true
  ) {
    self.init(
      StoredParts(a), StoredParts(b), areTokensKnown: areTokensKnown,
      isMetadataKnown: isMetadataKnown)
  }

  /// Compares the contents of the files of two models.
  init(
    _ a: StoredParts, _ b: StoredParts, areTokensKnown: Bool = true, isMetadataKnown: Bool = true
  ) {
    architecture = differences(a.architecture, b.architecture, layers: (a.layers, b.layers))
    tensors = Set(a.tensors.keys).union(b.tensors.keys).sorted().map {
      TensorDifference(path: $0, a.tensors[$0], b.tensors[$0])
    }
    tokens =
      areTokensKnown
      ? differences(a.tokens, b.tokens) + tokenDifferences(a.vocabulary, b.vocabulary) : nil
    metadata = isMetadataKnown ? differences(a.metadata, b.metadata) : []
  }
}

// MARK: - Parts

/// Returns the parts of two models that differ, in the order of the first, then of the second.
private func differences(
  _ a: [StoredPart], _ b: [StoredPart], layers: (Int, Int)? = nil
) -> [PartDifference] {
  // A layer that one model lacks is one difference.
  let common = layers.map { min($0.0, $0.1) }
  func isCompared(_ part: StoredPart) -> Bool {
    guard let common, let layer = part.layer else { return true }
    return part.isSummary ? layer >= common : layer < common
  }
  let first = a.filter(isCompared)
  let second = b.filter(isCompared)
  let values = Dictionary(first.map { ($0.name, $0.value) }) { $1 }
  let others = Dictionary(second.map { ($0.name, $0.value) }) { $1 }
  let names = first.map(\.name) + second.map(\.name).filter { values[$0] == nil }
  return names.filter { values[$0] != others[$0] }.map {
    PartDifference(part: $0, values: [values[$0], others[$0]])
  }
}

/// Returns the ids whose tokens differ, the first few of them, and how many there are.
private func tokenDifferences(_ a: Vocabulary, _ b: Vocabulary) -> [PartDifference] {
  func text(_ vocabulary: Vocabulary, _ id: Int) -> String? {
    id < vocabulary.count ? vocabulary.text(of: id) : nil
  }
  let ids = (0..<max(a.count, b.count)).filter { id in
    id >= a.count || id >= b.count || a[id] != b[id]
  }
  let shown = ids.prefix(10).map { id in
    PartDifference(part: "token \(id)", values: [text(a, id), text(b, id)])
  }
  guard ids.count > shown.count else { return shown }
  return shown + [
    PartDifference(
      part: "tokens that differ",
      values: ["\(ids.count) of \(a.count)", "\(ids.count) of \(b.count)"])
  ]
}
