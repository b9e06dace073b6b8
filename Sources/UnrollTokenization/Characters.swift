// Tokens that are single characters or bytes.

/// The ids of tokens that are one Unicode scalar.
struct CharacterTable: Sendable {
  /// The ids of U+0000 to U+007F.
  private var ascii = [Int32](repeating: EncodedLine.noToken, count: 128)
  private var others: [UInt32: Int32] = [:]

  /// Finds the characters of a vocabulary.
  ///
  /// - Parameters:
  ///   - vocabulary: The tokens.
  ///   - space: The token that stands for U+0020, if it is not U+0020 itself. This sign in the text is then not
  ///     a token: otherwise decoding would not give back the encoded text.
  init(_ vocabulary: Vocabulary, space: String?) {
    for id in (0..<vocabulary.count).reversed() where vocabulary.standsForText(id) {
      guard let text = String(validating: vocabulary[id], as: UTF8.self) else { continue }
      if text == space {
        ascii[0x20] = Int32(id)
      } else if let scalar = text.unicodeScalars.first, text.unicodeScalars.count == 1 {
        guard scalar != " " || space == nil else { continue }
        if scalar.isASCII {
          ascii[Int(scalar.value)] = Int32(id)
        } else {
          others[scalar.value] = Int32(id)
        }
      }
    }
  }

  /// Adds a token for each scalar of valid UTF-8.
  func encode(_ text: UnsafeRawBufferPointer, into encoded: inout EncodedLine) {
    encoded.ids.reserveCapacity(text.count + 1)
    encoded.ends.reserveCapacity(text.count + 1)
    var index = 0
    while index < text.count {
      let first = text[index]
      if first < 0x80 {
        index += 1
        encoded.add(ascii[Int(first)], end: index)
      } else {
        let (scalar, count) = decodeScalar(text, at: index)
        index += count
        encoded.add(others[scalar] ?? EncodedLine.noToken, end: index)
      }
    }
  }
}

/// The ids of tokens that are one byte.
struct ByteTable: Sendable {
  private var ids = [Int32](repeating: EncodedLine.noToken, count: 256)

  init(_ vocabulary: Vocabulary) {
    for id in (0..<vocabulary.count).reversed() where vocabulary.standsForText(id) {
      let token = vocabulary[id]
      if token.count == 1, let byte = token.first { ids[Int(byte)] = Int32(id) }
    }
  }

  /// Adds a token for each byte.
  func encode(_ text: UnsafeRawBufferPointer, into encoded: inout EncodedLine) {
    encoded.ids.reserveCapacity(text.count + 1)
    encoded.ends.reserveCapacity(text.count + 1)
    for (index, byte) in text.enumerated() { encoded.add(ids[Int(byte)], end: index + 1) }
  }
}

extension Vocabulary {
  /// `true` if a token stands for text, and not for unknown text or a position in it.
  package func standsForText(_ id: Int) -> Bool {
    return !SpecialToken.allCases.contains { self[$0] == id } && (kinds?[id] ?? .normal) == .normal
  }
}

/// Returns the scalar at an index of UTF-8 and the number of its bytes.
///
/// Bytes that are not UTF-8 give U+FFFD, as in the decoders of Python, Rust and Swift: one for the longest
/// start of a character that is there, or for one byte.
@inline(__always)
func decodeScalar(_ text: UnsafeRawBufferPointer, at index: Int) -> (scalar: UInt32, count: Int) {
  let first = text[index]
  if first < 0x80 { return (UInt32(first), 1) }
  let replacement: UInt32 = 0xFFFD
  var (count, value, second) = (0, UInt32(0), UInt8(0x80)...UInt8(0xBF))
  switch first {
  case 0xC2...0xDF: (count, value) = (2, UInt32(first & 0x1F))
  case 0xE0: (count, value, second) = (3, 0, 0xA0...0xBF)
  case 0xED: (count, value, second) = (3, 0xD, 0x80...0x9F)
  case 0xE1...0xEF: (count, value) = (3, UInt32(first & 0x0F))
  case 0xF0: (count, value, second) = (4, 0, 0x90...0xBF)
  case 0xF1...0xF3: (count, value) = (4, UInt32(first & 0x07))
  case 0xF4: (count, value, second) = (4, 4, 0x80...0x8F)
  default: return (replacement, 1)
  }
  for offset in 1..<count {
    let allowed = offset == 1 ? second : 0x80...0xBF
    guard index + offset < text.count, allowed.contains(text[index + offset]) else {
      return (replacement, offset)
    }
    value = value << 6 | UInt32(text[index + offset] & 0x3F)
  }
  return (value, count)
}
