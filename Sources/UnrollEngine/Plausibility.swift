// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Checks that a converted model predicts its own text, which names and shapes cannot show.

import Foundation
import UnrollFormat
import UnrollInterchange
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// The beginning of a text that a converted model should predict well, and its likelihood.
///
/// A model whose ids, roles or gate blocks were misread predicts its own training text no better
/// than uniform guessing, although every tensor is present.
struct PlausibilityCheck {
  /// The mean negative log-probability of the predicted tokens in nats.
  let nll: Double
  /// The number of tokens that were read.
  let tokenCount: Int
  /// The number of them that the vocabulary lacks.
  let unknownCount: Int
  /// The number of lines that the model cannot encode.
  let refusedLines: Int
  /// The interpretations of the file under which the text is much more likely.
  private(set) var better: [(change: String, nll: Double)] = []

  private let checkpoint: Checkpoint
  private let path: String
  private let corpus: [String]
  private let window: FixedWindow?

  /// The maximum number of tokens for comparing interpretations of the file.
  private static let comparedTokens = 300
  /// The minimum number of tokens for a significant comparison.
  private static let fewestTokens = 50
  /// The improvement in nats per token that another interpretation must reach; chance does not
  /// reach it.
  private static let margin = 0.3

  /// Evaluates a model on the beginning of a text.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - path: The text.
  ///   - corpus: The texts that gave the vocabulary, if any.
  ///   - areGatesAssumed: `true` if the file does not determine the order of gate blocks.
  ///   - window: The window that each token is predicted from; `nil` for all tokens before it.
  /// - Throws: `FileError` or `TextError` if the text cannot be read; `NeuralError` if memory is short.
  init(
    _ checkpoint: Checkpoint, text path: String, corpus: [String], areGatesAssumed: Bool,
    window: FixedWindow? = nil
  ) throws {
    self.checkpoint = checkpoint
    self.path = path
    self.corpus = corpus
    self.window = window
    let text = try CheckedText(path, checkpoint)
    refusedLines = text.refusedLines
    tokenCount = text.count + text.leftOutCount
    unknownCount = text.unknownCount + text.leftOutCount
    nll = try text.nll(checkpoint, window)
    let isSuspicious = isWorseThanGuessing
    guard isSuspicious || areGatesAssumed, text.count >= Self.fewestTokens, nll.isFinite else {
      return
    }
    try compare(
      text.prefix(Self.comparedTokens), tryingGates: areGatesAssumed, tryingOthers: isSuspicious)
  }

  /// The loss of uniform guessing among all tokens, ln V.
  private var guessing: Double { Elementary.log(Double(checkpoint.architecture.vocabularySize)) }

  private var isWorseThanGuessing: Bool { nll > guessing }

  /// The warning that follows from the numbers, if any.
  var warning: Note? {
    let V = checkpoint.architecture.vocabularySize
    func note(_ message: String) -> Note { Note(place: path, message: "WARNING: \(message)") }
    let figures =
      String(printf: "%.2f nats a token on the first %d tokens", nll, tokenCount)
      + (window.map { ", each from the \($0.length) before it" } ?? "")
    if let best = better.min(by: { $0.nll < $1.nll }) {
      return note(
        "\(figures), but \(String(printf: "%.2f", best.nll)) with \(best.change)")
    }
    if tokenCount < 2, refusedLines > 0 {
      return note(
        "the model can read none of its first lines: the vocabulary or the tokenizer is not of this text"
      )
    }
    if tokenCount > 0, 2 * unknownCount > tokenCount {
      return note(
        "\(unknownCount) of \(tokenCount) tokens are unknown: the vocabulary or the tokenizer is not of "
          + "this text")
    }
    guard isWorseThanGuessing else { return nil }
    return note(
      "\(figures), worse than guessing among all \(V) tokens (\(String(printf: "%.2f", guessing))"
        + "): likely causes are the order of the ids (--vocabulary, --vocabulary-order), the roles of "
        + "the tensors or the order of their gates (--map), what starts and ends a line "
        + "(--line-start, --line-end)"
        + (window == nil ? ", or windows of a fixed length (--context, --pad)" : "")
        + "; or the text is of another kind")
  }

  // MARK: - Other interpretations

  private mutating func compare(
    _ text: CheckedText, tryingGates: Bool, tryingOthers: Bool
  ) throws {
    let own = try text.nll(checkpoint, window)
    func consider(_ change: String, _ nll: Double) {
      if nll < own - Self.margin, nll < guessing { better.append((change, nll)) }
    }
    for order in tryingGates ? otherGateOrders : [] {
      consider(
        "the gate blocks in the order \(order.letters): state it in the map, \"gates\": "
          + "\"\(order.letters)\"",
        try text.nll(checkpoint.withGates(order), window))
    }
    guard tryingOthers else { return }
    if let swapped = checkpoint.withSwappedEmbedding {
      consider(
        "the embedding and the output exchanged: state encoder.weight and decoder.weight in the map",
        try text.nll(swapped, window))
    }
    for (order, vocabulary) in otherOrders() {
      var other = checkpoint
      other.vocabulary = vocabulary
      let text = try CheckedText(path, other).prefix(Self.comparedTokens)
      consider(
        "ids in the order \(order.rawValue): "
          + (corpus.isEmpty
            ? "sort the list for --vocabulary" : "give --vocabulary-order \(order.rawValue)"),
        try text.nll(other, window))
    }
  }

