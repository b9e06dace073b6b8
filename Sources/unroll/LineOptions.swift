// Options of line conventions.

import ArgumentParser
import UnrollEngine

/// The tokens that a line starts from and ends with.
struct LineOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Token that starts each line, or none.", valueName: "token"))
  var lineStart: String?

  @Option(help: ArgumentHelp("Token that ends each line, or none.", valueName: "token"))
  var lineEnd: String?

  /// The special tokens.
  var tokens: SpecialTokens {
    var tokens = SpecialTokens()
    tokens.beginning = lineStart.map(LineToken.init)
    tokens.end = lineEnd.map(LineToken.init)
    return tokens
  }

  /// The options as recorded in a model's history.
  var origins: [String] {
    [("line_start", lineStart), ("line_end", lineEnd)].compactMap { name, token in
      token.map { "\(name)=\($0)" }
    }
  }
}
