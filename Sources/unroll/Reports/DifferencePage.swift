// The page of `unroll diff`: what differs, tensor by tensor, and losses on a text.

import Foundation
import UnrollReport
import UnrollTensors

extension DifferenceReport {
  /// The largest number of bars.
  private static let barLimit = 40

  /// The main figure: the change of each tensor, the largest first; `nil` if no numbers differ.
  var figure: Figure? {
    let rows = tensors.compactMap { tensor -> (name: String, value: Double)? in
      guard let differing = tensor.differing, differing > 0, let cosine = tensor.cosine else {
        return nil
      }
      return (Self.shortened(tensor.path), max(0, 1 - cosine))
    }
    // Sorting is stable: equal tensors stay in the order of the file.
    let largest = rows.sorted { $0.value > $1.value }.prefix(Self.barLimit)
    return .bars(
      title: "Change of each tensor", label: "1 - cosine similarity", rows: Array(largest))
  }

  /// Returns the end of a path, which tells tensors apart.
  private static func shortened(_ path: String) -> String {
    path.hasPrefix("/model/") ? String(path.dropFirst(7)) : path
  }

  /// Returns the page.
  ///
  /// - Parameter path: The text; `nil` for none.
  /// - Returns: The page.
  /// - Throws: `EncodingError` if a number is not finite.
  func document(text path: String?) throws -> Document {
    var document = Document(
      title: "Difference of \(files[0]) and \(files[1])",
      lead: "The models are \(equal ? "" : "not ")the same. \(verdict.prefix(1).uppercased())"
        + "\(verdict.dropFirst()).",
      files: ["first model": files[0], "second model": files[1]], texts: [path].compactMap { $0 })
    document.highlights = highlights
    document.sections =
      textSections + tensorSections + section("Variants", architecture)
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

  private var tensorSections: [Document.Section] {
    guard !tensors.isEmpty else { return [] }
    let table = Table(
      "Tensors; – for tensors of other shapes",
      [
        .text("path"), .text("first"), .text("second"), .number("numbers that differ"),
        .number("largest"), .number("relative"), .number("cosine"),
      ],
      tensors.map { tensor in
        [
          tensor.path, tensor.first ?? "none", tensor.second ?? "none",
          tensor.differing.map(Output.grouped) ?? "–", Self.short(tensor.largest),
          Self.short(tensor.largestRelative), Document.number(tensor.cosine),
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
