// Pages that compare: scores beside another model, minimal pairs, and the text and tensors of diff.

import Foundation
import TestSupport
import Testing

@Suite("Pages of two models and of pairs") struct PairedPageTests: VerbSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  /// Converts two models of the same tokens, writes a text, and runs a closure in their folder.
  private func withModels(_ body: (String) throws -> Void) throws {
    try withTokens { folder in
      #expect(try convert("pytorch/lstm-state.pt", in: folder, to: "a.h5").exitCode == 0)
      #expect(try convert("pytorch/gru-state.pt", in: folder, to: "b.h5").exitCode == 0)
      let text = "w0 w3 nothing w8\nw2 w2 w5\nw7 w1 w1 w0 w4\n"
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      try body(folder)
    }
  }

  private func page(_ arguments: [String], in folder: String, code: Int = 0) throws -> String {
    let result = try runner.run(arguments + ["--report", "a.html", "--force"], in: folder)
    #expect(result.exitCode == code, "\(result.errors)")
    return try String(contentsOfFile: "\(folder)/a.html", encoding: .utf8)
  }

  private func objects(_ arguments: [String], in folder: String) throws -> [NSDictionary] {
    try runner.run(arguments + ["--json"], in: folder).output.split(separator: "\n").map { line in
      try #require(
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? NSDictionary)
    }
  }

  /// Returns class, detail and text of the parts of the heat map behind a heading.
  private func parts(
    _ page: String, behind heading: String
  ) throws -> [(name: String, detail: String, text: String)] {
    let start = try #require(page.range(of: ">\(heading)</h2>"))
    let end = try #require(page[start.upperBound...].range(of: "</ol>"))
    return page[start.upperBound..<end.lowerBound].matches(
      of: #/<span class="(\w+)" data-d="([^"]*)">([^<]*)</#
    ).map { (String($0.1), String($0.2), String($0.3)) }
  }

  private func surprisals(_ objects: [NSDictionary]) -> [Double?] {
    objects.flatMap { $0["units"] as? [NSDictionary] ?? [] }.map { $0["surp"] as? Double }
  }

  /// Checks parts of a heat map against the numbers of two models.
  private func check(
    _ parts: [(name: String, detail: String, text: String)], _ first: [Double?],
    _ second: [Double?], _ unit: String
  ) {
    #expect(parts.count == first.count && parts.count == second.count && !parts.isEmpty)
    let classes = ["c3", "c2", "c1", "c0", "h0", "h2", "h4", "h6", "h8"]
    for (part, (first, second)) in zip(parts, zip(first, second)) {
      guard let first, let second else {
        #expect(part.name == "none" && part.detail.hasPrefix("difference no number "))
        continue
      }
      let difference = second - first
      let level = [-6, -3, -1, -0.25, 0.25, 1, 3, 6].filter { $0 <= difference }.count
      #expect(part.name == classes[level])
      let sign = abs(difference) < 0.005 ? "" : difference < 0 ? "-" : "+"
      #expect(
        part.detail
          == "difference \(sign)\(String(format: "%.2f", abs(difference))) \(unit); first "
          + String(format: "%.2f, second %.2f", first, second))
    }
  }

  @Test("score --baseline shows the difference of each word between both models")
  func baseline() throws {
    try withModels { folder in
      let page = try page(["score", "a.h5", "text.txt", "--baseline", "b.h5"], in: folder)
      let (own, other) = (
        surprisals(try objects(["score", "a.h5", "text.txt"], in: folder)),
        surprisals(try objects(["score", "b.h5", "text.txt"], in: folder))
      )
      check(try parts(page, behind: "Beside the baseline"), other, own, "bits")
      let differences = zip(own, other).compactMap { own, other in
        own.flatMap { own in other.map { own - $0 } }
      }
      #expect(differences.count < own.count)
      let mean = String(format: "%+.4f", differences.reduce(0, +) / Double(differences.count))
      #expect(page.contains("<dt>less the baseline, in bits a word</dt><dd>\(mean)</dd>"))
      #expect(page.contains("<dt>baseline</dt><dd>b.h5</dd>"))
      // The line that differs most comes first, each of its words with both numbers.
      let lines = [Range(0...3), Range(4...6), Range(7...11)]
      let distances = lines.map { line in
        line.reduce(0.0) { sum, index in
          sum + (own[index].flatMap { own in other[index].map { abs(own - $0) } } ?? 0)
        }
      }
      let order = lines.indices.sorted { distances[$0] > distances[$1] }
      let titles = page.matches(of: #/<figcaption>Line (\d) by both models<\/figcaption>/#)
      #expect(titles.map { String($0.1) } == order.map { "\($0 + 1)" })
    }
  }

  @Test("The page of score lists lines by their mean surprisal, with sum and perplexity")
  func lines() throws {
    try withModels { folder in
      let page = try page(["score", "a.h5", "text.txt"], in: folder)
      let rows = page.matches(
        of:
          #/<tr><td class="n">(\d)<\/td><td class="n">(\d)<\/td><td class="n">([\d.]+)<\/td><td class="n">([\d.]+)<\/td><td class="n">([\d.]+)<\/td><td>([^<]*)<\/td>/#
      )
      let objects = try objects(["score", "a.h5", "text.txt"], in: folder)
      let tokens = try self.objects(
        ["score", "a.h5", "text.txt", "--level", "token", "--base", "e", "--unknown", "include"],
        in: folder)
      let means = objects.map { object in
        let known = surprisals([object]).compactMap { $0 }
        return known.reduce(0, +) / Double(known.count)
      }
      let order = means.indices.sorted { means[$0] > means[$1] }
      #expect(rows.map { String($0.1) } == order.map { "\($0 + 1)" })
      for (row, index) in zip(rows, order) {
        let known = surprisals([objects[index]]).compactMap { $0 }
        #expect(row.3 == String(format: "%.4f", known.reduce(0, +)))
        #expect(row.4 == String(format: "%.4f", means[index]))
        let nats = surprisals([tokens[index]]).compactMap { $0 }
        let perplexity = exp(nats.reduce(0, +) / Double(nats.count))
        #expect(abs((Double(row.5) ?? 0) - perplexity) < 1e-3)
      }
      #expect(rows[0].6.hasPrefix("w"))
    }
  }

  @Test(
    "score --pairs has a page with the accuracies of --json, and the smallest differences first")
  func pairs() throws {
    try withModels { folder in
      let pairs = [("w0 w1", "w1 w0", "x"), ("w2 w3 w4", "w2 w4 w4", "y"), ("w5", "w6", "y")].map {
        #"{"sentence_good":"\#($0.0)","sentence_bad":"\#($0.1)","UID":"\#($0.2)"}"#
      }
      try Data(pairs.joined(separator: "\n").utf8).write(to: URL(filePath: "\(folder)/p.jsonl"))
      let arguments = ["score", "a.h5", "p.jsonl", "--pairs"]
      let page = try page(arguments, in: folder)
      let match = try #require(page.firstMatch(of: #/id="result">([^<]*)</#))
      let printed = try runner.run(arguments + ["--json"], in: folder).output
      #expect(
        try JSONSerialization.jsonObject(with: Data(match.1.utf8)) as? NSDictionary
          == (try JSONSerialization.jsonObject(with: Data(printed.utf8)) as? NSDictionary))
      let scores = try objects(arguments + ["--each"], in: folder)
      let margins = scores.compactMap { row in
        (row["good"] as? Double).flatMap { good in (row["bad"] as? Double).map { good - $0 } }
      }
      #expect(margins.count == 3)
      let rows = page.matches(
        of: #/<tr><td class="n">(\d)<\/td><td>[xy]<\/td><td class="n">(-?[\d.]+)<\/td>/#)
      #expect(rows.map { String($0.2) } == margins.sorted().map { String(format: "%.4f", $0) })
      let figure = try runner.run(arguments + ["--plot", "-"], in: folder).output
      #expect(
        figure.hasPrefix("Log-probabilities of both sentences") && !figure.contains("accuracy"))
    }
  }

  @Test("The page of diff shows each token by both models, and the change of each gate")
  func difference() throws {
    try withModels { folder in
      let long = (0..<60).map { "w\($0 * $0 % 7) w\($0 % 5)\n" }.joined()
      try Data(long.utf8).write(to: URL(filePath: "\(folder)/long.txt"))
      #expect(
        try runner.run(
          [
            "finetune", "a.h5", "--train", "text.txt", "--valid", "long.txt", "--batch-size", "1",
            "--bptt", "4", "--epochs", "2", "-o", "c.h5",
          ], in: folder
        ).exitCode == 0)
      let page = try page(["diff", "a.h5", "c.h5", "--text", "text.txt"], in: folder, code: 1)
      let options = ["text.txt", "--level", "token", "--base", "e", "--unknown", "include"]
      let numbers = try ["a.h5", "c.h5"].map { model in
        surprisals(try objects(["score", model] + options, in: folder))
      }
      check(try parts(page, behind: "The text by both models"), numbers[0], numbers[1], "nats")
      let json = try #require(
        try JSONSerialization.jsonObject(
          with: Data(
            try runner.run(["diff", "a.h5", "c.h5", "--json"], in: folder).output.utf8))
          as? NSDictionary)
      let tensors = try #require(json["tensors"] as? [NSDictionary])
      let change = try #require(
        tensors.first { $0["path"] as? String == "/model/layers/00/weight_hh" }?["relative_norm"]
          as? Double)
      // The gates together are the tensor.
      let rows = page.matches(
        of:
          #/<tr><td>\/model\/layers\/00\/weight_hh<\/td><td>([ifgo])<\/td><td class="n">([\d.e-]+)<\/td><td class="n">[\d.e-]+<\/td><td class="n">([\d.e-]+)<\/td>/#
      )
      #expect(rows.map { String($0.1) } == ["i", "f", "g", "o"])
      let norms = rows.map { (Double($0.2) ?? 0, Double($0.3) ?? 0) }
      let squares = norms.reduce((0.0, 0.0)) { ($0.0 + $1.0 * $1.0, $0.1 + $1.1 * $1.1) }
      #expect(abs((squares.1 / squares.0).squareRoot() - change) < 0.01 * change)
      let cells = try parts(page, behind: "Changes by gate").filter {
        $0.detail.hasPrefix("layers/00/weight_hh, gate ")
      }
      #expect(cells.count == 4 && cells[1].text.hasPrefix("f "))
      #expect(page.contains("<h2 id=\"section-3\">Structure of both models</h2>"))
      let other = try self.page(["diff", "a.h5", "b.h5"], in: folder, code: 1)
      #expect(other.contains("Structure of the second model"))
    }
  }
}
