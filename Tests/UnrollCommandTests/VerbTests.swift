// `unroll gradients` and `unroll generate` as their users see them, and exit codes of all verbs.

import Foundation
import TestSupport
import Testing
import UnrollFormat

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite("Other verbs, and exit codes") struct VerbTests: VerbSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test("gradients prints a table, JSON and SVG, the same with any number of threads")
  func gradientFlow() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      let text = Array(repeating: "w0 w3 w1 x w8\nw2 w2\n", count: 40).joined()
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      func gradients(_ options: [String]) throws -> CommandResult {
        try runner.run(
          ["gradients", "out.h5", "text.txt", "--lags", "10", "--batch-size", "4"] + options,
          in: folder)
      }
      let plain = try gradients(["--plot", "a.svg"])
      #expect(plain.exitCode == 0, "\(plain.errors)")
      #expect(plain.output.contains("layer  state  decay rate"))
      #expect(plain.output.contains("\nlayer 0, c: the gradient "))
      let svg = try XMLDocument(contentsOf: URL(filePath: "\(folder)/a.svg"))
      #expect(svg.rootElement()?.name == "svg")
      #expect(try gradients(["--plot", "a.svg"]).exitCode == 2)
      let results = try ["1", "2"].map { threads in
        try gradients(["--json", "--threads", threads]).output
      }
      #expect(results[0] == results[1])
      let object = try JSONSerialization.jsonObject(with: Data(results[0].utf8)) as? [String: Any]
      let curves = try #require(object?["curves"] as? [[String: Any]])
      #expect(curves.allSatisfy { ($0["median"] as? [Double])?.count == 11 })
      #expect(try gradients(["--lags", "1000"]).exitCode == 2)
      #expect(try gradients(["--threshold", "2"]).exitCode == 64)
    }
  }

  @Test("generate repeats its text with the same seed and follows its options")
  func generation() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      func generate(_ options: [String]) throws -> CommandResult {
        try runner.run(["generate", "out.h5", "--max-tokens", "12"] + options, in: folder)
      }
      let first = try generate(["--prompt", "w0 w1"])
      #expect(first.exitCode == 0 && first.output.hasSuffix("\n"), "\(first.errors)")
      for threads in ["1", "2"] {
        #expect(
          try generate(["--prompt", "w0 w1", "--threads", threads]).output == first.output)
      }
      #expect(try generate(["--prompt", "w0 w1", "--seed", "2"]).output != first.output)
      let json = try generate(["--samples", "3", "--json", "--stop-at-eos", "--no-unknown"])
      let objects = try json.output.split(separator: "\n").map {
        try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
      }
      #expect(objects.map { $0["sample"] as? Int } == [1, 2, 3])
      #expect(objects.allSatisfy { ($0["ids"] as? [Int])?.isEmpty == false })
      for options in [["--temperature", "-1"], ["--top-p", "0"], ["--top-k", "0"]] {
        #expect(try generate(options).exitCode == 64)
      }
      try Data("w3 w4\nw5\n".utf8).write(to: URL(filePath: "\(folder)/few.txt"))
      let few = try generate(["--shortlist", "few.txt", "--max-tokens", "60"])
      #expect(Set(few.output.split(whereSeparator: \.isWhitespace)) == ["w3", "w4", "w5"])
      try Data().write(to: URL(filePath: "\(folder)/empty.txt"))
      for text in ["empty.txt", "none.txt"] {
        #expect(try generate(["--shortlist", text]).exitCode == 2)
      }
    }
  }

  @Test("Wrong usage has exit code 64, and an unreadable file 2")
  func exitCodes() throws {
    #expect(try runner.run(["explain"]).exitCode == 64)
    #expect(try runner.run(["explain", "Z999"]).exitCode == 64)
    #expect(try runner.run(["dance"]).exitCode == 64)
    #expect(try runner.run(["evaluate", "a", "b", "--threads", "0"]).exitCode == 64)
    #expect(try runner.run(["validate", "/no/such/file"]).exitCode == 2)
    #expect(try runner.run(["--help"]).exitCode == 0)
  }
}
