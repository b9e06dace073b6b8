// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Beginnings of sentences that a model has read, each continued word by word.

import UnrollNeural
import UnrollTokenization

/// The log-probabilities of the tokens of a beginning, added up.
private struct Sums {
  /// The sum in nats.
  var all = 0.0
  /// The sum without tokens for unknown words.
  var known = 0.0
  /// The number of tokens for unknown words.
  var unknownCount = 0

  /// Returns the log-probability in nats; `nil` if there are unknown words that have no score.
  func nats(_ unknown: UnknownWords) -> Double? {
    guard unknownCount > 0 else { return all }
    return unknown == .exclude ? known : unknown.cost.map { all - $0 * Double(unknownCount) }
  }
}

/// The beginning of a sentence, read by a model.
///
/// A class, so that partial paths share it and that it goes with the last of them. Two beginnings
/// of one lattice that live at the same time are the same object if their words are the same.
final class ReadText {
  /// The words.
  let words: [String]
  /// The log-probability in nats so far, without the end of the sentence; `nil` if it has unknown
  /// words that have no score.
  let nats: Double?
  /// The tokens, without the end of the sentence.
  let ids: [Int32]
  /// The log-probabilities of the tokens that are predicted.
  let logProbabilities: [Float]
  /// `[H]` the hidden state after the last token; empty if nothing was read.
  fileprivate let hidden: [Float]
  /// The state after the last token.
  fileprivate let state: RecurrentState

  /// The sums that `nats` follows from.
  fileprivate let sums: Sums
  private let parent: ReadText?
  private struct Weak { weak var text: ReadText? }
  private var continuations: [String: Weak] = [:]

  fileprivate init(
    _ words: [String], _ sums: Sums, _ unknown: UnknownWords, _ step: TextReader.Step,
    after parent: ReadText?
  ) {
    self.words = words
    self.sums = sums
    nats = sums.nats(unknown)
    self.parent = parent
    ids = (parent?.ids ?? []) + step.ids
    logProbabilities = (parent?.logProbabilities ?? []) + step.logProbabilities
    hidden = step.hidden
    state = step.state
    if let word = words.last { parent?.continuations[word] = Weak(text: self) }
  }

  fileprivate func continued(by word: String) -> ReadText? { continuations[word]?.text }
}

/// Reads texts word by word, many at a time.
struct TextReader {
  /// Tokens that follow a text, and what the model has after them.
  fileprivate struct Step {
    let ids: [Int32]
    var logProbabilities: [Float] = []
    var hidden: [Float]
    var state: RecurrentState
  }

  private let model: LanguageModel
  private let preparation: TextPreparation
  private let unknown: UnknownWords
  private let path: String
  private let scorer: WordScorer

  /// Creates a reader of a lattice.
  init(
    _ model: LanguageModel, _ preparation: TextPreparation, _ unknown: UnknownWords, path: String
  ) {
    self.model = model
    self.preparation = preparation
    self.unknown = unknown
    self.path = path
    scorer = WordScorer(model, nil)
  }

  /// Returns the text without words, from which all others come.
  func empty() throws -> ReadText {
    var state = model.network.zeroState(columns: 1)
    let start = model.encoder.sentenceStartID
    let hidden = try start.map { try model.network.hiddenStates(inputs: [$0], state: &state) }
    return ReadText(
      [], Sums(), unknown, Step(ids: [], hidden: hidden ?? [], state: state), after: nil)
  }

  /// Returns texts, each followed by a word; requests with the same text are neighbours.
  ///
  /// - Throws: `TextError` if the model cannot encode a word, or cuts a text otherwise when a word
  ///   follows; `NotFinite`; `NeuralError` if memory is short.
  func continued(_ requests: [(text: ReadText, word: String)]) throws -> [ReadText] {
    var results = requests.map { $0.text.continued(by: $0.word) }
    let missing = results.indices.filter { results[$0] == nil }
    let encoded = try missing.map { try beginning(requests[$0].text.words + [requests[$0].word]) }
    let steps = try read(
      zip(missing, encoded).map { index, encoded in
        (requests[index].text, try rest(of: encoded.ids, after: requests[index].text))
      }, isLast: false)
    for (place, index) in missing.enumerated() {
      let (text, word) = requests[index]
      // An arc beside this one may have the same word.
      if let known = text.continued(by: word) {
        results[index] = known
        continue
      }
      results[index] = ReadText(
        text.words + [word], try sums(encoded[place], steps[place], after: text), unknown,
        steps[place], after: text)
    }
    return results.compactMap { $0 }
  }

  /// Returns the log-probabilities in nats of texts as whole sentences; `nil` where words are
  /// unknown or not predicted.
  func sentences(_ texts: [ReadText]) throws -> [Double?] {
    let encoded = try texts.map { try encode($0.words) }
    let steps = try read(
      zip(texts, encoded).map { ($0, try rest(of: $1.ids, after: $0)) }, isLast: true)
    return try texts.indices.map { index in
      let (text, encoded) = (texts[index], encoded[index])
      let logProbabilities = text.logProbabilities + steps[index].logProbabilities
      let score = scorer.score(
        of: try line(text.words), encoded, [],
        SentencePredictions(
          unpredictedCount: encoded.ids.count - logProbabilities.count,
          logProbabilities: logProbabilities, entropies: [], totals: [],
          likeliest: LikeliestTokens()))
      guard score.logProbability?.isFinite != false else { throw NotFinite(path: model.path) }
      return score.logProbability(unknown)
    }
  }

