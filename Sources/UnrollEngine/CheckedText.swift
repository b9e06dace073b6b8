// The beginning of a text as the plausibility check measures it.

import UnrollFormat
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// The tokens of the first lines of a text; lines that the model cannot encode are skipped.
struct CheckedText {
  /// The tokens of a line and the indices of unknown ones.
  private struct Line {
    var ids: [Int32]
    var unknown: Set<Int>

    /// Returns the first `count` tokens.
    func prefix(_ count: Int) -> Line {
      Line(ids: Array(ids.prefix(count)), unknown: unknown.filter { $0 < count })
    }
  }

  /// The token before each line if it is a beginning-of-sentence token, else only before the first
  /// line.
  private let start: Int32?
  private let startsEachLine: Bool
  private var lines: [Line] = []
  /// The number of lines that the model cannot encode.
  private(set) var refusedLines = 0
  /// The number of words or characters that were left out, as Keras does.
  private(set) var leftOutCount = 0

  /// The maximum number of tokens to read.
  private static let mostTokens = 2_000

  /// The number of tokens.
  var count: Int { lines.reduce(0) { $0 + $1.ids.count } }
  /// The number of them that the vocabulary lacks.
  var unknownCount: Int { lines.reduce(0) { $0 + $1.unknown.count } }

  /// Reads the first lines of a text.
  ///
  /// - Parameters:
  ///   - path: The text.
  ///   - checkpoint: The model.
  /// - Throws: `FileError` or `TextError` if the text cannot be read.
  init(_ path: String, _ checkpoint: Checkpoint) throws {
    var encoder = try LanguageModel.encoder(of: checkpoint, path: path)
    // Keras trains on texts from which unknown words are left out.
    if encoder.dropsUnknown { try encoder.leaveOutUnknown(path: path) }
    start = encoder.sentenceStartID
    startsEachLine = encoder.tokenizer.sentenceStart == .bos
    var reader = try LineReader(path: path, for: encoder.tokenizer)
    var rest = Self.mostTokens
    while rest > 0, refusedLines < 1_000, let line = try reader.next() {
      guard let encoded = try? encoder.encode(line, path: path) else {
        refusedLines += 1
        continue
      }
      leftOutCount += encoded.leftOut.count
      lines.append(Line(ids: encoded.ids, unknown: Set(encoded.unknown)).prefix(rest))
      rest -= encoded.ids.count
    }
  }

  /// Returns the first `count` tokens.
  func prefix(_ count: Int) -> CheckedText {
    var text = self
    var rest = count
    text.lines = lines.compactMap { line in
      defer { rest -= line.ids.count }
      return rest > 0 ? line.prefix(rest) : nil
    }
    return text
  }

  /// Returns the mean negative log-probability of known tokens in nats.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - window: The window that each token is predicted from; `nil` for all tokens before it.
  /// - Returns: The mean; 0 where nothing is predicted.
  /// - Throws: `NeuralError` if memory is short.
  func nll(_ checkpoint: Checkpoint, _ window: FixedWindow?) throws -> Double {
    let losses = try window.map { try self.losses(checkpoint, $0) } ?? losses(checkpoint)
    return losses.isEmpty ? 0 : losses.reduce(0, +) / Double(losses.count)
  }

  /// Returns the losses of known tokens, each predicted from a window of its line.
  private func losses(_ checkpoint: Checkpoint, _ window: FixedWindow) throws -> [Double] {
    let model = try LanguageModel(checkpoint, path: "the check")
    var history: [Int32]?
    let found = try model.predictions(
      ofSentences: lines.map(\.ids), window: window, after: &history)
    return zip(lines, found).flatMap { line, prediction in
      prediction.logProbabilities.enumerated().compactMap { place, value in
        line.unknown.contains(place + prediction.unpredictedCount) ? nil : -Double(value)
      }
    }
  }

  /// Returns the losses of known tokens, each predicted from all tokens before it, with lines
  /// concatenated.
  private func losses(_ checkpoint: Checkpoint) throws -> [Double] {
    var ids: [Int32] = []
    var unknown: Set<Int> = []
    for line in lines {
      if let start, ids.isEmpty || startsEachLine { ids.append(start) }
      unknown.formUnion(line.unknown.map { ids.count + $0 })
      ids += line.ids
    }
    guard ids.count > 1 else { return [] }
    let network = try RecurrentModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
    var state = network.zeroState(columns: 1)
    var losses: [Double] = []
    for first in stride(from: 0, to: ids.count - 1, by: LanguageModel.tokensAtOnce) {
      let places = first..<min(first + LanguageModel.tokensAtOnce, ids.count - 1)
      let found = try network.predictions(
        ofTargets: Array(ids[places.lowerBound + 1..<places.upperBound + 1]),
        inputs: Array(ids[places]), withEntropies: false, state: &state)
      for (place, value) in zip(places, found.logProbabilities) where !unknown.contains(place + 1) {
        losses.append(-Double(value))
      }
    }
    return losses
  }
}
