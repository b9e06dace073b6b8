// Writes a checkpoint: whole, or not at all.

import UnrollHDF5
import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

extension Checkpoint {
  /// Writes the checkpoint to a file.
  ///
  /// The file appears under its name only when every byte is on disk and reads back as it should;
  /// until then, and after every failure, there is the file that was there before, or none. Equal
  /// checkpoints give equal bytes.
  ///
  /// - Parameters:
  ///   - path: The file to be.
  ///   - replacing: `true` to replace an existing file; `false` to keep it.
  ///   - profile: The storage profile.
  ///   - check: Checks the checkpoint that was read back, before the file gets its name.
  /// - Throws: `FileError` with `EEXIST` if there is a file and `replacing` is `false`; `FileError` or
  ///   `HDF5Error` if the file cannot be written; `InvalidCheckpoint` if it would break a rule; the errors of
  ///   `check`.
  public func write(
    to path: String, replacing: Bool = false, profile: StorageProfile = .live,
    check: ((Checkpoint) throws -> Void)? = nil
  ) throws {
    try outline().writeChecked(to: path, replacing: replacing, profile: profile) { examination in
      try check?(Checkpoint(examination))
    }
  }
}

extension Outline {
  /// Writes the objects to a file, which gets its name only after it was read back and breaks no
  /// rule; see `Checkpoint.write`.
  func writeChecked(
    to path: String, replacing: Bool, profile: StorageProfile,
    check: (Examination) throws -> Void = { _ in }
  ) throws {
    try write(to: path, replacing: replacing, profile: profile) { written in
      let examination = try Examination(of: written, upTo: .bytes)
      guard examination.worstLevel != .error else {
        throw InvalidCheckpoint(findings: examination.findings)
      }
      try check(examination)
    }
  }

  /// Writes the objects to a file; see `Checkpoint.write`.
  ///
  /// - Parameters:
  ///   - path: The file to be.
  ///   - replacing: `true` to replace an existing file.
  ///   - profile: The storage profile.
  ///   - check: Checks the whole file before it gets its name.
  /// - Throws: The errors of `Checkpoint.write` and of `check`.
  func write(
    to path: String, replacing: Bool, profile: StorageProfile = .live,
    check: (String) throws -> Void = { _ in }
  ) throws {
    let file = try AtomicFile(path, replacing: replacing)
    do {
      try writeObjects(to: file, profile: profile)
      try check(file.temporaryPath)
      try file.commit()
    } catch {
      let temporaryPath = file.temporaryPath
      file.discard()
      throw naming(path, insteadOf: temporaryPath, in: error)
    }
  }

  private func writeObjects(to file: borrowing AtomicFile, profile: StorageProfile) throws {
    let writer = try FileWriter(creating: file.temporaryPath)
    try writer.reserve(sizeBound)
    let objects = inOrder
    // The first attribute lies beside the superblock, where `file` looks for it.
    try writer.writeAttributes([AttributeName.format: .text(Layout.format)], of: Layout.root)
    for (path, object) in objects where path != Layout.root {
      switch object.kind {
      case .group: try writer.createGroup(path)
      case .dataset(let tensor): try write(tensor, path, to: writer, profile: profile)
      case .hardLink(let target): try writer.createHardLink(path, to: target)
      }
    }
    for (path, object) in objects {
      if case .hardLink = object.kind { continue }
      let attributes = object.attributes.filter {
        path != Layout.root || $0.key != AttributeName.format
      }
      try writer.writeAttributes(attributes, of: path)
    }
    try writer.flush()
    try writer.writeAttributes([AttributeName.complete: .integer(1)], of: Layout.root)
    try writer.close()
  }

  private func write(
    _ tensor: Tensor, _ path: String, to writer: borrowing FileWriter, profile: StorageProfile
  ) throws {
    try tensor.withUnsafeBytes {
      try writer.createDataset(
        path, element: tensor.dtype, dimensions: tensor.shape.dimensions, bytes: $0,
        profile: profile)
    }
  }

  /// An upper bound of the bytes of the file: data, and a generous share of metadata an object.
  private var sizeBound: Int {
    objects.values.reduce(16 * 1024) { sum, object in
      var size = 4096
      if case .dataset(let tensor) = object.kind { size += tensor.storage.count }
      for value in object.attributes.values { size += value.printed.utf8.count + 256 }
      return sum + size
    }
  }
}

/// Returns an error about a temporary file as one about the file that it was to be.
private func naming(_ path: String, insteadOf temporaryPath: String, in error: Error) -> Error {
  switch error {
  case let error as FileError where error.path == temporaryPath:
    FileError(error.operation, path: path, code: error.code)
  case let error as HDF5Error where error.file == temporaryPath: error.naming(path)
  case let error as InvalidCheckpoint:
    InvalidCheckpoint(
      findings: error.findings.map { finding in
        Finding(
          rule: finding.rule, level: finding.level, file: path, object: finding.object,
          expected: finding.expected, found: finding.found,
          fix: "leave out or change what the file cannot hold; nothing was written")
      })
  default: error
  }
}
