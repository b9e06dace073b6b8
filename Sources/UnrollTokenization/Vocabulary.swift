// The tokens of a model and their ids.

import Synchronization

/// The unit of text that a token stands for.
public enum TokenUnit: String, Sendable, Hashable, CaseIterable {
  /// Whitespace-separated words.
  case word
  /// Single characters.
  case character
  /// Single bytes.
  case byte
  /// Parts of words.
  case subword
}

/// The purpose of a token; the raw value is the one on disk.
public enum TokenKind: UInt8, Sendable, Hashable, CaseIterable {
  /// Stands for text.
  case normal
  /// Stands for text outside the vocabulary.
  case unknown
  /// Stands for a position in the text, such as its end.
  case control
  /// Stands for nothing: a row that pads the embedding.
  case unused
  /// Stands for one byte of text that no other token covers.
  case byte
}

/// An ordered list of tokens; a token's id is its index in the list.
public struct Vocabulary: Sendable {
  /// The unit of text that a token stands for.
  public var unit: TokenUnit
  /// The id of the token that stands for words outside the vocabulary, if there is one.
  public var unknownID: Int?
  /// The id of the token that ends a sentence, if there is one.
  public var endOfSentenceID: Int?
  /// The id of the token that begins a sentence, if there is one.
  public var beginningOfSentenceID: Int?
  /// The id of the padding token, if there is one.
  public var paddingID: Int?
  /// The purpose of each token, if it was recorded; `count` values.
  public var kinds: [TokenKind]?
  /// The number of occurrences of each token, if it was recorded; `count` numbers.
  public var counts: [UInt64]?
  /// The score of each token, such as its log-probability, if it has one; `count` numbers.
  public var scores: [Float]?
  /// The tokens' bytes, one after the other.
  public let tokenBytes: [UInt8]
  /// The start of each token in `tokenBytes`, and the end of the last one: `count + 1` numbers.
  public let tokenOffsets: [Int]
  /// The look-up table of tokens; made when it is first needed, since many readers never look a token up.
  private let table = LookUpTable()

  /// Creates a vocabulary from the tokens' bytes in the order of their ids.
  ///
  /// The first of equal tokens wins a look-up. `nil` if the offsets do not lead from 0 to the end of
  /// the bytes.
  ///
  /// - Parameters:
  ///   - tokenBytes: The tokens' bytes, one after the other.
  ///   - tokenOffsets: The start of each token, and the end of the last one; never decreasing, from 0 to
  ///     `tokenBytes.count`.
  ///   - unit: The unit of text that a token stands for.
  public init?(tokenBytes: [UInt8], tokenOffsets: [Int], unit: TokenUnit) {
    guard tokenOffsets.first == 0, tokenOffsets.last == tokenBytes.count,
      tokenOffsets.indices.dropFirst().allSatisfy({ tokenOffsets[$0 - 1] <= tokenOffsets[$0] })
    else { return nil }
    self.init(unchecked: tokenBytes, tokenOffsets, unit: unit)
  }

  private init(unchecked tokenBytes: [UInt8], _ tokenOffsets: [Int], unit: TokenUnit) {
    self.tokenBytes = tokenBytes
    self.tokenOffsets = tokenOffsets
    self.unit = unit
  }

  /// Creates a vocabulary from tokens in the order of their ids.
  public init(tokens: some Sequence<some Sequence<UInt8>>, unit: TokenUnit) {
    var bytes: [UInt8] = []
    var offsets = [0]
    for token in tokens {
      bytes.append(contentsOf: token)
      offsets.append(bytes.count)
    }
    self.init(unchecked: bytes, offsets, unit: unit)
  }

  /// The number of tokens, V.
  public var count: Int { tokenOffsets.count - 1 }

  /// The bytes of a token.
  public subscript(id: Int) -> ArraySlice<UInt8> {
    tokenBytes[tokenOffsets[id]..<tokenOffsets[id + 1]]
  }

  /// Returns a token as text, with U+FFFD for bytes that are not UTF-8.
  public func text(of id: Int) -> String { String(decoding: self[id], as: UTF8.self) }

  /// Open addressing over token ids, -1 where free; a power of two, at least twice the tokens.
  private var slots: [Int32] { table.slots(orMake: makeSlots) }

  private func makeSlots() -> [Int32] {
    let tokenCount = tokenOffsets.count - 1
    var capacity = 2
    while capacity < 2 * tokenCount { capacity *= 2 }
    var slots = [Int32](repeating: -1, count: capacity)
    tokenBytes.withUnsafeBytes { bytes in
      for id in 0..<tokenCount {
        let token = UnsafeRawBufferPointer(
          rebasing: bytes[tokenOffsets[id]..<tokenOffsets[id + 1]])
        let slot = Self.slot(of: token, in: slots, bytes: bytes, offsets: tokenOffsets)
        if slots[slot] < 0 { slots[slot] = Int32(id) }
      }
    }
    return slots
  }

  /// Returns the id of a token, or `nil` if it is not in the vocabulary.
  public func id(of token: UnsafeRawBufferPointer) -> Int? {
    let slots = slots
    return tokenBytes.withUnsafeBytes { bytes in
      let id = slots[Self.slot(of: token, in: slots, bytes: bytes, offsets: tokenOffsets)]
      return id < 0 ? nil : Int(id)
    }
  }

  /// Returns the id of a token, or `nil` if it is not in the vocabulary.
  public func id(of token: String) -> Int? {
    var token = token
    return token.withUTF8 { id(of: UnsafeRawBufferPointer($0)) }
  }

  /// Returns the slot that holds a token, or the free slot where its search ends.
  ///
  /// `Hasher` is seeded anew in each process, so a file cannot be made to collide.
  private static func slot(
    of token: UnsafeRawBufferPointer, in slots: [Int32], bytes: UnsafeRawBufferPointer,
    offsets: [Int]
  ) -> Int {
    var hasher = Hasher()
    hasher.combine(bytes: token)
    var slot = hasher.finalize() & (slots.count - 1)
    while slots[slot] >= 0 {
      let id = Int(slots[slot])
      let range = offsets[id]..<offsets[id + 1]
      if range.count == token.count && bytes[range].elementsEqual(token) { return slot }
      slot = (slot + 1) & (slots.count - 1)
    }
    return slot
  }
}

/// A table that is made once, by the first thread that needs it.
///
/// A class because copies of a vocabulary share it.
private final class LookUpTable: Sendable {
  private final class Slots: Sendable {
    let values: [Int32]

    init(_ values: [Int32]) { self.values = values }
  }

  private let made = AtomicLazyReference<Slots>()

  func slots(orMake make: () -> [Int32]) -> [Int32] {
    if let slots = made.load() { return slots.values }
    return made.storeIfNil(Slots(make())).values
  }
}
