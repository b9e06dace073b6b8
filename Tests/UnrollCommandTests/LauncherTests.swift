// Trainings under an MPI launcher that has no library, and shards without a launcher. `scripts/check/mpi` has real launchers.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("MPI launchers") struct LauncherTests: FinetuneSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private static let command = """
    unroll finetune model.unroll.h5 --train train.txt --valid valid.txt -o tuned.unroll.h5 \
    --batch-size 4 --steps 3
    """

  @Test(
    "Several ranks without an MPI library are refused, with the package to install",
    arguments: [
      "OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0", "PMI_SIZE=2 PMI_RANK=0",
      "PMIX_RANK=0 SLURM_NTASKS=2", "PMIX_RANK=0",
    ])
  func launcherWithoutLibrary(environment: String) throws {
    try withScene { folder in
      let result = try runner.run(
        shell: "\(environment) UNROLL_MPI_LIBRARY=/none.so \(Self.command)", in: folder)
      #expect(result.exitCode == 2)
      #expect(result.errors.contains("apt-get install openmpi-bin, or mpich"), "\(result.errors)")
      #expect(result.output.isEmpty)
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/tuned.unroll.h5"))
    }
  }

  @Test("Ranks other than 0 name themselves in errors")
  func otherRank() throws {
    try withScene { folder in
      let result = try runner.run(
        shell: "PMI_SIZE=4 PMI_RANK=3 UNROLL_MPI_LIBRARY=/none.so \(Self.command)", in: folder)
      #expect(result.exitCode == 2 && result.errors.hasPrefix("unroll: rank 3 on "))
    }
  }

  @Test(
    "A launcher of one process, and a Slurm job without MPI, load nothing",
    arguments: ["OMPI_COMM_WORLD_SIZE=1 OMPI_COMM_WORLD_RANK=0", "SLURM_NTASKS=8 SLURM_PROCID=0"])
  func oneProcess(environment: String) throws {
    try withScene { folder in
      let result = try runner.run(
        shell: "\(environment) UNROLL_MPI_LIBRARY=/none.so \(Self.command)", in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      let state = try Checkpoint(contentsOf: "\(folder)/tuned.last.unroll.h5")
      #expect(state.training?.shards == 1)
    }
  }

  @Test("Shards are stored, kept by a resumed training, and refused beyond the batch")
  func shards() throws {
    try withScene { folder in
      let begun = try runner.run(shell: "\(Self.command) --shards 3", in: folder)
      #expect(begun.exitCode == 0, "\(begun.errors)")
      let last = "unroll finetune tuned.last.unroll.h5 --resume --steps 5"
      let changed = try runner.run(shell: "\(last) --shards 2", in: folder)
      #expect(changed.exitCode == 2 && changed.errors.contains("found --shards 2"))
      #expect(try runner.run(shell: last, in: folder).exitCode == 0)
      let state = try Checkpoint(contentsOf: "\(folder)/tuned.last.unroll.h5")
      #expect(state.training?.shards == 3 && state.training?.step == 5)
      #expect(state.provenance.last?.arguments.contains("\nshards=3\n") == true)
      let tooMany = try runner.run(shell: "\(Self.command) --force --shards 5", in: folder)
      #expect(tooMany.exitCode == 2)
      #expect(tooMany.errors.contains("--shards 5: expected at most the 4 streams of a batch"))
    }
  }
}
