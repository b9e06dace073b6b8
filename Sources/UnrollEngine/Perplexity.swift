// Perplexity, defined in one place.

import Foundation
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// The tokens of a text that are predicted, their context, and the divisor of their loss.
public enum PerplexityProtocol: String, Sendable, CaseIterable {
  /// One stream: zero initial state, carried to the end; every token but the first is predicted.
  case stream
  /// 10 streams of equal length in one batch, state carried; the remainder of the text and the
  /// first token of each stream are not predicted. The same protocol as PyTorch's
  /// word_language_model.
  case columns
  /// Each line alone: zero state, the first token follows `<eos>`; every token is predicted.
  case sentence
  /// `sentence` with SRILM's figures: out-of-vocabulary words, including the word `<unk>`, and
  /// out-of-vocabulary ends of lines are left out of logarithm and divisor; `ppl` divides by words
  /// and predicted ends of lines, `ppl1` by words. Blank lines are skipped.
  case srilm
  /// `sentence` with the figures of KenLM's `query`: perplexity including and excluding
  /// out-of-vocabulary words, the word `<unk>` too; ends of sentences are tokens.
  case kenlm
  /// One stream that follows `<eos>`, with the figures of EleutherAI's lm-evaluation-harness, over
  /// the words and bytes of the whole text as one document.
  case lmEval = "lm-eval"
  /// Each token from a `FixedWindow` of the tokens before it, from a zero state; every token is
  /// predicted unless its window is empty.
  case window

  /// `true` if each line is predicted alone, so that parts of a text can be measured apart.
  public var isByLine: Bool {
    switch self {
    case .sentence, .srilm, .kenlm, .window: true
    case .stream, .columns, .lmEval: false
    }
  }

  /// The context of a prediction, in words.
  public var context: String {
    switch self {
    case .stream, .lmEval: "one stream, state carried; no window cuts it"
    case .columns:
      "\(Self.columnCount) columns, state carried; windows of \(Self.columnsWindow) rows"
    case .sentence, .srilm, .kenlm: "each line from a zero state"
    case .window: "a window of tokens, each from a zero state"
    }
  }

  /// Batch size of the protocol `columns`: word_language_model's `eval_batch_size`.
  static let columnCount = 10
  /// BPTT length of the protocol `columns`: word_language_model's `--bptt`.
  static let columnsWindow = 35
}

/// The figures of a model's predictions on a text.
public struct Perplexity: Sendable {
  /// The protocol.
  public var `protocol`: PerplexityProtocol
  /// The adaptation of the model to the text, in words; `nil` for a fixed model.
  public var adaptation: String?
  /// The window of the protocol `window`; `nil` for others.
  public internal(set) var window: WindowDescription?
  /// The context of the first token of each line, stream or batch, in words.
  public var firstToken = ""
  /// The treatment of the ends of lines, in words.
  public var lineEnds = ""
  /// The number of tokens of the text, end-of-sentence tokens included.
  public var tokens = 0
  /// The number of predicted tokens.
  public var predictions = 0
  /// The number of lines of the text.
  public var lines = 0
  /// The number of words of the text, between white space, that end in a predicted token.
  public var words = 0
  /// The number of predicted ends of lines, by a token of their own or with the text before them.
  public var lineEndings = 0
  /// The number of ends of lines that the vocabulary lacks.
  public var unknownLineEndings = 0
  /// The number of bytes of text that the predicted tokens stand for, with the white space before
  /// them.
  public var bytes = 0
  /// The number of predicted tokens that stand for text outside the vocabulary.
  public var unknown = 0
  /// The number of words with such a token.
  public var unknownWords = 0
  /// The number of out-of-vocabulary words or characters that were left out of the text, as Keras
  /// does.
  public var leftOut = 0
  /// The sum of the negative log-probabilities of the predictions, in nats.
  public var totalNLL: Double { total.value }
  /// The part of `totalNLL` that belongs to words outside the vocabulary.
  public var unknownNLL: Double { unknownTotal.value }
  /// The sums behind `totalNLL` and `unknownNLL`.
  var (total, unknownTotal) = (ExactSum(), ExactSum())
  /// The number of empty parts before and behind the words of the text, as `re.split(r"\s+", text)`
  /// counts them.
  var emptyEnds = 0
  /// Sums of losses over sentences or windows, for the bootstrap.
  var blocks = BlockSums()
  /// The number of tokens of the model, V.
  public var vocabularySize = 0
  /// The interpolated models with their weights; empty for one model.
  public internal(set) var mixture: [(path: String, weight: Double)] = []
  /// Figures by groups of words; `nil` if not requested.
  public internal(set) var details: TextDetails?
  /// The time of the evaluation in seconds.
  public var seconds = 0.0

