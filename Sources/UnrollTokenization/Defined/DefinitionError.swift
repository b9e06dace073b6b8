// Definitions of tokenizers that cannot be used.

/// A fault of a tokenizer's own file, or a part of it that this version does not have.
public struct DefinitionError: Error, Sendable, Hashable {
  /// The location in the file, such as `pre_tokenizer`.
  public let place: String
  /// The expectation at that location.
  public let expected: String
  /// The value found at that location.
  public let found: String
  /// `true` if the file may be valid and needs a feature that this version lacks.
  public let isUnsupported: Bool
  /// The next step.
  private let fix: String

  init(
    _ place: String, expected: String, found: String,
    fix: String = "take the tokenizer's file as its own program wrote it"
  ) {
    self.place = place
    self.expected = expected
    self.found = found
    isUnsupported = false
    self.fix = fix
  }

  /// Something that other programs have and this version does not.
  init(unsupported found: String, at place: String) {
    self.place = place
    expected = "what this version has"
    self.found = found
    isUnsupported = true
    fix = "use a newer version of unroll, or prepare the text with the tokenizer's own program"
  }

  /// A regular expression that is not read.
  init(_ error: ExpressionError, in expression: String, at place: String) {
    self.place = place
    found = "\(error.construct) in the regular expression \(expression)"
    isUnsupported = !error.isInvalid
    expected =
      error.isInvalid ? "an expression of Oniguruma" : "an expression that this version has"
    fix =
      error.isInvalid
      ? "correct the expression: Oniguruma, and with it the library tokenizers, refuses it, too"
      : "write the expression without it, or prepare the text with the tokenizer's own program"
  }

  /// An error of a reader as one of a definition.
  package init(_ error: any Error) {
    self =
      error as? DefinitionError
      ?? DefinitionError("definition", expected: "a readable file", found: "\(error)")
  }

  /// Returns the error for a file.
  package func textError(path: String) -> TextError {
    TextError(
      path: path, line: nil, expected: "\(place): \(expected)", found: found, fix: fix)
  }
}
