// The page of `unroll inspect`: structure, parameters, tokens, training and history.

import Foundation
import UnrollFormat
import UnrollReport
import UnrollTensors

extension ModelReport {
  /// Returns the page.
  ///
  /// - Parameter checkpoint: The model with its weights.
  /// - Returns: The page.
  /// - Throws: `EncodingError` if a number is not finite.
  func document(of checkpoint: Checkpoint) throws -> Document {
    var document = Document(
      title: "Model \(file)",
      lead: "Recurrent language model of \(Output.grouped(parameterCount)) parameters, "
        + "\(Output.grouped(bytes)) bytes.",
      files: ["model": file], weights: weightsDigest)
    document.highlights = [
      Document.Fact("parameters", Output.grouped(parameterCount)),
      Document.Fact("tokens", Output.grouped(vocabularySize)),
      Document.Fact("layers", "\(layers.count)"),
      Document.Fact("hidden size", hiddenSizes),
    ]
    document.notes = notes.map { "\(excerpt($0.location)): \(excerpt($0.message, limit: 1000))" }
    document.facts += fileFacts
    document.sections =
      [
        Document.Section("Structure", structureBlocks),
        Document.Section("Tokens", [.facts(tokenFacts)]),
      ] + trainingSections + cardSections + historySections + [
        ParameterSection(parameters, of: checkpoint).section
      ]
    document.result = LongText(try Output.encoded(self))
    return document
  }

  private var hiddenSizes: String {
    let sizes = layers.map(\.hiddenSize)
    return Set(sizes).count == 1
      ? "\(sizes[0])" : sizes.map(String.init).joined(separator: ", ")
  }

  // MARK: Structure

  private var structureBlocks: [Document.Block] {
    let table = Table(
      "From the token to its prediction",
      [.text("part"), .text("shape"), .number("parameters")],
      parts.map { [$0.name, $0.shape, Output.grouped($0.count)] })
    return [.diagram(diagram), .table(table)] + (partFigure.map { [.figure($0)] } ?? [])
  }

  /// The parameters of each part as bars.
  var partFigure: Figure? {
    .bars(
      title: "Parameters of each part", label: "parameters",
      rows: parts.map { ($0.name, Double($0.count)) })
  }

  /// The way of a token through the model; the table below it says the same in words.
  var diagram: Diagram {
    let last = parts.count - 1
    let boxes = parts.enumerated().map { index, part in
      let loop = (1..<last).contains(index) ? "its state" : nil
      let count = part.count > 0 ? ", \(Output.grouped(part.count)) parameters" : ""
      return Diagram.Box(part.name, excerpt(part.outline + count, limit: 64), loop: loop)
    }
    let names = parts.map(\.name).joined(separator: ", ")
    return Diagram(
      title: "The way of a token through the model",
      summary:
        "A token passes through \(names). Each layer also gets its own state of the token before."
        + (tied ? " Embedding and output have the same weights." : ""),
      ends: ("a token", "the probability of each token to come next"), boxes: boxes,
      tie: tied ? "same weights" : nil)
  }

  private struct Part {
    let name: String
    let shape: String
    let count: Int
    /// The shape in few words; `nil` for all of them.
    var short: String?

    var outline: String { short ?? shape }
  }

  private var parts: [Part] {
    let output = outputParts.joined(separator: ", ")
    let first =
      input == ModelInput.oneHot.rawValue
      ? Part(name: "input", shape: "one-hot, \(Output.grouped(vocabularySize))", count: 0)
      : Part(
        name: "embedding", shape: "\(Output.grouped(vocabularySize)) x \(embeddingSize)",
        count: size(of: "/model/embedding/"))
    let inner = layers.enumerated().map { index, layer in
      Part(
        name: "layer \(index)", shape: layer.parts.joined(separator: ", "),
        count: size(of: "/model/layers/\(index < 10 ? "0" : "")\(index)/"),
        short: layer.parts.first)
    }
    let rest = parameterCount - first.count - inner.reduce(0) { $0 + $1.count }
    return [first] + inner + [
      Part(
        name: "output", shape: output, count: rest,
        short: (tails.isEmpty ? "softmax over " : "adaptive softmax over ")
          + Output.grouped(vocabularySize))
    ]
  }

