// Layers that map text to ids: their vocabulary and tokenization.

import UnrollFormat
import UnrollSerialization
import UnrollTokenization

/// A TextVectorization, StringLookup or IntegerLookup in front of a model.
struct KerasLookup {
  /// The user's name of the layer.
  let name: String
  /// The tokens in the order of their ids; `nil` if the configuration has none, as after `adapt`.
  private(set) var tokens: [String]?
  /// The id of the token for unknown text.
  private(set) var unknownID: Int?
  /// The tokenizer; `nil` if the input is tokenized already.
  private(set) var tokenizer: Tokenizer?
  /// Notes on assumptions.
  private(set) var notes: [Note] = []
  /// `true` if the output is one-hot vectors.
  let givesVectors: Bool

  /// Reads the settings of such a layer.
  ///
  /// - Parameters:
  ///   - entry: The layer.
  ///   - asset: The token list of the layer in the archive, if there is one.
  ///   - refusal: Creates an error from an expectation and a finding.
  /// - Throws: The error of `refusal`, if the layer does not give one id for each token of a text.
  init(
    _ entry: KerasLayerEntry, asset: String?,
    refusal: (_ expected: String, _ found: String) -> InterchangeError
  ) throws {
    name = entry.name
    let settings = entry.settings
    let mode = settings["output_mode"]?.text ?? "int"
    let isText = entry.className == "TextVectorization"
    guard mode == "int" || (mode == "one_hot" && !isText) else {
      throw refusal("an id for each token (output_mode int)", "output_mode \(mode)")
    }
    guard settings["invert"]?.bool != true else { throw refusal("ids of tokens", "invert") }
    guard settings["ngrams"] == nil else { throw refusal("single tokens", "ngrams") }
    givesVectors = mode == "one_hot"
    let unknown = settings["oov_token"].map(Self.words) ?? (isText ? "[UNK]" : nil)
    let mask = isText ? "" : givesVectors ? nil : settings["mask_token"].map(Self.words)
    let count = settings["num_oov_indices"]?.int ?? 1
    let special =
      (mask.map { [$0] } ?? []) + (count > 0 ? [unknown ?? "[UNK]"] : [])
    if let asset {
      tokens = asset.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    } else if let list = (settings["vocabulary"]?.array ?? settings["vocabulary"]?["items"]?.array)
    {
      let words = list.map(Self.words)
      tokens = Array(words.prefix(special.count)) == special ? words : special + words
    }
    // A vocabulary cannot have duplicate tokens.
    if count > 1 { tokens = nil }
    if count == 1 { unknownID = special.count - 1 }
    guard isText else { return }
    try takeTokenizer(settings, refusal)
  }

  private mutating func takeTokenizer(
    _ settings: JSONValue, _ refusal: (_ expected: String, _ found: String) -> InterchangeError
  ) throws {
    switch settings["split"]?.text {
    case "whitespace": tokenizer = Tokenizer(appendsEndOfSentence: false)
    case "character":
      tokenizer = Tokenizer(kind: .character, sentenceStart: .none, appendsEndOfSentence: false)
    case nil where settings["split"] == nil: break
    case let other:
      throw refusal("split at white space or into characters", other ?? "a function of its user's")
    }
    guard let standardize = settings["standardize"] else { return }
    let what =
      switch standardize.text {
      case "lower": "in lower case"
      case "strip_punctuation": "without punctuation"
      case "lower_and_strip_punctuation": "in lower case and without punctuation"
      default: "as a function of its user's makes them"
      }
    notes.append(
      Note(
        place: name,
        message:
          "assumed: texts \(what), as the layer makes them in Keras (standardize) and nothing "
          + "does here"))
  }

  /// Returns a token of a list: a text, or a number.
  private static func words(_ value: JSONValue) -> String {
    value.text ?? value.int.map { "\($0)" } ?? ""
  }

  /// Returns the vocabulary, if it has a token for each row.
  func vocabulary(rows: Int) -> Vocabulary? {
    guard let tokens, tokens.count == rows, Set(tokens).count == rows else { return nil }
    var vocabulary = Vocabulary(
      tokens: tokens.map(\.utf8), unit: tokenizer?.kind == .character ? .character : .word)
    vocabulary.unknownID = unknownID
    return vocabulary
  }
}
