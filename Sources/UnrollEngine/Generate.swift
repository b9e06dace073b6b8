// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Text from a model, token by token.

import Foundation
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// How text is generated.
public struct GenerationSettings: Sendable {
  /// The most tokens of a sample.
  public var length = 100
  /// What logits are divided by: below 1 likely tokens become likelier; 0 takes the likeliest one always.
  public var temperature = 1.0
  /// Only so many likeliest tokens are drawn from; `nil` for all.
  public var topK: Int?
  /// Only the likeliest tokens that together have this probability are drawn from; `nil` for all.
  public var topP: Double?
  /// Whether a sample ends with the token that ends a sentence.
  public var stopsAtEndOfSentence = false
  /// Whether the token for unknown text is never drawn.
  public var excludesUnknown = false
  /// The window that each token is drawn after, of the prompt and the text so far; `nil` for all of it.
  public var window: FixedWindow?
  /// What is drawn from; samples of one seed differ by their number.
  public var seed: UInt32 = 1

  /// Creates the defaults: 100 tokens as the model gives them.
  public init() {}
}

/// A text that a model made.
public struct GeneratedSample: Sendable {
  /// The tokens, without those of the prompt.
  public internal(set) var ids: [Int32] = []
  /// The sum of their log-probabilities as the model gives them, in nats: with a shortlist, among its tokens.
  public internal(set) var logProbability = 0.0
  /// Whether it ended with the end of a sentence.
  public internal(set) var isEnded = false
}

extension LanguageModel {
  /// Generates text that follows a prompt.
  ///
  /// Samples go side by side; a sample has the same tokens beside any others. Ties go to the token with
  /// the lower id.
  ///
  /// - Parameters:
  ///   - prompt: What the text follows; it may be empty where sentences start from a token.
  ///   - samples: The number of samples.
  ///   - settings: How.
  ///   - body: Called with each sample's number and its new token; `false` ends all.
  ///   - finish: Called with each sample and its number, in order, as soon as those beside it are done.
  /// - Returns: The samples.
  /// - Throws: `TextError` if the prompt has text that the model cannot take, or is empty where the
  ///   model needs one, or if there is nothing to draw but the unknown token, which is excluded;
  ///   `NotFinite` if the model gives no numbers; `CancellationError` if the task was cancelled; what `finish` and `body` throw.
  public func generate(
    after prompt: String = "", samples: Int = 1, _ settings: GenerationSettings = .init(),
    _ body: (_ sample: Int, _ token: Int32) throws -> Bool = { _, _ in true },
    finish: (_ sample: Int, GeneratedSample) throws -> Void = { _, _ in }
  ) throws -> [GeneratedSample] {
    let context = try contextIDs(of: prompt, mayBeEmpty: settings.window?.padding != nil)
    guard outputCount > (placeOfExcluded(settings) == nil ? 0 : 1) else {
      throw TextError(
        path: path, line: nil, expected: "tokens to draw", found: "only the unknown one",
        fix: "give a shortlist with words of the model, or let the unknown one be drawn")
    }
    guard let start = try read(context, settings.window) else { return [] }
    // So many side by side that the distributions of all have a few million numbers at most.
    let columns = max(1, min(64, 4_000_000 / outputCount))
    var results: [GeneratedSample] = []
    while results.count < samples {
      let numbers = results.count..<min(results.count + columns, samples)
      let (group, goesOn) = try generate(numbers, from: start, settings, body)
      for (number, sample) in zip(numbers, group) { try finish(number, sample) }
      results += group
      guard goesOn else { break }
    }
    return results
  }

  /// Generates some samples side by side.
  ///
  /// - Parameters:
  ///   - numbers: Their numbers.
  ///   - start: The prompt as it was read, and the log-probabilities `[V]` of what follows.
  ///   - settings: How.
  ///   - body: Called with each sample's number and its new token; `false` ends all.
  /// - Returns: The samples, and whether there may be more.
  /// - Throws: `NotFinite` if the model gives no numbers; what `body` throws.
  private func generate(
    _ numbers: Range<Int>, from start: (text: TextSoFar, row: [Float]),
    _ settings: GenerationSettings, _ body: (_ sample: Int, _ token: Int32) throws -> Bool
  ) throws -> (samples: [GeneratedSample], goesOn: Bool) {
    let (B, V) = (numbers.count, outputCount)
    var samples = [GeneratedSample](repeating: GeneratedSample(), count: B)
    var random = numbers.map { CounterGenerator(seed: settings.seed, stream: UInt32($0)) }
    var text = start.text.repeated(B)
    var rows = Array(repeating: start.row, count: B)
    let excluded = placeOfExcluded(settings)
    for place in 0..<settings.length {
      try Task.checkCancellation()
      // A sample that has ended reads anything.
      var last = [Int32](repeating: 0, count: B)
      for b in 0..<B where !samples[b].isEnded {
        let place = try choose(rows[b], settings, excluding: excluded, using: &random[b])
        let id = token(at: place)
        samples[b].ids.append(id)
        samples[b].logProbability += Double(rows[b][place])
        samples[b].isEnded =
          settings.stopsAtEndOfSentence && Int(id) == encoder.vocabulary.endOfSentenceID
        last[b] = id
        guard try body(numbers.lowerBound + b, id) else { return (samples, false) }
      }
      guard place + 1 < settings.length, samples.contains(where: { !$0.isEnded }) else { break }
      let all = try logProbabilities(after: last, &text)
      for b in 0..<B { rows[b] = Array(all[b * V..<(b + 1) * V]) }
    }
    return (samples, true)
  }