  private func line(_ words: [String]) throws(TextError) -> TextLine {
    let bytes = try preparation.apply(
      to: Array(words.joined(separator: " ").utf8), line: 1, path: path)
    return TextLine(bytes: bytes, terminatorCount: 1, number: 1)
  }

  /// Returns the tokens of a sentence; errors name no line, since its words stand on many.
  private func encode(_ words: [String]) throws(TextError) -> EncodedLine {
    do {
      return try model.encoder.encode(try line(words), path: path)
    } catch {
      throw TextError(
        path: path, line: nil, expected: error.expected, found: error.found, fix: error.fix)
    }
  }

  /// Returns the tokens of a text that may go on: without the end of the sentence.
  private func beginning(_ words: [String]) throws(TextError) -> EncodedLine {
    var encoded = try encode(words)
    guard model.encoder.endOfSentenceID != nil, !encoded.ids.isEmpty else { return encoded }
    encoded.ids.removeLast()
    encoded.ends.removeLast()
    encoded.unknown.removeAll { $0 >= encoded.ids.count }
    return encoded
  }

  /// Returns the tokens behind those of a text.
  private func rest(of ids: [Int32], after text: ReadText) throws(TextError) -> [Int32] {
    guard ids.starts(with: text.ids) else {
      throw TextError(
        path: path, line: nil, expected: "a tokenizer that cuts each word by itself",
        found: "another cut of \"\(text.words.joined(separator: " "))\" when a word follows",
        fix: "write the paths as an n-best list, and give it with --nbest")
    }
    return Array(ids[text.ids.count...])
  }

  /// Returns the sums of a text and the tokens behind it.
  private func sums(_ encoded: EncodedLine, _ step: Step, after text: ReadText) throws -> Sums {
    var sums = text.sums
    let first = encoded.ids.count - step.logProbabilities.count
    let unknown = Set(encoded.unknown)
    for (index, logProbability) in step.logProbabilities.enumerated() {
      sums.all += Double(logProbability)
      if !unknown.contains(first + index) { sums.known += Double(logProbability) }
    }
    sums.unknownCount = encoded.unknownCount
    guard sums.all.isFinite else { throw NotFinite(path: model.path) }
    return sums
  }

  /// Reads tokens behind texts, those of as many tokens together; if nothing follows, the last of
  /// them need not be read.
  private func read(_ requests: [(text: ReadText, ids: [Int32])], isLast: Bool) throws -> [Step] {
    var steps = requests.map { Step(ids: $0.ids, hidden: $0.text.hidden, state: $0.text.state) }
    let groups = Dictionary(grouping: requests.indices) { requests[$0].ids.count }
    for (length, members) in groups where length > 0 {
      let size = max(1, LanguageModel.tokensAtOnce / length)
      for first in stride(from: 0, to: members.count, by: size) {
        try Task.checkCancellation()
        let block = members[first..<min(first + size, members.count)]
        try read(Array(block), of: requests, length, isLast: isLast, &steps)
      }
    }
    return steps
  }

  /// Reads the tokens of a block of B requests of T tokens each.
  private func read(
    _ block: [Int], of requests: [(text: ReadText, ids: [Int32])], _ T: Int, isLast: Bool,
    _ steps: inout [Step]
  ) throws {
    let B = block.count
    let readCount = isLast ? T - 1 : T
    var after: [Float] = []
    if readCount > 0 {
      let inputs = (0..<readCount).flatMap { t in block.map { requests[$0].ids[t] } }
      guard var state = RecurrentState(joining: block.map { requests[$0].text.state }) else {
        return
      }
      after = try model.network.hiddenStates(inputs: inputs, state: &state)
      let H = after.count / inputs.count
      for (b, index) in block.enumerated() {
        let row = (readCount - 1) * B + b
        steps[index].hidden = Array(after[row * H..<(row + 1) * H])
        steps[index].state = state.selecting([b])
      }
      // The output after the last token is needed once another follows.
      after.removeLast(isLast ? 0 : B * H)
    }
    // One row for each text, then one for each token that was read.
    var hidden: [Float] = []
    var targets: [Int32] = []
    var rows: [Int] = []
    var owners: [Int] = []
    var row = -1
    var previous: ReadText?
    for index in block where !requests[index].text.hidden.isEmpty {
      let (text, ids) = requests[index]
      if previous !== text {
        hidden += text.hidden
        row = row + 1
        previous = text
      }
      targets.append(ids[0])
      rows.append(row)
      owners.append(index)
    }
    for t in 1..<max(T, 1) {
      for index in block {
        row += 1
        targets.append(requests[index].ids[t])
        rows.append(row)
        owners.append(index)
      }
    }
    hidden += after
    guard !targets.isEmpty else { return }
    let found = try model.network.predictions(
      ofTargets: targets, after: rows, hiddenStates: hidden, withEntropies: false)
    for (owner, logProbability) in zip(owners, found.logProbabilities) {
      steps[owner].logProbabilities.append(logProbability)
    }
  }
}
