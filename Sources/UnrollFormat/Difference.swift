// What is different between two models: declared variants, tensors, tokens, what goes along.

import UnrollTensors
import UnrollTokenization

/// How the numbers of two tensors differ.
public struct TensorDifference: Sendable, Hashable {
  /// The path of the parameter.
  public let path: String
  /// Type and shape in each model, such as `f32 [65, 64]`; `nil` where a model has none.
  public let types: [String?]
  /// How many elements have other bits or, for other types, other values; `nil` if shapes differ.
  public var differing: Int?
  /// The largest absolute difference; `nil` if shapes differ.
  public var largest: Double?
  /// The largest difference relative to the larger of both numbers; `nil` if shapes differ.
  public var largestRelative: Double?
  /// The cosine of the angle between the two; `nil` if shapes differ or one is zero.
  public var cosine: Double?

  /// Whether type, shape and all numbers are the same.
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
  }

  private static let partSize = 1 << 18
}

/// What is gathered over the elements of two tensors.
private struct Sums {
  var differing = 0
  var largest = 0.0
  var largestRelative = 0.0
  private var (product, squares, otherSquares) = (0.0, 0.0, 0.0)

  mutating func add(_ a: [Double], _ b: [Double]) {
    for (x, y) in zip(a, b) {
      product += x * y
      squares += x * x
      otherSquares += y * y
      // Equal bits are equal, NaN too; so are 0 and -0 not.
      guard x.bitPattern != y.bitPattern else { continue }
      differing += 1
      let difference = abs(x - y)
      largest = max(largest, difference.isNaN ? .infinity : difference)
      let scale = max(abs(x), abs(y))
      if scale > 0 { largestRelative = max(largestRelative, difference / scale) }
    }
  }

  var cosine: Double? {
    let scale = squares.squareRoot() * otherSquares.squareRoot()
    return scale > 0 && scale.isFinite ? product / scale : nil
  }
}

extension Tensor {
  /// Some of the numbers, exactly.
  fileprivate func numbers(_ range: Range<Int>) -> [Double] {
    let bytes = range.lowerBound * dtype.size..<range.upperBound * dtype.size
    let part = Tensor(shape: [range.count], dtype: dtype, storage: storage[bytes])
    guard dtype == .float64 else { return part?.floats()?.map { Double($0) } ?? [] }
    return part?.withUnsafeBytes { $0.elements(of: UInt64.self) { Double(bitPattern: $0) } } ?? []
  }
}

/// Something that is not the same in two models, in words.
public struct PartDifference: Sendable, Hashable {
  /// What it is, such as `layer 0: hidden_size`.
  public let part: String
  /// What it is in each model; `nil` where a model has none.
  public let values: [String?]
}

/// What is different between two models.
public struct ModelDifference: Sendable {
  /// The declared variants and sizes that differ.
  public let architecture: [PartDifference]
  /// All parameters of both, in the order of their paths.
  public let tensors: [TensorDifference]
  /// The differences of vocabulary and tokenizer; `nil` where a file has none of its own.
  public let tokens: [PartDifference]?
  /// The differences of history, training, card, self-test and extensions.
  public let metadata: [PartDifference]

  /// Whether the two are the same model with the same things around it.
  public var isEmpty: Bool {
    architecture.isEmpty && tensors.allSatisfy(\.isEmpty) && tokens?.isEmpty != false
      && metadata.isEmpty
  }

  /// Compares two models.
  ///
  /// - Parameters:
  ///   - a: One model.
  ///   - b: The other.
  ///   - areTokensKnown: Whether both have tokens of their own.
  ///   - isMetadataKnown: Whether both can have a history and what goes along.
  public init(
    _ a: Checkpoint, _ b: Checkpoint, areTokensKnown: Bool = true, isMetadataKnown: Bool = true
  ) {
    let common = min(a.architecture.layers.count, b.architecture.layers.count)
    architecture = differences(
      a.architecture.parts(layers: common), b.architecture.parts(layers: common))
    tensors = Set(a.parameters.paths + b.parameters.paths).sorted().map {
      TensorDifference(path: $0.description, a.parameters[$0], b.parameters[$0])
    }
    tokens =
      areTokensKnown
      ? differences(a.tokenParts, b.tokenParts) + tokenDifferences(a.vocabulary, b.vocabulary) : nil
    metadata =
      isMetadataKnown
      ? differences(a.metadataParts, b.metadataParts) + differences(a.objectParts, b.objectParts)
      : []
  }
}

// MARK: - Parts

private typealias Part = (name: String, value: String)

