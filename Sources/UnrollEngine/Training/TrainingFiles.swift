// The files that a training writes, and that nobody else may write meanwhile.

import Foundation
import UnrollFormat
import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Where a training leaves its models.
public struct TrainingFiles: Sendable {
  /// The best model so far.
  public let best: String
  /// The state to resume from.
  public var last: String { "\(stem).last\(suffix)" }
  /// How many states of the latest evaluations are kept in files of their own.
  public var keptStates: Int

  /// The path of the best model without its extension, and the extension.
  private let stem: String
  private let suffix: String

  /// Names the files.
  ///
  /// - Parameters:
  ///   - best: The best model; the state to resume from goes beside it, with `.last` before its
  ///     extension, and states that are kept with `.step-` and their step.
  ///   - keptStates: How many states of the latest evaluations are kept.
  public init(best: String, keptStates: Int = 0) {
    (self.best, self.keptStates) = (best, keptStates)
    let name = best.split(separator: "/").last ?? ""
    suffix = [".unroll.h5", ".h5"].first { name.hasSuffix($0) && name != $0 } ?? ""
    stem = String(best.dropLast(suffix.count))
  }

  /// The file of the state after a step.
  func state(ofStep step: Int) -> String {
    "\(stem).step-\(String(format: "%08ld", step))\(suffix)"
  }

  /// The states that are kept now, by step.
  public var states: [(step: Int, path: String)] {
    let folder = (best as NSString).deletingLastPathComponent
    let prefix = (stem as NSString).lastPathComponent + ".step-"
    let names = try? FileManager.default.contentsOfDirectory(atPath: folder.isEmpty ? "." : folder)
    return (names ?? []).compactMap { name in
      guard name.hasPrefix(prefix), name.hasSuffix(suffix),
        let step = Int(name.dropFirst(prefix.count).dropLast(suffix.count)),
        case let path = state(ofStep: step), (path as NSString).lastPathComponent == name
      else { return nil }
      return (step, path)
    }.sorted { $0.step < $1.step }
  }
}

/// A file of a training that something else wrote while the training ran.
public struct OutputTaken: Error, Sendable, CustomStringConvertible {
  /// The file.
  public let path: String

  /// The file, and what to do.
  public var description: String {
    """
    \(printable(path)): expected the file as this training left it; found another in its place, which is kept
      fix: a second training writes to the same --output; give each its own
    """
  }
}

/// The files of a running training, each known by what the training last saw in its place.
struct TrainingOutputs {
  private let files: TrainingFiles
  private var last: Output
  private var best: Output

  /// Remembers what is there before the first save.
  init(_ files: TrainingFiles) {
    self.files = files
    last = Output(path: files.last)
    best = Output(path: files.best)
  }

  /// Saves the state, then the best model: a kill between the two loses nothing.
  ///
  /// - Throws: `OutputTaken`, before anything is written; what writing throws.
  mutating func save(_ state: Checkpoint, best weights: Checkpoint? = nil) throws {
    try last.check()
    try best.check()
    try last.write(state)
    if let weights { try best.write(weights) }
  }

  /// Keeps the state after an evaluation, and removes the oldest that are too many.
  ///
  /// - Throws: What writing and removing throw.
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

    /// A file that is gone is nobody's loss: it is written anew.
    func check() throws {
      guard let found = Version(path), found != version else { return }
      throw OutputTaken(path: path)
    }

    mutating func write(_ checkpoint: Checkpoint) throws {
      try checkpoint.write(to: path, replacing: true)
      version = Version(path)
    }
  }

  /// What tells a file from one that was there before, also where its number is used again.
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
