// The tokens of a model as a list, one per line or in JSON, for files without a vocabulary.

import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// A vocabulary as a file for `Vocabulary.init(contentsOf:)`: a JSON array of strings in the order
/// of ids if the path ends in `.json`, else one token per line.
public struct VocabularyList: Sendable {
  private let vocabulary: Vocabulary
  private let isJSON: Bool

  /// Checks that the list can represent every token.
  ///
  /// - Parameters:
  ///   - vocabulary: The tokens.
  ///   - path: The output file of the list, for messages.
  /// - Throws: `InterchangeError` naming the first token that is empty or not UTF-8 or, in a list
  ///   of lines, contains a line end.
  public init(_ vocabulary: Vocabulary, path: String) throws {
    isJSON = path.lowercased().hasSuffix(".json")
    for id in 0..<vocabulary.count {
      guard let expected = Self.lack(of: vocabulary[id], isJSON: isJSON) else { continue }
      let fitsJSON = Self.lack(of: vocabulary[id], isJSON: true) == nil
      throw InterchangeError(
        file: path, place: "token \(id)", expected: expected,
        found: "\"\(vocabulary.text(of: id))\"",
        fix: fitsJSON
          ? "give the list a name that ends in .json: JSON holds such tokens"
          : "a list of texts cannot hold this vocabulary; leave out the list, `-o model.safetensors` "
            + "holds the tokens")
    }
    self.vocabulary = vocabulary
  }

  /// Returns the property that a token lacks to be representable in the list; `nil` if it is
  /// representable.
  private static func lack(of token: ArraySlice<UInt8>, isJSON: Bool) -> String? {
    if token.isEmpty { return "a token that is not empty" }
    if String(validating: token, as: UTF8.self) == nil { return "a token of UTF-8" }
    if isJSON { return nil }
    let hasLineEnd = token.contains { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
    return hasLineEnd ? "a token without the end of a line in it" : nil
  }

  /// Writes the list atomically, and verifies it by reading it back.
  ///
  /// - Parameters:
  ///   - path: The output file.
  ///   - replacing: `true` to replace an existing file; otherwise it is preserved.
  ///   - writeModel: Writes the model of the list, after the list is on disk and before it gets its
  ///     name. If it throws, the list is discarded.
  /// - Throws: `FileError` if it cannot be written; `InterchangeError` if it does not read back;
  ///   the errors of `writeModel`.
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
    let lines = isJSON ? json : (0..<vocabulary.count).flatMap { vocabulary[$0] + [0x0A] }
    var file = try SequentialFile(emptying: path)
    try lines.withUnsafeBytes { try file.write($0) }
    try file.close()
  }

  /// A JSON array of strings, one per line.
  private var json: [UInt8] {
    let tokens = (0..<vocabulary.count).map {
      quoted(String(decoding: vocabulary[$0], as: UTF8.self))
    }
    return Array("[\n\(tokens.joined(separator: ",\n"))\n]\n".utf8)
  }

  private func check(_ path: String) throws {
    let back = try isJSON ? Vocabulary(contentsOf: path, format: .json) : Vocabulary(listedIn: path)
    guard back.tokenBytes == vocabulary.tokenBytes, back.tokenOffsets == vocabulary.tokenOffsets
    else {
      throw InterchangeError(
        file: path, place: "", expected: "the tokens that were written",
        found: "others when the file is read back",
        fix: "the disk may be failing: try another; else leave out the list")
    }
  }
}
