// `unroll score`: surprisal of words, log-probabilities of sentences.

import ArgumentParser
import Foundation
import UnrollEngine

struct Score: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Score each word or each line of a text.",
    discussion: """
      Each line is a sentence of its own: zero state, the first word follows <eos>. The result is TSV.
      --level word: word, sentid and sentpos (from 1), wlen (characters), surp (bits), oov. A word \
      that the vocabulary lacks has surp NA and oov 1: the model knows unknown words only as a whole.
      --level sentence: sentid, tokens (with <eos>), oov, logprob (nats, <eos> and unknown words \
      included), one line for each line of the text.
      """)

  enum ScoreLevel: String, ExpressibleByArgument, CaseIterable {
    case word
    case sentence
  }

  @OptionGroup var options: ModelOptions

  @Argument(help: "The text: a file, a .gz file, or - for standard input.")
  var text: String

  @Option(help: "What gets a score: word or sentence.")
  var level: ScoreLevel = .word

  func run() throws {
    let model = try options.load()
    var progress = Progress()
    switch level {
    case .word: Output.result("word\tsentid\tsentpos\twlen\tsurp\toov")
    case .sentence: Output.result("sentid\ttokens\toov\tlogprob")
    }
    try model.score(text: text) { sentence, fraction in
      switch level {
      case .word: printWords(sentence)
      case .sentence: printSentence(sentence)
      }
      progress.report { _ in
        let share = fraction.map { String(format: ", %.0f %%", 100 * $0) } ?? ""
        return "\(Output.grouped(sentence.line)) lines\(share)"
      }
    }
    progress.finish()
  }

  private func printWords(_ sentence: SentenceScore) {
    for (index, word) in sentence.words.enumerated() {
      let surprisal = word.surprisal.map { String(format: "%.6f", $0) } ?? "NA"
      Output.result(
        "\(word.word)\t\(sentence.line)\t\(index + 1)\t\(word.word.unicodeScalars.count)\t"
          + "\(surprisal)\t\(word.surprisal == nil ? 1 : 0)")
    }
  }

  private func printSentence(_ sentence: SentenceScore) {
    Output.result(
      "\(sentence.line)\t\(sentence.tokenCount)\t\(sentence.unknownCount)\t"
        + String(format: "%.6f", sentence.logProbability))
  }
}
