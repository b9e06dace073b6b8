// The wording of comments in the sources.

import Foundation
import TestSupport
import Testing

@Suite("Wording of comments") struct CommentTests {
  @Test("No comment begins with What, Whether, That of, Those, How or Where")
  func noCommentBeginsWithAQuestionWord() throws {
    let files = try sources()
    #expect(files.count > 300)
    for file in files {
      let text = try String(contentsOf: Fixtures.root.appending(path: file), encoding: .utf8)
      for (line, comment) in violations(in: text) {
        Issue.record("\(file):\(line): lead with the noun or the verb: \(comment)")
      }
    }
  }

  @Test(
    "A comment that begins with a forbidden word is found",
    arguments: [
      "/// What it computes.", "  // Whether it is there.", "/// That of `weight`, [H, D].",
      "///   - size: How many there are.", "/// - Returns: Whether they are equal.",
      "let a = b  // Those of c.", " * Where it begins.", "/* What is left. */",
    ])
  func aForbiddenBeginningIsFound(line: String) {
    #expect(violations(in: "let a = 1\n\(line)\n").map(\.line) == [2])
  }

  @Test(
    "A comment with such a word elsewhere, and code, are accepted",
    arguments: [
      "/// Returns what was read.", "/// Whatever the file states.", "let text = \"What is it?\"",
      "/// `true` if it shows where a word ends.", "case what  // However it ends.",
    ])
  func anotherLineIsAccepted(line: String) {
    #expect(violations(in: line).isEmpty)
  }

  /// Returns the number and the text of each line whose comment, or the description of a parameter
  /// in it, begins with one of the words.
  private func violations(in text: String) -> [(line: Int, comment: String)] {
    let pattern =
      #/(?:^\s*(?:\/\/+|\/?\*+)|\s\/\/+)\s*(?:- [\w\s]+:\s*)?(?:What|Whether|That of|Those|How|Where)\b/#
    return text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
      .filter { $0.element.contains(pattern) }
      .map { ($0.offset + 1, $0.element.trimmingCharacters(in: .whitespaces)) }
  }

  /// Returns the paths of all Swift and C files below `Sources`, relative to the checkout.
  private func sources() throws -> [String] {
    let folder = Fixtures.root.appending(path: "Sources").path
    return try FileManager.default.subpathsOfDirectory(atPath: folder)
      .filter { [".swift", ".h", ".c"].contains(where: $0.hasSuffix) }
      .map { "Sources/\($0)" }.sorted()
  }
}
