// The page of `unroll diff`: what differs, tensor by tensor, and losses on a text.

import Foundation
import UnrollFormat
import UnrollReport
import UnrollTensors

extension DifferenceReport {
  /// The largest number of bars.
  private static let barLimit = 40

  /// The main figure: the relative change of each tensor, the largest first; `nil` if no numbers differ.
  var figure: Figure? {
    let rows = tensors.compactMap { tensor -> (name: String, value: Double)? in
      guard let differing = tensor.differing, differing > 0, let change = tensor.relativeNorm else {
        return nil
      }
      return (Self.shortened(tensor.path), change)
    }
    // Sorting is stable: equal tensors stay in the order of the file.
    let largest = rows.sorted { $0.value > $1.value }.prefix(Self.barLimit)
    return .bars(
      title: "Relative change of each tensor",
      label: "norm of the difference / norm of the first model's tensor", rows: Array(largest))
  }

  /// Returns the end of a path, which tells tensors apart.
  private static func shortened(_ path: String) -> String {
    path.hasPrefix("/model/") ? String(path.dropFirst(7)) : path
  }

  /// Returns the page.
  ///
  /// - Parameters:
  ///   - models: Both models with their weights.
  ///   - path: The text; `nil` for none.
  ///   - paired: The text by both models; `nil` for none.
  /// - Returns: The page.
  /// - Throws: `EncodingError` if a number is not finite; `FileError` if a temporary file cannot be written;
  ///   `NeuralError` if memory is short.
  func document(
    of models: [Checkpoint], text path: String?, paired: PairedText?
  ) throws -> Document {
    var document = Document(
      title: "Difference of \(files[0]) and \(files[1])",
      lead: "The models are \(equal ? "" : "not ")the same. \(verdict.prefix(1).uppercased())"
        + "\(verdict.dropFirst()).",
      files: ["first model": files[0], "second model": files[1]], texts: [path].compactMap { $0 })
    document.highlights = highlights
    let changes = try TensorChanges(models[0], models[1]).sections()
    document.sections =
      textSections + (paired.map { [Document.Section("The text by both models", $0.blocks)] } ?? [])
      + structureSections(models) + tensorSections + changes + section("Variants", architecture)
      + section("Tokens", tokens ?? []) + section("History and companions", metadata)
    document.result = LongText(try Output.encoded(self))
    return document
  }

  private var highlights: [Document.Fact] {
    let counts = [
      Document.Fact("tensors that differ", "\(tensors.count { ($0.differing ?? 1) > 0 })"),
      Document.Fact("other parts", "\(architecture.count + (tokens?.count ?? 0) + metadata.count)"),
    ]
    guard let text else { return counts }
    return counts + [
      Document.Fact("first, nats a token", Document.number(text.firstNll)),
      Document.Fact("second, nats a token", Document.number(text.secondNll)),
    ]
  }

  private var textSections: [Document.Section] {
    guard let text else { return [] }
    return [
      Document.Section(
        "Losses on the text",
        [
          .facts([
            Document.Fact("predictions", Output.grouped(text.predictions)),
            Document.Fact("lines", Output.grouped(text.lineCount)),
            Document.Fact("first model", Document.number(text.firstNll) + " nats a token"),
            Document.Fact("second model", Document.number(text.secondNll) + " nats a token"),
            Document.Fact("difference", Document.number(text.nllDifference)),
            Document.Fact(
              "95 % interval",
              "\(Document.number(text.intervalLow)) to \(Document.number(text.intervalHigh)), by paired bootstrap "
                + "over lines"),
            Document.Fact("KL divergence", Document.number(text.divergence) + " nats on average"),
            Document.Fact("log-probabilities differ by", Document.number(text.meanDifference)),
            Document.Fact("at most by", Document.number(text.largestDifference)),
          ])
        ])
    ]
  }

  /// The structure of both models, or the only one if it is the same.
  private func structureSections(_ models: [Checkpoint]) -> [Document.Section] {
    var diagrams = zip(models, files).map { model, path in
      ModelReport(model, path: path, format: "", bytes: 0, header: nil, notes: []) { _ in nil }
        .diagram
    }
    guard models[0].architecture != models[1].architecture else {
      return [Document.Section("Structure of both models", [.diagram(diagrams[0])])]
    }
    for (index, name) in ["first", "second"].enumerated() {
      diagrams[index].title = "The way of a token through the \(name) model"
    }
    return [
      Document.Section("Structure of the first model", [.diagram(diagrams[0])]),
      Document.Section("Structure of the second model", [.diagram(diagrams[1])]),
    ]
  }

  private var tensorSections: [Document.Section] {
    guard !tensors.isEmpty else { return [] }
    let table = Table(
      "Tensors; – for tensors of other shapes",
      [
        .text("path"), .text("first"), .text("second"), .number("numbers that differ"),
        .number("largest"), .number("relative"), .number("relative change"), .number("cosine"),
      ],
      tensors.map { tensor in
        [
          tensor.path, tensor.first ?? "none", tensor.second ?? "none",
          tensor.differing.map(Output.grouped) ?? "–", Self.short(tensor.largest),
          Self.short(tensor.largestRelative), Self.short(tensor.relativeNorm),
          Document.number(tensor.cosine),
        ]
      })
    return [
      Document.Section("Tensors", (figure.map { [.figure($0)] } ?? []) + [.table(table)])
    ]
  }

  private static func short(_ number: Double?) -> String {
    number.map { String(printf: "%.3g", $0) } ?? "–"
  }

  private func section(_ title: String, _ parts: [Part]) -> [Document.Section] {
    guard !parts.isEmpty else { return [] }
    let table = Table(
      "\(title) that differ", [.text("part"), .text("first"), .text("second")],
      parts.map { [excerpt($0.part), excerpt($0.first ?? "none"), excerpt($0.second ?? "none")] })
    return [Document.Section(title, [.table(table)])]
  }
}
