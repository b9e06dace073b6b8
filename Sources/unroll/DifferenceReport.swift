// The differences of two models as `unroll diff` prints them.

import Foundation
import UnrollEngine
import UnrollFormat
import UnrollTensors

/// The differences of two models; as JSON all keys are there always, and `reasons` says why a value is `null`.
struct DifferenceReport: Encodable {
  private let files: [String]
  let equal: Bool
  private let verdict: String
  private let architecture: [Part]
  private let tensors: [TensorPart]
  private let tokens: [Part]?
  private let metadata: [Part]
  private let text: Text?

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
  }

  /// The first line.
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

  /// The report for people.
  var lines: [String] {
    let sections = [
      ("variants", architecture.map(\.line)), ("tensors", tensors.map(\.line)),
      ("tokens", tokens?.map(\.line) ?? []), ("history and companions", metadata.map(\.line)),
    ]
    return [verdict] + sections.filter { !$0.1.isEmpty }.flatMap { [$0.0] + $0.1 }
      + (text?.lines ?? [])
  }

  enum CodingKeys: String, CodingKey {
    case files, equal, verdict, architecture, tensors, tokens, metadata, text, reasons
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(files, forKey: .files)
    try container.encode(equal, forKey: .equal)
    try container.encode(verdict, forKey: .verdict)
    try container.encode(architecture, forKey: .architecture)
    try container.encode(tensors, forKey: .tensors)
    try container.encode(tokens, forKey: .tokens)
    try container.encode(metadata, forKey: .metadata)
    try container.encode(text, forKey: .text)
    var reasons: [String: String] = [:]
    if tokens == nil { reasons["tokens"] = "a file has no tokens of its own" }
    if text == nil { reasons["text"] = "no --text" }
    try container.encode(reasons, forKey: .reasons)
  }
}

extension DifferenceReport {
  /// Something that is stored and not the same.
  fileprivate struct Part: Encodable {
    let part: String
    let first: String?
    let second: String?

    init(_ difference: PartDifference) {
      part = difference.part
      first = difference.values[0]
      second = difference.values[1]
    }

    var line: String {
      "  \(printable(part)): \(printable(first ?? "none")) -> \(printable(second ?? "none"))"
    }

    enum CodingKeys: String, CodingKey { case part, first, second }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(part, forKey: .part)
      try container.encode(first, forKey: .first)
      try container.encode(second, forKey: .second)
    }
  }

  /// A tensor of one model or both.
  fileprivate struct TensorPart: Encodable {
    let path: String
    let first: String?
    let second: String?
    let differing: Int?
    let largest: Double?
    let largestRelative: Double?
    let cosine: Double?
    let reasons: [String: String]

    init(_ difference: TensorDifference) {
      path = difference.path
      first = difference.types[0]
      second = difference.types[1]
      differing = difference.differing
      var missing = MissingNumbers()
      let other = "other shapes"
      if differing == nil { missing.reasons["differing"] = other }
      largest = missing.number(difference.largest, "largest", other)
      largestRelative = missing.number(difference.largestRelative, "largest_relative", other)
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
        + "cosine \(cosine.map { String(format: "%.6f", $0) } ?? "-")"
    }

    enum CodingKeys: String, CodingKey {
      case path, first, second, differing, largest, largestRelative, cosine, reasons
    }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(path, forKey: .path)
      try container.encode(first, forKey: .first)
      try container.encode(second, forKey: .second)
      try container.encode(differing, forKey: .differing)
      try container.encode(largest, forKey: .largest)
      try container.encode(largestRelative, forKey: .largestRelative)
      try container.encode(cosine, forKey: .cosine)
      try container.encode(reasons, forKey: .reasons)
    }
  }

  /// Both models on a text.
  fileprivate struct Text: Encodable {
    let predictions: Int
    let lineCount: Int
    let firstNll: Double?
    let secondNll: Double?
    let nllDifference: Double?
    let intervalLow: Double?
    let intervalHigh: Double?
    let divergence: Double?
    let meanDifference: Double?
    let largestDifference: Double?
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

    enum CodingKeys: String, CodingKey {
      case predictions, lineCount, firstNll, secondNll, nllDifference, intervalLow, intervalHigh
      case divergence, meanDifference, largestDifference, reasons
    }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(predictions, forKey: .predictions)
      try container.encode(lineCount, forKey: .lineCount)
      try container.encode(firstNll, forKey: .firstNll)
      try container.encode(secondNll, forKey: .secondNll)
      try container.encode(nllDifference, forKey: .nllDifference)
      try container.encode(intervalLow, forKey: .intervalLow)
      try container.encode(intervalHigh, forKey: .intervalHigh)
      try container.encode(divergence, forKey: .divergence)
      try container.encode(meanDifference, forKey: .meanDifference)
      try container.encode(largestDifference, forKey: .largestDifference)
      try container.encode(reasons, forKey: .reasons)
    }

    private static func loss(_ nll: Double?) -> String {
      nll.map { String(format: "%.6f", $0) } ?? "not a number"
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

/// A number in three digits.
private func short(_ number: Double) -> String { String(format: "%.3g", number) }