  private var otherGateOrders: [GateOrder] {
    let cells = Set(checkpoint.architecture.layers.map(\.cell))
    guard cells.count == 1, let cell = cells.first else { return [] }
    return GateOrder.all(cell).filter { $0 != GateOrder.usual(cell) }
  }

  /// Returns the same tokens in other orders, with special tokens found by name.
  private func otherOrders() -> [(VocabularyOrder, Vocabulary)] {
    let own = checkpoint.vocabulary
    // A tokenizer's own file gives the id of each token.
    guard !checkpoint.tokenizer.kind.isDefined else { return [] }
    let sorted = own.indices.map { Array(own[$0]) }.sorted { $0.lexicographicallyPrecedes($1) }
    var vocabularies: [(VocabularyOrder, Vocabulary)] = [
      (.sorted, Vocabulary(tokens: sorted, unit: own.unit))
    ]
    if !corpus.isEmpty {
      for order in [VocabularyOrder.frequency, .firstSeen] {
        var training = VocabularyTraining(tokenizer: checkpoint.tokenizer)
        training.hasUnknown = own.unknownID != nil
        training.order = order
        if let vocabulary = try? Vocabulary(trainedOn: corpus, by: training) {
          vocabularies.append((order, vocabulary))
        }
      }
    }
    return vocabularies.compactMap { order, vocabulary in
      guard vocabulary.count == own.count, vocabulary.tokenBytes != own.tokenBytes else {
        return nil
      }
      var vocabulary = vocabulary
      for role in SpecialToken.allCases {
        vocabulary[role] = own[role].flatMap { vocabulary.id(of: own.text(of: $0)) }
      }
      return (order, vocabulary)
    }
  }
}

extension Checkpoint {
  /// Returns the model as if the gate blocks of the file were in another order.
  fileprivate func withGates(_ order: GateOrder) -> Checkpoint {
    var checkpoint = self
    for index in architecture.layers.indices {
      for parameter in LayerParameter.allCases where parameter != .weightHR {
        let path = ParameterPath.layer(index, parameter)
        checkpoint.parameters[path] = parameters[path].map { $0.reordered(blocks: order.blocks) }
      }
    }
    return checkpoint
  }

  /// The model with embedding and output weight exchanged; `nil` if their shapes do not allow it.
  fileprivate var withSwappedEmbedding: Checkpoint? {
    guard !architecture.isTied, let embedding = parameters[.embeddingWeight],
      let output = parameters[.outputWeight], embedding.shape == output.shape
    else { return nil }
    var checkpoint = self
    checkpoint.parameters[.embeddingWeight] = output
    checkpoint.parameters[.outputWeight] = embedding
    return checkpoint
  }
}

extension ConversionOptions {
  /// The text of the check: the caller's, or the corpus's validation or training text.
  private var checkedText: String? {
    if let checkText { return checkText }
    guard case .corpus(let folder, _) = vocabulary else { return nil }
    return ["valid.txt", "train.txt"].map { "\(folder)/\($0)" }
      .first { FileManager.default.fileExists(atPath: $0) }
  }

  /// The note that nothing shows that the caller's list has the model's tokens in their order, if
  /// there is no text.
  var uncheckedListNote: Note? {
    guard case .list(let path, _) = vocabulary, checkText == nil else { return nil }
    return Note(
      place: path,
      message:
        "the order of the tokens was not checked; --check TEXT tests it on a text of the model's kind"
    )
  }

  /// Returns the warning about a converted model that predicts its own text badly, if there is a
  /// text.
  ///
  /// - Throws: `FileError` or `TextError` if the caller's text cannot be read.
  func plausibilityWarning(_ conversion: Conversion) throws -> Note? {
    guard let path = checkedText else { return nil }
    let corpus = if case .corpus = vocabulary { vocabulary.paths } else { [String]() }
    var checkpoint = conversion.checkpoint
    if checkText == nil, checkpoint.tokenizer.space != nil {
      // The texts of such a corpus have spaces between their characters, as words have.
      checkpoint.tokenizer.kind = .whitespace
      checkpoint.tokenizer.space = nil
    }
    return try PlausibilityCheck(
      checkpoint, text: path, corpus: corpus,
      areGatesAssumed: conversion.areGatesAssumed, window: checkedWindow(conversion)
    ).warning
  }

  /// Returns the window of the check: the caller's or the file's.
  private func checkedWindow(_ conversion: Conversion) throws -> FixedWindow? {
    let checkpoint = conversion.checkpoint
    if let window {
      return try checkpoint.vocabulary.fixedWindow(
        length: window.length, padding: window.padding, path: "--pad")
    }
    return try conversion.window.map { stated in
      // Keras pads with 0.
      let padding = Int32(checkpoint.vocabulary.paddingID ?? 0)
      return try FixedWindow(length: stated.length, padding: stated.readsPadding ? padding : nil)
    }
  }
}