  /// The number of tokens that have a probability.
  private var outputCount: Int { network.shortlist?.count ?? network.architecture.vocabularySize }

  /// The place of the unknown token in a row of log-probabilities, if it has one and is never drawn.
  private func placeOfExcluded(_ settings: GenerationSettings) -> Int? {
    guard settings.excludesUnknown, let unknown = encoder.vocabulary.unknownID else { return nil }
    guard let list = network.shortlist else { return unknown }
    return list.firstIndex { Int($0) == unknown }
  }

  /// The token at a place of a row of log-probabilities.
  private func token(at place: Int) -> Int32 { network.shortlist?[place] ?? Int32(place) }

  /// How many tokens of a prompt stand for text that the vocabulary lacks.
  ///
  /// - Throws: `TextError` if there is such text and no token for it.
  public func unknownCount(ofPrompt prompt: String) throws -> Int {
    guard let unknown = encoder.vocabulary.unknownID else { return 0 }
    let named = prompt.split(whereSeparator: \.isWhitespace).count {
      $0 == encoder.vocabulary.text(of: unknown)
    }
    return max(0, try contextIDs(of: prompt, mayBeEmpty: true).count { $0 == unknown } - named)
  }

  /// The text of tokens that follow a prompt.
  public func text(of sample: GeneratedSample) -> String {
    String(decoding: encoder.text(of: sample.ids), as: UTF8.self)
  }

