// Writing a foreign file whole, or not at all, and proving it by reading it back.

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
  /// The file appears under its name only when every byte is on disk and our own reader finds every
  /// tensor in it again, bit for bit; until then, and after every failure, there is the file that was
  /// there before, or none. Equal checkpoints give equal bytes. What the format cannot hold is left
  /// behind: ask `losses` first.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - path: The file to be.
  ///   - map: The names of the tensors and the order of gate blocks; the format's own if it is empty.
  ///   - replacing: Whether a file that is there is replaced. If not, it stays.
  ///   - progress: Called with the number of bytes of tensors written or compared since the last
  ///     call; each is written once and compared once.
  ///   - check: Looks at the model that was read back, before the file gets its name, on a thread of
  ///     its own.
  /// - Throws: `FileError` with `EEXIST` if there is a file and `replacing` is `false`; `FileError`
  ///   if it cannot be written; `InterchangeError` if the format cannot hold the model, or if the
  ///   file does not read back.
  public static func export(
    _ checkpoint: Checkpoint, to path: String, map: NameMap = NameMap(), replacing: Bool = false,
    progress: (Int) -> Void = { _ in }, check: (Checkpoint) throws -> Void = { _ in }
  ) throws {
    let held = try held(checkpoint, map: map)
    let file = try AtomicFile(path, replacing: replacing)
    do {
      try write(checkpoint, map: map, to: file.temporaryPath, progress: progress)
      try compare(file.temporaryPath, with: held, map: map, progress: progress, check: check)
      try file.commit()
    } catch let error as InterchangeError where error.file == file.temporaryPath {
      file.discard()
      // The temporary name says nothing to anybody.
      throw InterchangeError(
        file: path, place: error.place, expected: error.expected, found: error.found, fix: error.fix
      )
    } catch let error as FileError where error.path == file.temporaryPath {
      file.discard()
      throw FileError(error.operation, path: path, code: error.code)
    } catch {
      file.discard()
      throw error
    }
  }

  /// Reads a file and compares it with the checkpoint that it was written from.
  ///
  /// - Throws: `InterchangeError` naming the first difference; what `check` throws.
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
    // While one thread waits for the disk, the other computes.
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
  /// A file that was written and does not read back.
  ///
  /// - Parameters:
  ///   - what: What differs.
  ///   - path: The file.
  ///   - place: Where in it.
  fileprivate init(unequal what: String, path: String, place: String) {
    self.init(
      file: path, place: place, expected: "\(what) that were written",
      found: "others when the file is read back",
      fix:
        "the disk or the memory may be failing: try another disk; else this is a defect of unroll")
  }
}

extension Architecture {
  /// The activations of the plain cells, each once, in the order of the layers: what a file of
  /// weights may not say.
  var plainActivations: [Activation] {
    layers.filter { $0.cell == .rnn }.map(\.activation).reduce(into: []) { list, activation in
      if !list.contains(activation) { list.append(activation) }
    }
  }

  /// The same architecture with one activation for all plain cells.
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
  /// Whether another tensor has the same shape, type and bytes.
  ///
  /// - Parameters:
  ///   - other: The tensor.
  ///   - progress: Called with the number of bytes compared since the last call.
  /// - Returns: Whether they are equal.
  package func isEqual(to other: Tensor, progress: (Int) -> Void) -> Bool {
    guard shape == other.shape, dtype == other.dtype else { return false }
    return withUnsafeBytes { first in
      other.withUnsafeBytes { second in
        // Tensors of equal shape and type have equally many bytes.
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
  /// Refuses another optimizer that was read back; the number of steps is not compared.
  ///
  /// - Throws: `InterchangeError` if it is none, or differs.
  func check(
    isReadAs other: OptimizerState?, of architecture: Architecture, path: String, place: String
  ) throws {
    guard other.map({ isEqual(to: $0, of: architecture) }) == true else {
      throw InterchangeError(unequal: "the numbers of the optimizer", path: path, place: place)
    }
  }

  /// Whether another optimizer of a model is the same in all but the number of its steps, which some
  /// formats do not count: rule, groups, and what it remembers, bit for bit.
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
