// The treatment of unknown words, and the boundaries of words, as options of `score`.

import ArgumentParser
import UnrollEngine

extension WordBoundary: ExpressibleByArgument {}

/// A treatment of unknown words, as given on the command line.
struct UnknownChoice: ExpressibleByArgument {
  /// The choice as given.
  let argument: String
  private let penalty: Double?

  init?(argument: String) {
    self.argument = argument
    penalty = argument.hasPrefix("penalty=") ? Double(argument.dropFirst(8)) : nil
    // A penalty below 0 would make one unknown word more probable than all of them together.
    let isPenalty = penalty.map { $0 >= 0 && $0.isFinite } == true
    guard ["exclude", "include", "drop"].contains(argument) || isPenalty else { return nil }
  }

  /// `true` if unknown words are removed from the text.
  var leavesOut: Bool { argument == "drop" }

  /// Returns the treatment; a penalty is in units of the base.
  func words(_ base: Score.Base) -> UnknownWords {
    if let penalty { return .penalty(penalty * base.logarithm) }
    return argument == "include" ? .include : .exclude
  }
}
