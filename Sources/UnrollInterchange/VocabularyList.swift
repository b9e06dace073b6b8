// The tokens of a model as a list, one a line: what files without a vocabulary need beside them.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// A vocabulary as the text that `Vocabulary.init(listedIn:)` reads.
public struct VocabularyList: Sendable {
  private let vocabulary: Vocabulary

  /// Checks that every token can be a line.
  ///
  /// - Parameters:
  ///   - vocabulary: The tokens.
  ///   - path: The file that the list is meant for, for messages.
  /// - Throws: `InterchangeError` naming the first token that is empty, no UTF-8, or holds the end of a
  ///   line.
  public init(_ vocabulary: Vocabulary, path: String) throws {
    for id in 0..<vocabulary.count {
      guard let expected = Self.lack(of: vocabulary[id]) else { continue }
      throw InterchangeError(
        file: path, place: "token \(id)", expected: expected,
        found: "\"\(vocabulary.text(of: id))\"",
        fix: "a list of one token a line cannot hold this vocabulary; leave out the list")
    }
    self.vocabulary = vocabulary
  }

  /// What a token would have to be to stand on a line, if it cannot.
  private static func lack(of token: ArraySlice<UInt8>) -> String? {
    if token.isEmpty { return "a token that is not empty" }
    if String(validating: token, as: UTF8.self) == nil { return "a token of UTF-8" }
    let hasLineEnd = token.contains { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
    return hasLineEnd ? "a token without the end of a line in it" : nil
  }

  /// Writes the list, whole or not at all, and reads it back.
  ///
  /// - Parameters:
  ///   - path: The file to be.
  ///   - replacing: Whether a file that is there is replaced. If not, it stays.
  ///   - writeModel: Writes the model that the list belongs to, when the list is on disk and only
  ///     lacks its name. If it throws, there is no list either.
  /// - Throws: `FileError` if it cannot be written; `InterchangeError` if it does not read back; what
  ///   `writeModel` throws.
  public func write(
    to path: String, replacing: Bool = false, after writeModel: () throws -> Void = {}
  ) throws {
    let file = try AtomicFile(path, replacing: replacing)
    do {
      try writeLines(to: file.temporaryPath)
      try check(file.temporaryPath)
      try writeModel()
      try file.commit()
    } catch {
      file.discard()
      throw error
    }
  }

  private func writeLines(to path: String) throws {
    let lines = (0..<vocabulary.count).flatMap { vocabulary[$0] + [UInt8(ascii: "\n")] }
    var file = try SequentialFile(emptying: path)
    try lines.withUnsafeBytes { try file.write($0) }
    try file.close()
  }

  private func check(_ path: String) throws {
    let back = try Vocabulary(listedIn: path)
    guard back.tokenBytes == vocabulary.tokenBytes, back.tokenOffsets == vocabulary.tokenOffsets
    else {
      throw InterchangeError(
        file: path, place: "", expected: "the tokens that were written",
        found: "others when the file is read back",
        fix: "the disk may be failing: try another; else leave out the list")
    }
  }
}
