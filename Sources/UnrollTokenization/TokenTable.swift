// Byte strings and their numbers, found by hashing.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Distinct byte strings in the order in which they were added.
struct TokenTable: Sendable {
  private(set) var bytes: [UInt8] = []
  private(set) var offsets = [0]
  /// Open addressing over the strings' numbers, -1 where free; a power of two.
  private var slots = [Int32](repeating: -1, count: 16)

  /// The number of strings.
  var count: Int { offsets.count - 1 }

  /// A string.
  subscript(index: Int) -> ArraySlice<UInt8> { bytes[offsets[index]..<offsets[index + 1]] }

  /// Returns the number of a string, or `nil` if it is not there.
  func index(of string: UnsafeRawBufferPointer) -> Int? {
    let index = slots[slot(of: string)]
    return index < 0 ? nil : Int(index)
  }

  /// Adds a string unless it is there, and gives its number.
  mutating func insert(_ string: UnsafeRawBufferPointer) -> Int {
    var slot = slot(of: string)
    if slots[slot] >= 0 { return Int(slots[slot]) }
    if 2 * count >= slots.count {
      grow()
      slot = self.slot(of: string)
    }
    slots[slot] = Int32(count)
    bytes.append(contentsOf: string)
    offsets.append(bytes.count)
    return count - 1
  }

  /// Adds a string unless it is there, and gives its number.
  mutating func insert(_ string: some Sequence<UInt8>) -> Int {
    Array(string).withUnsafeBytes { insert($0) }
  }

  private mutating func grow() {
    slots = [Int32](repeating: -1, count: 2 * slots.count)
    bytes.withUnsafeBytes { all in
      for index in 0..<count {
        let string = UnsafeRawBufferPointer(rebasing: all[offsets[index]..<offsets[index + 1]])
        slots[slot(of: string)] = Int32(index)
      }
    }
  }

  /// Returns the slot that holds a string, or the free slot where its search ends.
  ///
  /// `Hasher` is seeded anew in each process, so a text cannot be made to collide.
  private func slot(of string: UnsafeRawBufferPointer) -> Int {
    var hasher = Hasher()
    hasher.combine(bytes: string)
    var slot = hasher.finalize() & (slots.count - 1)
    return bytes.withUnsafeBytes { bytes in
      while slots[slot] >= 0 {
        let range = offsets[Int(slots[slot])]..<offsets[Int(slots[slot]) + 1]
        if range.count == string.count,
          UnsafeRawBufferPointer(rebasing: bytes[range]).isEqual(to: string)
        {
          return slot
        }
        slot = (slot + 1) & (slots.count - 1)
      }
      return slot
    }
  }
}

extension UnsafeRawBufferPointer {
  /// `true` if the bytes equal those of another buffer of the same size.
  @inline(__always)
  func isEqual(to other: UnsafeRawBufferPointer) -> Bool {
    guard let a = baseAddress, let b = other.baseAddress else { return true }
    return memcmp(a, b, count) == 0
  }
}
