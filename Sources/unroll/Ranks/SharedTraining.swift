// A training that several processes of an MPI launcher share.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollNeural

extension TrainingVerb {
  /// Refuses a launcher without an MPI library, before hours of reading.
  ///
  /// - Throws: `Refusal` if there is none.
  func checkLauncher() throws {
    guard Launcher.isShared else { return }
    try MPIGroup.load()
  }

  /// Shares a training with the other processes of a launcher, if there are any.
  ///
  /// Every file has been read: no process is forked after the communication has begun.
  ///
  /// - Parameter begun: The training, or the error that kept this process from it: the others end, too.
  /// - Returns: The training; the ranks, or `nil` without a launcher.
  /// - Throws: The error, without a launcher; `Refusal` or `GroupError` if the communication fails; `ExitCode`, after
  ///   rank 0 has printed the reason, if a rank failed or the ranks do not fit together.
  func share(_ begun: Result<TrainingRun, any Error>) throws -> (TrainingRun, MPIGroup?) {
    guard Launcher.isShared else { return (try begun.get(), nil) }
    let group = try MPIGroup(patience: peerTimeout ?? 600)
    let (run, notes): (TrainingRun, [String])
    do {
      (run, notes) = try TrainingRun.joining(begun, group, host: Launcher.host)
    } catch {
      if !Launcher.isQuiet || error is GroupError { Output.failure(error) }
      group.close(code: Ending.failure)
      throw ExitCode(Ending.failure)
    }
    for note in notes { Output.note("note: \(note)") }
    Threads.shareProcessors()
    Output.note(
      "note: \(counted(group.size, "rank")) on \(counted(run.hostCount, "host")), "
        + "\(counted(Threads.used, "thread")) each, by \(group.library)")
    return (run, group)
  }
}
