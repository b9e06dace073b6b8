// The kinds of files that versions of `torch.save` have written, and whether they are supported.

import UnrollTensors

/// Detects the kinds of torch files by content.
enum TorchKind {
  /// The pickle of the number 0x1950A86A20F9469CFC6C, with which files of PyTorch before 1.6 begin.
  private static let legacyMagic: [UInt8] = [
    0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19,
  ]

  private static let resave =
    "load and save it in PyTorch 1.6 or newer: "
    + "`torch.save(torch.load(...).state_dict(), \"new.pt\")`"

  /// Returns `true` if a file is a torch file of any kind, even if damaged.
  static func recognizes(_ file: MappedFile) -> Bool {
    if isLegacy(file) || isTar(file) || isPlainPickle(file) { return true }
    guard file.copy(0..<4) == [0x50, 0x4B, 0x03, 0x04] else { return false }
    if firstRecordName(of: file).map({ isTopLevel($0, file: "data.pkl") }) == true { return true }
    guard let archive = try? ZipArchive(file) else { return false }
    let marks = ["data.pkl", "constants.pkl", "version", ".data/serialization_id"]
    return archive.records.keys.contains { name in
      marks.contains { isTopLevel(name, file: $0) }
    }
  }

  /// Returns `true` if a record is the given file in a top-level folder.
  static func isTopLevel(_ name: String, file: String) -> Bool {
    guard let slash = name.firstIndex(of: "/"), slash != name.startIndex else { return false }
    return name[name.index(after: slash)...] == file
  }

  /// Refuses files of PyTorch 0.1.
  ///
  /// - Throws: `InterchangeError` for such files.
  static func refuseTar(_ file: MappedFile) throws {
    guard isTar(file) else { return }
    throw InterchangeError(
      file: file.path, place: "", expected: "a file of PyTorch 0.2 or newer",
      found: "a tar archive of PyTorch 0.1", fix: resave)
  }

  /// Refuses TorchScript archives, whose model is a program.
  ///
  /// - Throws: `InterchangeError` for such archives.
  static func refuseScripts(_ archive: ZipArchive) throws {
    let script = archive.records.keys.sorted().first { name in
      isTopLevel(name, file: "constants.pkl")
        || name.split(separator: "/").dropFirst().first == "code"
    }
    guard let script else { return }
    throw InterchangeError(
      file: archive.file.path, place: script, expected: "a file of torch.save",
      found: "a TorchScript archive",
      fix: "save the weights: `torch.save(torch.jit.load(...).state_dict(), \"new.pt\")`")
  }

  /// Returns `true` if a file begins with the pickle of the magic number, in any protocol.
  static func isLegacy(_ file: MappedFile) -> Bool {
    guard file.copy(0..<1) == [0x80],
      let graph = try? PickleMachine.graph(of: file.copy(0..<32))
    else { return false }
    return graph[graph.root].value == .largeInt(legacyMagic)
  }

  /// Returns `true` if a file looks like a pickle of tensors or modules: `pickle.dump`, protocols 2
  /// to 5.
  static func isPlainPickle(_ file: MappedFile) -> Bool {
    NumPyPickle.isPickle(file) && NumPyPickle.holds("torch", file)
  }

  /// Returns `true` if a file is a tar archive whose first member is one of PyTorch 0.1's.
  private static func isTar(_ file: MappedFile) -> Bool {
    guard file.copy(257..<262) == Array("ustar".utf8) else { return false }
    let name = file.copy(0..<100).prefix { $0 != 0 }
    let members = ["sys_info", "pickle", "storages", "tensors"]
    return members.contains(
      String(decoding: name, as: UTF8.self).split(separator: "/").last.map(String.init) ?? "")
  }

  private static func firstRecordName(of file: MappedFile) -> String? {
    guard let header = FixedHeader(file, at: 0, count: 30) else { return nil }
    return String(decoding: file.copy(30..<30 + header.u16(26)), as: UTF8.self)
  }
}