  /// The tokens of a prompt after the one that sentences start from; its last line has not ended.
  private func contextIDs(of prompt: String, mayBeEmpty: Bool = false) throws -> [Int32] {
    var ids = [encoder.sentenceStartID].compactMap { $0 }
    let keepsEnds = encoder.tokenizer.lineEnds == .kept
    let lines = prompt.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, bytes) in lines.enumerated() {
      let isLast = index == lines.count - 1
      guard !bytes.isEmpty || !isLast else { continue }
      let line = TextLine(
        bytes: Array(bytes) + (keepsEnds && !isLast ? [UInt8(ascii: "\n")] : []),
        terminatorCount: keepsEnds || isLast ? 0 : 1, number: index + 1)
      var encoded = try encoder.encode(line, path: "the prompt").ids
      if isLast && encoder.endOfSentenceID != nil { encoded.removeLast() }
      ids += encoded
    }
    guard !ids.isEmpty || mayBeEmpty else {
      throw TextError(
        path: path, line: nil, expected: "a prompt: sentences of this model start from nothing",
        found: "none", fix: "give one, as --prompt \"The\"")
    }
    return ids
  }

  /// The text that samples go on from.
  private enum TextSoFar {
    /// The state after it.
    case state(RecurrentState)
    /// The tokens of each sample that a window may have.
    case window(FixedWindow, [[Int32]])

    /// One text as many.
    func repeated(_ count: Int) -> Self {
      switch self {
      case .state(let state): .state(state.repeated(count))
      case .window(let window, let texts):
        .window(window, Array(repeatElement(texts, count: count).joined()))
      }
    }
  }

  /// Reads tokens, and returns the log-probabilities of all tokens after them.
  private func read(
    _ ids: [Int32], _ window: FixedWindow?
  ) throws -> (text: TextSoFar, row: [Float])? {
    if let window {
      let row = try logProbabilities(afterWindows: [window.context(ids)])
      return (.window(window, [ids.suffix(window.length)]), row)
    }
    var state = network.zeroState(columns: 1)
    for start in stride(from: 0, to: ids.count - 1, by: Self.window) {
      let window = Array(ids[start..<min(start + Self.window, ids.count - 1)])
      _ = try network.logProbabilities(
        ofTargets: Array(repeating: -1, count: window.count), inputs: window, state: &state)
    }
    guard let last = ids.last else { return nil }
    let row = try network.logProbabilities(inputs: [last], state: &state)
    return (.state(state), row)
  }

  /// The log-probabilities `[B, V]` of all tokens after texts and one more token each.
  private func logProbabilities(after last: [Int32], _ text: inout TextSoFar) throws -> [Float] {
    switch text {
    case .state(var state):
      let all = try network.logProbabilities(inputs: last, state: &state)
      text = .state(state)
      return all
    case .window(let window, let texts):
      let longer = zip(texts, last).map { Array(($0 + [$1]).suffix(window.length)) }
      text = .window(window, longer)
      return try logProbabilities(afterWindows: longer.map(window.context))
    }
  }

  /// Chooses the place of the next token in a row of log-probabilities.
  private func choose(
    _ row: [Float], _ settings: GenerationSettings, excluding excluded: Int?,
    using random: inout CounterGenerator
  ) throws -> Int {
    guard let best = row.max(), best.isFinite, !row.contains(where: \.isNaN) else {
      throw NotFinite(path: path)
    }
    let count = settings.temperature == 0 ? 1 : settings.topK
    var candidates = likeliest(count, of: row, excluding: excluded)
    guard settings.temperature > 0, candidates.count > 1 else {
      return candidates.first?.place ?? 0
    }
    // Relative to the likeliest, so that nothing overflows.
    let offset = Double(candidates.lazy.map(\.logProbability).max() ?? 0)
    var weights = candidates.map {
      Elementary.exp((Double($0.logProbability) - offset) / settings.temperature)
    }
    if let topP = settings.topP, topP < 1 {
      (candidates, weights) = nucleus(topP, candidates, weights)
    }
    var rest = Double.random(in: 0..<weights.reduce(0, +), using: &random)
    for (candidate, weight) in zip(candidates, weights) {
      rest -= weight
      if rest < 0 { return candidate.place }
    }
    return candidates[candidates.count - 1].place
  }

  private typealias Candidate = (place: Int, logProbability: Float)

  /// The tokens with the largest log-probabilities, the likeliest first; all in their order for `nil`.
  private func likeliest(
    _ count: Int?, of row: [Float], excluding excluded: Int?
  ) -> [Candidate] {
    let all = row.indices.lazy.filter { $0 != excluded }.map {
      (place: $0, logProbability: row[$0])
    }
    guard let count else { return Array(all) }
    var best: [Candidate] = []
    for candidate in all {
      if best.count == count {
        guard let last = best.last, candidate.logProbability > last.logProbability else { continue }
        best.removeLast()
      }
      let place = best.partitioningIndex { $0.logProbability < candidate.logProbability }
      best.insert(candidate, at: place)
    }
    return best
  }

  /// The likeliest tokens that together have a share of the weight.
  private func nucleus(
    _ share: Double, _ candidates: [Candidate], _ weights: [Double]
  ) -> ([Candidate], [Double]) {
    let total = weights.reduce(0, +)
    // Those below this bound together have less than what the nucleus leaves out.
    let bound = (1 - share) * total / Double(weights.count)
    let order = weights.indices.filter { weights[$0] >= bound }.sorted {
      (weights[$1], candidates[$0].place) < (weights[$0], candidates[$1].place)
    }
    var sum = 0.0
    let kept = order.prefix { index in
      defer { sum += weights[index] }
      return sum < share * total
    }
    return (kept.map { candidates[$0] }, kept.map { weights[$0] })
  }
}

/// Turns tokens into text as they come.
public struct TextStream {
  private let encoder: Encoder
  /// The last tokens, and their text as far as it was given away.
  private var ids: [Int32] = []
  private var given: [UInt8] = []

  /// Begins a text.
  public init(_ encoder: Encoder) { self.encoder = encoder }

  /// Adds a token.
  ///
  /// - Returns: The bytes of text that are certain now: a character may wait for its last byte, a run of
  ///   byte tokens for its end, and the space before a word comes with the word.
  public mutating func add(_ id: Int32) -> [UInt8] {
    ids.append(id)
    let kinds = encoder.vocabulary.kinds
    let text = encoder.text(of: ids)
    guard kinds?[Int(id)] != .byte, !text.suffix(3).elementsEqual([0xEF, 0xBF, 0xBD]) else {
      return []
    }
    let new = Array(text.dropFirst(given.count))
    given = text
    // Some tokens before the next one are enough to know how it joins them.
    if ids.count >= 64,
      let start = (1...ids.count - 8).last(where: { kinds?[Int(ids[$0])] != .byte })
    {
      ids.removeFirst(start)
      given = encoder.text(of: ids)
    }
    return new
  }

  /// Ends the text.
  ///
  /// - Returns: The bytes that waited for more.
  public func finish() -> [UInt8] { Array(encoder.text(of: ids).dropFirst(given.count)) }
}
