// `unroll score --lattice` as its users see it.

import Foundation
import TestSupport
import Testing

@Suite("Lattices (score --lattice)") struct LatticeVerbTests: VerbSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  /// The paths of `fixtures/lattices/u1.lat`: their words and the sum of `a`, added in order.
  private static let paths = [
    ("What is the matter?", [-0.5, -4.1, -1.6, -0.1, -0.9, -4.8, -0.4]),
    ("What is a matter?", [-0.5, -4.1, -1.6, -0.1, -0.85, -4.8, -0.4]),
    ("Watt is the matter?", [-0.5, -3.9, -1.6, -0.1, -0.9, -4.8, -0.4]),
    ("Watt is a matter?", [-0.5, -3.9, -1.6, -0.1, -0.85, -4.8, -0.4]),
    ("What is the matter?", [-0.5, -4.2, -1.55, -0.9, -4.8, -0.4]),
    ("What is a matter?", [-0.5, -4.2, -1.55, -0.85, -4.8, -0.4]),
    ("What it's the matter?", [-0.5, -4.2, -1.7, -0.9, -4.8, -0.4]),
    ("What it's a matter?", [-0.5, -4.2, -1.7, -0.85, -4.8, -0.4]),
  ]

  private func convert(in folder: String) throws {
    let converted = try runner.run(
      [
        "convert", Fixtures.path("characters/model.pt"), "--corpus", Fixtures.path("characters"),
        "--tokenizer", "character", "--space", "_", "-o", "m.h5",
      ], in: folder)
    #expect(converted.exitCode == 0, "\(converted.errors)")
  }

  @Test("A character model finds the path that --nbest finds among all, with any threads")
  func sameAsList() throws {
    try withTemporaryFolder { folder in
      try convert(in: folder)
      let list = Self.paths.map { words, scores in
        "u1\t\(scores.reduce(0, +))\t\(words)\n"
      }
      try Data(list.joined().utf8).write(to: URL(filePath: "\(folder)/list.tsv"))
      for weights in [["--lm-weight", "0.5", "--word-penalty", "0.2"], ["--lm-weight", "0.01"]] {
        func row(_ options: [String]) throws -> [Substring] {
          let result = try runner.run(["score", "m.h5"] + options + weights, in: folder)
          #expect(result.exitCode == 0, "\(result.errors)")
          let rows = result.output.split(separator: "\n")
          return try #require(rows.count == 2 ? rows[1] : nil)
            .split(separator: "\t", omittingEmptySubsequences: false)
        }
        let best = try row(["list.tsv", "--nbest"])
        // Without an option, the penalty would be that of the file.
        let penalty = weights.count == 2 ? ["--word-penalty", "0"] : []
        let lattice = [Fixtures.path("lattices/u1.lat"), "--lattice"] + penalty
        for threads in ["1", "3"] {
          let found = try row(lattice + ["--threads", threads])
          #expect(found[0...1] == best[0...1])
          #expect(found[2] == "6")
          #expect([found[3], found[5], found[6]] == Array(best[4...6]))
        }
      }
    }
  }

  @Test("JSON states the weights of the file, and a word that the model cannot read is refused")
  func reports() throws {
    try withTemporaryFolder { folder in
      try convert(in: folder)
      let lattice = "N=2 L=1\nI=0\nI=1\nJ=0 S=0 E=1 W=Œ a=-1\n"
      let lattices = "\(folder)/lattices"
      try FileManager.default.createDirectory(
        atPath: lattices, withIntermediateDirectories: false)
      try FileManager.default.copyItem(
        atPath: Fixtures.path("lattices/u1.lat"), toPath: "\(lattices)/b.lat")
      let result = try runner.run(["score", "m.h5", "lattices", "--lattice", "--json"], in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
      let fields = try #require(object as? [String: Any])
      let utterances = try #require(fields["utterances"] as? [[String: Any]])
      #expect(utterances.count == 1 && utterances[0]["lm_weight"] as? Double == 0.5)
      #expect(utterances[0]["word_penalty"] as? Double == 0.2)
      try Data(lattice.utf8).write(to: URL(filePath: "\(lattices)/a.lat"))
      let unknown = try runner.run(["score", "m.h5", "lattices", "--lattice"], in: folder)
      #expect(unknown.exitCode == 2, "\(unknown.errors)")
      let message = "a.lat: expected text of the vocabulary; found \"Œ\""
      #expect(unknown.errors.contains(message), "\(unknown.errors)")
      #expect(unknown.output.isEmpty)
    }
  }

  @Test("What does not go together is refused")
  func refusals() throws {
    let options: [[String]] = [
      ["--lattice", "--nbest"], ["--lattice", "--pairs"], ["--lattice", "--carry"],
      ["--lattice", "--level", "sentence"], ["--lattice", "--with", "n"],
      ["--lattice", "--tune", "--reference", "r"], ["--lattice", "--context", "3"],
      ["--lattice", "--dynamic", "0.1"], ["--lattice", "--lattice-weight", "1.5"],
      ["--lattice", "--recombine", "0"], ["--lattice", "--beam", "nan"],
      ["--lattice", "--max-tokens-per-node", "0"], ["--beam", "1"],
      ["--nbest", "--recombine", "1"],
    ]
    for own in options {
      let result = try runner.run(["score", "m.h5", "u.lat"] + own)
      #expect(result.exitCode == 64, "\(own) \(result.errors)")
    }
    let empty = try withTemporaryFolder { folder in
      try convert(in: folder)
      try FileManager.default.createDirectory(
        atPath: "\(folder)/none", withIntermediateDirectories: false)
      return try runner.run(["score", "m.h5", "none", "--lattice"], in: folder)
    }
    #expect(empty.exitCode == 2 && empty.errors.contains("found an empty folder"))
  }
}