/// The parts of two models that differ, in the order of the first, then of the second.
private func differences(_ a: [Part], _ b: [Part]) -> [PartDifference] {
  let (first, second) = (
    Dictionary(a.map { ($0.name, $0.value) }) { $1 },
    Dictionary(b.map { ($0.name, $0.value) }) { $1 }
  )
  let names = a.map(\.name) + b.map(\.name).filter { first[$0] == nil }
  return names.filter { first[$0] != second[$0] }.map {
    PartDifference(part: $0, values: [first[$0], second[$0]])
  }
}

extension Architecture {
  /// Sizes and variants: of the first layers all, of those above what they are.
  fileprivate func parts(layers count: Int) -> [Part] {
    let whole: [Part] = [
      ("input", input.rawValue), ("vocabulary_size", "\(vocabularySize)"),
      ("embedding_size", "\(embeddingSize)"), ("tied", "\(isTied)"), ("layers", "\(layers.count)"),
    ]
    return whole
      + layers.enumerated().flatMap { index, layer -> [Part] in
        guard index < count else {
          return [
            ("layer \(index)", "\(layer.cell.rawValue), \(layer.inputSize) -> \(layer.outputSize)")
          ]
        }
        return [
          ("cell", layer.cell.rawValue), ("input_size", "\(layer.inputSize)"),
          ("hidden_size", "\(layer.hiddenSize)"), ("activation", layer.activation.rawValue),
          ("bias", layer.bias.rawValue), ("gate_activation", "\(layer.gateActivation)"),
          ("reset", layer.reset.rawValue), ("forget_bias", "\(layer.forgetBias)"),
          ("projection_size", layer.projectionSize.map { "\($0)" } ?? "none"),
        ].map { ("layer \(index): \($0.0)", $0.1) }
      }
  }
}

extension Checkpoint {
  fileprivate var tokenParts: [Part] {
    func token(_ id: Int?) -> String {
      id.map { "\($0), \"\($0 < vocabulary.count ? vocabulary.text(of: $0) : "")\"" } ?? "none"
    }
    return [
      ("unit", vocabulary.unit.rawValue), ("tokens", "\(vocabulary.count)"),
      ("unknown token", token(vocabulary.unknownID)),
      ("eos token", token(vocabulary.endOfSentenceID)),
      ("pad token", token(vocabulary.paddingID)), ("tokenizer", tokenizer.kind.rawValue),
      ("sentence_start", tokenizer.sentenceStart.rawValue),
      ("append_eos", "\(tokenizer.appendsEndOfSentence)"),
      ("space", tokenizer.space ?? "none"),
      (
        "definition", tokenizer.definition.map { "\($0.format), \($0.bytes.count) bytes" } ?? "none"
      ),
    ]
  }

  fileprivate var metadataParts: [Part] {
    let history = provenance.enumerated().map { index, entry -> Part in
      (
        "history \(index)",
        "\(entry.operation) by \(entry.tool) \(entry.arguments.replacing("\n", with: "; "))"
      )
    }
    let fields = CardField.allCases.compactMap { field -> Part? in
      card?.fields[field].map { ("card \(field.rawValue)", $0.joined(separator: "; ")) }
    }
    return history + fields + [
      ("card readme", card?.readme.map { "\($0.utf8.count) bytes" } ?? "none"),
      ("training", training.map { "step \($0.step), epoch \($0.epoch)" } ?? "none"),
      ("optimizer", optimizer.map { "\($0.kind.rawValue), step \($0.step)" } ?? "none"),
      ("self-test", selfTest.map { "by \($0.producer)" } ?? "none"),
      ("extensions", extensions.names.isEmpty ? "none" : extensions.names.joined(separator: ", ")),
    ]
  }
}

extension Checkpoint {
  /// Everything in a file that the other parts do not show in words: attributes, and data by its digest.
  fileprivate var objectParts: [Part] {
    let groups = [
      Layout.optimizer, Layout.training, Layout.selfTest, Layout.extensions, Layout.provenance,
      Layout.tokenizer, Layout.tokenKind, Layout.counts, Layout.scores,
    ]
    let objects = outline().inOrder.filter { path, _ in
      groups.contains { path == $0 || path.hasPrefix($0 + "/") }
    }
    return objects.flatMap { path, object -> [Part] in
      var parts: [Part] = []
      if case .dataset(let tensor) = object.kind {
        let digest = object.attributes[AttributeName.digest]?.printed ?? "no digest"
        parts.append((path, "\(tensor.dtype.rawValue) \(tensor.shape), sha256 \(digest)"))
      }
      // Other parts show these in words.
      let shown: Set = [
        AttributeName.digest, AttributeName.operation, AttributeName.tool, AttributeName.arguments,
        AttributeName.weightsDigest,
      ]
      parts += object.attributes.filter { !shown.contains($0.key) }.sorted { $0.key < $1.key }
        .map { ("\(path): \($0.key)", $0.value.printed) }
      return parts
    }
  }
}

/// The ids whose tokens differ, the first few of them, and how many there are.
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
