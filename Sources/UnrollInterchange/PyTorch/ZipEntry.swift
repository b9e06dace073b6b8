// The headers of a ZIP archive as PyTorch writes them, with ZIP64 if a number requires it.

/// A stored record: its location, its size, and its headers.
///
/// PyTorch's writer (miniz) sets sizes and CRC-32 of a local header to 0, sets bit 3 of the flags
/// and writes them in a descriptor after the data; the ZIP64 field of a wide record has the
/// uncompressed size. Data are aligned to 64 bytes by an extra field `FB` filled with letters Z.
/// Times and versions are 0.
struct ZipEntry: Sendable {
  /// The name, with its folders.
  let name: String
  /// The offset of the local header in the file.
  let headerOffset: Int
  /// The number of bytes of the data.
  let count: Int
  /// The CRC-32 of the data.
  var checksum: UInt32 = 0

  /// The alignment of data in bytes.
  private static let alignment = 64
  /// Bit 3: sizes and CRC follow the data; bit 11: the name is UTF-8.
  private static let flags: UInt16 = 0x0808

  /// `true` if a number does not fit in 32 bits; 0xFFFFFFFF itself marks such numbers.
  private var hasWideSize: Bool { count >= ZipNumber.limit }
  private var hasWideOffset: Bool { headerOffset >= ZipNumber.limit }

  /// The header before the data.
  var localHeader: [UInt8] {
    let extra = wideNumbers(compressedCount: 0)
    let padding = Self.padding(after: headerOffset + 30 + name.utf8.count + extra.count)
    var bytes: [UInt8] = []
    bytes.append(littleEndian: 0x0403_4B50 as UInt32)
    bytes.append(littleEndian: 0 as UInt16)  // version needed
    bytes.append(littleEndian: Self.flags)
    bytes.append(zeros: 6)  // method (stored), time, date
    bytes.append(zeros: 12)  // CRC-32 and sizes: see `descriptor`
    bytes.append(littleEndian: UInt16(name.utf8.count))
    bytes.append(littleEndian: UInt16(extra.count + padding.count))
    return bytes + Array(name.utf8) + extra + padding
  }

  /// The descriptor after the data: CRC-32 and both sizes; wide if any number of the record is.
  var descriptor: [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: 0x0807_4B50 as UInt32)
    bytes.append(littleEndian: checksum)
    for size in [count, count] {
      if hasWideSize || hasWideOffset {
        bytes.append(littleEndian: UInt64(size))
      } else {
        bytes.append(littleEndian: UInt32(size))
      }
    }
    return bytes
  }

  /// The record's entry in the central directory.
  var directoryHeader: [UInt8] {
    let extra = wideNumbers(compressedCount: count)
    var bytes: [UInt8] = []
    bytes.append(littleEndian: 0x0201_4B50 as UInt32)
    bytes.append(zeros: 4)  // versions made by and needed
    bytes.append(littleEndian: Self.flags)
    bytes.append(zeros: 6)  // method (stored), time, date
    bytes.append(littleEndian: checksum)
    bytes.append(littleEndian: ZipNumber.narrow(count))  // compressed
    bytes.append(littleEndian: ZipNumber.narrow(count))
    bytes.append(littleEndian: UInt16(name.utf8.count))
    bytes.append(littleEndian: UInt16(extra.count))
    bytes.append(zeros: 10)  // comment, part, attributes
    bytes.append(littleEndian: ZipNumber.narrow(headerOffset))
    return bytes + Array(name.utf8) + extra
  }

  /// Returns the ZIP64 extra field: the numbers that are too wide, sizes first; empty if there is
  /// none.
  ///
  /// The second size is the compressed one, which miniz does not yet know in a local header.
  private func wideNumbers(compressedCount: Int) -> [UInt8] {
    let sizes = hasWideSize ? [count, compressedCount] : []
    let numbers = sizes + (hasWideOffset ? [headerOffset] : [])
    guard !numbers.isEmpty else { return [] }
    var bytes: [UInt8] = []
    bytes.append(littleEndian: 1 as UInt16)
    bytes.append(littleEndian: UInt16(8 * numbers.count))
    for number in numbers { bytes.append(littleEndian: UInt64(number)) }
    return bytes
  }

  /// Returns the extra field `FB` that pads an offset to the alignment.
  private static func padding(after offset: Int) -> [UInt8] {
    let count = (alignment - (offset + 4) % alignment) % alignment
    var bytes = Array("FB".utf8)
    bytes.append(littleEndian: UInt16(count))
    return bytes + [UInt8](repeating: UInt8(ascii: "Z"), count: count)
  }
}

/// The three records at the end of an archive; PyTorch always writes the ZIP64 ones.
struct ZipEnd: Sendable {
  /// The number of records.
  let entryCount: Int
  /// The offset of the central directory in the file.
  let directoryOffset: Int
  /// The size of the central directory in bytes.
  let directoryCount: Int

  /// The records.
  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: 0x0606_4B50 as UInt32)
    bytes.append(littleEndian: 44 as UInt64)  // the rest of this record
    bytes.append(littleEndian: 0x031E as UInt16)  // made by
    bytes.append(littleEndian: 0x002D as UInt16)  // needed: 4.5, ZIP64
    bytes.append(zeros: 8)  // parts
    for number in [entryCount, entryCount, directoryCount, directoryOffset] {
      bytes.append(littleEndian: UInt64(number))
    }
    bytes.append(littleEndian: 0x0706_4B50 as UInt32)  // the locator of the record above
    bytes.append(zeros: 4)
    bytes.append(littleEndian: UInt64(directoryOffset + directoryCount))
    bytes.append(littleEndian: 1 as UInt32)  // parts in all
    bytes.append(littleEndian: 0x0605_4B50 as UInt32)
    bytes.append(zeros: 4)
    let narrowCount = UInt16(min(entryCount, 0xFFFF))
    for _ in 0..<2 { bytes.append(littleEndian: narrowCount) }
    bytes.append(littleEndian: ZipNumber.narrow(directoryCount))
    bytes.append(littleEndian: ZipNumber.narrow(directoryOffset))
    bytes.append(zeros: 2)  // comment
    return bytes
  }
}

/// The marker of 32-bit fields for numbers in a ZIP64 field.
private enum ZipNumber {
  static let limit = 0xFFFF_FFFF

  /// Returns the number, or the marker.
  static func narrow(_ number: Int) -> UInt32 { UInt32(min(number, limit)) }
}

extension [UInt8] {
  /// Appends a number in little-endian order.
  mutating func append(littleEndian number: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
  }

  fileprivate mutating func append(zeros count: Int) {
    append(contentsOf: repeatElement(0, count: count))
  }
}
