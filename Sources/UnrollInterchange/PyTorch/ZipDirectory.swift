// Locates the central directory of a ZIP archive by its end records.

import UnrollTensors

/// The location of a central directory and the number of its entries.
struct ZipDirectory {
  /// The range of the directory in the file.
  let range: Range<Int>
  /// The stated number of entries.
  let entryCount: Int

  private static let endSize = 22
  private static let locatorSize = 20
  private static let end64Size = 56

  /// Finds the directory.
  ///
  /// - Throws: `InterchangeError` if the end records are missing or inconsistent.
  init(_ file: MappedFile) throws {
    let endOffset = try Self.findEnd(in: file)
    guard let end = FixedHeader(file, at: endOffset, count: Self.endSize) else {
      throw zipError(file, "END record", expected: "22 bytes", found: "the end of the file")
    }
    guard end.u16(4) == 0, end.u16(6) == 0, end.u16(8) == end.u16(10) else {
      throw zipError(file, "END record", expected: "one part", found: "a part of a split archive")
    }
    let narrow = (count: end.u16(10), size: end.u32(12), offset: end.u32(16))
    var wide = narrow
    var limit = endOffset
    if let locator = FixedHeader(file, at: endOffset - Self.locatorSize, count: Self.locatorSize),
      locator.u32(0) == 0x0706_4B50
    {
      (wide, limit) = try Self.readEnd64(file, locator: locator, endOffset: endOffset)
    }
    // A saturated field refers to ZIP64; any other must agree, or two readers would see two
    // archives.
    guard narrow.count == 0xFFFF || narrow.count == wide.count,
      narrow.size == 0xFFFF_FFFF || narrow.size == wide.size,
      narrow.offset == 0xFFFF_FFFF || narrow.offset == wide.offset
    else {
      throw zipError(
        file, "END record", expected: "the numbers of the ZIP64 end record", found: "other numbers")
    }
    guard wide.offset <= limit, wide.size <= limit - wide.offset else {
      throw zipError(
        file, "END record", expected: "a central directory before byte \(limit)",
        found: "\(wide.size) bytes at byte \(wide.offset)")
    }
    range = wide.offset..<wide.offset + wide.size
    entryCount = wide.count
  }

  /// Returns the offset of the END record: the last one whose comment ends with the file.
  private static func findEnd(in file: MappedFile) throws -> Int {
    let start = max(0, file.count - endSize - 0xFFFF)
    let tail = file.copy(start..<file.count)
    for offset in stride(from: tail.count - endSize, through: 0, by: -1) {
      guard tail[offset..<offset + 4].elementsEqual([0x50, 0x4B, 0x05, 0x06]) else { continue }
      let commentCount = Int(tail[offset + 20]) | Int(tail[offset + 21]) << 8
      if offset + endSize + commentCount == tail.count { return start + offset }
    }
    throw zipError(
      file, "", expected: "a ZIP archive that ends with an END record", found: "none")
  }

  private static func readEnd64(
    _ file: MappedFile, locator: FixedHeader, endOffset: Int
  ) throws -> (numbers: (count: Int, size: Int, offset: Int), limit: Int) {
    guard let offset = locator.u64(8), offset <= endOffset - locatorSize - end64Size,
      let end = FixedHeader(file, at: offset, count: end64Size), end.u32(0) == 0x0606_4B50,
      let count = end.u64(32), let size = end.u64(40), let start = end.u64(48)
    else {
      throw zipError(
        file, "ZIP64 end record", expected: "a record before its locator", found: "none")
    }
    guard locator.u32(4) == 0, end.u32(16) == 0, end.u32(20) == 0, end.u64(24) == count else {
      throw zipError(
        file, "ZIP64 end record", expected: "one part", found: "a part of a split archive")
    }
    return ((count, size, start), offset)
  }
}

/// Returns an error about the archive itself, which the user must obtain again.
func zipError(
  _ file: MappedFile, _ place: String, expected: String, found: String
) -> InterchangeError {
  InterchangeError(
    file: file.path, place: place, expected: expected, found: found,
    fix: "the file is damaged or not from torch.save; copy it again or save the model again")
}
