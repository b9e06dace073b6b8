// `unroll evaluate --with` and `unroll score --with` as their users see them.

import Foundation
import TestSupport
import Testing

@Suite("Interpolation (evaluate and score --with)") struct InterpolationTests: VerbSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test("Weights are printed, fitted, and checked; results do not depend on threads")
  func evaluation() throws {
    try withTemporaryFolder { folder in
      for name in ["lstm", "gru"] {
        let result = try runner.run(
          [
            "convert", Fixtures.path("scoring/\(name).pt"), "--vocabulary",
            Fixtures.path("scoring/tokens.tsv"), "-o", "\(name).h5",
          ], in: folder)
        #expect(result.exitCode == 0, "\(result.errors)")
      }
      let (text, arpa) = (
        Fixtures.path("scoring/text.txt"), Fixtures.path("scoring/trigrams.arpa.gz")
      )
      func run(_ verb: String, _ options: [String]) throws -> CommandResult {
        try runner.run([verb, "lstm.h5", text] + options, in: folder)
      }
      let mixed = ["--with", "gru.h5", "--with", arpa]
      let given = try run(
        "evaluate", mixed + ["--weights", "0.5,0.3,0.2", "--protocol", "sentence"])
      #expect(given.exitCode == 0, "\(given.errors)")
      for row in ["mixture         0.300000 gru.h5", "nll             1.913945 nats a token"] {
        #expect(given.output.split(separator: "\n").contains { $0 == row }, "\(row)")
      }
      let fitted = try ["1", "3"].map { threads in
        let options = ["--fit-weights", text, "--json", "--threads", threads, "--resamples", "0"]
        let result = try run("evaluate", mixed + options)
        #expect(result.errors.contains("note: weights fitted to "), "\(result.errors)")
        let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
        let fields = try #require(object as? [String: Any])
        #expect((fields["mixture"] as? [[String: Any]])?.count == 3)
        return try #require(fields["nll"] as? Double)
      }
      #expect(fitted[0] == fitted[1] && fitted[0] < 1.68)
      let words = try run("score", mixed)
      #expect(words.errors.contains("note: interpolation of 0.333333 lstm.h5, 0.333333 gru.h5"))
      let rows = words.output.split(separator: "\n")
      #expect(rows.count == 689 && rows[1].hasSuffix("\tNA\tNA\t0"))
      for (verb, options) in [
        ("evaluate", ["--weights", "1,0"]), ("score", ["--with", "-"]),
        ("score", ["--fit-weights", text]),
        ("evaluate", mixed + ["--weights", "0.5,0.5"]), ("score", mixed + ["--carry"]),
        ("evaluate", mixed + ["--protocol", "columns"]), ("evaluate", mixed + ["--details"]),
        ("score", mixed + ["--guesses", "2"]), ("score", mixed + ["--states", "s.h5"]),
        ("evaluate", mixed + ["--weights", "0.5,0.3,0.2", "--fit-weights", text]),
      ] {
        let result = try run(verb, options)
        #expect(result.exitCode == 64, "\(verb) \(options) \(result.errors)")
      }
      let sum = try run("evaluate", mixed + ["--weights", "0.5,0.3,0.3"])
      #expect(sum.exitCode == 2 && sum.errors.contains("expected 3 weights above 0 with the sum 1"))
    }
  }
}
