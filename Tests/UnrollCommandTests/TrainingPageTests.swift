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
