// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Small checkpoints with seeded numbers.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// A generator of pseudo-random numbers with a seed: SplitMix64.
public struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  /// Creates a generator.
  public init(seed: UInt64) { state = seed }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A number from -range to range.
  public mutating func number(_ range: Float) -> Float {
    Float.random(in: -range...range, using: &self)
  }
}

extension Checkpoint {
  /// A model with seeded weights; V 11 words among them `<eos>` and, if asked, `<unk>`.
  public static func small(
    cell: Cell = .lstm, tied: Bool = false, hidden: [Int] = [7, 6], embedding: Int = 5,
    unknown: Bool = true, activation: Activation = .tanh, seed: UInt64 = 1,
    tails: [OutputTail] = []
  ) -> Checkpoint {
    let words = ["the", "cat", "sat", "<eos>", "on", "a", "mat", "ü", "日本", "dog"]
    var vocabulary = Vocabulary(
      tokens: (words + [unknown ? "<unk>" : "ran"]).map { Array($0.utf8) }, unit: .word)
    vocabulary.endOfSentenceID = 3
    vocabulary.unknownID = unknown ? 10 : nil
    var layers: [LayerArchitecture] = []
    var width = embedding
    for H in hidden {
      let activations = cell.facts.activations
      layers.append(
        LayerArchitecture(
          cell: cell, inputSize: width, hiddenSize: H,
          activation: activations.contains(activation) ? activation : activations[0],
          bias: cell.facts.biases[0]))
      width = H
    }
    if cell.facts.hasInputWindow { layers[0].inputWindow = 2 }
    var architecture = Architecture(
      vocabularySize: vocabulary.count, embeddingSize: embedding, layers: layers, isTied: tied)
    architecture.tails = tails
    var generator = SeededGenerator(seed: seed)
    var parameters = ParameterTree<Tensor>()
    for (path, shape) in architecture.parameters {
      let values = (0..<(shape.elementCount ?? 0)).map { _ in generator.number(0.5) }
      parameters[path] = Tensor(values, shape: shape)
    }
    return Checkpoint(
      architecture: architecture, parameters: parameters, vocabulary: vocabulary,
      tokenizer: Tokenizer(),
      provenance: [
        ProvenanceEntry(operation: "convert", tool: "test", arguments: "a=1\nb=2", inputs: "00 x")
      ])
  }
}

extension SeededGenerator {
  /// Some bytes with others in a few places near the beginning, and now and then without their end.
  public mutating func damaged(_ bytes: [UInt8], within end: Int) -> [UInt8] {
    var damaged = bytes
    if Int.random(in: 0..<8, using: &self) == 0 {
      damaged.removeLast(Int.random(in: 1..<damaged.count, using: &self))
    }
    for _ in 0..<Int.random(in: 1...4, using: &self) {
      let place = Int.random(in: 0..<min(damaged.count, end), using: &self)
      damaged[place] =
        [0, 1, 0x7F, 0x80, 0xFF, UInt8.random(in: 0...255, using: &self)]
        .randomElement(using: &self) ?? 0
    }
    return damaged
  }
}
