// Pages and figures of verbs, as their users see them.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("Pages and figures (--report, --plot)") struct ReportTests: VerbSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  /// Converts a model and writes a text of known and unknown words, and runs a closure in their folder.
  private func withModel(_ body: (String) throws -> Void) throws {
    try withTokens { folder in
      #expect(try convert("pytorch/lstm-state.pt", in: folder).exitCode == 0)
      let text = "w0 w3 </script><b> w8\n\nw2 w2 w5\n"
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      try body(folder)
    }
  }

  private func text(_ path: String) throws -> String {
    try String(contentsOfFile: path, encoding: .utf8)
  }

  /// Returns the JSON in a page.
  private func result(_ page: String) throws -> Any {
    let pattern = #/<script type="application\/json" id="result">([^<]*)<\/script>/#
    let match = try #require(page.firstMatch(of: pattern))
    return try JSONSerialization.jsonObject(with: Data(match.1.utf8))
  }

  private func object(_ json: String) throws -> NSDictionary {
    try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? NSDictionary)
  }

  @Test("The page of score has the numbers of --json, and each word with its own")
  func scorePage() throws {
    try withModel { folder in
      let arguments = ["score", "out.h5", "text.txt", "--guesses", "2"]
      let plain = try runner.run(arguments, in: folder)
      let result = try runner.run(
        arguments + ["--report", "a.html", "--plot", "a.svg"], in: folder)
      #expect(result.exitCode == 0 && result.output == plain.output, "\(result.errors)")
      #expect(result.errors.hasSuffix("wrote a.html\nwrote a.svg\n"))
      let page = try text("\(folder)/a.html")
      let json = try runner.run(arguments + ["--json"], in: folder).output
      let objects = try json.split(separator: "\n").map { try object(String($0)) }
      #expect(try self.result(page) as? [NSDictionary] == objects)
      let words = page.matches(of: #/<span class="(h\d|none)" data-d="([^"]*)">([^<]*)</#)
      #expect(
        words.map { String($0.3) } == [
          "w0", "w3", "&lt;/script&gt;&lt;b&gt;", "w8", "w2", "w2", "w5",
        ])
      let units = objects.flatMap { $0["units"] as? [NSDictionary] ?? [] }
      for (word, unit) in zip(words, units) {
        guard let surprisal = unit["surp"] as? Double else {
          #expect(word.1 == "none" && word.2.hasPrefix("not in the vocabulary; "))
          continue
        }
        #expect(word.2.hasPrefix(String(format: "%.2f bits; entropy ", surprisal)))
        let level = [1.0, 2, 4, 6, 9, 13, 18, 25].filter { $0 <= surprisal }.count
        #expect(word.1 == "h\(level)")
      }
      #expect(page.contains("<li>1 word in 1 of 3 lines is not in the vocabulary"))
      let mean = units.compactMap { $0["surp"] as? Double }.reduce(0, +) / 6
      #expect(page.contains("<dd>\(String(format: "%.4f", mean))</dd>"))
    }
  }

  @Test("The same command writes the same page")
  func sameBytes() throws {
    try withModel { folder in
      for verb in ["score", "evaluate"] {
        let pages = try (0..<2).map { _ in
          let result = try runner.run(
            [verb, "out.h5", "text.txt", "--report", "a.html", "--force"], in: folder)
          #expect(result.exitCode == 0, "\(result.errors)")
          return try text("\(folder)/a.html")
        }
        #expect(pages[0] == pages[1], "\(verb)")
      }
    }
  }

  @Test("A long text is cut at a line, the page says so, and its numbers are over the whole text")
  func longText() throws {
    try withModel { folder in
      let words = (0..<30_000).map { "w\($0 * 7 % 9)" + ($0 % 10 == 9 ? "\n" : " ") }
      try Data(words.joined().utf8).write(to: URL(filePath: "\(folder)/long.txt"))
      let result = try runner.run(
        ["score", "out.h5", "long.txt", "--report", "a.html"], in: folder, seconds: 60)
      #expect(result.exitCode == 0, "\(result.errors)")
      let page = try text("\(folder)/a.html")
      #expect(page.utf8.count < 5_000_000)
      let cut = try #require(page.firstMatch(of: #/first ([0-9,]+) of 3,000 lines/#))
      let shown = try #require(Int(cut.1.replacing(",", with: "")))
      #expect((try self.result(page) as? [Any])?.count == shown && shown < 3000 && shown > 1000)
      #expect(page.contains("<dt>words with a number</dt><dd>30,000</dd>"))
    }
  }

  @Test("The page of evaluate has the numbers of --json, but no times")
  func evaluationPage() throws {
    try withModel { folder in
      for texts in [["text.txt"], ["text.txt", "tokens.txt"]] {
        let arguments = ["evaluate", "out.h5", "--protocol", "sentence"] + texts
        let result = try runner.run(
          arguments + ["--report", "a.html", "--plot", "a.svg", "--force"], in: folder)
        #expect(result.exitCode == 0 && result.output.contains("text"), "\(result.errors)")
        let page = try text("\(folder)/a.html")
        let json = try object(try runner.run(arguments + ["--json"], in: folder).output)
        func timeless(_ object: Any?) throws -> NSMutableDictionary {
          let copy = try #require(
            (object as? NSDictionary)?.mutableCopy() as? NSMutableDictionary)
          copy.removeObjects(forKeys: ["seconds", "tokens_per_second", "reasons"])
          return copy
        }
        let embedded = try #require(try self.result(page) as? NSDictionary)
        let (found, expected) = texts.count > 1 ? (embedded["all"], json["all"]) : (embedded, json)
        #expect(try timeless(found) == timeless(expected))
        let reasons = (found as? NSDictionary)?["reasons"] as? NSDictionary
        #expect((reasons?["seconds"] as? String)?.hasPrefix("a page has no times") == true)
        let perplexity = try #require((expected as? NSDictionary)?["perplexity"] as? Double)
        #expect(
          page.contains(
            "<dt>perplexity</dt><dd>\(String(format: "%.4f", perplexity))</dd>"))
        #expect(page.contains("<h2 id=\"section-1\">Texts</h2>") == (texts.count > 1))
      }
    }
  }

  @Test("The page of evaluate shows the lines with the largest loss, if its blocks are lines")
  func worstLines() throws {
    try withModel { folder in
      func page(_ options: [String]) throws -> String {
        let result = try runner.run(
          ["evaluate", "out.h5", "text.txt", "--report", "a.html", "--force"] + options, in: folder)
        #expect(result.exitCode == 0, "\(result.errors)")
        return try text("\(folder)/a.html")
      }
      let sentences = try page(["--protocol", "sentence"])
      let scores = try runner.run(
        ["score", "out.h5", "text.txt", "--level", "sentence", "--unknown", "include"], in: folder)
      let losses = try scores.output.split(separator: "\n").dropFirst().map { row in
        let cells = row.split(separator: "\t")
        return try -#require(Double(cells[3])) / #require(Double(cells[1]))
      }
      let lines = ["w0 w3 &lt;/script&gt;&lt;b&gt; w8", "", "w2 w2 w5"]
      let order = losses.indices.sorted { losses[$0] > losses[$1] }
      let rows = sentences.matches(
        of:
          #/<td class="n">(\d)<\/td><td class="n">([\d.]+)<\/td><td class="n">\d<\/td><td>(.*)<\/td>/#
      )
      #expect(rows.map { String($0.3) } == order.map { lines[$0] })
      for (row, index) in zip(rows, order) {
        #expect(row.1 == "\(index + 1)" && row.2 == String(format: "%.4f", losses[index]))
      }
      // A stream has windows, not lines.
      #expect(try !page([]).contains("w2 w2 w5"))
    }
  }

  @Test("--plot - prints the figure in place of the result, in the characters of the locale")
  func printedFigure() throws {
    try withModel { folder in
      for (locale, sign) in [("C", "|"), ("C.UTF-8", "│")] {
        let result = try runner.run(
          shell: "LC_ALL=\(locale) unroll score out.h5 text.txt --plot -", in: folder)
        #expect(result.exitCode == 0, "\(result.errors)")
        #expect(result.output.hasPrefix("Surprisal of words\n\n  words\n"), "\(result.output)")
        #expect(result.output.contains(sign) && !result.output.contains("sentid"))
      }
    }
  }

  @Test(
    "Files that exist, wrong endings and combinations without sense are refused before any work")
  func refusals() throws {
    try withModel { folder in
      func run(_ options: [String]) throws -> CommandResult {
        try runner.run(["score", "out.h5", "text.txt"] + options, in: folder)
      }
      try Data("mine".utf8).write(to: URL(filePath: "\(folder)/a.html"))
      let taken = try run(["--report", "a.html"])
      #expect(taken.exitCode == 2 && taken.output.isEmpty && taken.errors.contains("--force"))
      #expect(try text("\(folder)/a.html") == "mine")
      #expect(try run(["--report", "a.html", "--force"]).exitCode == 0)
      for options in [
        ["--report", "a.pdf"], ["--report", "-"], ["--plot", "a.png"], ["--plot", "-", "--json"],
        ["--report", "b.html", "--level", "sentence"], ["--plot", "b.svg", "--nbest"],
        ["--baseline", "out.h5"], ["--report", "b.html", "--baseline", "out.h5", "--pairs"],
      ] {
        let result = try run(options)
        #expect(result.exitCode == 64 && result.output.isEmpty, "\(options)")
      }
      #expect(try files(folder) == ["a.html", "out.h5", "text.txt", "tokens.txt"])
    }
  }
}