  /// The context of a prediction, in words.
  public var context: String { window?.context ?? `protocol`.context }
  /// The mean negative log-probability of a prediction, in nats.
  public var nll: Double { totalNLL / Double(predictions) }
  /// `exp(nll)`.
  public var perplexity: Double { Elementary.exp(nll) }
  /// The mean negative log-probability of a prediction, in bits.
  public var bitsPerToken: Double { nll / Elementary.log(2) }
  /// Total bits divided by the number of words; `nil` without words.
  public var bitsPerWord: Double? { words > 0 ? totalNLL / Elementary.log(2) / Double(words) : nil }
  /// Total bits divided by the number of bytes; `nil` without bytes.
  public var bitsPerByte: Double? { bytes > 0 ? totalNLL / Elementary.log(2) / Double(bytes) : nil }
  /// The number of predictions per second.
  public var tokensPerSecond: Double { Double(predictions) / seconds }

  init(_ protocol: PerplexityProtocol) { self.protocol = `protocol` }

  /// The figures of the program that the protocol is named after, under that program's names.
  public var figures: [(name: String, value: Double)] {
    let known = -(totalNLL - unknownNLL)
    let knownWords = Double(words - unknownWords)
    let ends = Double(lineEndings)
    let knownEnds = Double(lineEndings - unknownLineEndings)
    switch `protocol` {
    case .stream, .columns, .sentence, .window: return []
    case .srilm:
      return [
        ("sentences", Double(lines)), ("words", Double(words)), ("OOVs", Double(unknownWords)),
        ("logprob", known / Elementary.log(10)),
        ("ppl", Elementary.exp(-known / (knownWords + knownEnds))),
        ("ppl1", Elementary.exp(-known / knownWords)),
      ]
    case .kenlm:
      let tokens = Double(words) + ends
      return [
        ("perplexity including OOVs", Elementary.exp(totalNLL / tokens)),
        ("perplexity excluding OOVs", Elementary.exp(-known / (knownWords + knownEnds))),
        ("OOVs", Double(unknownWords)), ("tokens", tokens),
      ]
    case .lmEval:
      return [
        ("word_perplexity", Elementary.exp(totalNLL / Double(words + emptyEnds))),
        ("byte_perplexity", Elementary.exp(totalNLL / Double(bytes))),
        ("bits_per_byte", bitsPerByte ?? .infinity),
      ]
    }
  }

  /// The perplexity that `interval` describes, under the name that the protocol's program gives it.
  public var headline: (name: String, value: Double) {
    let name =
      switch `protocol` {
      case .stream, .columns, .sentence, .window: "perplexity"
      case .srilm: "ppl"
      case .kenlm: "perplexity including OOVs"
      case .lmEval: "word_perplexity"
      }
    return (name, figures.first { $0.name == name }?.value ?? perplexity)
  }

  /// The loss and divisor of the headline's perplexity so far.
  private var headlineSums: (nll: Double, count: Int) {
    switch `protocol` {
    case .stream, .columns, .sentence, .window: (totalNLL, predictions)
    case .srilm:
      (totalNLL - unknownNLL, words - unknownWords + lineEndings - unknownLineEndings)
    case .kenlm: (totalNLL, words + lineEndings)
    case .lmEval: (totalNLL, words)
    }
  }

