// Tokens in a model file beside its weights.

import UnrollFormat
import UnrollTokenization

extension ReadingOptions {
  /// Adopts the tokens that a file stores beside its weights, unless the caller gives others.
  ///
  /// - Parameters:
  ///   - lists: The token lists of the file.
  ///   - rows: The number of tokens of the model.
  ///   - error: Creates an error about the file.
  /// - Returns: Notes on lists that were adopted or ignored.
  /// - Throws: `InterchangeError` if no list has that many tokens, or if several such lists differ.
  mutating func take(
    _ lists: [TokenList], ofRows rows: Int,
    error: (_ place: String, _ expected: String, _ found: String, _ fix: String) -> InterchangeError
  ) throws -> [Note] {
    func leave(_ list: TokenList, _ reason: String) -> Note {
      Note(
        place: list.name, message: "not preserved: a list of \(list.tokens.count) tokens, \(reason)"
      )
    }
    if let vocabulary {
      let others = lists.filter { $0.vocabulary(unit: .word).tokenBytes != vocabulary.tokenBytes }
      return others.map { leave($0, "which are not those given") }
    }
    let fitting = lists.filter { $0.rowCount == rows }
    var notes = lists.filter { $0.rowCount != rows }.map {
      leave($0, "which do not fit \(rows) rows")
    }
    guard let list = fitting.first ?? lists.first else { return [] }
    guard fitting.count > 0, fitting.allSatisfy({ $0.isSame(as: list) }) else {
      guard requiresVocabulary else {
        return notes + fitting.map { leave($0, "one of several that differ") }
      }
      let found = fitting.isEmpty ? lists : fitting
      throw error(
        list.name, "a vocabulary of \(rows) tokens, one for each row",
        UnrollInterchange.list(found.map { "\($0.name) of \($0.tokens.count)" })
          + (fitting.isEmpty ? "" : ", which differ"),
        "give the right ones with `--vocabulary FILE` or `--corpus FOLDER`")
    }
    var unit: TokenUnit =
      switch tokenizer.kind {
      case .whitespace: .word
      case .character: .character
      case .byte: .byte
      default: .subword
      }
    if tokenizer.kind == .whitespace, list.vocabulary(unit: unit).isOfCharacters {
      tokenizer.kind = .character
      unit = .character
    }
    let vocabulary = list.vocabulary(unit: unit)
    tokenizer.chooseLineConvention(for: vocabulary)
    self.vocabulary = vocabulary
    let padding = list.firstID == 1 ? ", ids from 1, row 0 is padding" : ""
    notes.append(
      Note(
        place: list.name,
        message: "taken for the vocabulary: \(list.tokens.count) tokens\(padding), tokenizer "
          + tokenizer.kind.rawValue))
    return notes
  }
}
