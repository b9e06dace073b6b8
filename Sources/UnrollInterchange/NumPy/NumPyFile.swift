// A file of numpy.savez: a ZIP archive with an .npy array in each record.

import UnrollTensors

/// An opened `.npz` file; the data of every array lie within its record.
struct NumPyFile: TensorContainer {
  /// The record of an array and the offset of its data.
  private struct Entry {
    let record: ZipRecord
    let header: NPYHeader
    let array: NumPyArray
  }

  private static let ending = ".npy"
  static let saveAgain = "save the arrays again with numpy.savez"

  private let archive: ZipArchive
  private let entries: [String: Entry]
  /// The numeric arrays, by name.
  private(set) var tensors: [NamedTensor] = []
  /// Notes on arrays that are not numeric.
  let notes: [Note]

  /// The file's path.
  var path: String { archive.file.path }
  var place: String { "arrays" }
  var roomForCopies: Int { Self.room(archive.file) }

  /// Returns the number of bytes of arrays that may be inflated or reordered.
  private static func room(_ file: MappedFile) -> Int {
    let (room, overflows) = file.count.multipliedReportingOverflow(by: 16)
    return overflows ? .max : max(64 << 20, room)
  }

  /// Returns `true` if a file is an archive of arrays, or a single array, even if damaged.
  static func recognizes(_ file: MappedFile) -> Bool {
    if NPYHeader.begins(file.copy(0..<6)) { return true }
    guard let header = FixedHeader(file, at: 0, count: 30), header.u32(0) == 0x0403_4B50 else {
      return false
    }
    return file.copy(30..<30 + header.u16(26)).reversed().starts(with: ending.utf8.reversed())
  }

  /// Opens a file and reads the headers of its arrays.
  ///
  /// - Throws: `InterchangeError` if the archive is damaged, or an array breaks a rule of the
  ///   format.
  init(_ file: MappedFile) throws {
    guard !NPYHeader.begins(file.copy(0..<6)) else {
      throw InterchangeError(
        file: file.path, place: "", expected: "an archive of arrays", found: "one array (.npy)",
        fix: "save all weights in one file with numpy.savez")
    }
    let archive = try Self.blamingNumPy { try ZipArchive(file) }
    self.archive = archive
    var (entries, notes): ([String: Entry], [Note]) = ([:], [])
    for record in archive.records.values.sorted(by: { $0.headerOffset < $1.headerOffset }) {
      guard record.name.hasSuffix(Self.ending) else {
        notes.append(Note(place: record.name, message: "not preserved: no .npy array"))
        continue
      }
      let name = String(record.name.dropLast(Self.ending.count))
      let entry = try Self.entry(record, name: name, of: archive)
      guard let element = entry.array.type.element else {
        notes.append(try entry.array.noteOnContents(named: name, file: file.path))
        continue
      }
      entries[name] = entry
      tensors.append(
        NamedTensor(name: name, tensor: try Self.view(entry, element, name: name, of: file)))
    }
    self.entries = entries
    self.notes = notes
  }

  // MARK: - Headers

  private static func entry(
    _ record: ZipRecord, name: String, of archive: ZipArchive
  ) throws -> Entry {
    let bytes = try blamingNumPy {
      try archive.prefix(of: record, count: NPYHeader.largestSize)
    }
    do {
      let header = try NPYHeader(bytes)
      guard let type = NumPyType(header.type) else {
        throw NPYHeader.Problem(expected: "a type of NumPy", found: "\"\(header.type)\"")
      }
      let array = NumPyArray(
        type: type, shape: header.shape, isFortranOrder: header.isFortranOrder)
      return Entry(record: record, header: header, array: array)
    } catch let problem as NPYHeader.Problem {
      throw InterchangeError(
        file: archive.file.path, place: name, expected: problem.expected, found: problem.found,
        fix: saveAgain)
    }
  }

  /// Returns the view of an array's elements, in the order of its indices.
  private static func view(
    _ entry: Entry, _ element: TorchElement, name: String, of file: MappedFile
  ) throws -> StoredTensor {
    let (header, byteCount) = (entry.header, entry.record.size - entry.header.size)
    guard let tensor = entry.array.view(named: name, element, byteCount: byteCount) else {
      throw InterchangeError(
        file: file.path, place: name,
        expected: "as many bytes as \(header.type) of shape \(header.shape) has",
        found: "\(byteCount)", fix: saveAgain)
    }
    return tensor
  }

  // MARK: - Texts

  /// Returns the text in an array of bytes.
  ///
  /// - Returns: `nil` if there is no such array.
  /// - Throws: `InterchangeError` if it is damaged or larger than 100 MB.
  func text(_ name: String) throws -> String? {
    guard let entry = entries[name], entry.array.type.name == "u1", entry.header.shape.count == 1
    else {
      return nil
    }
    if entry.record.method == 0 { _ = try Self.blamingNumPy { try archive.verify(entry.record) } }
    var room = 100_000_000
    guard entry.record.size <= room else {
      throw error(
        name, expected: "at most 100 MB", found: "\(entry.record.size) bytes", fix: Self.saveAgain)
    }
    let text = try bytes(of: entry, room: &room).withUnsafeBytes {
      String(validating: $0, as: UTF8.self)
    }
    guard let text else {
      throw error(name, expected: "a text of UTF-8", found: "other bytes", fix: Self.saveAgain)
    }
    return text
  }

  /// Returns the data of an array as stored in the file.
  private func bytes(of entry: Entry, room: inout Int) throws -> ByteStorage {
    let all = try Self.blamingNumPy { try archive.contents(of: entry.record, room: &room) }
    return all[entry.header.size..<all.count]
  }

  // MARK: TensorContainer

  func error(_ place: String, expected: String, found: String, fix: String) -> InterchangeError {
    InterchangeError(
      file: archive.file.path, place: place, expected: expected, found: found, fix: fix)
  }

  func verifyStorages(of tensors: [StoredTensor]) throws -> [Note] {
    let stored = Set(tensors.map(\.record)).sorted().compactMap { entries[$0]?.record }
      .filter { $0.method == 0 }
    // Deflated records are checked when they are inflated.
    return archive.notes(
      ofUnverified: try Self.blamingNumPy { try archive.unverified(stored) })
  }

  func contents(of tensor: StoredTensor, named name: String, room: inout Int) throws -> Tensor {
    guard let entry = entries[tensor.record] else {
      throw error(name, expected: "an array of the file", found: "none", fix: Self.saveAgain)
    }
    let bytes =
      try tensor.element.dtype?.isFloat == true ? bytes(of: entry, room: &room) : .owned([])
    return try entry.array.numbers(
      of: tensor, named: name, in: bytes, room: &room, error: error)
  }

  /// Rewrites errors about the archive, whose advice names PyTorch, the usual producer.
  private static func blamingNumPy<Result>(_ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as InterchangeError {
      throw InterchangeError(
        file: error.file, place: error.place, expected: error.expected, found: error.found,
        fix: "the file is damaged or not from numpy.savez; copy it again or save the arrays again")
    }
  }
}
