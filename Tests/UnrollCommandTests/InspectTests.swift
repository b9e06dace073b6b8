// The output of `unroll inspect` for models of other formats, and its layout.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@testable import unroll

@Suite("Inspection of models (inspect)") struct InspectTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private func shown(_ fixture: String, _ options: [String] = []) throws -> CommandResult {
    let result = try runner.run(["inspect", Fixtures.path(fixture)] + options)
    #expect(result.exitCode == 0 && result.errors.isEmpty, "\(fixture): \(result.errors)")
    return result
  }

  private func object(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @Test(
    "A file of each format is shown without a vocabulary",
    arguments: [
      ("pytorch/lstm-state.pt", "pytorch"), ("pytorch/gru-module.pt", "pytorch"),
      ("keras/lstm.keras", "keras"), ("keras/gru-before.keras", "keras"),
      ("keras/lstm.weights.h5", "keras-h5"),
      ("onnx/lstm-dynamo.onnx", "onnx"), ("safetensors/lstm.safetensors", "safetensors"),
      ("gguf/gru-bf16.gguf", "gguf"),
    ])
  func formats(fixture: String, format: String) throws {
    let text = try shown(fixture).output
    #expect(text.contains("\nfile\n  format   \(format)\n"), "\(text)")
    #expect(text.contains("\nparameters\n  /model/") && text.contains("\nnotes\n  "), "\(text)")
    for line in text.split(separator: "\n").dropFirst() {
      #expect(line.count <= 80 && line.last != " ", "\(line)")
    }
    let report = try object(try shown(fixture, ["--json"]).output)
    #expect(report["format"] as? String == format)
    let parameters = try #require(report["parameters"] as? [[String: Any]])
    let sizes = parameters.map { ($0["shape"] as? [Int] ?? []).reduce(1, *) }
    #expect(!sizes.isEmpty && report["parameter_count"] as? Int == sizes.reduce(0, +))
    #expect(report["weights_digest"] == nil && report["notes"] is [[String: Any]])
  }

  @Test("inspect lists the parameters of the checkpoint that the file converts to")
  func parametersOfConversion() throws {
    try withTemporaryFolder { folder in
      let tokens = (1...11).map { "\($0)\n" }.joined()
      try Data(tokens.utf8).write(to: URL(filePath: "\(folder)/tokens.txt"))
      let source = Fixtures.path("pytorch/lstm-bfloat16.pt")
      _ = try runner.run(
        ["convert", source, "--vocabulary", "tokens.txt", "-o", "a.h5"], in: folder)
      let reports = try ["a.h5", source].map {
        try object(try runner.run(["inspect", $0, "--json"], in: folder).output)
      }
      let lists = try reports.map { report in
        try #require(report["parameters"] as? [[String: Any]]).map {
          "\($0["path"] ?? "") \($0["dtype"] ?? "") \($0["shape"] ?? "")"
        }
      }
      #expect(lists[0] == lists[1] && lists[1].allSatisfy { $0.contains("bf16") })
      #expect(
        reports.map { $0["layers"] as? NSArray }.allSatisfy {
          $0 == reports[0]["layers"] as? NSArray
        })
    }
  }

  @Test("Missing tokens are reported, and --vocabulary supplies them")
  func vocabulary() throws {
    let without = try shown("pytorch/lstm-state.pt").output
    #expect(without.contains("  11 tokens, which the file does not list"), "\(without)")
    let report = try object(try shown("pytorch/lstm-state.pt", ["--json"]).output)
    #expect(report["tokenizer"] == nil && report["unit"] == nil)
    #expect((report["first_tokens"] as? [String])?.isEmpty == true)
    try withTemporaryFolder { folder in
      let tokens = (1...11).map { "word\($0)\n" }.joined()
      try Data(tokens.utf8).write(to: URL(filePath: "\(folder)/tokens.txt"))
      let source = Fixtures.path("pytorch/lstm-state.pt")
      let with = try runner.run(["inspect", source, "--vocabulary", "tokens.txt"], in: folder)
      #expect(with.output.contains("\n  word1 word2 "), "\(with.output)\(with.errors)")
      #expect(!with.output.contains("does not list"))
    }
  }

  @Test("Token lists of a file that do not fit are notes, since no vocabulary is necessary")
  func tokenLists() throws {
    for (fixture, note) in [
      ("roles/wrapped.pt", "freqs: not preserved: a list of 11 tokens"),
      ("pickles/tokens-contradiction.pt", "one of several that differ"),
      ("pickles/tokens-other-size.pt", "which do not fit 11 rows"),
    ] {
      let text = try shown(fixture).output
      #expect(text.contains("tokens, which the file does not list"), "\(text)")
      #expect(text.replacing(#/\n +/#, with: " ").contains(note), "\(text)")
    }
  }

  @Test("The tokens and the tokenizer of a file are shown")
  func tokensOfFile() throws {
    try withTemporaryFolder { folder in
      try Checkpoint.small().write(to: "\(folder)/a.h5")
      for name in ["b.safetensors", "b.onnx", "b.gguf", "b.keras"] {
        _ = try runner.run(["convert", "a.h5", "-o", name], in: folder)
        let result = try runner.run(["inspect", name], in: folder)
        #expect(result.output.contains("  11 tokens (word), tokenizer whitespace\n"), "\(name)")
        #expect(result.output.contains("\n  the cat sat <eos> on a mat ü 日本 dog <unk>\n"))
      }
    }
  }

  @Test("Missing information is requested by inspect as by convert")
  func missingInformation() throws {
    let source = Fixtures.path("pytorch/rnn_tanh-state.pt")
    let refused = try runner.run(["inspect", source])
    #expect(refused.exitCode == 2 && refused.output.isEmpty)
    #expect(refused.errors.contains("--nonlinearity"), "\(refused.errors)")
    let result = try runner.run(["inspect", source, "--nonlinearity", "tanh"])
    #expect(result.exitCode == 0 && result.output.contains("rnn, "), "\(result.errors)")
    try withTemporaryFolder { folder in
      try Checkpoint.small().write(to: "\(folder)/a.h5")
      let late = try runner.run(["inspect", "a.h5", "--nonlinearity", "tanh"], in: folder)
      #expect(late.exitCode == 2 && late.errors.contains("a checkpoint holds all that"))
    }
  }

  @Test("A map and names to ignore open a file as in a conversion")
  func roles() throws {
    try withTemporaryFolder { folder in
      let source = Fixtures.path("roles/ifog-letters.pt")
      #expect(try runner.run(["inspect", source], in: folder).exitCode == 2)
      let map = try runner.run(["convert", "--print-map", source], in: folder).output
      try Data(map.utf8).write(to: URL(filePath: "\(folder)/map.json"))
      let result = try runner.run(["inspect", source, "--map", "map.json"], in: folder)
      #expect(result.exitCode == 0 && result.output.contains("lstm, "), "\(result.errors)")
      let none = try runner.run(["inspect", source, "--ignore", "none"], in: folder)
      #expect(none.exitCode == 2 && none.errors.contains("--ignore"), "\(none.errors)")
    }
  }

  @Test("Notes say what a conversion assumes and does not preserve")
  func notes() throws {
    let result = try shown("characters/model.pt")
    let flat = result.output.replacing(#/\n +/#, with: " ")
    #expect(flat.contains("assumed from names and shapes: encoder.weight, rnn, decoder.weight"))
    #expect(flat.contains("drop: not preserved: dropout 0.1"), "\(result.output)")
  }

  @Test("Training state of a foreign file is shown")
  func foreignTraining() throws {
    try withTemporaryFolder { folder in
      try Checkpoint.small().inTraining(kind: .adam).write(to: "\(folder)/a.h5")
      let converted = try runner.run(["convert", "a.h5", "-o", "b.training.pt"], in: folder)
      #expect(converted.exitCode == 0, "\(converted.errors)")
      let result = try runner.run(["inspect", "b.training.pt"], in: folder)
      #expect(result.output.contains("\ntraining\n  adam        "), "\(result.output)")
    }
  }

  @Test("A text is refused with the message of convert")
  func textFile() throws {
    try withTemporaryFolder { folder in
      try Data("KING:\nYou are.\n".utf8).write(to: URL(filePath: "\(folder)/a.txt"))
      let results = try [["inspect", "a.txt"], ["convert", "a.txt", "-o", "b.h5"]].map {
        try runner.run($0, in: folder)
      }
      #expect(results[0].exitCode == 2 && results[0].output.isEmpty)
      #expect(results[0].errors == results[1].errors && !results[0].errors.isEmpty)
    }
  }

  @Test("A folder is refused with the verbs that take one")
  func folder() throws {
    let result = try runner.run(["inspect", Fixtures.path("pytorch")])
    #expect(result.exitCode == 2 && result.output.isEmpty)
    #expect(result.errors.contains("found a folder"))
    #expect(
      result.errors.contains("`unroll validate`") && result.errors.contains("`unroll convert`"))
  }

  @Test("Numbers of float32 are the shortest decimals, others have six digits")
  func numbers() {
    #expect(TextLayout.number(Double(Float(0.01))) == "0.01")
    #expect(TextLayout.number(0.01) == "0.01" && TextLayout.number(5 / 3.0) == "1.66667")
    #expect(TextLayout.number(20) == "20" && TextLayout.number(0.5) == "0.5")
    #expect(TextLayout.number(Double(Float(1.2e-6))) == "1.2e-06")
    #expect(TextLayout.number(1 / 3.0) == "0.333333" && TextLayout.number(-2) == "-2")
    #expect(TextLayout.number(.greatestFiniteMagnitude) == "1.79769e+308")
  }

  @Test("Columns of a printed table are aligned, numbers to the right")
  func tables() {
    #expect(
      TextLayout.table(
        ["name", "n", ""], [["a", "1", "x"], ["long name", "12", ""]], textColumns: [0])
        == ["name        n", "a           1  x", "long name  12"])
  }

  @Test("Long lines are wrapped between their parts")
  func wrapping() {
    let parts = (0..<20).map { "part \($0)" }
    let lines = TextLayout.wrapped("  label  ", parts)
    #expect(lines.count == 3 && lines.allSatisfy { $0.count <= 80 })
    #expect(lines[1].hasPrefix("         part") && lines[0].hasSuffix(","))
    #expect(
      lines.map { $0.dropFirst(9) }.joined(separator: " ") == parts.joined(separator: ", "))
    let long = String(repeating: "x", count: 100)
    #expect(TextLayout.wrapped("  ", [long, "y"], separator: " ") == ["  \(long)", "  y"])
  }

  @Test("Long lines are cut to the width of a terminal, and only there")
  func cutting() {
    let digest = String(repeating: "0123456789abcdef", count: 4)
    #expect(TextLayout.fitted("from \(digest) m.pt", to: nil) == "from \(digest) m.pt")
    #expect(TextLayout.fitted("from \(digest) m.pt", to: 40) == "from 0123456789ab… m.pt")
    #expect(TextLayout.fitted("abcdefgh", to: 8) == "abcdefgh")
    #expect(TextLayout.fitted("abcdefghi", to: 8) == "abcdefg…")
    #expect(TextLayout.fitted("日本日本日", to: 8) == "日本日…")
  }
}
