// The ranks that an MPI launcher started.

import ArgumentParser
import CUnrollGroup
import UnrollNeural
import UnrollTensors

/// An error of the communication between ranks.
struct GroupError: Error, CustomStringConvertible {
  let description: String
}

/// The ranks of an MPI job.
///
/// A class because the communication ends once.
final class MPIGroup: RankGroup {
  let rank: Int
  let size: Int
  private let name: String
  /// `true` after an error: nothing more can be sent.
  private var isBroken = false
  private var isClosed = false

  /// Loads the MPI library of the launcher.
  ///
  /// - Throws: `Refusal` if there is none.
  static func load() throws {
    guard let reason = unroll_group_load() else { return }
    let count = Launcher.size.map { "\($0)" } ?? "several"
    throw Refusal(
      "an MPI launcher started \(count) processes: expected its MPI library; found none "
        + "(\(printable(String(cString: reason))))\n"
        + "  fix: install it on every machine: apt-get install openmpi-bin, or mpich; or give its path in "
        + "UNROLL_MPI_LIBRARY")
  }

  /// Begins the communication.
  ///
  /// Every file is read before: no process may be forked afterwards.
  ///
  /// - Parameter patience: The seconds that a rank waits for the others.
  /// - Throws: `Refusal` if there is no MPI library, or not the launcher's; `GroupError` if it fails.
  init(patience: Int) throws {
    try Self.load()
    name = Launcher.name
    guard unroll_group_watch(Int32(patience), name) == 0 else {
      throw GroupError(description: "\(name): a thread could not be started")
    }
    var (rank, size): (Int32, Int32) = (0, 1)
    let error = unroll_group_open(&rank, &size)
    guard error == 0 else { throw Self.failure("begin", error) }
    (self.rank, self.size) = (Int(rank), Int(size))
    if let launched = Launcher.size, launched != self.size {
      throw Refusal(
        "the launcher started \(launched) processes; found \(size) by "
          + "\(printable(String(cString: unroll_group_library())))\n"
          + "  fix: give the library of the launcher in UNROLL_MPI_LIBRARY, such as libmpi.so.40 of Open MPI or "
          + "libmpich.so.12 of MPICH")
    }
  }

  /// The library, for a note.
  var library: String { String(cString: unroll_group_library()) }

  private static func failure(_ operation: String, _ error: Int32) -> GroupError {
    var text = [CChar](repeating: 0, count: 1000)
    unroll_group_describe(error, &text, text.count)
    let message = String(
      decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return GroupError(
      description: "MPI could not \(operation): \(printable(message))\n"
        + "  fix: look for a machine or a link that is gone; resume from the last state")
  }

  private func check(_ operation: String, _ body: () -> Int32) throws {
    guard !isBroken else {
      throw GroupError(description: "MPI could not \(operation) after an earlier error")
    }
    let error = body()
    guard error != 0 else { return }
    isBroken = true
    throw Self.failure(operation, error)
  }

  /// Returns counts and places as MPI takes them.
  private func places(_ counts: [Int]) throws -> (counts: [Int32], places: [Int32]) {
    guard counts.reduce(0, +) <= Int(Int32.max) else {
      isBroken = true
      throw GroupError(
        description:
          "a message between ranks would have \(counts.reduce(0, +)) bytes: expected below 2 GiB\n"
          + "  fix: give a smaller --batch-size")
    }
    var (places, next): ([Int32], Int32) = ([], 0)
    for count in counts {
      places.append(next)
      next += Int32(count)
    }
    return (counts.map { Int32($0) }, places)
  }

  func exchange(
    _ sent: UnsafeRawBufferPointer, counts sentCounts: [Int],
    into received: UnsafeMutableRawBufferPointer, counts receivedCounts: [Int]
  ) throws {
    let (sending, receiving) = (try places(sentCounts), try places(receivedCounts))
    try check("exchange") {
      unroll_group_exchange(
        sent.baseAddress, sending.counts, sending.places, received.baseAddress, receiving.counts,
        receiving.places)
    }
  }

  func gather(
    _ part: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer, counts: [Int]
  ) throws {
    let gathered = try places(counts)
    try check("gather") {
      unroll_group_gather(
        part.baseAddress, gathered.counts[rank], all.baseAddress, gathered.counts, gathered.places)
    }
  }

  func broadcast(_ bytes: UnsafeMutableRawBufferPointer) throws {
    try check("broadcast") { unroll_group_broadcast(bytes.baseAddress, Int32(bytes.count)) }
  }

  func begin(step: Int) { unroll_group_set_step(Int64(step)) }

  /// Ends the communication: with the other ranks, or by ending them after an error of MPI.
  ///
  /// - Parameter code: The exit code of the job after such an error.
  func close(code: Int32) {
    guard !isClosed else { return }
    isClosed = true
    guard !isBroken, unroll_group_close() == 0 else { return unroll_group_abort(code) }
  }

  /// Runs the work that the ranks share, and ends the communication.
  ///
  /// - Parameter work: The work; all ranks know of its errors.
  /// - Throws: `ExitCode`, after rank 0 has printed the reason.
  func run(_ work: (MPIGroup) throws -> Void) throws {
    do {
      try work(self)
    } catch {
      if !Launcher.isQuiet || error is GroupError { Output.failure(error) }
      close(code: Ending.failure)
      throw ExitCode(Ending.failure)
    }
    close(code: 0)
  }
}
