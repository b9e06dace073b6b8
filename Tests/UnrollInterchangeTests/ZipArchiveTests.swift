// Archives with one wrong field each, patched from a real one.

import Foundation
import TestSupport
import Testing
import UnrollTensors

@testable import UnrollInterchange

@Suite("ZIP archives") struct ZipArchiveTests {
  private let bytes: [UInt8]
  /// The offsets of the central directory, the ZIP64 end record, its locator and the END record.
  private let places: (directory: Int, end64: Int, locator: Int, end: Int)

  init() throws {
    let file = try MappedFile(path: PyTorchFixtures.path("lstm-state.pt"))
    let bytes = file.copy(0..<file.count)
    let starts = try [[1, 2], [6, 6], [6, 7], [5, 6]].map { mark in
      try #require(Self.first([0x50, 0x4B] + mark, in: bytes))
    }
    self.bytes = bytes
    places = (starts[0], starts[1], starts[2], starts[3])
  }

  private static func first(_ mark: [UInt8], in bytes: [UInt8]) -> Int? {
    bytes.indices.dropLast(3).first { bytes[$0..<$0 + 4].elementsEqual(mark) }
  }

  @Test("An archive of torch.save lists its records")
  func realArchive() throws {
    let archive = try ZipArchive(MappedFile(path: PyTorchFixtures.path("lstm-state.pt")))
    #expect(archive.records["lstm-state/data/0"]?.data.count == 11 * 5 * 4)
    #expect(
      archive.records["lstm-state/version"].map { archive.file.copy($0.data) } == [0x33, 0x0A])
  }

  @Test("An encrypted record is refused")
  func encryptedRecord() throws {
    #expect(
      try refusal(patching: places.directory + 8, with: 0x09)
        == "lstm-state/data.pkl: expected a plain record, found an encrypted one")
  }

  @Test("A local header with another name than the directory is refused")
  func localHeader() throws {
    #expect(
      try refusal(patching: 30, with: UInt8(ascii: "m"))
        == "lstm-state/data.pkl: expected the same name in its local header, found another name")
  }

  @Test("END records that contradict each other are refused")
  func endRecords() throws {
    #expect(
      try refusal(patching: places.end64 + 48, with: bytes[places.end64 + 48] ^ 1)
        == "END record: expected the numbers of the ZIP64 end record, found other numbers")
  }

  @Test("A ZIP64 locator that points elsewhere is refused")
  func zip64Locator() throws {
    #expect(
      try refusal(patching: places.locator + 15, with: 0x7F)
        == "ZIP64 end record: expected a record before its locator, found none")
  }

  @Test("A directory with more entries than room is refused")
  func directoryRoom() throws {
    // Both counts of the ZIP64 end record, with the narrow ones saturated.
    var patched = bytes
    for offset in 8..<12 { patched[places.end + offset] = 0xFF }
    for offset in [26, 34] { patched[places.end64 + offset] = 0xFF }
    #expect(
      try refusal(of: patched).hasPrefix(
        "central directory: expected room for its 167116"))
  }

  @Test("A tar archive of PyTorch 0.1 is refused by name")
  func tarArchive() throws {
    var tar = [UInt8](repeating: 0, count: 512)
    tar.replaceSubrange(0..<8, with: Array("sys_info".utf8))
    tar.replaceSubrange(257..<262, with: Array("ustar".utf8))
    #expect(
      try refusal(of: tar)
        == "expected a file of PyTorch 0.2 or newer, found a tar archive of PyTorch 0.1")
  }

  private func refusal(patching place: Int, with byte: UInt8) throws -> String {
    var patched = bytes
    patched[place] = byte
    return try refusal(of: patched)
  }

  /// The first line of the message, without the file's path.
  private func refusal(of bytes: [UInt8]) throws -> String {
    try withTemporaryFolder { folder in
      let path = "\(folder)/patched.pt"
      try Data(bytes).write(to: URL(filePath: path))
      do {
        _ = try TorchFile(MappedFile(path: path))
        return "read"
      } catch let error as InterchangeError {
        let line = error.description.split(separator: "\n")[0]
        return String(line.dropFirst(path.count + 2))
      }
    }
  }
}
