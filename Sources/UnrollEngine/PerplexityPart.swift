// The figures of a part of a text, in a form that a file holds, and their sum.

import Foundation
import UnrollFormat
import UnrollTokenization

/// The figures of a part of a text, which `merged` turns into those of the text.
public struct PerplexityPart: Codable, Sendable {
  /// The part, as `k/n`.
  public let part: String
  /// The name of the text.
  public let text: String
  /// The size of the text in bytes.
  public let textBytes: Int
  /// The digest of the whole text.
  public let textDigest: String
  /// The digest of the model's weights.
  public let model: String
  /// Everything beside the model and the text that the figures depend on.
  public let settings: [String: String]
  private let counts: [String: Int]
  /// The sums in units of 2^-60 nats, whole numbers of any size.
  private let nllUnits: String
  private let unknownNLLUnits: String
  private let window: WindowDescription?
  private let blocks: BlockSums
  private let seconds: Double
  /// The digest of all of the above, by which a changed or damaged part is known.
  private var digest = ""

  private enum CodingKeys: String, CodingKey {
    case part, text, model, settings, counts, window, blocks, seconds, digest
    case textBytes = "text_bytes"
    case textDigest = "text_digest"
    case nllUnits = "nll_units"
    case unknownNLLUnits = "unknown_nll_units"
  }

  /// The counts that add up, by name.
  private static let added: [(name: String, path: WritableKeyPath<Perplexity, Int> & Sendable)] = [
    ("tokens", \.tokens), ("predictions", \.predictions), ("lines", \.lines), ("words", \.words),
    ("line_endings", \.lineEndings), ("unknown_line_endings", \.unknownLineEndings),
    ("bytes", \.bytes), ("unknown", \.unknown), ("unknown_words", \.unknownWords),
    ("left_out", \.leftOut),
  ]

  /// Takes the figures of a part.
  ///
  /// - Parameters:
  ///   - result: The figures.
  ///   - part: The part.
  ///   - text: The path of the text.
  ///   - textBytes: The size of the text.
  ///   - textDigest: The digest of the whole text.
  ///   - model: The digest of the model's weights.
  ///   - settings: Everything else that the figures depend on.
  public init(
    _ result: Perplexity, part: TextPart, text: String, textBytes: Int, textDigest: String,
    model: String,
    settings: [String: String]
  ) {
    self.part = part.description
    self.text = text
    self.textBytes = textBytes
    self.model = model
    self.textDigest = textDigest
    self.settings = settings.merging([
      "protocol": result.protocol.rawValue, "first_token": result.firstToken,
      "line_ends": result.lineEnds, "vocabulary_size": "\(result.vocabularySize)",
    ]) { $1 }
    counts = Dictionary(
      uniqueKeysWithValues: Self.added.map { ($0.name, result[keyPath: $0.path]) })
    nllUnits = "\(result.total.units)"
    unknownNLLUnits = "\(result.unknownTotal.units)"
    window = result.window
    blocks = result.blocks
    seconds = result.seconds
    digest = ownDigest
  }

  /// The digest of everything else, as JSON with sorted keys.
  private var ownDigest: String {
    var part = self
    part.digest = ""
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let data = (try? encoder.encode(part)) ?? Data()
    return Array(data).withUnsafeBytes { Digest.sha256($0) }
  }

  /// Returns the figures of a text from those of all its parts.
  ///
  /// Counts and sums are those of the text as a whole, to the last bit. The blocks of the bootstrap are those of the
  /// parts.
  ///
  /// - Parameter parts: The parts, in any order, each with the path that errors name.
  /// - Returns: The figures.
  /// - Throws: `EngineError` if a part is missing or there twice, or if two do not belong together.
  public static func merged(_ parts: [(path: String, part: PerplexityPart)]) throws -> Perplexity {
    func refuse(_ path: String, _ expected: String, _ found: String, _ fix: String) -> EngineError {
      EngineError(path: path, expected: expected, found: found, fix: fix)
    }
    guard let first = parts.first, let count = TextPart(first.part.part)?.count else {
      throw refuse(
        parts.first?.path ?? "--merge", "a part of an evaluation", parts.first?.part.part ?? "none",
        "give the files that `unroll evaluate --part k/n --json` wrote")
    }
    var byIndex: [Int: (path: String, part: PerplexityPart)] = [:]
    for (path, part) in parts {
      let differing = part.difference(from: first.part)
      guard differing == nil, let place = TextPart(part.part), place.count == count else {
        throw refuse(
          path, "a part of the same evaluation as \(first.path)",
          differing ?? "part \(part.part), where that is \(first.part.part)",
          "give the parts of one model, one text and one set of options")
      }
      if let other = byIndex[place.index] {
        throw refuse(
          path, "each part once", "part \(part.part), as \(other.path)", "give each file once")
      }
      byIndex[place.index] = (path, part)
    }
    if let missing = (1...count).first(where: { byIndex[$0] == nil }) {
      throw refuse(
        "--merge", "all \(count) parts", "no part \(missing)/\(count)",
        "evaluate it, and give its file too")
    }
    let results = try (1...count).compactMap { byIndex[$0] }.map { path, part in
      guard let result = part.result else {
        throw refuse(
          path, "the figures that an evaluation wrote", "changed or damaged ones",
          "evaluate the part again")
      }
      return result
    }
    guard let total = Perplexity.total(of: results) else {
      throw refuse("--merge", "parts", "none", "give their files")
    }
    guard total.predictions > 0 else {
      throw refuse(
        first.path, "enough text for protocol \(total.protocol.rawValue)",
        "no prediction in any part",
        "give more text")
    }
    return total
  }

  /// Returns the first thing that differs from another part of the same evaluation.
  private func difference(from other: PerplexityPart) -> String? {
    if model != other.model { return "other weights, \(model)" }
    if textBytes != other.textBytes {
      return "a text of \(textBytes) bytes, not \(other.textBytes)"
    }
    if textDigest != other.textDigest { return "another text, \(text), of the same size" }
    if window != other.window { return "another window" }
    for name in Set(settings.keys).union(other.settings.keys).sorted()
    where settings[name] != other.settings[name] {
      return "\(name) \(settings[name] ?? "none"), not \(other.settings[name] ?? "none")"
    }
    return nil
  }

  /// The figures; `nil` if one is missing or damaged.
  private var result: Perplexity? {
    guard digest == ownDigest, let known = settings["protocol"].flatMap(PerplexityProtocol.init),
      let total = Int128(nllUnits), let unknown = Int128(unknownNLLUnits),
      let size = settings["vocabulary_size"].flatMap({ Int($0) })
    else { return nil }
    var result = Perplexity(known)
    for (name, path) in Self.added {
      guard let count = counts[name], count >= 0, count < 1 << 60 else { return nil }
      result[keyPath: path] = count
    }
    result.total = ExactSum(units: total)
    result.unknownTotal = ExactSum(units: unknown)
    result.firstToken = settings["first_token"] ?? ""
    result.lineEnds = settings["line_ends"] ?? ""
    result.window = window
    result.blocks = blocks
    result.vocabularySize = size
    result.seconds = max(seconds, 1e-9)
    return result
  }
}