  private func size(of prefix: String) -> Int {
    parameters.filter { $0.path.hasPrefix(prefix) }.reduce(0) { $0 + $1.shape.reduce(1, *) }
  }

  // MARK: Tokens

  private var tokenFacts: [Document.Fact] {
    guard let unit, let tokenizer, let lineConvention else {
      return [
        Document.Fact("tokens", "\(Output.grouped(vocabularySize)), which the file does not list")
      ]
    }
    return [
      Document.Fact("tokens", "\(Output.grouped(vocabularySize)) (\(unit))"),
      Document.Fact("tokenizer", tokenizer),
      Document.Fact("end of sentence", excerpt(endOfSentence ?? "none")),
      Document.Fact("unknown words", excerpt(unknown ?? "none")),
      Document.Fact("lines", lineConvention),
      Document.Fact("first tokens", firstTokens.joined(separator: " ")),
      Document.Fact("last tokens", lastTokens.joined(separator: " ")),
    ]
  }

  // MARK: Origin

  private var trainingSections: [Document.Section] {
    guard let training else { return [] }
    let facts = training.rows.map { Document.Fact($0.name, $0.text) }
    return [Document.Section("Training", [.facts(facts)])]
      + (training.curve.map { [Document.Section("Evaluations", $0.blocks)] } ?? [])
  }

  private var cardSections: [Document.Section] {
    let facts = card.sorted { $0.key < $1.key }.map { name, texts in
      Document.Fact(name, texts.joined(separator: "; "))
    }
    return facts.isEmpty ? [] : [Document.Section("Card", [.facts(facts)])]
  }

  private var historySections: [Document.Section] {
    guard !provenance.isEmpty else { return [] }
    let table = Table(
      "Steps that made these weights, the oldest first",
      [.text("step"), .text("tool"), .text("settings"), .text("inputs"), .text("outcome")],
      provenance.map { step in
        [
          step.operation, step.tool, step.arguments.joined(separator: ", "),
          step.inputs.map(Self.shortened).joined(separator: ", "), step.outcome,
        ]
      })
    return [Document.Section("History", [.diagram(timeLine), .table(table)])]
  }

  /// The most steps of the time line.
  private static let stepLimit = 8

  /// The last steps from top to bottom.
  private var timeLine: Diagram {
    let steps = provenance.suffix(Self.stepLimit)
    let left = provenance.count - steps.count
    let first =
      left > 0
      ? "\(counted(left, "earlier step"))"
      : Self.names(of: provenance.first?.inputs ?? [])
    return Diagram(
      title: "The way to these weights",
      summary: "Steps in the order of time: "
        + steps.map { "\($0.operation) by \($0.tool)" }.joined(separator: ", then ") + ".",
      ends: (
        first, weightsDigest.map { "these weights, sha256 \($0.prefix(12))…" } ?? "these weights"
      ),
      boxes: steps.map { step in
        Diagram.Box(
          excerpt("\(step.operation) by \(step.tool)", limit: 56),
          excerpt(step.outcome.isEmpty ? "no outcome recorded" : step.outcome, limit: 62))
      }, tie: nil)
  }

  /// Returns the names of files without their digests.
  private static func names(of inputs: [String]) -> String {
    let names = inputs.map { $0.split(separator: " ", maxSplits: 1).last.map(String.init) ?? $0 }
    return names.isEmpty ? "no inputs recorded" : excerpt(names.joined(separator: ", "), limit: 70)
  }

  /// Returns an input with twelve digits of its digest.
  private static func shortened(_ input: String) -> String {
    let parts = input.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].count == 64 else { return input }
    return "\(parts[0].prefix(12))… \(parts[1])"
  }

  private var fileFacts: [Document.Fact] {
    let version = formatVersion.map {
      [Document.Fact("format", "\($0), written by \(producer ?? "")")]
    }
    return (version ?? [Document.Fact("format", format)])
      + (contentDigest.map { [Document.Fact("content", "sha256 \($0.prefix(12))…")] } ?? [])
  }
}
