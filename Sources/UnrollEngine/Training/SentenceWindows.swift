// Sentences of a text as windows of training, each from a state of zeros.

import UnrollFormat
import UnrollNeural
import UnrollTokenization

/// The windows of a text that is trained on by sentence.
struct SentenceWindows {
  /// The rows of each window's inputs; its targets are one row further on.
  let windows: [Range<Int>]
  /// The first rows of the sentences.
  private let starts: Set<Int>
  /// The predictions of all windows before each.
  private let sums: [Int]

  /// Cuts a text.
  ///
  /// A sentence is predicted from the token that sentences start from, to its end; a longer one is cut, and
  /// its parts hand the state on.
  ///
  /// - Parameters:
  ///   - ids: The text, in one column.
  ///   - checkpoint: The model.
  ///   - window: The most rows of a window.
  ///   - path: The text's file, for errors.
  /// - Throws: `TrainingError` if sentences of the model start from nothing.
  init(_ ids: [Int32], of checkpoint: Checkpoint, window: Int, path: String) throws {
    var windows: [Range<Int>] = []
    var starts: Set<Int> = []
    for sentence in try Self.sentences(ids, of: checkpoint, path: path) {
      starts.insert(sentence.lowerBound)
      for row in stride(from: sentence.lowerBound, to: sentence.upperBound, by: window) {
        windows.append(row..<min(row + window, sentence.upperBound))
      }
    }
    guard !windows.isEmpty else {
      throw TrainingError(
        path: path, expected: "sentences with something to predict", found: "none",
        fix: "give more text")
    }
    (self.windows, self.starts) = (windows, starts)
    sums = windows.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.count) }
  }

  /// The rows of the inputs of each sentence: from the one with the token that it starts from.
  static func sentences(
    _ ids: [Int32], of checkpoint: Checkpoint, path: String
  ) throws -> [Range<Int>] {
    let vocabulary = checkpoint.vocabulary
    let start: Int? =
      switch checkpoint.tokenizer.sentenceStart {
      case .eos: vocabulary.endOfSentenceID
      case .bos: vocabulary.beginningOfSentenceID
      case .none: nil
      }
    guard let start else {
      throw TrainingError(
        path: path, expected: "a model whose sentences start from a token, to train by sentence",
        found: "one whose sentences start from nothing",
        fix: "leave --sentences out, or name the tokens when the model is converted: --bos, --eos")
    }
    // With a token of its own in front, the sentence ends before the next one's.
    let gap = checkpoint.tokenizer.sentenceStart == .bos ? 1 : 0
    let rows = ids.indices.filter { ids[$0] == Int32(start) }
    let first = gap == 0 && rows.first != 0 ? [0] : []
    let bounds = first + rows + [ids.count - 1 + gap]
    return zip(bounds, bounds.dropFirst()).compactMap { $0 < $1 - gap ? $0..<$1 - gap : nil }
  }

  /// The first window from a row on.
  func index(from row: Int) -> Int {
    windows.firstIndex { $0.lowerBound >= row } ?? windows.count
  }

  /// Some windows from a row on.
  func next(from row: Int, count: Int) -> [Range<Int>] {
    Array(windows[index(from: row)...].prefix(count))
  }

  /// Whether a window begins a sentence.
  func begins(_ window: Range<Int>) -> Bool { starts.contains(window.lowerBound) }

  /// The row that comes after a window; after the last one, the text's last.
  func cursor(after window: Range<Int>, rows: Int) -> Int {
    window.lowerBound == windows.last?.lowerBound ? rows - 1 : window.upperBound
  }

  /// The predictions of the windows before a row.
  func predictions(before row: Int) -> Int { sums[index(from: row)] }
}

extension LanguageModel {
  /// The mean loss of the sentences of a text, each from a state of zeros.
  ///
  /// - Parameters:
  ///   - ids: The tokens of the text.
  ///   - path: The text's file, for errors.
  ///   - progress: Called after each group of sentences.
  /// - Returns: The mean in nats.
  /// - Throws: `TextError` if there are no sentences; `NotFinite` if the model gives no numbers.
  func nll(
    ofSentences ids: [Int32], path: String, _ progress: (EvaluationProgress) -> Void
  ) throws -> Double {
    var result = Perplexity(.sentence)
    let hasOwnStart = encoder.tokenizer.sentenceStart == .bos
    let start = encoder.sentenceStartID
    var sentences: [[Int32]] = []
    var sentence: [Int32] = []
    for id in ids {
      let isOwnStart = hasOwnStart && id == start
      if !isOwnStart { sentence.append(id) }
      guard isOwnStart || id == encoder.endOfSentenceID, !sentence.isEmpty else { continue }
      sentences.append(sentence)
      sentence = []
    }
    if !sentence.isEmpty { sentences.append(sentence) }
    for first in stride(from: 0, to: sentences.count, by: 8 * Self.sentenceColumns) {
      let group = Array(sentences[first..<min(first + 8 * Self.sentenceColumns, sentences.count)])
      for prediction in try predictions(ofSentences: group) {
        result.predictions += prediction.logProbabilities.count
        result.totalNLL -= prediction.logProbabilities.reduce(0.0) { $0 + Double($1) }
      }
      let fraction = Double(first + group.count) / Double(sentences.count)
      progress(EvaluationProgress(perplexity: result, fraction: fraction))
    }
    guard result.predictions > 0 else {
      throw TextError(
        path: path, line: nil, expected: "sentences with something to predict", found: "none",
        fix: "give more text")
    }
    guard result.totalNLL.isFinite else { throw NotFinite(path: path) }
    return result.nll
  }
}
