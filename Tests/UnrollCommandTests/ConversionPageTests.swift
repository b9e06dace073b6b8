// The page of a conversion, and the JSON of scores, as their users see them.

import Foundation
import TestSupport
import Testing

@Suite("The page of convert, and the JSON of score") struct ConversionPageTests: VerbSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private func arguments(_ folder: String) -> [String] {
    [
      "convert", Fixtures.path("pytorch/lstm-state.pt"), "--vocabulary", "tokens.txt", "-o",
      "out.h5",
    ]
  }

  @Test("The page of convert has the notes, the comparison, and the model that was written")
  func page() throws {
    try withTokens { folder in
      let result = try runner.run(
        arguments(folder) + ["--report", "a.html", "--plot", "a.svg"], in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      let page = try String(contentsOfFile: "\(folder)/a.html", encoding: .utf8)
      let notes = result.errors.split(separator: "\n").filter { $0.hasPrefix("note: ") }
      let list = page.matches(of: #/<li>([^<]*)<\/li>/#).map { "note: " + $0.1 }
      #expect(!notes.isEmpty && notes.allSatisfy { note in list.contains { $0 == note } })
      let wrote = try #require(
        result.errors.split(separator: "\n").first { $0.hasPrefix("wrote out.h5: ") })
      let outcome = wrote.dropFirst("wrote out.h5: ".count)
      #expect(page.contains("The model was written and \(outcome)."))
      #expect(page.contains("<figcaption>The way of a token through the model</figcaption>"))
      // Names as PyTorch wrote them, each beside its parameter.
      for (name, parameter, shape) in [
        ("encoder.weight", "/model/embedding/weight", "[11, 5]"),
        ("rnn.weight_hh_l0", "/model/layers/00/weight_hh", "[28, 7]"),
        ("rnn.bias_ih_l0", "/model/layers/00/bias_ih", "[28]"),
        ("decoder.bias", "/model/output/bias", "[11]"),
      ] {
        #expect(
          page.contains("<tr><td>\(name)</td><td>\(parameter)</td><td>\(shape)</td></tr>"),
          "\(name)")
      }
      let inspected = try runner.run(["inspect", "out.h5", "--json"], in: folder).output
      let expected = try #require(
        try JSONSerialization.jsonObject(with: Data(inspected.utf8)) as? [String: Any])
      let json = try #require(page.firstMatch(of: #/id="result">([^<]*)</#)).1
      let found = try #require(
        try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
      for key in ["parameter_count", "vocabulary_size", "bytes"] {
        #expect(found[key] as? Int == expected[key] as? Int && found[key] is Int, "\(key)")
      }
    }
  }

  @Test("A page of convert is refused where nothing is written, and for a folder")
  func refusals() throws {
    try withTokens { folder in
      for option in ["--dry-run", "--print-map"] {
        let result = try runner.run(
          arguments(folder) + [option, "--report", "a.html"], in: folder)
        #expect(result.exitCode == 64 && result.errors.contains("leave \(option) out"))
      }
      let many = try runner.run(
        ["convert", Fixtures.path("pytorch"), "--to", "unroll", "-o", "all", "--report", "a.html"],
        in: folder)
      #expect(many.exitCode == 2 && many.errors.contains("expected one model for --report"))
      let picture = try runner.run(arguments(folder) + ["--plot", "a.png"], in: folder)
      #expect(picture.exitCode == 64 && picture.errors.contains("rsvg-convert"))
      #expect(try files(folder) == ["tokens.txt"])
    }
  }

  @Test("score --json escapes what JSON must and what controls a terminal, and keeps every word")
  func wordsInJSON() throws {
    try withTokens { folder in
      #expect(try convert("pytorch/lstm-state.pt", in: folder).exitCode == 0)
      let words = [
        "w0", "\"q\"", "back\\slash", "del\u{7F}", "bell\u{7}", "b\u{8}", "\u{202E}left",
        "e\u{301}", "\u{1F600}", "</b>", "\u{E0001}tag",
      ]
      try Data((words.joined(separator: " ") + "\n").utf8).write(
        to: URL(filePath: "\(folder)/text.txt"))
      let result = try runner.run(["score", "out.h5", "text.txt", "--json"], in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      let line = result.output.dropLast()
      let object = try #require(
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      let units = try #require(object["units"] as? [[String: Any]])
      #expect(
        units.compactMap { $0["word"] as? String }.map { Array($0.utf8) }
          == words.map { Array($0.utf8) })
      #expect(units.allSatisfy { $0.keys.count == 8 } && units[0]["surp"] is Double)
      for scalar in line.unicodeScalars {
        #expect(scalar.properties.generalCategory != .control)
        #expect(scalar.properties.generalCategory != .format)
      }
      // Keys are in order, as those of other verbs.
      let keys = line.matches(of: #/"([a-z_]+)":/#).map { String($0.1) }
      #expect(
        Array(keys.prefix(5)) == ["adaptation", "base", "boundary", "context_length", "logprob"])
    }
  }
}
