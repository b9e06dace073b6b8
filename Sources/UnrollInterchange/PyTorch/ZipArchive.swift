// The records of a ZIP archive as PyTorch writes it: stored, and located by the central directory.

import CZlib
import UnrollTensors

/// A record.
struct ZipRecord {
  /// The name, with its folders.
  let name: String
  /// The CRC-32 of the data; 0 also means that the writer did not compute one.
  let checksum: UInt32
  /// The offset of the local header in the file.
  let headerOffset: Int
  /// The range of the data in the file.
  let data: Range<Int>
  /// The compression method; 0 means stored.
  let method: Int
  /// The uncompressed size in bytes.
  let size: Int
}

/// A ZIP archive whose records do not overlap.
struct ZipArchive {
  /// The file.
  let file: MappedFile
  /// The records by name.
  let records: [String: ZipRecord]

  /// Reads the central directory and checks that every record is within the file and overlaps no
  /// other.
  ///
  /// - Throws: `InterchangeError` naming the record that breaks a rule.
  init(_ file: MappedFile) throws {
    self.file = file
    let directory = try ZipDirectory(file)
    let list = try Self.readRecords(of: directory, in: file)
    try Self.checkOverlaps(list, file: file)
    var records: [String: ZipRecord] = [:]
    for record in list where records.updateValue(record, forKey: record.name) != nil {
      throw zipError(file, record.name, expected: "one record of this name", found: "two")
    }
    self.records = records
  }

  /// Refuses compressed records; PyTorch writes them only in TorchScript archives.
  ///
  /// - Throws: `InterchangeError` naming the first one.
  func refuseCompressed() throws {
    let compressed = records.values.filter { $0.method != 0 }.min { $0.name < $1.name }
    guard let compressed else { return }
    throw InterchangeError(
      file: file.path, place: compressed.name,
      expected: "a stored record, as torch.save writes it",
      found: compressed.method == 8
        ? "a deflated one" : "compression method \(compressed.method)",
      fix: "unpack the archive and pack it again without compression (`zip -0 -r`)")
  }

  /// Returns the bytes of a record, mapped.
  func storage(of record: ZipRecord) -> ByteStorage { .mapped(file, record.data) }

  /// Checks a record against its recorded CRC-32.
  ///
  /// - Returns: `true` if there is a CRC-32.
  /// - Throws: `InterchangeError` if they differ.
  func verify(_ record: ZipRecord) throws -> Bool {
    if record.checksum == 0 { return record.data.isEmpty }
    let checksum = storage(of: record).withUnsafeBytes { bytes in
      crc32_z(0, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count)
    }
    guard checksum == UInt(record.checksum) else {
      throw zipError(
        file, record.name, expected: "CRC-32 \(hexadecimal(UInt(record.checksum)))",
        found: hexadecimal(UInt(checksum)))
    }
    return true
  }

  /// Checks records against their recorded CRC-32s.
  ///
  /// - Returns: The records without one.
  /// - Throws: `InterchangeError` naming the first that differs.
  func unverified(_ records: [ZipRecord]) throws -> [ZipRecord] {
    zip(records, try concurrentMap(records, verify)).filter { !$1 }.map(\.0)
  }

  /// Returns the notes on records without CRC-32.
  func notes(ofUnverified records: [ZipRecord]) -> [Note] {
    guard !records.isEmpty else { return [] }
    let place = list(records.map(\.name), atMost: 3)
    return [Note(place: place, message: "not checked: the file holds no CRC-32 for it")]
  }

  private func hexadecimal(_ number: UInt) -> String { "0x" + String(number, radix: 16) }

  // MARK: - Central directory

  private static let entrySize = 46

  private static func readRecords(
    of directory: ZipDirectory, in file: MappedFile
  ) throws -> [ZipRecord] {
    guard directory.entryCount <= directory.range.count / entrySize else {
      throw zipError(
        file, "central directory", expected: "room for its \(directory.entryCount) entries",
        found: "\(directory.range.count) bytes")
    }
    var list: [ZipRecord] = []
    var offset = directory.range.lowerBound
    for _ in 0..<directory.entryCount {
      let (record, next) = try readRecord(at: offset, directory: directory, file: file)
      list.append(record)
      offset = next
    }
    guard offset == directory.range.upperBound else {
      throw zipError(
        file, "central directory", expected: "its end after \(directory.entryCount) entries",
        found: "\(directory.range.upperBound - offset) more bytes")
    }
    return list
  }

