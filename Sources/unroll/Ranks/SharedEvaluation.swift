// An evaluation that several processes of an MPI launcher share.

import Foundation
import UnrollEngine
import UnrollFormat
import UnrollNeural
import UnrollTokenization

extension Evaluate {
  /// Measures a part of the text on each rank; rank 0 prints the figures of the whole, which are those of one process.
  ///
  /// - Throws: `Refusal` for what cannot be shared, or without an MPI library; `ExitCode`, after rank 0 has printed the
  ///   reason, if a rank failed or the ranks do not fit together.
  func runShared() throws {
    Launcher.beginShared()
    guard `protocol`.isByLine, texts.count == 1, texts != ["-"], !needsWholeText else {
      let names = PerplexityProtocol.allCases.filter(\.isByLine).map(\.rawValue)
      throw Refusal(
        "an MPI launcher started several processes: expected one text in a file, and a protocol that predicts each line "
          + "alone, without --details, --baseline, --with, --cache, --dynamic, --carry, --report and --plot\n"
          + "  fix: give --protocol \(names.joined(separator: ", or ")), or start one process")
    }
    try MPIGroup.load()
    guard let size = Launcher.size, let part = TextPart(Launcher.rank + 1, of: size) else {
      throw Refusal(
        "expected a launcher that says how many processes it started; found one that does not\n"
          + "  fix: start them with mpirun or srun --mpi=pmix, or give each its --part")
    }
    Threads.shareProcessors()
    var mine = self
    mine.parts.parts.part = part
    let own = Result { try mine.measuredPart() }
    // Ranks wait for the slowest one as long as it takes; the launcher ends the job of a lost process.
    try MPIGroup(patience: 1_000_000).run { group in
      let all = try PerplexityPart.gathered(own, group, host: Launcher.host)
      if !Launcher.isQuiet { try printMerged(all) }
    }
  }
}

extension Threads {
  /// Divides the processors of a host among its processes, unless the number of threads is given.
  static func shareProcessors() {
    guard count == 0, used == ProcessInfo.processInfo.activeProcessorCount else { return }
    count = max(1, used / Launcher.localSize)
  }
}
