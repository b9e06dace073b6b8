// The pages of tokens and of samples.

import Foundation
import TestSupport
import Testing

@Suite("Pages of tokens and samples") struct TokenPageTests: VerbSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  /// Converts a model, writes a text with an unknown word, and runs a closure in their folder.
  private func withModel(_ body: (String) throws -> Void) throws {
    try withTokens { folder in
      #expect(try convert("pytorch/lstm-state.pt", in: folder).exitCode == 0)
      try Data("w0 <b>w1</b>\nw2 w2 oh oh\n".utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      try body(folder)
    }
  }

  /// Runs a command with a page, and returns the page, its JSON, and what the command prints as JSON.
  private func page(
    _ arguments: [String], in folder: String
  ) throws -> (text: String, result: NSObject, json: String) {
    let plain = try runner.run(arguments, in: folder)
    let result = try runner.run(arguments + ["--report", "a.html", "--force"], in: folder)
    #expect(result.exitCode == 0 && result.output == plain.output, "\(result.errors)")
    let page = try String(contentsOfFile: "\(folder)/a.html", encoding: .utf8)
    let match = try #require(
      page.firstMatch(of: #/<script type="application\/json" id="result">([^<]*)<\/script>/#))
    return (
      page, try object(String(match.1)), try runner.run(arguments + ["--json"], in: folder).output
    )
  }

  private func object(_ json: String) throws -> NSObject {
    try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? NSObject)
  }

  private func array(_ lines: String) throws -> NSObject {
    try object("[" + lines.split(separator: "\n").joined(separator: ",") + "]")
  }

  /// Returns the class, the numbers and the text of each part of a colored text.
  private func parts(_ page: String) -> [(name: String, detail: String, text: String)] {
    page.matches(of: #/<span class="(h\d|none)" data-d="([^"]*)">([^<]*)</#).map {
      (String($0.1), String($0.2), String($0.3))
    }
  }

  @Test(
    "The page of tokenize shows the text by its tokens, unknown parts and the JSON of the lines")
  func tokens() throws {
    try withModel { folder in
      let (page, result, json) = try page(["tokenize", "out.h5", "text.txt"], in: folder)
      #expect(result == (try array(json)))
      let parts = parts(page)
      #expect(
        parts.map(\.text) == [
          "w0", " &lt;b&gt;w1&lt;/b&gt;", "&lt;eos&gt;", "w2", " w2", " oh", " oh", "&lt;eos&gt;",
        ])
      #expect(parts.map { $0.name == "none" } == [0, 1, 0, 0, 0, 1, 1, 0].map { $0 == 1 })
      #expect(parts[0].detail == "token 1: w0, id 0")
      #expect(parts[5].detail == "token 3: &lt;unk&gt;, id 10, not in the vocabulary")
      #expect(page.contains("<tr><td>oh</td><td class=\"n\">2</td></tr>"))
      #expect(page.contains("<tr><td>&lt;b&gt;w1&lt;/b&gt;</td><td class=\"n\">1</td></tr>"))
      // Six words of one token each.
      #expect(page.contains("<tr><td>1 token</td><td class=\"n\">6</td></tr>"))
      let (_, totals, summary) = try self.page(
        ["tokenize", "out.h5", "text.txt", "--summary"], in: folder)
      #expect(totals == (try object(summary)))
    }
  }

  @Test("The page of generate shows each token with its probability, and the settings")
  func samples() throws {
    try withModel { folder in
      let arguments = [
        "generate", "out.h5", "--samples", "2", "--max-tokens", "12", "--seed", "7", "--prompt",
        "w1 </script>",
      ]
      let (page, result, json) = try page(arguments, in: folder)
      #expect(result == (try array(json)))
      #expect(page.contains("<dt>seed</dt><dd>7</dd>"))
      #expect(page.contains("<dt>prompt</dt><dd>w1 &lt;/script&gt;</dd>"))
      let parts = parts(page)
      #expect(parts.count == 24)
      // The probabilities of a sample multiply to its own.
      let probabilities = try parts.map { part -> Double in
        let match = try #require(part.detail.firstMatch(of: #/probability ([\d.e-]+), /#))
        return try #require(Double(match.1))
      }
      let sum = probabilities[..<12].reduce(0.0) { $0 + log($1) }
      let first = try #require((result as? [NSDictionary])?.first?["logprob"] as? Double)
      #expect(abs(sum - first) < 2e-3)
      for (part, probability) in zip(parts, probabilities) {
        let level = [0.5, 0.25, 0.1, 0.05, 0.01, 1e-3, 1e-4, 1e-6].filter { probability < $0 }
        #expect(part.name == "h\(level.count)")
      }
    }
  }

  @Test("--force of tokenize needs a file to replace, and --plot - prints the figure alone")
  func options() throws {
    try withModel { folder in
      let forced = try runner.run(["tokenize", "out.h5", "text.txt", "--force"], in: folder)
      #expect(forced.exitCode == 64)
      let figure = try runner.run(["tokenize", "out.h5", "text.txt", "--plot", "-"], in: folder)
      #expect(figure.output.hasPrefix("Tokens per word\n") && !figure.output.contains("piece"))
      let samples = try runner.run(["generate", "out.h5", "--plot", "-"], in: folder)
      #expect(samples.output.hasPrefix("Surprisal of the sampled tokens\n"))
      #expect(!samples.output.contains("w1"))
    }
  }
}
