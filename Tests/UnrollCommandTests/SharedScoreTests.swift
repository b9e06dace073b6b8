// `unroll score` under an MPI launcher, as far as it needs no MPI. `scripts/check/mpi` has real launchers.

import Foundation
import TestSupport
import Testing

@testable import unroll

@Suite("Scores under MPI launchers") struct SharedScoreTests: FinetuneSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test(
    "Options that need the whole text are refused by name",
    arguments: [
      "--carry", "--pairs", "--nbest", "--lattice", "--words w.txt", "--dynamic 0.1", "--cache 9",
      "--states s.h5", "--report r.html", "--plot p.svg", "--flush",
    ])
  func wholeText(option: String) throws {
    let command = try Score.parse(
      ["model", "text"] + option.split(separator: " ").map(String.init))
    let refusal = #expect(throws: Refusal.self) { try command.checkShared() }
    let name = option.prefix { $0 != " " }
    #expect(refusal?.description.contains("found \(name)\n  fix: leave \(name) out") == true)
  }

  @Test("Standard input is refused, with the next step")
  func standardInput() throws {
    let refusal = #expect(throws: Refusal.self) {
      try Score.parse(["model", "-"]).checkShared()
    }
    #expect(
      refusal?.description.contains("found standard input\n  fix: write it into a file") == true)
  }

  @Test(
    "Options that keep to lines are shared",
    arguments: [
      "--level token --guesses 3", "--level sentence --json", "--csv --unknown include",
      "--context 3 --lowercase", "--with other.h5",
    ])
  func sharedOptions(options: String) throws {
    let options = options.split(separator: " ").map(String.init)
    try Score.parse(["model", "text"] + options).checkShared()
  }

  @Test("Scores by several ranks need an MPI library; a part of a text needs none")
  func launcherWithoutLibrary() throws {
    try withScene { folder in
      let command =
        "PMI_SIZE=2 PMI_RANK=1 UNROLL_MPI_LIBRARY=/none.so unroll score model.unroll.h5 valid.txt"
      let refused = try runner.run(shell: command, in: folder)
      #expect(refused.exitCode == 2 && refused.output.isEmpty)
      #expect(refused.errors.hasPrefix("unroll: rank 1 on "), "\(refused.errors)")
      #expect(refused.errors.contains("apt-get install openmpi-bin, or mpich"))
      let part = try runner.run(shell: "\(command) --part 2/2", in: folder)
      let alone = try runner.run(
        shell: "unroll score model.unroll.h5 valid.txt --part 2/2", in: folder)
      #expect(part.exitCode == 0 && !part.output.isEmpty, "\(part.errors)")
      #expect(part.output == alone.output)
    }
  }
}
