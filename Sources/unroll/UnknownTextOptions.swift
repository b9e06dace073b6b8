// The option for unknown words, for verbs that have no score for them.

import ArgumentParser

/// The treatment of unknown words.
struct UnknownTextOptions: ParsableArguments {
  /// A treatment that differs from the model's.
  enum Choice: String, ExpressibleByArgument, CaseIterable {
    case drop
  }

  @Option(
    help: ArgumentHelp(
      "drop: take unknown text out and count it, for models without a token for it.",
      valueName: "choice"))
  var unknown: Choice?

  /// `true` if unknown words are removed from the text.
  var leavesOut: Bool { unknown == .drop }

  /// Reports the number of left-out words or characters, if any.
  func note(_ count: Int) {
    guard count > 0 else { return }
    Output.note(
      "note: \(Output.grouped(count)) \(count == 1 ? "word or character is" : "words or characters are") not in the "
        + "vocabulary and left out: the figures are of the rest of the text")
  }
}
