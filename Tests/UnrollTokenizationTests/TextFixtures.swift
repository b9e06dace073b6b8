// The texts of `fixtures/text`, and what Python makes of them.

import Foundation
import TestSupport
import Testing
import UnrollTensors

@testable import UnrollTokenization

/// The output of `scripts/make/text-fixtures` for the texts beside it.
struct TextFixtures: Decodable {
  /// The code points at which Python's `str.split()` cuts.
  let spaces: [UInt32]
  /// For each text the words of each line.
  let texts: [String: [[String]]]
  /// The tokens of the corpus in the order of word_language_model.
  let vocabulary: [String]

  init() throws {
    let data = try Data(contentsOf: URL(filePath: Self.path("expected.json")))
    self = try JSONDecoder().decode(TextFixtures.self, from: data)
  }

  /// The path of a text.
  static func path(_ name: String) -> String { Fixtures.path("text/\(name)") }
}

/// All lines of a text.
func lines(of path: String) throws -> [TextLine] {
  // As Python's `open`, which the fixtures come from.
  var reader = try LineReader(path: path, keepsByteOrderMark: true)
  var lines: [TextLine] = []
  while let line = try reader.next() { lines.append(line) }
  return lines
}

/// The words of a line, as bytes.
func words(_ line: TextLine) -> [[UInt8]] {
  line.bytes.withUnsafeBytes { bytes in
    WhitespaceWords.ranges(in: bytes).map { Array(bytes[$0]) }
  }
}

/// The bytes of texts; Swift's `==` of strings also holds characters equal that are composed
/// differently.
func utf8(_ words: [String]) -> [[UInt8]] { words.map { Array($0.utf8) } }

/// Runs a closure with a temporary file of the given bytes.
func withText<Result>(_ bytes: [UInt8], _ body: (String) throws -> Result) throws -> Result {
  try withTemporaryFolder { folder in
    let path = "\(folder)/text.txt"
    try Data(bytes).write(to: URL(filePath: path))
    return try body(path)
  }
}

/// Expects a closure to throw an error that people read as the given text.
func expectError(
  _ expected: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
  do {
    try body()
    Issue.record("nothing was thrown", sourceLocation: sourceLocation)
  } catch {
    #expect("\(error)" == expected, sourceLocation: sourceLocation)
  }
}
