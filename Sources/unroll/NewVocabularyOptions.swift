// Options of `train` for the tokens.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// The tokens of a new model.
struct NewVocabularyOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Tokenizer: whitespace, character, byte, bpe (learned from the text), greedy (longest token of --vocabulary), or a file: tokenizer.json, merges.txt, a SentencePiece model or a Keras Tokenizer (default: whitespace).",
      valueName: "kind or file"))
  var tokenizer: String?

  @Option(
    help: ArgumentHelp(
      "Tokens, one per line, .json, fairseq's dict.txt, word vectors, or a pickled list (default: those of the training text).",
      valueName: "file"))
  var vocabulary: String?

  @Option(
    help: "Minimum count of a token in the training text, or with bpe of a pair (default: 1).")
  var minCount: Int?

  @Option(help: "Maximum number of tokens; the most frequent ones are kept.")
  var vocabularySize: Int?

  @Flag(
    help: "With bpe or a file: end each line with the end-of-sentence token.")
  var appendEos = false

  func validate() throws {
    for case (let name, let value?) in [
      ("--min-count", minCount), ("--vocabulary-size", vocabularySize),
    ] where value < 1 {
      throw ValidationError("\(name) is at least 1.")
    }
    let isCounted = minCount != nil || vocabularySize != nil
    guard vocabulary == nil || !isCounted else {
      throw ValidationError("--vocabulary says which tokens there are; nothing is counted.")
    }
    switch source {
    case .kind(.bpe, _):
      guard vocabulary == nil, Self.bpeSizes.contains(vocabularySize ?? 0) else {
        throw ValidationError(
          "--tokenizer bpe learns its tokens: give --vocabulary-size, from 257 to 1000000.")
      }
    case .kind(let kind, _) where kind.isDefined:
      throw ValidationError(
        "--tokenizer \(kind.rawValue) is not made of a text: give its file, or --tokenizer bpe.")
    case .kind(let kind, _):
      guard kind != .greedy || vocabulary != nil else {
        throw ValidationError("--tokenizer greedy needs its tokens: give --vocabulary.")
      }
      guard !appendEos else {
        throw ValidationError("--append-eos goes with --tokenizer bpe or a file.")
      }
    case .definition:
      guard !isCounted else {
        throw ValidationError("A --tokenizer file says which tokens there are; nothing is counted.")
      }
    }
  }

  /// More than the number of bytes, and at most as many as a model's vocabulary may have.
  private static let bpeSizes = 257...1_000_000

  /// The files to read.
  var paths: [String] { source.paths + [vocabulary].compactMap { $0 } }

  /// The source of the tokens, for the history.
  var origins: [String] {
    var lines = ["tokenizer=\(source.name ?? TokenizerKind.whitespace.rawValue)"]
    lines.append(
      "vocabulary=" + (vocabulary != nil ? "list" : source.paths.isEmpty ? "train" : "tokenizer"))
    lines += minCount.map { ["minimum_count=\($0)"] } ?? []
    lines += vocabularySize.map { ["maximum_size=\($0)"] } ?? []
    return lines + (appendEos ? ["append_eos=1"] : [])
  }

  private var source: TokenizerSource { TokenizerSource(tokenizer ?? "whitespace") }

  /// The advice if a token that starts or ends lines is missing.
  var fixOfMissingToken: String {
    if vocabulary != nil { return "add the token to the list of --vocabulary" }
    if case .kind(.bpe, _) = source {
      return
        "leave it out, and give --append-eos for lines that end with <eos>, the only such token of "
        + "bpe"
    }
    return
      "give a token of the tokenizer's file; a vocabulary that is made of the text gets new ones"
  }

  /// Returns the tokenizer of the new model, and the tokens.
  ///
  /// - Parameters:
  ///   - train: The training text.
  ///   - lines: The tokens around lines, added to a vocabulary built from the text.
  ///   - order: The order of the tokens of a vocabulary built from the text.
  /// - Returns: Both.
  /// - Throws: The errors of reading the text, the list or the tokenizer's file.
  func tokens(
    train: String, lines: SpecialTokens, order: VocabularyOrder
  ) throws -> (tokenizer: Tokenizer, vocabulary: Vocabulary) {
    let listed = try vocabulary.map {
      try Vocabulary(contentsOf: $0)
    }
    if case .kind(.bpe, _) = source { return try learned(from: train) }
    let (tokenizer, vocabulary) = try source.tokens(listed, appendsEndOfSentence: appendEos)
    if let vocabulary { return (tokenizer, vocabulary) }
    return try counted(tokenizer.kind, in: train, lines, order)
  }

  private func counted(
    _ kind: TokenizerKind, in train: String, _ lines: SpecialTokens, _ order: VocabularyOrder
  ) throws -> (tokenizer: Tokenizer, vocabulary: Vocabulary) {
    var tokenizer = Tokenizer(kind: kind)
    if kind != .whitespace {
      // The text is one stream whose line ends are tokens.
      tokenizer.sentenceStart = .none
      tokenizer.appendsEndOfSentence = false
    }
    var training = VocabularyTraining(tokenizer: tokenizer)
    training.order = order
    training.minimumCount = minCount ?? 1
    training.maximumSize = vocabularySize
    lines.apply(to: &training)
    let vocabulary = try Progress.during("counting the tokens of \(train)") {
      try Vocabulary(trainedOn: [train], by: training)
    }
    return (tokenizer, vocabulary)
  }

  private func learned(
    from train: String
  ) throws -> (tokenizer: Tokenizer, vocabulary: Vocabulary) {
    let size = vocabularySize ?? Self.bpeSizes.lowerBound
    var training = BytePairTraining(maximumSize: size)
    training.minimumCount = minCount ?? 1
    training.appendsEndOfSentence = appendEos
    var progress = Progress()
    let tokens = try learnedTokens(train, by: training) { stage in
      progress.report { _ in
        switch stage {
        case .reading(let fraction):
          "reading \(printable(train))"
            + (fraction.map { String(printf: ": %.0f %%", 100 * $0) } ?? "")
        case .merging(let count):
          "merging: \(Output.grouped(count)) of \(Output.grouped(size)) tokens"
        }
      }
    }
    progress.finish()
    return tokens
  }
}

extension Cell: ExpressibleByArgument {}
extension Initialization: ExpressibleByArgument {}