  /// Returns a 95 % bootstrap interval of the headline's perplexity, with sentences or windows as
  /// blocks that are drawn with replacement.
  ///
  /// - Parameters:
  ///   - resamples: The number of bootstrap samples.
  ///   - seed: Random seed.
  /// - Returns: The 2.5th and 97.5th percentile of the samples' perplexities and the number of
  ///   blocks; `nil` with fewer than two blocks.
  public func interval(
    resamples: Int = 1000, seed: UInt32 = 1
  ) -> (low: Double, high: Double, blocks: Int)? {
    // The empty parts around the words of a text belong to no block.
    let share = `protocol` == .lmEval ? Double(words) / Double(words + emptyEnds) : 1
    return blocks.interval(resamples: resamples, seed: seed).map {
      (Elementary.exp($0.lowerBound * share), Elementary.exp($0.upperBound * share), blocks.count)
    }
  }

  /// The mean losses in nats and the numbers of predictions of the bootstrap's blocks, in the order of the
  /// text: sentences or windows, or neighbors together where there are many.
  public var blockLosses: [(loss: Double, predictions: Int)] { blocks.losses }

  /// Adds one prediction.
  mutating func add(logProbability: Float, token: TokenInText) {
    predictions += 1
    total.add(-logProbability)
    bytes += token.byteCount
    words += token.wordCount
    unknown += token.isUnknown ? 1 : 0
    unknownWords += token.unknownWordCount
    lineEndings += token.isLineEnd ? 1 : 0
    unknownLineEndings += token.isLineEnd && token.isUnknown ? 1 : 0
    if token.isOfUnknownWord { unknownTotal.add(-logProbability) }
  }

  /// Ends a bootstrap block, a sentence or window: the predictions since the previous block.
  mutating func endBlock() {
    let sums = headlineSums
    blocks.add(total: sums.nll, count: sums.count)
  }
}

extension Perplexity {
  /// Returns the figures over the predictions of several texts, which were measured in the same way.
  ///
  /// - Parameter results: The figures of each text.
  /// - Returns: The sums; `nil` without texts.
  public static func total(of results: [Perplexity]) -> Perplexity? {
    guard var total = results.first else { return nil }
    for other in results.dropFirst() {
      total.tokens += other.tokens
      total.predictions += other.predictions
      total.lines += other.lines
      total.words += other.words
      total.lineEndings += other.lineEndings
      total.unknownLineEndings += other.unknownLineEndings
      total.bytes += other.bytes
      total.unknown += other.unknown
      total.unknownWords += other.unknownWords
      total.leftOut += other.leftOut
      total.total.add(other.total)
      total.unknownTotal.add(other.unknownTotal)
      total.emptyEnds += other.emptyEnds
      total.seconds += other.seconds
      total.blocks.append(other.blocks)
    }
    return total
  }
}

/// Sums of losses over blocks of a text, merged so that their number stays bounded.
struct BlockSums: Sendable, Codable {
  private static let limit = 8192

  private struct Block: Codable {
    var nll: Double
    var count: Int
  }

  /// The loss and number of predictions of each block.
  private var sums: [Block] = []
  /// The number of sentences or windows in each stored block.
  private var merged = 1
  private var pending = 0
  private var (total, predictions) = (0.0, 0)

  /// The number of blocks.
  var count: Int { sums.count }

  /// The mean loss and the number of predictions of each block.
  var losses: [(loss: Double, predictions: Int)] {
    sums.map { ($0.nll / Double($0.count), $0.count) }
  }

  /// Adds a block.
  ///
  /// - Parameters:
  ///   - total: The loss of the text up to the end of the block.
  ///   - count: The number of predictions up to the end of the block.
  mutating func add(total: Double, count: Int) {
    pending += 1
    guard pending >= merged, count > predictions else { return }
    sums.append(Block(nll: total - self.total, count: count - predictions))
    (self.total, predictions, pending) = (total, count, 0)
    guard sums.count == Self.limit else { return }
    // Merges neighbours pairwise.
    sums = stride(from: 0, to: sums.count, by: 2).map { index in
      let (first, second) = (sums[index], sums[index + 1])
      return Block(nll: first.nll + second.nll, count: first.count + second.count)
    }
    merged *= 2
  }

