// Tokens that are looked up whole: the words or the characters of a part of a text.

/// A model that has a token for each word or each character, or none.
struct WordLookup: Sendable {
  /// The text that one token stands for.
  enum Unit: Sendable {
    /// A part of the text as the steps before cut it.
    case part
    /// A Unicode scalar.
    case scalar
  }

  private let table: SymbolTable
  private let unit: Unit

  /// Creates a model.
  init(_ tokens: some Sequence<(token: [UInt8], id: Int32)>, unit: Unit) {
    table = SymbolTable(tokens)
    self.unit = unit
  }

  /// Returns the tokens of a part of a text.
  func encode(_ part: UnsafeRawBufferPointer) -> [Piece] {
    guard unit == .scalar else {
      return [Piece(id: table.id(of: part) ?? EncodedLine.noToken, end: part.count)]
    }
    var pieces: [Piece] = []
    var index = 0
    while index < part.count {
      let end = index + decodeScalar(part, at: index).count
      let id = table.id(of: UnsafeRawBufferPointer(rebasing: part[index..<end]))
      pieces.append(Piece(id: id ?? EncodedLine.noToken, end: end))
      index = end
    }
    return pieces
  }
}
