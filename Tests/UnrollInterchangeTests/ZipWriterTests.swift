// The arithmetic of ZIP64, without writing 4 GiB; and pickled numbers of every width.

import Foundation
import TestSupport
import Testing
import UnrollTensors

@testable import UnrollInterchange

@Suite("Written ZIP archives and pickled integers") struct ZipWriterTests {
  private static let gibibyte = 1 << 30

  private func number(_ bytes: some Collection<UInt8>) -> Int {
    bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
  }

  /// The extra fields of a header by id.
  private func extraFields(_ bytes: ArraySlice<UInt8>) -> [Int: [UInt8]] {
    var fields: [Int: [UInt8]] = [:]
    var rest = bytes
    while rest.count >= 4 {
      let count = number(rest.dropFirst(2).prefix(2))
      fields[number(rest.prefix(2))] = Array(rest.dropFirst(4).prefix(count))
      rest = rest.dropFirst(4 + count)
    }
    #expect(rest.isEmpty)
    return fields
  }

  private static let padding = 0x4246  // "FB"

  /// The numbers that a header widens, for records around the limit of 32 bits.
  ///
  /// 0xFFFFFFFF is the mark for "see ZIP64", so it needs ZIP64 itself.
  @Test(
    "Sizes and offsets around 4 GiB are widened by ZIP64 as needed",
    arguments: [
      (0, 100, []), (0, 0xFFFF_FFFE, []), (0, 0xFFFF_FFFF, [0xFFFF_FFFF, 0xFFFF_FFFF]),
      (64, 5 << 30, [5 << 30, 5 << 30]), (0xFFFF_FFFE, 9, []), (0xFFFF_FFFF, 9, [0xFFFF_FFFF]),
      (6 << 30, 5 << 30, [5 << 30, 5 << 30, 6 << 30]),
    ] as [(Int, Int, [Int])])
  func wideNumbers(offset: Int, count: Int, wide: [Int]) {
    let entry = ZipEntry(
      name: "archive/data/0", headerOffset: offset, count: count, checksum: 0x0102_0304)
    let name = entry.name.utf8.count

    let local = entry.localHeader
    #expect((offset + local.count) % 64 == 0)
    #expect(number(local[14..<26]) == 0, "CRC-32 and sizes stand behind the data")
    let localFields = extraFields(local[(30 + name)...])
    // The second size, the compressed one, is not known yet.
    let localWide = wide.enumerated().map { $0 == 1 ? 0 : $1 }
    #expect(localFields[1] == (wide.isEmpty ? nil : localWide.flatMap(wideBytes)))
    #expect(localFields[Self.padding]?.allSatisfy { $0 == UInt8(ascii: "Z") } == true)

    let central = entry.directoryHeader
    #expect(number(central[16..<20]) == 0x0102_0304)
    let size = count >= 0xFFFF_FFFF ? 0xFFFF_FFFF : count
    #expect(number(central[20..<24]) == size && number(central[24..<28]) == size)
    #expect(number(central[42..<46]) == min(offset, 0xFFFF_FFFF))
    let centralFields = extraFields(central[(46 + name)...])
    #expect(centralFields == (wide.isEmpty ? [:] : [1: wide.flatMap(wideBytes)]))

    let descriptor = entry.descriptor
    #expect(descriptor.count == (wide.isEmpty ? 16 : 24))
    let width = wide.isEmpty ? 4 : 8
    #expect(number(descriptor[8..<8 + width]) == count)
    #expect(number(descriptor[(8 + width)...]) == count)
  }

  private func wideBytes(_ number: Int) -> [UInt8] {
    withUnsafeBytes(of: UInt64(number).littleEndian) { Array($0) }
  }

  /// The headers that PyTorch's own writer puts around 4.5 GiB of zeros, `wide-headers.json`.
  private struct WideHeaders: Decodable {
    struct Piece: Decodable {
      let offset: Int
      let bytes: [UInt8]

      init(from decoder: any Decoder) throws {
        var parts = try decoder.unkeyedContainer()
        offset = try parts.decode(Int.self)
        let digits = Array(try parts.decode(String.self))
        bytes = stride(from: 0, to: digits.count, by: 2).compactMap {
          UInt8(String(digits[$0...$0 + 1]), radix: 16)
        }
      }
    }

    let count: Int
    let checksum: UInt32
    let pieces: [Piece]

    /// The bytes that follow one another from an offset on.
    func bytes(from offset: Int) -> [UInt8] {
      pieces.filter { $0.offset >= offset }.reduce(into: []) { bytes, piece in
        if piece.offset == offset + bytes.count { bytes += piece.bytes }
      }
    }
  }

  /// Two records as PyTorch writes them: one of 4.5 GiB, and a small one behind it.
  @Test("Headers of a 4.5 GiB record equal PyTorch's byte for byte")
  func wideHeaders() throws {
    let data = try Data(contentsOf: URL(filePath: Fixtures.path("pytorch/wide-headers.json")))
    let wide = try JSONDecoder().decode(WideHeaders.self, from: data)
    var position = 0
    var entries: [ZipEntry] = []
    for (count, checksum) in [(wide.count, wide.checksum), (7, 0x5003_699F)] {
      let entry = ZipEntry(
        name: "archive/data/\(entries.count)", headerOffset: position, count: count,
        checksum: checksum)
      let theirs = wide.bytes(from: position)
      #expect(Array(theirs.prefix(entry.localHeader.count)) == entry.localHeader)
      position += entry.localHeader.count + count
      let behind = wide.bytes(from: position)
      #expect(Array(behind.prefix(entry.descriptor.count)) == entry.descriptor)
      position += entry.descriptor.count
      entries.append(entry)
    }
    // The directory follows three more records; the end records close the file.
    let directory = try #require(wide.pieces.first { $0.bytes.starts(with: [0x50, 0x4B, 1, 2]) })
    let ours = entries.flatMap(\.directoryHeader)
    #expect(Array(directory.bytes.prefix(ours.count)) == ours)
    let end = ZipEnd(
      entryCount: 5, directoryOffset: directory.offset, directoryCount: directory.bytes.count)
    #expect(wide.bytes(from: directory.offset + directory.bytes.count) == end.bytes)
  }

