// Trainings that are interrupted by signals.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("Signals during a training") struct FinetuneSignalTests: FinetuneSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test("SIGINT finishes the step, saves the state and exits with code 3")
  func interrupt() throws {
    try withScene { folder in
      let line = """
        unroll finetune model.unroll.h5 --train train.txt --valid valid.txt -o tuned.unroll.h5 \
        --batch-size 4 --epochs 1000000 --log run.jsonl & child=$!
        while kill -0 $child && ! grep -q '"step":9,' run.jsonl; do sleep 0.05; done
        kill -INT $child; wait $child
        """
      // A shell without job control starts its background children deaf to SIGINT, and threads like
      // this one block it for theirs; the tool listens all the same.
      let result = try runner.run(shell: line, in: folder, seconds: 20)
      #expect(result.exitCode == 3, "\(result.errors)")
      let step = try #require(result.errors.firstMatch(of: #/paused after step (\d+): saved/#)).1
      let state = try Checkpoint(contentsOf: "\(folder)/tuned.last.unroll.h5")
      #expect(state.training?.step == Int(step))
      #expect(try #require(state.training).step >= 9)
    }
  }

  @Test(
    "A signal that arrives twice at once pauses the training once",
    arguments: ["HUP", "TERM", "INT", "USR1"])
  func repeatedSignals(_ name: String) throws {
    try withScene { folder in
      let line = """
        unroll finetune model.unroll.h5 --train train.txt --valid valid.txt -o tuned.unroll.h5 \
        --batch-size 4 --epochs 1000000 --log run.jsonl & child=$!
        while kill -0 $child && ! grep -q '"step":9,' run.jsonl; do sleep 0.05; done
        kill -\(name) $child; sleep 0.005; kill -\(name) $child; wait $child
        """
      let result = try runner.run(shell: line, in: folder, seconds: 20)
      #expect(result.exitCode == 3, "\(result.errors)")
      #expect(try Checkpoint(contentsOf: "\(folder)/tuned.last.unroll.h5").training != nil)
    }
  }

  @Test(
    "SIGHUP pauses a training, and is ignored under nohup",
    arguments: [("", 1_000_000), ("nohup ", 150)])
  func hangUp(prefix: String, steps: Int) throws {
    try withScene { folder in
      // Deaf to it below nohup, it ends by its number of steps.
      let line = """
        \(prefix)unroll finetune model.unroll.h5 --train train.txt --valid valid.txt -o a.h5 \
        --batch-size 4 --steps \(steps) --log run.jsonl & child=$!
        while kill -0 $child && ! grep -q '"step":9,' run.jsonl; do sleep 0.02; done
        kill -HUP $child; wait $child
        """
      let result = try runner.run(shell: line, in: folder, seconds: 60)
      let state = try #require(try Checkpoint(contentsOf: "\(folder)/a.last.h5").training)
      #expect(result.exitCode == (prefix.isEmpty ? 3 : 0), "\(result.errors)")
      #expect(state.step >= 9 && (state.step == steps) != prefix.isEmpty)
    }
  }
}
