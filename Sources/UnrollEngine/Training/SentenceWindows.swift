// Sentences of a text as training windows, each from a zero state.

import UnrollFormat
import UnrollNeural
import UnrollTokenization

/// The windows of training by sentence.
struct SentenceWindows {
  /// The input rows of each window; its targets are one row further on.
  let windows: [Range<Int>]
  /// The first rows of sentences.
  private let starts: Set<Int>
  /// The number of predictions of all windows before each.
  private let sums: [Int]

  /// Cuts a text.
  ///
  /// A sentence is a line of the text, predicted from the token that sentences start from, to its
  /// end. A longer one is split into windows that carry the state.
  ///
  /// - Parameters:
  ///   - sentences: The text.
  ///   - window: The maximum number of rows of a window.
  init(_ sentences: SentenceStream, window: Int) {
    windows = sentences.ranges.flatMap { sentence in
      stride(from: sentence.lowerBound, to: sentence.upperBound - 1, by: window).map {
        $0..<min($0 + window, sentence.upperBound - 1)
      }
    }
    starts = Set(sentences.ranges.map(\.lowerBound))
    sums = windows.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.count) }
  }

  /// Returns the index of the first window from a row on.
  func index(from row: Int) -> Int {
    windows.partitioningIndex { $0.lowerBound >= row }
  }

  /// Returns the next windows from a row on.
  func next(from row: Int, count: Int) -> [Range<Int>] {
    Array(windows[index(from: row)...].prefix(count))
  }

  /// Returns `true` if a window begins a sentence.
  func begins(_ window: Range<Int>) -> Bool { starts.contains(window.lowerBound) }

  /// Returns the row after a window; after the last window, the last row of the text.
  func cursor(after window: Range<Int>, rows: Int) -> Int {
    window.lowerBound == windows.last?.lowerBound ? rows - 1 : window.upperBound
  }

  /// Returns the number of predictions of the windows before a row.
  func predictions(before row: Int) -> Int { sums[index(from: row)] }
}

/// The lines of a text, each after the token that sentences start from.
struct SentenceStream {
  /// The tokens of all lines.
  private(set) var ids: [Int32] = []
  /// The range of each sentence with something to predict, start token included.
  private(set) var ranges: [Range<Int>] = []

  /// Reads the lines of a text.
  ///
  /// - Parameters:
  ///   - text: The text.
  ///   - encoder: The model's encoder.
  /// - Throws: `EngineError` if the model has no start token, or the text no sentences.
  init(_ text: TrainingText, _ encoder: Encoder) throws {
    guard let start = encoder.sentenceStartID else {
      throw EngineError(
        path: text.path,
        expected: "a model whose sentences have a start token, to train by sentence",
        found: "a model without one",
        fix: "leave --sentences out, or name the tokens when the model is converted: --bos, --eos")
    }
    let hasStarts = encoder.tokenizer.sentenceStart == .bos
    for (first, end) in zip(text.lineStarts, text.lineStarts.dropFirst() + [text.ids.count]) {
      let begin = ids.count
      if !hasStarts { ids.append(start) }
      ids += text.ids[first..<end]
      if ids.count > begin + 1 { ranges.append(begin..<ids.count) }
    }
    guard !ranges.isEmpty else {
      throw EngineError(
        path: text.path, expected: "lines with something to predict", found: "none",
        fix: "give more text")
    }
  }
}

extension LanguageModel {
  /// Measures the lines of a text, each from a zero state, or every R-th group of them.
  ///
  /// - Parameters:
  ///   - stream: The text.
  ///   - rank: The number of the first group.
  ///   - size: R.
  ///   - progress: Called after each group of sentences.
  /// - Returns: The sums of the losses.
  /// - Throws: `NotFinite` if the model's output is not finite.
  func losses(
    of stream: SentenceStream, rank: Int, of size: Int,
    _ progress: (EvaluationProgress) throws -> Void
  ) throws -> LossSums {
    var result = Perplexity(.sentence)
    let count = Self.sentenceCount
    for first in stride(from: rank * count, to: stream.ranges.count, by: size * count) {
      let ranges = stream.ranges[first..<min(first + count, stream.ranges.count)]
      for prediction in try predictions(
        ofSentences: ranges.map { Array(stream.ids[$0].dropFirst()) })
      {
        result.predictions += prediction.logProbabilities.count
        for logProbability in prediction.logProbabilities { result.total.add(-logProbability) }
      }
      let fraction = Double(ranges.endIndex) / Double(stream.ranges.count)
      try progress(EvaluationProgress(perplexity: result, fraction: fraction))
    }
    guard result.totalNLL.isFinite else { throw NotFinite(path: path) }
    return LossSums(result)
  }
}
