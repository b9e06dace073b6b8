// The fixtures and tokens that the tests of verbs share.

import Foundation
import TestSupport
import Testing

/// A suite of tests that run verbs of `unroll` on converted fixtures.
protocol VerbSuite {
  /// The tool.
  var runner: CommandRunner { get }
}

extension VerbSuite {
  /// Writes eleven tokens for the small fixtures, and runs a closure in their folder.
  func withTokens(_ body: (String) throws -> Void) throws {
    try withTemporaryFolder { folder in
      let tokens = (0..<9).map { "w\($0)" } + ["<eos>", "<unk>"]
      try Data((tokens.joined(separator: "\n") + "\n").utf8).write(
        to: URL(filePath: "\(folder)/tokens.txt"))
      try body(folder)
    }
  }

  /// Converts a fixture with the eleven tokens.
  func convert(
    _ model: String, in folder: String, to output: String = "out.h5", _ options: [String] = []
  ) throws -> CommandResult {
    try runner.run(
      ["convert", Fixtures.path(model), "--vocabulary", "tokens.txt", "-o", output] + options,
      in: folder)
  }

  /// The sorted names of the files in a folder.
  func files(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
  }
}
