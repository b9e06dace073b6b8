// Writes a foreign file atomically, and verifies it by reading it back.

import UnrollFormat
import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

extension ForeignFormat {
  /// Writes a checkpoint to a file of this format.
  ///
  /// The file gets its name when every byte is on disk and Unroll's reader has found every tensor
  /// again, bit for bit. Until then, and after a failure, a previous file is preserved. Equal
  /// checkpoints give equal bytes. Features that the format does not support are dropped; `exportNotes`
  /// lists them.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - path: The output file.
  ///   - map: The names of the tensors and the order of gate blocks; empty for the format's own.
  ///   - replacing: `true` to replace an existing file; otherwise it is preserved.
  ///   - progress: Called with the number of bytes of tensors written or compared since the last
  ///     call; each is written once and compared once.
  ///   - check: Checks the model that was read back, before the file gets its name, on a thread of
  ///     its own.
  /// - Throws: `FileError` with `EEXIST` if the file exists and `replacing` is `false`; `FileError`
  ///   if it cannot be written; `InterchangeError` if the format cannot represent the model, or if
  ///   the file does not read back.
  public static func export(
    _ checkpoint: Checkpoint, to path: String, map: NameMap = NameMap(), replacing: Bool = false,
    progress: (Int) -> Void = { _ in }, check: (Checkpoint) throws -> Void = { _ in }
  ) throws {
    try checkParts(checkpoint.architecture)
    let held = try held(checkpoint, map: map)
    for beside in writtenBeside(path) { try AtomicFile.check(beside, replacing: replacing) }
    let file = try AtomicFile(path, replacing: replacing)
    let besides = zip(writtenBeside(file.temporaryPath), writtenBeside(path))
    defer { for (temporary, _) in besides { unlink(temporary) } }
    do {
      try write(checkpoint, map: map, to: file.temporaryPath, progress: progress)
      try compare(file.temporaryPath, with: held, map: map, progress: progress, check: check)
      for (temporary, final) in besides { try AtomicFile.rename(temporary, to: final) }
      try file.commit()
    } catch let error as InterchangeError where error.file == file.temporaryPath {
      file.discard()
      // The temporary name would mean nothing to the user.
      throw InterchangeError(
        file: path, place: error.place, expected: error.expected, found: error.found, fix: error.fix
      )
    } catch let error as FileError where error.path.hasPrefix(file.temporaryPath) {
      file.discard()
      let beside = besides.first { $0.0 == error.path }?.1
      throw FileError(error.operation, path: beside ?? path, code: error.code)
    } catch {
      file.discard()
      throw error
    }
  }

  /// Reads a file and compares it with the checkpoint that it was written from.
  ///
  /// - Throws: `InterchangeError` naming the first difference; the errors of `check`.
  static func compare(
    _ path: String, with checkpoint: Checkpoint, map: NameMap = NameMap(),
    progress: (Int) -> Void, check: (Checkpoint) throws -> Void = { _ in }
  ) throws {
    let asked = checkpoint.architecture.plainActivations.first
    let options = ReadingOptions(
      vocabulary: checkpoint.vocabulary, tokenizer: checkpoint.tokenizer, nonlinearity: asked,
      map: map.ofUsedTensors)
    let back = try read(MappedFile(path: path), options: options).checkpoint
    let architecture = checkpoint.architecture
    guard [architecture, architecture.assuming(asked)].contains(back.architecture) else {
      throw InterchangeError(
        unequal: "the layers and sizes", path: path, place: "/model")
    }
    // Two threads: one computes while the other waits for the disk.
    try forEachConcurrently(2) { part in
      guard part == 0 else { return try check(back) }
      for (parameter, _) in checkpoint.architecture.parameters {
        guard let written = checkpoint.parameters[parameter],
          let read = back.parameters[parameter], written.isEqual(to: read, progress: progress)
        else {
          throw InterchangeError(unequal: "the numbers", path: path, place: parameter.description)
        }
      }
    }
    try self.check(checkpoint, isReadAs: back, path: path)
  }
}

extension InterchangeError {
  /// Creates an error for a file that does not read back.
  ///
  /// - Parameters:
  ///   - what: The part that differs.
  ///   - path: The file.
  ///   - place: The location in the file.
  fileprivate init(unequal what: String, path: String, place: String) {
    self.init(
      file: path, place: place, expected: "\(what) that were written",
      found: "others when the file is read back",
      fix:
        "the disk or the memory may be failing: try another disk; else this is a defect of unroll")
  }
}

extension Architecture {
  /// The distinct activations of vanilla RNN layers, in the order of the layers; a file of weights
  /// may not record them.
  var plainActivations: [Activation] {
    layers.filter { $0.cell == .rnn }.map(\.activation).reduce(into: []) { list, activation in
      if !list.contains(activation) { list.append(activation) }
    }
  }

  /// Returns the same architecture with one activation for all vanilla RNN layers.
  fileprivate func assuming(_ activation: Activation?) -> Architecture {
    guard let activation else { return self }
    var assumed = self
    for index in layers.indices where layers[index].cell == .rnn {
      assumed.layers[index].activation = activation
    }
    return assumed
  }
}

extension Tensor {
  /// Returns `true` if another tensor has the same shape, type and bytes.
  ///
  /// - Parameters:
  ///   - other: The tensor.
  ///   - progress: Called with the number of bytes compared since the last call.
  /// - Returns: `true` if they are equal.
  package func isEqual(to other: Tensor, progress: (Int) -> Void) -> Bool {
    guard shape == other.shape, dtype == other.dtype else { return false }
    return withUnsafeBytes { first in
      other.withUnsafeBytes { second in
        // Tensors of equal shape and type have the same number of bytes.
        guard let first = first.baseAddress, let second = second.baseAddress else { return true }
        let count = storage.count
        let blockSize = 16 << 20
        return stride(from: 0, to: count, by: blockSize).allSatisfy { start in
          let size = min(blockSize, count - start)
          progress(size)
          return memcmp(first + start, second + start, size) == 0
        }
      }
    }
  }
}

extension OptimizerState {
  /// Checks an optimizer that was read back; the number of steps is not compared.
  ///
  /// - Throws: `InterchangeError` if it is missing or differs.
  func check(
    isReadAs other: OptimizerState?, of architecture: Architecture, path: String, place: String
  ) throws {
    guard other.map({ isEqual(to: $0, of: architecture) }) == true else {
      throw InterchangeError(unequal: "the numbers of the optimizer", path: path, place: place)
    }
  }

  /// Returns `true` if another optimizer has the same kind, groups and slots, bit for bit; the
  /// number of steps is not compared, since some formats do not record it.
  private func isEqual(to other: OptimizerState, of architecture: Architecture) -> Bool {
    kind == other.kind && groups == other.groups
      && OptimizerSlot.allCases.allSatisfy { slot in
        architecture.parameters.allSatisfy { path, _ in
          guard let a = slots[slot]?[path] else { return other.slots[slot]?[path] == nil }
          return other.slots[slot]?[path].map { a.isEqual(to: $0) { _ in } } ?? false
        }
      }
  }
}
