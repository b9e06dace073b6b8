// The report of `unroll evaluate --json`.

import Foundation
import UnrollEngine
import UnrollFormat

/// A perplexity as JSON: all keys are always present, and `reasons` explains each `null`.
struct PerplexityReport: Encodable {
  private let `protocol`: String
  private let adaptation: String?
  private let precision: String
  private let context: String
  private let contextLength: Int?
  private let pad: String?
  private let firstToken: String
  private let lineEnds: String
  private let divisor: String
  private let tokens: Int
  private let predictions: Int
  private let words: Int
  private let bytes: Int
  private let unknown: Int
  private let leftOut: Int
  private let vocabularySize: Int
  private let nll: Double
  private let perplexity: Double?
  /// The name of the figure that the interval describes.
  private let intervalOf: String
  private let intervalLow: Double?
  private let intervalHigh: Double?
  private let blocks: Int?
  /// The figures of another program, under its names.
  private let figures: [String: Double?]
  private let bitsPerToken: Double
  private let bitsPerWord: Double?
  private let bitsPerByte: Double?
  private let seconds: Double?
  private let tokensPerSecond: Double?
  private let mixture: [MixturePart]?
  private let details: DetailsReport?
  private let baseline: BaselineReport?
  private let part: PerplexityPart?
  private let reasons: [String: String]

  /// Creates a report.
  ///
  /// - Parameters:
  ///   - result: The figures.
  ///   - precision: The compute precision.
  ///   - interval: The bootstrap interval and its number of blocks.
  ///   - baseline: The comparison with another model, if there is one.
  ///   - part: The part of the text that was measured, for `--merge`.
  ///   - withTimes: `false` to leave the times out.
  init(
    _ result: Perplexity, _ precision: Precision,
    interval: (low: Double, high: Double, blocks: Int)?, baseline: BaselineReport? = nil,
    part: PerplexityPart? = nil, withTimes: Bool = true
  ) {
    var missing = MissingNumbers()
    `protocol` = result.protocol.rawValue
    adaptation = result.adaptation
    self.precision = precision.rawValue
    context = result.context
    contextLength = result.window?.length
    pad = result.window?.padding
    firstToken = result.firstToken
    lineEnds = result.lineEnds
    divisor = "predictions"
    let noBlocks = "no bootstrap: fewer than two blocks, or --resamples 0"
    intervalOf = Self.key(result.headline.name)
    intervalLow = missing.number(interval?.low, "interval_low", noBlocks)
    intervalHigh = missing.number(interval?.high, "interval_high", noBlocks)
    blocks = interval?.blocks
    if blocks == nil { missing.reasons["blocks"] = noBlocks }
    figures = Dictionary(
      uniqueKeysWithValues: result.figures.map { name, value in
        let key = Self.key(name)
        return (key, missing.number(value, "figures.\(key)", "no words"))
      })
    tokens = result.tokens
    predictions = result.predictions
    words = result.words
    bytes = result.bytes
    unknown = result.unknown
    leftOut = result.leftOut
    vocabularySize = result.vocabularySize
    nll = result.nll
    perplexity = missing.number(
      result.figures.isEmpty ? result.perplexity : nil, "perplexity",
      "the protocol's program has other names: see figures")
    bitsPerToken = result.bitsPerToken
    bitsPerWord = missing.number(result.bitsPerWord, "bits_per_word", "no words")
    bitsPerByte = missing.number(result.bitsPerByte, "bits_per_byte", "no bytes")
    let noTimes = "a page has no times, so that the same inputs give the same page"
    seconds = missing.number(withTimes ? result.seconds : nil, "seconds", noTimes)
    tokensPerSecond = missing.number(
      withTimes ? result.tokensPerSecond : nil, "tokens_per_second", noTimes)
    mixture = result.mixture.isEmpty ? nil : result.mixture.map(MixturePart.init)
    if mixture == nil { missing.reasons["mixture"] = "one model: no --with" }
    details = result.details.map(DetailsReport.init)
    if details == nil { missing.reasons["details"] = "no --details" }
    self.baseline = baseline
    if baseline == nil { missing.reasons["baseline"] = "no --baseline" }
    self.part = part
    if part == nil { missing.reasons["part"] = "no --part" }
    if result.window == nil {
      for key in ["context_length", "pad"] {
        missing.reasons[key] = "the context has no fixed length"
      }
    }
    if adaptation == nil { missing.reasons["adaptation"] = "the model is measured as it is" }
    reasons = missing.reasons
  }

