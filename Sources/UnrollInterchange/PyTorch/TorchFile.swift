// A file of `torch.save`: a pickle, and the storages of its tensors.

import UnrollTensors

/// An opened torch file.
struct TorchFile: TensorContainer {
  /// The file.
  let file: MappedFile
  /// The location of the pickle, for messages.
  let pickleRecord: String
  /// The pickled value.
  let graph: PickleGraph
  /// Notes on content that could not be checked.
  let notes: [Note]
  /// The bytes of the storages, by record name.
  let storages: [String: ByteStorage]
  /// The NumPy arrays in the pickle, by node.
  let arrays: [PickleReference: PickledArray]
  /// The prefix of a storage's key in its record name.
  let storagePrefix: String
  /// The records with their CRC-32; files of PyTorch before 1.6 have none.
  let archive: ZipArchive?

  /// The file's path.
  var path: String { file.path }
  /// The location of messages about all names: the pickle lists the tensors.
  var place: String { pickleRecord }

  /// Opens a file and interprets its pickle.
  ///
  /// - Throws: `InterchangeError` if it is damaged, or of an unsupported kind.
  init(_ file: MappedFile) throws {
    try TorchKind.refuseTar(file)
    if TorchKind.isLegacy(file) {
      try self.init(TorchLegacyFile(file))
    } else if TorchKind.isPlainPickle(file) {
      try self.init(pickle: file)
    } else {
      try self.init(ZipArchive(file))
    }
  }

  private init(_ legacy: TorchLegacyFile) throws {
    (file, graph, notes) = (legacy.file, legacy.graph, legacy.notes)
    (pickleRecord, storagePrefix) = ("pickle", TorchLegacyFile.storagePrefix)
    storages = legacy.storages.mapValues { .mapped(legacy.file, $0) }
    archive = nil
    arrays = Self.arrays(in: graph, room: file.count)
  }

  /// Opens a file of `pickle.dump`, in which each storage is a file of `torch.save` within the
  /// pickle.
  private init(pickle file: MappedFile) throws {
    guard file.count <= PickleMachine.largestPickle else {
      throw InterchangeError(
        file: file.path, place: "pickle", expected: "at most \(PickleMachine.largestPickle) bytes",
        found: "\(file.count)",
        fix: "save only the weights: `torch.save(model.state_dict(), \"new.pt\")`")
    }
    do {
      graph = try PickleMachine.graph(of: file.copy(0..<file.count))
    } catch let error as PickleError {
      throw error.interchangeError(file, "pickle")
    }
    self.file = file
    notes = []
    pickleRecord = "pickle"
    storagePrefix = TorchLegacyFile.storagePrefix
    archive = nil
    storages = EmbeddedStorage.all(in: graph, room: file.count)
    arrays = Self.arrays(in: graph, room: file.count)
  }

  /// Returns the NumPy arrays of a pickle; damaged ones are left out and are then not recognized as
  /// tensors.
  private static func arrays(
    in graph: PickleGraph, room: Int
  ) -> [PickleReference: PickledArray] {
    var reader = PickledArrays(room: room)
    var found: [PickleReference: PickledArray] = [:]
    for index in graph.nodes.indices {
      let reference = PickleReference(index: index)
      if case .object = graph.nodes[index].value,
        let array = try? reader.array(reference, in: graph)
      {
        found[reference] = array
      }
    }
    return found
  }

  /// Opens an archive of PyTorch 1.6 or newer: a pickle and a record for each storage.
  private init(_ archive: ZipArchive) throws {
    try TorchKind.refuseScripts(archive)
    try archive.refuseCompressed()
    let folder = try Self.folder(of: archive)
    try Self.checkByteOrder(archive, folder: folder)
    guard let record = archive.records[folder + "data.pkl"] else {
      throw zipError(archive.file, folder + "data.pkl", expected: "a record", found: "none")
    }
    notes =
      try archive.verify(record)
      ? [] : [Note(place: record.name, message: "not checked: the file holds no CRC-32 for it")]
    (file, pickleRecord, storagePrefix) = (archive.file, record.name, folder + "data/")
    storages = archive.records.mapValues { .mapped(archive.file, $0.data) }
    graph = try Self.interpret(record, in: archive)
    arrays = Self.arrays(in: graph, room: archive.file.count)
    self.archive = archive
  }

  /// Returns the folder of the only `data.pkl`.
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
    // Archives of PyTorch before 2.1 have no such record; they are little-endian.
    guard let record = archive.records[folder + "byteorder"] else { return }
    let text = String(decoding: archive.file.copy(record.data).prefix(16), as: UTF8.self)
    guard text == "little" else {
      throw InterchangeError(
        file: archive.file.path, place: record.name, expected: "\"little\"", found: "\"\(text)\"",
        fix: littleEndian)
    }
  }

  /// The advice for a file of a big-endian machine.
  static let littleEndian =
    "load the model on a little-endian machine and save it again with torch.save"

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
      throw error.interchangeError(archive.file, record.name)
    }
  }

  /// Returns an error about a tensor or another part of the pickled value.
  func error(_ place: String, expected: String, found: String, fix: String) -> InterchangeError {
    InterchangeError(file: file.path, place: place, expected: expected, found: found, fix: fix)
  }
}

extension PickleError {
  /// Returns the error about the file of the pickle.
  func interchangeError(
    _ file: MappedFile, _ place: String,
    fix: String = "the pickle is damaged or not from torch.save; save the model again"
  ) -> InterchangeError {
    InterchangeError(
      file: file.path, place: "\(place), byte \(offset), \(opcode)", expected: expected,
      found: found, fix: fix)
  }
}
