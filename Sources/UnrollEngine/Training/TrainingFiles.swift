// The output files of a training, protected from other writers.

import Foundation
import UnrollFormat
import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The output files of a training.
public struct TrainingFiles: Sendable {
  /// The best model so far.
  public let best: String
  /// The state to resume from.
  public var last: String { "\(stem).last\(suffix)" }
  /// The number of states of the latest evaluations to keep in files of their own.
  public var keptStates: Int

  /// The path of the best model without its extension, and the extension.
  private let stem: String
  private let suffix: String

  /// Names the files.
  ///
  /// - Parameters:
  ///   - best: The best model. The state to resume from is beside it, with `.last` before its
  ///     extension, and kept states with `.step-` and their step.
  ///   - keptStates: The number of states of the latest evaluations to keep.
  public init(best: String, keptStates: Int = 0) {
    self.best = best
    self.keptStates = keptStates
    let name = best.split(separator: "/").last ?? ""
    suffix = [".unroll.h5", ".h5"].first { name.hasSuffix($0) && name != $0 } ?? ""
    stem = String(best.dropLast(suffix.count))
  }

  /// Returns the best model of a training by the name of a state to resume from.
  ///
  /// - Parameter state: A path such as `poet.last.unroll.h5` or `poet.step-00000100.unroll.h5`.
  /// - Returns: A path such as `poet.unroll.h5`; `nil` for other names.
  public static func best(ofState state: String) -> String? {
    let files = TrainingFiles(best: state)
    guard let dot = files.stem.lastIndex(of: ".") else { return nil }
    let mark = files.stem[dot...].dropFirst()
    let isState = mark == "last" || mark.hasPrefix("step-") && Int(mark.dropFirst(5)) != nil
    let best = files.stem[..<dot]
    return isState && !best.isEmpty && !best.hasSuffix("/") ? best + files.suffix : nil
  }

  /// Returns the file of the state after a step.
  func state(ofStep step: Int) -> String {
    "\(stem).step-\(String(printf: "%08ld", step))\(suffix)"
  }

  /// The kept states on disk, by step.
  public var states: [(step: Int, path: String)] {
    let folder = SplitPath(best).folder
    let prefix = SplitPath(stem).name + ".step-"
    let names = try? FileManager.default.contentsOfDirectory(atPath: folder.isEmpty ? "." : folder)
    return (names ?? []).compactMap { name in
      guard name.hasPrefix(prefix), name.hasSuffix(suffix),
        let step = Int(name.dropFirst(prefix.count).dropLast(suffix.count)),
        case let path = state(ofStep: step), SplitPath(path).name == name
      else { return nil }
      return (step, path)
    }.sorted { $0.step < $1.step }
  }
}

/// An error for a file of a training that another process changed while the training ran.
public struct OutputTaken: Error, Sendable, CustomStringConvertible {
  /// The file.
  public let path: String

  /// The file, and the advice.
  public var description: String {
    """
    \(printable(path)): expected the file as this training left it; found another in its place, which is kept
      fix: a second training writes to the same --output; give each its own
    """
  }
}

/// The files of a running training, each with the version that the training last saw.
struct TrainingOutputs {
  private let files: TrainingFiles
  private var last: Output
  private var best: Output

  /// Records the files that exist before the first save.
  init(_ files: TrainingFiles) {
    self.files = files
    last = Output(path: files.last)
    best = Output(path: files.best)
  }

  /// Saves the state, then the best model: a kill between the two loses nothing.
  ///
  /// - Throws: `OutputTaken`, before anything is written; the errors of writing.
  mutating func save(_ state: Checkpoint, best weights: Checkpoint? = nil) throws {
    try last.check()
    try best.check()
    try last.write(state)
    if let weights { try best.write(weights) }
  }

  /// Saves the state after an evaluation, and removes the oldest states beyond the limit.
  ///
  /// - Throws: The errors of writing and removing.
  func keep(_ state: Checkpoint, step: Int) throws {
    guard files.keptStates > 0 else { return }
    try state.write(to: files.state(ofStep: step), replacing: true)
    for (_, path) in files.states.filter({ $0.step <= step }).dropLast(files.keptStates) {
      guard unlink(path) == 0 else { throw FileError("remove", path: path) }
    }
  }

  private struct Output {
    let path: String
    private var version: Version?

    init(path: String) {
      self.path = path
      version = Version(path)
    }

    /// Refuses files that another process changed.
    ///
    /// A missing file is no error: it is written again.
    func check() throws {
      guard let found = Version(path), found != version else { return }
      throw OutputTaken(path: path)
    }

    mutating func write(_ checkpoint: Checkpoint) throws {
      try checkpoint.write(to: path, replacing: true)
      version = Version(path)
    }
  }

  /// The identity of a file's version, distinct even if its inode number is reused.
  private struct Version: Equatable {
    let device: UInt64
    let number: UInt64
    let seconds: Int
    let nanoseconds: Int

    init?(_ path: String) {
      var status = stat()
      guard stat(path, &status) == 0 else { return nil }
      #if canImport(Glibc)
        let time = status.st_mtim
      #else
        let time = status.st_mtimespec
      #endif
      (device, number) = (UInt64(truncatingIfNeeded: status.st_dev), UInt64(status.st_ino))
      (seconds, nanoseconds) = (time.tv_sec, time.tv_nsec)
    }
  }
}