  private static func key(_ name: String) -> String {
    name.replacing(scalar: " ", with: "_")
  }

  enum CodingKeys: String, CodingKey {
    case `protocol`, adaptation, precision, context, contextLength, pad, firstToken, lineEnds,
      divisor, tokens
    case predictions, words, bytes, unknown, leftOut, vocabularySize, nll, perplexity, intervalOf
    case intervalLow, intervalHigh, blocks, figures, bitsPerToken, bitsPerWord, bitsPerByte
    case seconds, tokensPerSecond, mixture, details, baseline, part, reasons
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    // `encode`, not `encodeIfPresent`: keys that are sometimes missing break programs.
    try container.encode(`protocol`, forKey: .protocol)
    try container.encode(adaptation, forKey: .adaptation)
    try container.encode(precision, forKey: .precision)
    try container.encode(context, forKey: .context)
    try container.encode(contextLength, forKey: .contextLength)
    try container.encode(pad, forKey: .pad)
    try container.encode(firstToken, forKey: .firstToken)
    try container.encode(lineEnds, forKey: .lineEnds)
    try container.encode(divisor, forKey: .divisor)
    try container.encode(tokens, forKey: .tokens)
    try container.encode(predictions, forKey: .predictions)
    try container.encode(words, forKey: .words)
    try container.encode(bytes, forKey: .bytes)
    try container.encode(unknown, forKey: .unknown)
    try container.encode(leftOut, forKey: .leftOut)
    try container.encode(vocabularySize, forKey: .vocabularySize)
    try container.encode(nll, forKey: .nll)
    try container.encode(perplexity, forKey: .perplexity)
    try container.encode(intervalOf, forKey: .intervalOf)
    try container.encode(intervalLow, forKey: .intervalLow)
    try container.encode(intervalHigh, forKey: .intervalHigh)
    try container.encode(blocks, forKey: .blocks)
    try container.encode(figures, forKey: .figures)
    try container.encode(bitsPerToken, forKey: .bitsPerToken)
    try container.encode(bitsPerWord, forKey: .bitsPerWord)
    try container.encode(bitsPerByte, forKey: .bitsPerByte)
    try container.encode(seconds, forKey: .seconds)
    try container.encode(tokensPerSecond, forKey: .tokensPerSecond)
    try container.encode(mixture, forKey: .mixture)
    try container.encode(details, forKey: .details)
    try container.encode(baseline, forKey: .baseline)
    try container.encode(part, forKey: .part)
    try container.encode(reasons, forKey: .reasons)
  }
}

/// Numbers that JSON cannot represent, and the reasons.
struct MissingNumbers {
  /// The reasons, by the keys of the numbers.
  var reasons: [String: String] = [:]

  /// Returns a number for JSON; `nil`, with a reason, for none, infinity and NaN.
  mutating func number(_ value: Double?, _ key: String, _ reasonForNone: String) -> Double? {
    guard let value else {
      reasons[key] = reasonForNone
      return nil
    }
    if value.isFinite { return value }
    reasons[key] =
      value.isNaN ? "not a number" : value > 0 ? "infinite" : "minus infinity"
    return nil
  }
}

/// The perplexities of several texts as JSON.
struct SeveralTextsReport: Encodable {
  struct Row: Encodable {
    let text: String
    let result: PerplexityReport
  }
  let texts: [Row]
  /// The figures over all predictions.
  let all: PerplexityReport
}