  /// Adds the blocks of another text; where they are too many, neighbours become one block.
  mutating func append(_ other: BlockSums) {
    sums += other.sums
    total += other.total
    predictions += other.predictions
    while sums.count > Self.limit {
      sums = stride(from: 0, to: sums.count, by: 2).map { index in
        let pair = sums[index..<min(index + 2, sums.count)]
        return Block(nll: pair.reduce(0) { $0 + $1.nll }, count: pair.reduce(0) { $0 + $1.count })
      }
    }
  }

  /// Returns the 2.5th and 97.5th percentile of the mean loss of bootstrap samples of the blocks.
  func interval(resamples: Int, seed: UInt32) -> ClosedRange<Double>? {
    guard count > 1, resamples > 0 else { return nil }
    var random = CounterGenerator(seed: seed)
    let means = (0..<resamples).map { _ in
      var drawn = (nll: 0.0, count: 0)
      for _ in sums.indices {
        let block = sums[Int.random(in: sums.indices, using: &random)]
        drawn.nll += block.nll
        drawn.count += block.count
      }
      return drawn.nll / Double(drawn.count)
    }.sorted()
    func percentile(_ share: Double) -> Double {
      means[Int((share * Double(resamples - 1)).rounded())]
    }
    return percentile(0.025)...percentile(0.975)
  }
}

extension EncodedLine {
  /// Returns the tokens with the text that each stands for.
  ///
  /// - Parameters:
  ///   - line: The line.
  ///   - predictsEnd: `true` if the end of the line is predicted, by its last token.
  ///   - hasEndToken: `true` if that token is the one for the end of a line, which stands for no text but white space.
  /// - Returns: The tokens.
  func tokens(
    of line: TextLine, predictsEnd: Bool = true, hasEndToken: Bool = true
  ) -> [TokenInText] {
    let words = line.words
    let owners = owners(among: words)
    let unknownWords = Set(unknown.map { owners[$0] ?? words.count })
    let leftOutWords = wordsLeftOut(of: words, owners)
    let unknown = Set(unknown)
    let content = line.bytes.count - (line.bytes.last == UInt8(ascii: "\n") ? 1 : 0)
    let isEndLeftOut = (leftOut.last?.upperBound ?? 0) > content
    let byteCounts = byteCounts
    var start = 0
    var word = 0
    return ids.indices.map { index -> TokenInText in
      var token = TokenInText(
        id: ids[index], byteCount: byteCounts[index], wordCount: 0,
        isUnknown: unknown.contains(index),
        isOfUnknownWord: unknownWords.contains(owners[index] ?? words.count))
      token.isLineEnd =
        predictsEnd && index == ids.count - 1 && !isEndLeftOut
        && (hasEndToken || ends[index] > content)
      start = ends[index]
      while word < words.count, words[word].upperBound <= start {
        token.wordCount += leftOutWords.contains(word) ? 0 : 1
        token.unknownWordCount += unknownWords.contains(word) ? 1 : 0
        word += 1
      }
      return token
    }
  }
}

extension EncodedLine {
  /// Returns the indices of words that were left out entirely.
  private func wordsLeftOut(of words: [Range<Int>], _ owners: [Int?]) -> Set<Int> {
    guard !leftOut.isEmpty else { return [] }
    let places = words.indices.filter { place in leftOut.contains { $0.overlaps(words[place]) } }
    return Set(places).subtracting(owners.compactMap { $0 })
  }
}

/// A token and the part of the text that it stands for.
struct TokenInText {
  let id: Int32
  let byteCount: Int
  /// The number of words that end in it.
  var wordCount: Int
  let isUnknown: Bool
  /// `true` if the token begins in a word with an unknown token.
  var isOfUnknownWord = false
  /// The number of the words that end in the token and have an unknown token.
  var unknownWordCount = 0
  /// `true` if the line ends in the token, with its text or after it.
  var isLineEnd = false
  /// The word that it belongs to; `nil` behind the last word, and if words are not recorded.
  var word: WordOfToken?
}