  /// A name that ends where alignment begins needs the longest padding, one earlier none.
  @Test("Padding in headers reaches the next multiple of 64 bytes")
  func headerPadding() {
    for length in 1...70 {
      let entry = ZipEntry(
        name: String(repeating: "n", count: length), headerOffset: 0, count: 1)
      let fields = extraFields(entry.localHeader[(30 + length)...])
      #expect(entry.localHeader.count % 64 == 0)
      #expect((fields[Self.padding]?.count ?? 99) < 64)
    }
  }

  /// A sparse file of 9 GiB: one record beyond 4 GiB, and two behind it.
  @Test("Records beyond 4 GiB are found by the reader")
  func recordsBeyondFourGibibytes() throws {
    let sizes = [100, 9 * Self.gibibyte, 7, 0xFFFF_FFFF]
    try withTemporaryFolder { folder in
      let path = "\(folder)/sparse.pt"
      try Data().write(to: URL(filePath: path))
      let handle = try FileHandle(forWritingTo: URL(filePath: path))
      var entries: [ZipEntry] = []
      var position = 0
      for (index, size) in sizes.enumerated() {
        let entry = ZipEntry(name: "archive/data/\(index)", headerOffset: position, count: size)
        try handle.seek(toOffset: UInt64(position))
        try handle.write(contentsOf: Data(entry.localHeader))
        position += entry.localHeader.count + size
        try handle.seek(toOffset: UInt64(position))
        try handle.write(contentsOf: Data(entry.descriptor))
        position += entry.descriptor.count
        entries.append(entry)
      }
      let directory = entries.flatMap(\.directoryHeader)
      let end = ZipEnd(
        entryCount: entries.count, directoryOffset: position, directoryCount: directory.count)
      try handle.write(contentsOf: Data(directory + end.bytes))
      try handle.close()
      let archive = try ZipArchive(MappedFile(path: path))
      for (index, entry) in entries.enumerated() {
        let record = try #require(archive.records["archive/data/\(index)"])
        #expect(record.data.count == sizes[index])
        #expect(record.headerOffset == entry.headerOffset)
        #expect(record.data.lowerBound == entry.headerOffset + entry.localHeader.count)
      }
    }
  }

  @Test("END records of more than 65535 entries or 4 GiB refer to ZIP64")
  func wideEndRecords() {
    let bytes = ZipEnd(
      entryCount: 70_000, directoryOffset: 5 << 30, directoryCount: 70_000 * 60
    ).bytes
    #expect(bytes.count == 56 + 20 + 22)
    #expect(number(bytes[24..<32]) == 70_000 && number(bytes[32..<40]) == 70_000)
    #expect(number(bytes[40..<48]) == 70_000 * 60 && number(bytes[48..<56]) == 5 << 30)
    #expect(number(bytes[64..<72]) == 5 << 30 + 70_000 * 60, "the locator's offset")
    #expect(number(bytes[84..<86]) == 0xFFFF && number(bytes[86..<88]) == 0xFFFF)
    #expect(number(bytes[88..<92]) == 70_000 * 60 && number(bytes[92..<96]) == 0xFFFF_FFFF)
  }

  @Test("Written records have their CRC-32 and their data")
  func checksums() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.zip"
      try Data().write(to: URL(filePath: path))
      // More than a block, so that the sum goes on from block to block.
      let bytes = (0..<3_000_001).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      var writer = try ZipWriter(emptying: path)
      try writer.add("a/b", .owned(bytes))
      try writer.add("a/check", text: "123456789")
      try writer.finish()
      let archive = try ZipArchive(MappedFile(path: path))
      // The check value of CRC-32.
      #expect(archive.records["a/check"]?.checksum == 0xCBF4_3926)
      let record = try #require(archive.records["a/b"])
      #expect(try archive.verify(record))
      #expect(archive.file.copy(record.data) == bytes)
    }
  }

  /// Python's own bytes: `pickle.dumps(n, 2)[2:-1]`.
  @Test(
    "Integers are pickled with Python's opcodes",
    arguments: [
      (0, [0x4B, 0]), (255, [0x4B, 0xFF]), (256, [0x4D, 0, 1]), (65535, [0x4D, 0xFF, 0xFF]),
      (65536, [0x4A, 0, 0, 1, 0]), (0x7FFF_FFFF, [0x4A, 0xFF, 0xFF, 0xFF, 0x7F]),
      (0x8000_0000, [0x8A, 5, 0, 0, 0, 0x80, 0]),
      (0x7F_FFFF_FFFF, [0x8A, 5, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]),
      (0x80_0000_0000, [0x8A, 6, 0, 0, 0, 0, 0x80, 0]),
    ])
  func pickledIntegers(number: Int, opcodes: [Int]) {
    var writer = PickleWriter()
    writer.int(number)
    #expect(writer.bytes.dropFirst(2).map(Int.init) == opcodes)
  }
}
