// `unroll evaluate --details` and `--baseline` as their users see them.

import Foundation
import TestSupport
import Testing

@Suite("Further figures of an evaluation (evaluate --details, --baseline)")
struct EvaluateDetailsTests: VerbSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private func withModels(_ body: (_ folder: String) throws -> Void) throws {
    try withTemporaryFolder { folder in
      for name in ["lstm", "gru"] {
        let result = try runner.run(
          [
            "convert", Fixtures.path("scoring/\(name).pt"), "--vocabulary",
            Fixtures.path("scoring/tokens.tsv"), "-o", "\(name).h5",
          ], in: folder)
        #expect(result.exitCode == 0, "\(result.errors)")
      }
      try body(folder)
    }
  }

  @Test("--details and --baseline print tables, and one JSON object")
  func output() throws {
    try withModels { folder in
      let command = [
        "evaluate", "lstm.h5", Fixtures.path("scoring/text.txt"), "--protocol", "sentence",
        "--details", "--baseline", "gru.h5",
      ]
      let table = try runner.run(command, in: folder)
      #expect(table.exitCode == 0, "\(table.errors)")
      for line in [
        "frequency of the word, counts of the vocabulary", "characters of the word",
        "calibration of the likeliest token", "baseline        gru.h5",
        "line end      0           80  1.921704     6.832590  0.2250  0.9500  0.9875",
      ] {
        #expect(table.output.split(separator: "\n").contains { $0 == line }, "\(line)")
      }
      #expect(table.output.split(separator: "\n").allSatisfy { $0.count <= 80 })
      let json = try runner.run(command + ["--json", "--seed", "2"], in: folder)
      let object = try #require(
        try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
      let details = try #require(object["details"] as? [String: Any])
      let all = try #require(details["all"] as? [String: Any])
      #expect(all["nll"] as? Double == object["nll"] as? Double)
      #expect((details["calibration"] as? [Any])?.count == 10)
      let baseline = try #require(object["baseline"] as? [String: Any])
      #expect(baseline["seed"] as? Int == 2 && baseline["line_count"] as? Int == 80)
      #expect(baseline["model"] as? String == "gru.h5")
    }
  }

  @Test("A baseline with other tokens is refused, and combinations that have no meaning")
  func refusals() throws {
    try withModels { folder in
      let text = Fixtures.path("scoring/text.txt")
      func run(_ options: String...) throws -> CommandResult {
        try runner.run(["evaluate", "lstm.h5", text] + options, in: folder)
      }
      for options in [
        ["--details", "--cache", "5"], ["--details", text],
        ["--baseline", "gru.h5", "--protocol", "columns"], ["--baseline", "gru.h5", "--estimate"],
      ] {
        let result = try runner.run(["evaluate", "lstm.h5", text] + options, in: folder)
        #expect(result.exitCode == 64, "\(options) \(result.errors)")
      }
      try withTokens { other in
        _ = try convert("pytorch/lstm-state.pt", in: other)
        let result = try run("--baseline", "\(other)/out.h5")
        #expect(result.exitCode == 2 && result.errors.contains("expected 11 tokens"))
        #expect(result.output.isEmpty)
      }
    }
  }
}
