// Definitions of tokenizers that cannot be used.

/// What is wrong with a tokenizer's own file, or what of it this version does not have.
public struct DefinitionError: Error, Sendable, Hashable {
  /// Where it is in the file, such as `pre_tokenizer`.
  public let place: String
  /// What was expected there.
  public let expected: String
  /// What is there.
  public let found: String
  /// Whether the file may be right, and only this version lacks what it asks for.
  public let isUnsupported: Bool

  init(_ place: String, expected: String, found: String) {
    self.place = place
    self.expected = expected
    self.found = found
    isUnsupported = false
  }

  /// Something that other programs have and this version does not.
  init(unsupported found: String, at place: String) {
    self.place = place
    expected = "what this version has"
    self.found = found
    isUnsupported = true
  }

  /// An error of a reader as one of a definition.
  package init(_ error: any Error) {
    self =
      error as? DefinitionError
      ?? DefinitionError("definition", expected: "a readable file", found: "\(error)")
  }

  /// The error for a file.
  package func textError(path: String) -> TextError {
    TextError(
      path: path, line: nil, expected: "\(place): \(expected)", found: found,
      fix: isUnsupported
        ? "use a newer version of unroll, or prepare the text with the tokenizer's own program"
        : "take the tokenizer's file as its own program wrote it")
  }
}
