// The differences of two models as `unroll diff` prints them.

import Foundation
import UnrollEngine
import UnrollFormat
import UnrollTensors

/// The differences of two models.
///
/// In JSON all keys are always present, and `reasons` explains each `null`.
struct DifferenceReport: Encodable {
  let files: [String]
  let equal: Bool
  let verdict: String
  let architecture: [Part]
  let tensors: [TensorPart]
  @Nullable private(set) var tokens: [Part]?
  let metadata: [Part]
  @Nullable private(set) var text: Text?
  private let reasons: [String: String]

  init(
    files: [String], _ difference: ModelDifference, listsTensors: Bool, _ text: TextDifference?
  ) {
    self.files = files
    equal = difference.isEmpty
    verdict = Self.verdict(difference)
    architecture = difference.architecture.map(Part.init)
    tensors = difference.tensors.filter { listsTensors || !$0.isEmpty }.map(TensorPart.init)
    tokens = difference.tokens?.map(Part.init)
    metadata = difference.metadata.map(Part.init)
    self.text = text.map(Text.init)
    var reasons: [String: String] = [:]
    if difference.tokens == nil { reasons["tokens"] = "a file has no tokens of its own" }
    if text == nil { reasons["text"] = "no --text" }
    self.reasons = reasons
  }

  /// Returns the first line of the report.
  private static func verdict(_ difference: ModelDifference) -> String {
    if difference.isEmpty { return "the same" }
    let differing = difference.tensors.count { !$0.isEmpty }
    var parts: [String] = []
    if !difference.architecture.isEmpty { parts.append("variants") }
    if differing > 0 {
      parts.append(
        "\(Output.grouped(differing)) of \(Output.grouped(difference.tensors.count)) tensors")
    }
    if difference.tokens?.isEmpty == false { parts.append("tokens") }
    guard !parts.isEmpty else { return "the same model; history or companions differ" }
    if !difference.metadata.isEmpty { parts.append("history or companions") }
    return "different: " + parts.joined(separator: ", ")
  }

  /// The report as text.
  var lines: [String] {
    let sections = [
      ("variants", architecture.map(\.line)), ("tensors", tensors.map(\.line)),
      ("tokens", tokens?.map(\.line) ?? []), ("history and companions", metadata.map(\.line)),
    ]
    return [verdict] + sections.filter { !$0.1.isEmpty }.flatMap { [$0.0] + $0.1 }
      + (text?.lines ?? [])
  }
}

extension DifferenceReport {
  /// A stored item that differs.
  struct Part: Encodable {
    let part: String
    @Nullable var first: String?
    @Nullable var second: String?

    init(_ difference: PartDifference) {
      part = difference.part
      first = difference.values[0]
      second = difference.values[1]
    }

    var line: String {
      "  \(printable(part)): \(printable(first ?? "none")) -> \(printable(second ?? "none"))"
    }
  }

  /// A tensor of one model or both.
  struct TensorPart: Encodable {
    let path: String
    @Nullable var first: String?
    @Nullable var second: String?
    @Nullable var differing: Int?
    @Nullable var largest: Double?
    @Nullable var largestRelative: Double?
    @Nullable var relativeNorm: Double?
    @Nullable var cosine: Double?
    let reasons: [String: String]

    init(_ difference: TensorDifference) {
      path = difference.path
      first = difference.types[0]
      second = difference.types[1]
      differing = difference.differing
      var missing = MissingNumbers()
      let other = "other shapes"
      if difference.differing == nil { missing.reasons["differing"] = other }
      largest = missing.number(difference.largest, "largest", other)
      largestRelative = missing.number(difference.largestRelative, "largest_relative", other)
      relativeNorm = missing.number(
        difference.relativeNorm, "relative_norm",
        "other shapes, a first tensor of zeros, or numbers that are not finite")
      cosine = missing.number(difference.cosine, "cosine", "other shapes, or all zeros")
      reasons = missing.reasons
    }

    var line: String {
      let types = first == second ? "" : "  \(first ?? "none") -> \(second ?? "none")"
      guard let differing else { return "  \(path)\(types)" }
      guard differing > 0 else { return "  \(path)\(types)  same numbers" }
      let largest = self.largest.map { short($0) } ?? "not a number"
      return "  \(path)\(types)  \(Output.grouped(differing)) differ, largest \(largest), "
        + "relative \(largestRelative.map { short($0) } ?? "-"), "
        + "cosine \(cosine.map { String(printf: "%.6f", $0) } ?? "-")"
    }
  }

  /// The comparison of both models on a text.
  struct Text: Encodable {
    let predictions: Int
    let lineCount: Int
    @Nullable var firstNll: Double?
    @Nullable var secondNll: Double?
    @Nullable var nllDifference: Double?
    @Nullable var intervalLow: Double?
    @Nullable var intervalHigh: Double?
    @Nullable var divergence: Double?
    @Nullable var meanDifference: Double?
    @Nullable var largestDifference: Double?
    let reasons: [String: String]

    init(_ difference: TextDifference) {
      var missing = MissingNumbers()
      predictions = difference.predictions
      lineCount = difference.lines
      let none = "fewer than two lines"
      firstNll = missing.number(difference.nll[0], "first_nll", none)
      secondNll = missing.number(difference.nll[1], "second_nll", none)
      nllDifference = missing.number(difference.nllDifference, "nll_difference", none)
      let interval = difference.interval()
      intervalLow = missing.number(interval?.lowerBound, "interval_low", none)
      intervalHigh = missing.number(interval?.upperBound, "interval_high", none)
      divergence = missing.number(difference.divergence, "divergence", none)
      meanDifference = missing.number(difference.mean, "mean_difference", none)
      largestDifference = missing.number(difference.largest, "largest_difference", none)
      reasons = missing.reasons
    }

    private static func loss(_ nll: Double?) -> String {
      nll.map { String(printf: "%.6f", $0) } ?? "not a number"
    }

    var lines: [String] {
      var lines = [
        "text",
        "  \(Output.grouped(predictions)) predictions, nll "
          + "\(Self.loss(firstNll)) -> \(Self.loss(secondNll)) nats a token",
      ]
      if let nllDifference, let intervalLow, let intervalHigh {
        lines.append(
          "  difference \(short(nllDifference)), 95 % interval \(short(intervalLow)) to "
            + "\(short(intervalHigh)) by paired bootstrap over \(Output.grouped(lineCount)) lines")
      }
      lines.append(
        "  KL divergence of the second from the first \(divergence.map { short($0) } ?? "infinite") "
          + "nats on average")
      lines.append(
        "  log-probabilities differ by \(meanDifference.map { short($0) } ?? "infinity") on average, "
          + "\(largestDifference.map { short($0) } ?? "infinity") at most")
      return lines
    }
  }
}

/// A value whose key is always present in JSON, with `null` for none.
@propertyWrapper
struct Nullable<Value: Encodable>: Encodable {
  var wrappedValue: Value?

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let wrappedValue { try container.encode(wrappedValue) } else { try container.encodeNil() }
  }
}

/// Returns a number in three digits.
private func short(_ number: Double) -> String { String(printf: "%.3g", number) }
