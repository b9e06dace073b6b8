// The option for words that the vocabulary lacks, of the verbs that give them no number of their own.

import ArgumentParser

/// The treatment of unknown words.
struct UnknownTextOptions: ParsableArguments {
  /// A treatment other than that of the model.
  enum Choice: String, ExpressibleByArgument, CaseIterable {
    case drop
  }

  @Option(
    help: ArgumentHelp(
      "drop: take unknown words out of the text and count them, as a Tokenizer of Keras without oov_token does.",
      valueName: "choice"))
  var unknown: Choice?

  /// `true` if unknown words are taken out of the text.
  var leavesOut: Bool { unknown == .drop }

  /// Says how many words or characters were left out, if any were.
  func note(_ count: Int) {
    guard count > 0 else { return }
    Output.note(
      "note: \(Output.grouped(count)) \(count == 1 ? "word or character is" : "words or characters are") not in the "
        + "vocabulary and left out, as Keras does: the figures are of the rest of the text")
  }
}
