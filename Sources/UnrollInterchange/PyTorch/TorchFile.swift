// A file of `torch.save`: a ZIP archive with one pickle and a record for each storage.

import UnrollTensors

/// An opened torch file.
struct TorchFile: TensorContainer {
  /// The records.
  let archive: ZipArchive
  /// The folder of all records, with its slash: `archive/`, or the name of the saved file.
  let folder: String
  /// The pickled value.
  let graph: PickleGraph
  /// What could not be checked.
  let notes: [Note]

  /// The record of the pickle.
  var pickleRecord: String { folder + "data.pkl" }

  /// The pickle names all tensors.
  var place: String { pickleRecord }

  /// Opens a file and interprets its pickle.
  ///
  /// - Throws: `InterchangeError` if it is damaged, or of a kind that is not read.
  init(_ file: MappedFile) throws {
    try TorchKind.refuseOldKinds(file)
    archive = try ZipArchive(file)
    try TorchKind.refuseScripts(archive)
    try archive.refuseCompressed()
    folder = try Self.folder(of: archive)
    try Self.checkByteOrder(archive, folder: folder)
    guard let record = archive.records[folder + "data.pkl"] else {
      throw zipError(file, folder + "data.pkl", expected: "a record", found: "none")
    }
    notes =
      try archive.verify(record)
      ? [] : [Note(place: record.name, message: "not checked: the file holds no CRC-32 for it")]
    graph = try Self.interpret(record, in: archive)
  }

  /// The folder of the only `data.pkl`.
  private static func folder(of archive: ZipArchive) throws -> String {
    let pickles = archive.records.keys.filter { TorchKind.isTopLevel($0, file: "data.pkl") }
    guard pickles.count == 1, let pickle = pickles.first else {
      throw zipError(
        archive.file, "", expected: "one record FOLDER/data.pkl",
        found: pickles.isEmpty ? "none" : list(pickles.sorted()))
    }
    return String(pickle.dropLast("data.pkl".count))
  }

  private static func checkByteOrder(_ archive: ZipArchive, folder: String) throws {
    // Files from before PyTorch 2.1 have no such record; they are little-endian.
    guard let record = archive.records[folder + "byteorder"] else { return }
    let text = String(decoding: archive.file.copy(record.data).prefix(16), as: UTF8.self)
    guard text == "little" else {
      throw InterchangeError(
        file: archive.file.path, place: record.name, expected: "\"little\"", found: "\"\(text)\"",
        fix: "load the model on a little-endian machine and save it again with torch.save")
    }
  }

  private static func interpret(
    _ record: ZipRecord, in archive: ZipArchive
  ) throws -> PickleGraph {
    guard record.data.count <= PickleMachine.largestPickle else {
      throw InterchangeError(
        file: archive.file.path, place: record.name,
        expected: "at most \(PickleMachine.largestPickle) bytes", found: "\(record.data.count)",
        fix: "save only the weights: `torch.save(model.state_dict(), \"new.pt\")`")
    }
    do {
      return try PickleMachine.graph(of: archive.file.copy(record.data))
    } catch let error as PickleError {
      throw InterchangeError(
        file: archive.file.path, place: "\(record.name), byte \(error.offset), \(error.opcode)",
        expected: error.expected, found: error.found,
        fix: "the pickle is damaged or not from torch.save; save the model again")
    }
  }

  /// An error about a tensor or another part of the pickled value.
  func error(_ place: String, expected: String, found: String, fix: String) -> InterchangeError {
    InterchangeError(
      file: archive.file.path, place: place, expected: expected, found: found, fix: fix)
  }
}
