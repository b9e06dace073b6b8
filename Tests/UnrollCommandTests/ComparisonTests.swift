// `unroll report`: several models on one page.

import Foundation
import TestSupport
import Testing

@Suite("Several models on one page (report)") struct ComparisonTests: VerbSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  /// Trains two models on a small text, and runs a closure in their folder.
  private func withModels(_ body: (String) throws -> Void) throws {
    try withTokens { folder in
      for (name, count) in [("train", 40), ("valid", 9)] {
        let words = (0..<(count * 5)).map { "w\($0 * $0 % 7)" + ($0 % 5 == 4 ? "\n" : " ") }
        try Data(words.joined().utf8).write(to: URL(filePath: "\(folder)/\(name).txt"))
      }
      for (name, size) in [("a", "4"), ("b", "6")] {
        let result = try runner.run(
          [
            "train", "--train", "train.txt", "--valid", "valid.txt", "--embedding-size", "5",
            "--hidden-size", size, "--num-layers", "1", "--batch-size", "2", "--bptt", "6",
            "--epochs", "3", "-o", "\(name).h5",
          ], in: folder)
        #expect(result.exitCode == 0, "\(result.errors)")
      }
      try body(folder)
    }
  }

  private func json(_ arguments: [String], in folder: String) throws -> NSDictionary {
    let result = try runner.run(arguments + ["--json"], in: folder)
    #expect(result.exitCode == 0, "\(result.errors)")
    return try #require(
      try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? NSDictionary)
  }

  @Test("The page has sizes, both learning curves in one figure, and the JSON of --json")
  func page() throws {
    try withModels { folder in
      let comparison = try json(
        ["report", "a.last.h5", "b.last.h5", "-o", "a.html", "--plot", "a.svg"], in: folder)
      let page = try String(contentsOfFile: "\(folder)/a.html", encoding: .utf8)
      let match = try #require(
        page.firstMatch(of: #/<script type="application\/json" id="result">([^<]*)<\/script>/#))
      #expect(
        try JSONSerialization.jsonObject(with: Data(match.1.utf8)) as? NSDictionary == comparison)
      #expect(comparison["same_tokens"] as? Bool == true)
      #expect(comparison["same_validation_text"] as? Bool == true)
      let models = try #require(comparison["models"] as? [NSDictionary])
      #expect(models.map { $0["hidden_sizes"] as? [Int] } == [[4], [6]])
      #expect(page.contains("<tr><td>hidden sizes</td><td>4</td><td>6</td></tr>"))
      for (model, name) in zip(models, ["a", "b"]) {
        let inspected = try json(["inspect", "\(name).last.h5"], in: folder)
        #expect(model["parameter_count"] as? Int == inspected["parameter_count"] as? Int)
        let training = inspected["training"] as? NSDictionary
        #expect(model["evaluations"] as? NSArray == training?["curve"] as? NSArray)
        // One before the first step, and one after each epoch.
        #expect((model["evaluations"] as? NSArray)?.count == 4)
      }
      let figure = try String(contentsOfFile: "\(folder)/a.svg", encoding: .utf8)
      #expect(figure.components(separatedBy: "<polyline ").count == 3)
      #expect(figure.contains(">a.last.h5</text>") && figure.contains(">b.last.h5</text>"))
    }
  }

  @Test("The norm of a tensor is the root of the sum of its squares")
  func norms() throws {
    try withTokens { folder in
      #expect(try convert("pytorch/lstm-state.pt", in: folder).exitCode == 0)
      let comparison = try json(["report", "out.h5", "out.h5", "-o", "a.html"], in: folder)
      let models = try #require(comparison["models"] as? [NSDictionary])
      let norms = try #require(models[0]["norms"] as? [NSDictionary])
      let found = Dictionary(
        uniqueKeysWithValues: norms.map { ($0["path"] as? String ?? "", $0["norm"] as? Double) })
      let file = try JSONSerialization.jsonObject(
        with: Data(contentsOf: URL(filePath: Fixtures.path("pytorch/norms.json"))))
      let ofPyTorch = try #require((file as? NSDictionary)?["norms"] as? [String: Double])
      let names = [
        "encoder.weight": "embedding/weight", "rnn.weight_ih_l0": "layers/00/weight_ih",
        "rnn.weight_hh_l0": "layers/00/weight_hh", "rnn.bias_ih_l0": "layers/00/bias_ih",
        "rnn.bias_hh_l0": "layers/00/bias_hh", "decoder.weight": "output/weight",
        "decoder.bias": "output/bias",
      ]
      #expect(found.count == names.count && ofPyTorch.count == names.count)
      for (name, path) in names {
        let norm = try #require(found["/model/\(path)"] ?? nil)
        let expected = try #require(ofPyTorch[name])
        #expect(abs(norm - expected) <= 1e-12 * expected, "\(name)")
      }
      #expect(comparison["same_validation_text"] is NSNull)
      let page = try String(contentsOfFile: "\(folder)/a.html", encoding: .utf8)
      #expect(page.contains("Without evaluations: out.h5, out.h5."))
    }
  }

  @Test(
    "Models of other tokens are compared with a warning; one model, and a wrong ending, are refused"
  )
  func warnings() throws {
    try withModels { folder in
      #expect(try convert("pytorch/lstm-state.pt", in: folder).exitCode == 0)
      let other = try runner.run(["report", "a.h5", "out.h5", "-o", "a.html"], in: folder)
      #expect(other.exitCode == 0 && other.output.isEmpty)
      #expect(other.errors.hasPrefix("note: the models have other tokens: losses"))
      #expect(other.errors.hasSuffix("wrote a.html\n"))
      for arguments in [
        ["a.h5", "-o", "b.html"], ["a.h5", "b.h5", "-o", "b.pdf"],
        ["a.h5", "b.h5", "-o", "b.html", "--plot", "-", "--json"],
      ] {
        #expect(try runner.run(["report"] + arguments, in: folder).exitCode == 64)
      }
      let taken = try runner.run(["report", "a.h5", "b.h5", "-o", "a.html"], in: folder)
      #expect(taken.exitCode == 2 && taken.errors.contains("--force"))
    }
  }
}
