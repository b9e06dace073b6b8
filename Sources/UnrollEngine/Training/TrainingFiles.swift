// The files that a training writes, and that nobody else may write meanwhile.

import UnrollFormat

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
  public let last: String

  /// Names the files.
  ///
  /// - Parameter best: The best model; the state to resume from goes beside it, with `.last` before
  ///   its extension.
  public init(best: String) {
    self.best = best
    last = Self.last(of: best)
  }

  private static func last(of path: String) -> String {
    let nameStart = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
    let name = path[nameStart...]
    for suffix in [".unroll.h5", ".h5"] where name.hasSuffix(suffix) && name != suffix {
      return path.dropLast(suffix.count) + ".last" + suffix
    }
    return path + ".last"
  }
}

/// A file of a training that something else wrote while the training ran.
public struct OutputTaken: Error, Sendable, CustomStringConvertible {
  /// The file.
  public let path: String

  /// The file, and what to do.
  public var description: String {
    """
    \(path): expected the file as this training left it; found another in its place, which is kept
      fix: a second training writes to the same --output; give each its own
    """
  }
}

/// The files of a running training, each known by what the training last saw in its place.
struct TrainingOutputs {
  private var last: Output
  private var best: Output

  /// Remembers what is there before the first save.
  init(_ files: TrainingFiles) {
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