  private static func readRecord(
    at offset: Int, directory: ZipDirectory, file: MappedFile
  ) throws -> (ZipRecord, next: Int) {
    let outside = zipError(
      file, "central directory", expected: "an entry at byte \(offset)", found: "none")
    let limit = directory.range.upperBound
    guard offset + entrySize <= limit,
      let header = FixedHeader(file, at: offset, count: entrySize), header.u32(0) == 0x0201_4B50
    else { throw outside }
    let nameEnd = offset + entrySize + header.u16(28)
    let extraEnd = nameEnd + header.u16(30)
    let next = extraEnd + header.u16(32)
    guard next <= limit else { throw outside }
    let nameBytes = file.copy(offset + entrySize..<nameEnd)
    guard let name = String(validating: nameBytes, as: UTF8.self) else {
      throw zipError(
        file, "central directory", expected: "a UTF-8 name at byte \(offset)",
        found: "other bytes")
    }
    try checkIsPlain(header, name: name, file: file)
    let sizes = try ZipSizes(header, extra: file.copy(nameEnd..<extraEnd), name: name, file: file)
    let data = try locateData(
      of: name, nameBytes: nameBytes, sizes: sizes, limit: directory.range.lowerBound, file: file)
    let record = ZipRecord(
      name: name, checksum: UInt32(truncatingIfNeeded: header.u32(16)),
      headerOffset: sizes.headerOffset, data: data,
      method: header.u16(10), size: sizes.size)
    return (record, next)
  }

  private static func checkIsPlain(
    _ header: FixedHeader, name: String, file: MappedFile
  ) throws {
    // Bit 0: encrypted; bit 13: header values masked.
    guard header.u16(8) & 0x2001 == 0 else {
      throw zipError(file, name, expected: "a plain record", found: "an encrypted one")
    }
    guard header.u16(34) == 0 else {
      throw zipError(file, name, expected: "a record in this file", found: "one in another part")
    }
  }

  /// Returns the range of a record's data; its local header is not used for anything else.
  ///
  /// PyTorch writes 0 for sizes and CRC in the local header and sets bit 3.
  private static func locateData(
    of name: String, nameBytes: [UInt8], sizes: ZipSizes, limit: Int, file: MappedFile
  ) throws -> Range<Int> {
    let offset = sizes.headerOffset
    guard let header = FixedHeader(file, at: offset, count: 30), header.u32(0) == 0x0403_4B50 else {
      throw zipError(file, name, expected: "a local header at byte \(offset)", found: "none")
    }
    let nameEnd = offset + 30 + header.u16(26)
    guard file.copy(offset + 30..<nameEnd) == nameBytes else {
      throw zipError(
        file, name, expected: "the same name in its local header", found: "another name")
    }
    let start = nameEnd + header.u16(28)
    guard start <= limit, sizes.count <= limit - start else {
      throw zipError(
        file, name, expected: "data before the central directory at byte \(limit)",
        found: "\(sizes.count) bytes at byte \(start)")
    }
    return start..<start + sizes.count
  }

  private static func checkOverlaps(_ list: [ZipRecord], file: MappedFile) throws {
    let ordered = list.sorted { $0.headerOffset < $1.headerOffset }
    for (record, next) in zip(ordered, ordered.dropFirst())
    where next.headerOffset < record.data.upperBound {
      throw zipError(
        file, next.name, expected: "a record of its own bytes",
        found: "an overlap with \(record.name)")
    }
  }
}

/// The numbers of a central directory entry that ZIP64 may extend.
private struct ZipSizes {
  let count: Int
  let size: Int
  let headerOffset: Int

  /// Reads saturated fields from the ZIP64 extra field, in the order of the format.
  init(_ header: FixedHeader, extra: [UInt8], name: String, file: MappedFile) throws {
    var wide = Self.wideNumbers(in: extra)
    func widen(_ narrow: Int) throws -> Int {
      guard narrow == 0xFFFF_FFFF else { return narrow }
      guard let number = wide.littleEndian(UInt64.self).flatMap({ Int(exactly: $0) }) else {
        throw zipError(file, name, expected: "sizes in a ZIP64 extra field", found: "none")
      }
      return number
    }
    size = try widen(header.u32(24))
    count = try widen(header.u32(20))
    headerOffset = try widen(header.u32(42))
    guard header.u16(10) != 0 || size == count else {
      throw zipError(
        file, name, expected: "equal sizes, since the record is stored",
        found: "\(count) and \(size) bytes")
    }
  }

  /// Returns the content of the first extra field with id 1.
  private static func wideNumbers(in extra: [UInt8]) -> ByteCursor {
    var cursor = ByteCursor(extra)
    while let id = cursor.littleEndian(UInt16.self), let count = cursor.littleEndian(UInt16.self),
      let content = cursor.take(Int(count))
    {
      if id == 1 { return ByteCursor(Array(content)) }
    }
    return ByteCursor([])
  }
}
