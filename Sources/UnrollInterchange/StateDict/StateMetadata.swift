// Properties of a language model that a state_dict lacks, as a JSON text in the file.

import Foundation
import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// Tokens, tokenizer, and properties that names and shapes do not determine; `spec/INTERCHANGE.md`
/// lists the members.
struct StateMetadata {
  /// The key of the metadata in files.
  static let key = "unroll"

  /// `true` if the output shares the embedding's weight.
  let isTied: Bool
  /// `true` if there is a projection before the output weight.
  let isProjected: Bool
  /// The activation of the vanilla RNN cells, if they share one.
  let activation: Activation?
  /// The variants of the layers; `nil` if all are those of PyTorch's modules.
  let layers: [LayerVariant]?
  /// The order of the gate blocks in the rows of recurrent parameters; `nil` for that of PyTorch's modules.
  var gates: GateOrder?
  /// The tokens.
  let vocabulary: Vocabulary?
  /// The tokenizer.
  let tokenizer: Tokenizer

  /// Creates the metadata of a checkpoint.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - gates: The order of the gate blocks in the file, if it is not that of a checkpoint.
  init(_ checkpoint: Checkpoint, gates: GateOrder? = nil) {
    self.gates = gates
    let architecture = checkpoint.architecture
    let activations = architecture.plainActivations
    isTied = architecture.isTied
    isProjected = architecture.hasOutputProjection
    activation = activations.count == 1 ? activations.first : nil
    let variants = architecture.layers.map(LayerVariant.init)
    let isUsual = activations.count <= 1 && variants.allSatisfy(\.isUsual)
    layers = isUsual ? nil : variants
    (vocabulary, tokenizer) = (checkpoint.vocabulary, checkpoint.tokenizer)
  }

  /// Creates metadata with tokens, tokenizer and tying only, for files that state the other
  /// properties themselves.
  init(besideConfigurationOf checkpoint: Checkpoint) {
    (isTied, isProjected) = (checkpoint.architecture.isTied, false)
    (activation, layers) = (nil, nil)
    (vocabulary, tokenizer) = (checkpoint.vocabulary, checkpoint.tokenizer)
  }

  /// The JSON text, which is deterministic.
  var json: String { json(listingTokens: true) }

  /// Returns the JSON text, without the tokens if the file stores them elsewhere.
  func json(listingTokens: Bool) -> String {
    var members = [#""version":1"#, #""tied":\#(isTied)"#]
    if isProjected { members.append(#""output_projection":true"#) }
    if let activation { members.append(#""activation":\#(quoted(activation.rawValue))"#) }
    if let gates { members.append(#""gates":\#(quoted(gates.letters))"#) }
    if let layers {
      members.append(#""layers":[\#(layers.map(\.json).joined(separator: ","))]"#)
    }
    if let vocabulary {
      members.append(#""vocabulary":\#(Self.json(vocabulary, listingTokens: listingTokens))"#)
    }
    members.append(#""tokenizer":\#(Self.json(tokenizer))"#)
    return "{\(members.joined(separator: ","))}"
  }

  private static func json(_ vocabulary: Vocabulary, listingTokens: Bool) -> String {
    var members = [#""unit":\#(quoted(vocabulary.unit.rawValue))"#]
    for role in SpecialToken.allCases {
      if let id = vocabulary[role] { members.append("\(quoted(role.name)):\(id)") }
    }
    if let kinds = vocabulary.kinds {
      members.append(#""kinds":[\#(kinds.map { "\($0.rawValue)" }.joined(separator: ","))]"#)
    }
    if let counts = vocabulary.counts {
      // As strings: JSON numbers are exact only up to 2^53.
      members.append(#""counts":[\#(counts.map { quoted("\($0)") }.joined(separator: ","))]"#)
    }
    if let scores = vocabulary.scores {
      members.append(
        #""scores":[\#(scores.map { quoted(String($0.bitPattern, radix: 16)) }.joined(separator: ","))]"#
      )
    }
    guard listingTokens else { return "{\(members.joined(separator: ","))}" }
    // Tokens that are not valid text are given by their bytes.
    let tokens = vocabulary.indices.map { id -> String in
      let bytes = Array(vocabulary[id])
      guard let text = String(validating: bytes, as: UTF8.self) else {
        return #"{"bytes":\#(quoted(Data(bytes).base64EncodedString()))}"#
      }
      return quoted(text)
    }
    members.append(#""tokens":[\#(tokens.joined(separator: ","))]"#)
    return "{\(members.joined(separator: ","))}"
  }

  private static func json(_ tokenizer: Tokenizer) -> String {
    var members = [
      #""kind":\#(quoted(tokenizer.kind.rawValue))"#,
      #""sentence_start":\#(quoted(tokenizer.sentenceStart.rawValue))"#,
      #""appends_eos":\#(tokenizer.appendsEndOfSentence)"#,
    ]
    if let space = tokenizer.space { members.append(#""space":\#(quoted(space))"#) }
    if let definition = tokenizer.definition {
      members.append(#""format":\#(quoted(definition.format))"#)
      members.append(#""definition":\#(quoted(Data(definition.bytes).base64EncodedString()))"#)
    }
    return "{\(members.joined(separator: ","))}"
  }
}
