// Pages of trainings, models and findings.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@Suite("Pages of trainings, models and findings") struct TrainingPageTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private static let training = [
    "train", "--train", "train.txt", "--valid", "valid.txt", "--embedding-size", "5",
    "--hidden-size", "4", "--num-layers", "1", "--batch-size", "2", "--bptt", "6",
  ]

  private func withTexts(_ body: (String) throws -> Void) throws {
    try withTemporaryFolder { folder in
      for (name, count) in [("train", 40), ("valid", 9)] {
        let words = (0..<(count * 5)).map { "w\($0 * $0 % 7)" + ($0 % 5 == 4 ? "\n" : " ") }
        try Data(words.joined().utf8).write(to: URL(filePath: "\(folder)/\(name).txt"))
      }
      try body(folder)
    }
  }

  private func text(_ path: String) throws -> String {
    try String(contentsOfFile: path, encoding: .utf8)
  }

  /// Returns the JSON in a page.
  private func result(_ page: String) throws -> NSObject {
    let pattern = #/<script type="application\/json" id="result">([^<]*)<\/script>/#
    let match = try #require(try text(page).firstMatch(of: pattern))
    return try object(String(match.1))
  }

  private func object(_ json: String) throws -> NSObject {
    try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? NSObject)
  }

  @Test("The page of a training has the evaluations of --json, also when it was resumed")
  func evaluations() throws {
    try withTexts { folder in
      let whole = try runner.run(
        Self.training + [
          "--epochs", "4", "-o", "a.h5", "--report", "a.html", "--plot", "a.svg", "--json",
        ], in: folder)
      #expect(whole.exitCode == 0 && whole.errors.contains("wrote a.html\nwrote a.svg\n"))
      let lines = whole.output.split(separator: "\n")
      #expect(lines.count == 5)
      let expected = try object("[" + lines.joined(separator: ",") + "]")
      #expect(try result("\(folder)/a.html") == expected)
      #expect(try text("\(folder)/a.svg").contains(">validation loss</text>"))
      let page = try text("\(folder)/a.html")
      #expect(page.contains("<dt>columns</dt><dd>2</dd>"))
      let first = try runner.run(
        Self.training + ["--epochs", "2", "-o", "b.h5", "--report", "b.html"], in: folder)
      #expect(first.exitCode == 0, "\(first.errors)")
      let resumed = try runner.run(
        ["finetune", "b.last.h5", "--resume", "--epochs", "4", "--report", "b.html"], in: folder)
      #expect(resumed.exitCode == 0, "\(resumed.errors)")
      #expect(try result("\(folder)/b.html") == expected)
    }
  }

  @Test(
    "--sample shows text of the current model in the log, the JSON and on the page, and changes no bit of the training"
  )
  func samples() throws {
    try withTexts { folder in
      let drawing = ["--dropout", "0.3", "--random-bptt", "--epochs", "3", "--json"]
      func train(_ name: String, _ options: [String]) throws -> CommandResult {
        let result = try runner.run(
          Self.training + drawing + ["-o", "\(name).h5"] + options, in: folder)
        #expect(result.exitCode == 0, "\(result.errors)")
        return result
      }
      let plain = try train("a", [])
      let sampled = try train(
        "b", ["--sample", "w1", "--log", "b.jsonl", "--report", "b.html", "--plot", "b.svg"])
      for (first, second) in [("a.h5", "b.h5"), ("a.last.h5", "b.last.h5")] {
        let bytes = try [first, second].map {
          try Data(contentsOf: URL(filePath: "\(folder)/\($0)"))
        }
        #expect(bytes[0] == bytes[1])
      }
      let lines = try sampled.output.split(separator: "\n").map { line in
        try #require(try object(String(line)) as? NSDictionary)
      }
      let texts = lines.compactMap { $0["sample"] as? String }
      #expect(texts.count == 4 && Set(texts).count > 1)
      let without = try lines.map { line in
        let copy = try #require(line.mutableCopy() as? NSMutableDictionary)
        copy.removeObject(forKey: "sample")
        return copy as NSDictionary
      }
      #expect(
        without
          == (try plain.output.split(separator: "\n").map {
            try object(String($0)) as? NSDictionary
          }))
      let logged = try text("\(folder)/b.jsonl").split(separator: "\n").filter {
        $0.contains("\"evaluation\"")
      }
      #expect(logged.map(String.init) == sampled.output.split(separator: "\n").map(String.init))
      // The text is that of `generate` with its defaults.
      let generated = try runner.run(["generate", "b.last.h5", "--prompt", "w1"], in: folder).output
      #expect(generated.hasPrefix(try #require(texts.last)))
      let page = try text("\(folder)/b.html")
      #expect(page.contains("Text behind “w1”"))
      for sample in texts {
        let line = sample.split(separator: "\n").joined(separator: " / ").replacing(
          "<", with: "&lt;"
        )
        .replacing(">", with: "&gt;")
        #expect(page.contains("<td>\(line)</td>"), "\(line)")
        #expect(
          sampled.errors.contains(
            "sample: " + sample.split(separator: "\n").joined(separator: " / ")))
      }
    }
  }

  @Test(
    "The page of a training has its steps, their clipping, and the settings that differ from the defaults"
  )
  func steps() throws {
    try withTexts { folder in
      let result = try runner.run(
        Self.training + [
          "--epochs", "2", "-o", "a.h5", "--report", "a.html", "--log", "a.jsonl", "--clip", "0.1",
        ], in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      let page = try text("\(folder)/a.html")
      let norms = try text("\(folder)/a.jsonl").split(separator: "\n").compactMap { line in
        (try object(String(line)) as? NSDictionary)?["gradient_norm"] as? Double
      }
      let clipped = norms.count { $0 > 0.1 }
      #expect(norms.count > 10 && clipped > 0)
      #expect(page.contains("<p>\(clipped) of \(norms.count) steps ("))
      // Each norm is a number of the figure.
      let rows = page.matches(
        of: #/<tr><td class="n">(\d+)<\/td><td class="n">([\d.]+)<\/td><\/tr>/#)
      for (index, norm) in norms.enumerated() {
        #expect(
          rows.contains {
            $0.1 == "\(index + 1)" && abs((Double($0.2) ?? 0) - norm) < 1e-5 * max(1, norm)
          }, "\(norm)")
      }
      for (name, value, usual) in [
        ("columns", "2", "20"), ("window", "6", "35"), ("clip", "norm 0.1", "norm 0.25"),
        ("embedding", "5", "200"), ("hidden", "4", "200,200"), ("epochs", "2", "10"),
      ] {
        #expect(page.contains("<tr><td>\(name)</td><td>\(value)</td><td>\(usual)</td></tr>"))
      }
      #expect(page.contains("<dt>optimizer</dt><dd>sgd</dd>"))
      for usual in ["optimizer", "tokenizer", "vocabulary"] {
        #expect(!page.contains("<tr><td>\(usual)</td>"), "\(usual) has its default")
      }
      // A page of an ended training has no times.
      #expect(!page.contains("tokens a second"))
    }
  }

  @Test("The page is there while a training runs, says so, and says where the training paused")
  func running() throws {
    try withTexts { folder in
      let script = """
        unroll \(Self.training.joined(separator: " ")) --epochs 1000000 -o a.h5 --report a.html >table.tsv &
        for try in $(seq 200); do
          if grep -q 'The training is running' a.html 2>/dev/null; then echo running; break; fi
          sleep 0.05
        done
        kill -INT $!
        wait $!
        echo $?
        """
      let result = try runner.run(shell: script, in: folder, seconds: 40)
      #expect(result.output == "running\n3\n", "\(result.errors)")
      #expect(result.errors.contains("--report a.html"), "the command to resume")
      let page = try text("\(folder)/a.html")
      #expect(page.contains("The training is at step ") && !page.contains("is running"))
    }
  }

  @Test(
    "A page that exists stops a training before its first step, and --plot - takes the table's place"
  )
  func refusals() throws {
    try withTexts { folder in
      try Data("mine".utf8).write(to: URL(filePath: "\(folder)/a.html"))
      let taken = try runner.run(
        Self.training + ["--epochs", "1", "-o", "a.h5", "--report", "a.html"], in: folder)
      #expect(taken.exitCode == 2 && taken.output.isEmpty && taken.errors.contains("--force"))
      let plotted = try runner.run(
        Self.training + ["--epochs", "2", "-o", "a.h5", "--plot", "-"], in: folder)
      #expect(plotted.exitCode == 0 && plotted.output.hasPrefix("Learning curve\n"))
      #expect(!plotted.output.contains("valid_nll"))
    }
  }

  @Test("The page of inspect has the JSON of --json, and a table of all tensors")
  func modelPage() throws {
    try withTemporaryFolder { folder in
      try Checkpoint.small().write(to: "\(folder)/a.h5")
      let arguments = ["inspect", "a.h5"]
      let written = try runner.run(arguments + ["--report", "a.html"], in: folder)
      #expect(written.exitCode == 0 && written.errors == "wrote a.html\n")
      let json = try object(try runner.run(arguments + ["--json"], in: folder).output)
      #expect(try result("\(folder)/a.html") == json)
      let page = try text("\(folder)/a.html")
      let parameters = try #require(
        (json as? NSDictionary)?["parameters"] as? [[String: Any]])
      for parameter in parameters {
        let path = try #require(parameter["path"] as? String)
        #expect(page.contains("<td>\(path)</td>"), "\(path)")
      }
      // Each tensor has a histogram of its numbers.
      #expect(
        page.contains("<figcaption>Numbers of each parameter</figcaption>")
          && page.matches(of: #/<path class="f0" d="M310 /#).count == parameters.count)
      let first = try #require(Checkpoint.small().parameters[.embeddingWeight]?.floats())
      let bins = try #require(
        page.firstMatch(of: #/<tr><td>embedding\/weight<\/td>.*<td>([\d ]+)<\/td><\/tr>/#))
      #expect(bins.1.split(separator: " ").compactMap { Int($0) }.reduce(0, +) == first.count)
      let norm = first.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      #expect(page.contains("<td class=\"n\">\(String(format: "%.4g", norm))</td>"))
      // The parts have all parameters.
      let counts = page.matches(
        of: #/<tr><td>(?:embedding|layer \d|output)<\/td>.*>([0-9,]+)<\/td>/#
      )
      .compactMap { Int($0.1.replacing(",", with: "")) }
      let total = (json as? NSDictionary)?["parameter_count"] as? Int
      #expect(
        counts.count == 2 * (counts.count / 2)
          && counts.prefix(counts.count / 2).reduce(0, +) == total)
    }
  }

  @Test("The page of diff has the JSON of --json, and a bar for each tensor whose numbers differ")
  func differencePage() throws {
    try withTemporaryFolder { folder in
      var model = Checkpoint.small()
      try model.write(to: "\(folder)/a.h5")
      let path = try #require(model.architecture.parameters.first?.path)
      let tensor = try #require(model.parameters[path])
      var numbers = try #require(tensor.floats())
      numbers[1] += 1
      model.parameters[path] = Tensor(numbers, shape: tensor.shape)
      try model.write(to: "\(folder)/b.h5")
      try Data("the cat sat\non a mat\n".utf8).write(to: URL(filePath: "\(folder)/t.txt"))
      let arguments = ["diff", "a.h5", "b.h5", "--text", "t.txt"]
      let written = try runner.run(
        arguments + ["--report", "a.html", "--plot", "a.svg"], in: folder)
      #expect(written.exitCode == 1 && written.errors == "wrote a.html\nwrote a.svg\n")
      let json = try object(try runner.run(arguments + ["--json"], in: folder).output)
      #expect(try result("\(folder)/a.html") == json)
      #expect(try text("\(folder)/a.html").contains("The models are not the same. Different: "))
      #expect(try text("\(folder)/a.svg").matches(of: #/<rect class="f0"/#).count == 1)
      let same = try runner.run(["diff", "a.h5", "a.h5", "--report", "b.html"], in: folder)
      #expect(same.exitCode == 0 && same.output == "the same\n", "\(same.errors)")
      #expect(try text("\(folder)/b.html").contains("The models are the same."))
    }
  }

  @Test(
    "The page of validate has the JSON of --json, the worst findings first, and keeps the exit code"
  )
  func findings() throws {
    try withTemporaryFolder { folder in
      let arguments = ["validate", Fixtures.path("hostile")]
      let written = try runner.run(
        arguments + ["--report", "a.html", "--plot", "a.svg"], in: folder, seconds: 60)
      #expect(written.exitCode == 1, "\(written.errors)")
      let json = try object(try runner.run(arguments + ["--json"], in: folder, seconds: 60).output)
      #expect(try result("\(folder)/a.html") == json)
      let page = try text("\(folder)/a.html")
      let summary = try #require((json as? NSDictionary)?["summary"] as? [String: Any])
      let errors = try #require((summary["findings"] as? [String: Int])?["errors"])
      #expect(page.contains("<dt>errors</dt><dd>\(errors)</dd>"))
      #expect(page.matches(of: #/<tr><td>error<\/td>/#).count == errors)
      for table in page.components(separatedBy: "<tbody>") {
        let levels = table.matches(of: #/<tr><td>(error|warning|note)<\/td>/#).map { String($0.1) }
        let order = ["error", "warning", "note"]
        #expect(levels == order.flatMap { level in levels.filter { $0 == level } })
      }
      // Each rule of a file is explained once, as `explain` does it.
      let explained = page.matches(of: #/<details><summary>Explain (\w+)<\/summary>/#)
      let files = try #require((json as? NSDictionary)?["files"] as? [NSDictionary])
      let rules = files.map { file in
        Set((file["findings"] as? [NSDictionary] ?? []).compactMap { $0["rule"] as? String })
          .sorted()
      }
      #expect(explained.map { String($0.1) } == rules.flatMap { $0 })
      let first = try #require(explained.first?.1)
      let explanation = try runner.run(["explain", String(first)], in: folder).output
      let reason = try #require(
        explanation.split(separator: "\n").first { $0.hasPrefix("Why: ") })
      #expect(page.contains("<p>\(reason)</p>"))
      // A valid file has no findings to draw, which is no failure.
      try Checkpoint.small().write(to: "\(folder)/b.h5")
      let valid = try runner.run(
        ["validate", "b.h5", "--report", "b.html", "--plot", "b.svg"], in: folder)
      #expect(valid.exitCode == 0 && valid.errors.contains("b.svg is not written"))
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/b.svg"))
      #expect(
        try text("\(folder)/b.html").contains(
          "No file breaks a rule of level error; 1 file checked."))
    }
  }
}
