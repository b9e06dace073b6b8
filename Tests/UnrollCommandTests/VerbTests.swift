// The verbs as their users see them: results, refusals, exit codes, and what is left behind.

import Foundation
import TestSupport
import Testing
import UnrollFormat

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite struct VerbTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  /// Writes eleven tokens for the small fixtures, and runs a closure in their folder.
  private func withTokens(_ body: (String) throws -> Void) throws {
    try withTemporaryFolder { folder in
      let tokens = (0..<9).map { "w\($0)" } + ["<eos>", "<unk>"]
      try Data((tokens.joined(separator: "\n") + "\n").utf8).write(
        to: URL(filePath: "\(folder)/tokens.txt"))
      try body(folder)
    }
  }

  private func convert(
    _ model: String, in folder: String, to output: String = "out.h5", _ options: [String] = []
  ) throws -> CommandResult {
    try runner.run(
      ["convert", Fixtures.path(model), "--vocabulary", "tokens.txt", "-o", output] + options,
      in: folder)
  }

  private func files(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
  }

  @Test func convertingTwiceGivesTheSameBytes() throws {
    try withTokens { folder in
      for name in ["a.h5", "b.h5"] {
        #expect(try convert("pytorch/lstm-tied-module.pt", in: folder, to: name).exitCode == 0)
      }
      let contents = try ["a.h5", "b.h5"].map {
        try Data(contentsOf: URL(filePath: "\(folder)/\($0)"))
      }
      #expect(contents[0] == contents[1] && !contents[0].isEmpty)
      #expect(
        try runner.run(["validate", "a.h5"], in: folder).output == "a.h5: valid, no findings\n")
    }
  }

  @Test func anExistingFileIsReplacedOnlyByForce() throws {
    try withTokens { folder in
      try Data("precious".utf8).write(to: URL(filePath: "\(folder)/out.h5"))
      let refused = try convert("pytorch/lstm-state.pt", in: folder)
      #expect(refused.exitCode == 2)
      #expect(
        refused.errors.hasSuffix(
          "unroll: out.h5: cannot write: file exists\n  fix: give another name, or --force to replace it\n"
        ))
      #expect(try String(contentsOfFile: "\(folder)/out.h5", encoding: .utf8) == "precious")
      #expect(try files(folder) == ["out.h5", "tokens.txt"])
      #expect(try convert("pytorch/lstm-state.pt", in: folder, ["--force"]).exitCode == 0)
      #expect(try runner.run(["validate", "out.h5"], in: folder).exitCode == 0)
    }
  }

  @Test func theInputIsNeverTheOutput() throws {
    try withTokens { folder in
      let model = try Data(contentsOf: URL(filePath: Fixtures.path("pytorch/lstm-state.pt")))
      try model.write(to: URL(filePath: "\(folder)/model.pt"))
      let result = try runner.run(
        ["convert", "model.pt", "--vocabulary", "tokens.txt", "-o", "./model.pt", "--force"],
        in: folder)
      #expect(result.exitCode == 2)
      #expect(result.errors.contains("is the input"))
      #expect(try Data(contentsOf: URL(filePath: "\(folder)/model.pt")) == model)
    }
  }

  @Test(arguments: [
    ("pytorch/hostile-system.pt", "os"), ("pytorch/hostile-truncated.pt", "truncated"),
    ("characters/test.txt", "formats"), ("hostile/valid.unroll.h5", "copy the file"),
  ])
  func aRefusalLeavesNothing(model: String, word: String) throws {
    try withTokens { folder in
      let result = try convert(model, in: folder)
      #expect(result.exitCode == 2, "\(result.errors)")
      #expect(
        result.errors.contains("expected") && result.errors.contains("fix: "), "\(result.errors)")
      #expect(result.errors.contains(word), "\(result.errors)")
      #expect(try files(folder) == ["tokens.txt"])
    }
  }

  @Test func aMissingVocabularyIsAskedFor() throws {
    try withTokens { folder in
      let result = try runner.run(
        ["convert", Fixtures.path("pytorch/lstm-state.pt"), "-o", "out.h5"], in: folder)
      #expect(result.exitCode == 2)
      #expect(result.errors.contains("--corpus") && result.errors.contains("--vocabulary"))
      #expect(try files(folder) == ["tokens.txt"])
    }
  }

  @Test func aVocabularyOfAnotherSizeIsRefused() throws {
    try withTokens { folder in
      let result = try runner.run(
        [
          "convert", Fixtures.path("pytorch/lstm-state.pt"), "--corpus",
          Fixtures.path("characters"), "-o", "out.h5",
        ], in: folder)
      #expect(result.exitCode == 2)
      #expect(result.errors.contains("11") && result.errors.contains("65"), "\(result.errors)")
      #expect(try files(folder) == ["tokens.txt"])
    }
  }

  @Test func aPlainRNNNeedsItsNonlinearity() throws {
    try withTokens { folder in
      let asked = try convert("pytorch/rnn_relu-state.pt", in: folder)
      #expect(asked.exitCode == 2 && asked.errors.contains("--nonlinearity"))
      #expect(
        try convert("pytorch/rnn_relu-state.pt", in: folder, ["--nonlinearity", "relu"]).exitCode
          == 0)
      let inspected = try runner.run(["inspect", "out.h5"], in: folder)
      #expect(inspected.output.contains("rnn, 5 -> 7, relu"), "\(inspected.output)")
    }
  }

  @Test func evaluationIsTheSameForAnyThreads() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      let text = Array(repeating: "w0 w3 w1 x w8\nw2 w2\n", count: 40).joined()
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      for name in ["stream", "columns", "sentence", "srilm", "kenlm", "lm-eval"] {
        let results = try ["1", "2"].map { threads in
          let result = try runner.run(
            ["evaluate", "out.h5", "text.txt", "--protocol", name, "--threads", threads, "--json"],
            in: folder)
          #expect(result.exitCode == 0, "\(result.errors)")
          var fields =
            try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
            ?? [:]
          #expect(
            Set(fields.keys).union(["interval_low", "interval_high", "blocks"]) == [
              "protocol", "tokens", "predictions", "words", "bytes", "unknown", "nll", "perplexity",
              "bits_per_token", "bits_per_word", "bits_per_byte", "seconds", "tokens_per_second",
              "context", "first_token", "line_ends", "divisor", "interval_low", "interval_high",
              "blocks", "figures", "precision",
            ])
          fields["seconds"] = nil
          fields["tokens_per_second"] = nil
          return fields as NSDictionary
        }
        #expect(results[0] == results[1])
      }
    }
  }

  @Test func precisionIsSaid() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      try Data("w0 w3 w1 x w8\nw2 w2\n".utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      func evaluate(_ precision: String) throws -> CommandResult {
        try runner.run(["evaluate", "out.h5", "text.txt", "--precision", precision], in: folder)
      }
      #expect(try !evaluate("f32").output.contains("precision"))
      let quick = try evaluate("bf16")
      // Without such products for the processor the refusal says what to do.
      #expect(
        quick.exitCode == 0 && quick.output.contains("precision       bf16")
          || quick.exitCode == 2 && quick.errors.contains("f32 runs everywhere"),
        "\(quick.output)\(quick.errors)")
      #expect(try evaluate("f16").exitCode == 64)
      let training = try runner.run(
        [
          "finetune", "out.h5", "--train", "t", "--valid", "v", "-o", "o.h5", "--precision", "int8",
        ],
        in: folder)
      #expect(training.exitCode == 64 && training.errors.contains("f32 or bf16"))
    }
  }

  @Test func scoresAreTSV() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      try Data("w0 x\n\nw1\n".utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      let words = try runner.run(["score", "out.h5", "text.txt"], in: folder)
      let rows = words.output.split(separator: "\n").map { $0.split(separator: "\t") }
      #expect(rows.map { $0.first ?? "" } == ["word", "w0", "x", "w1"])
      #expect(rows[0] == "word sentid sentpos wlen surp entropy entred oov".split(separator: " "))
      #expect(rows.allSatisfy { $0.count == 8 })
      #expect(rows[2][4] == "NA" && rows[2][7] == "1" && rows[1][7] == "0")
      #expect(rows[1][6] == "NA" && Double(rows[2][6]) != nil && Double(rows[1][5]) != nil)
      #expect(rows[3][1] == "3" && rows[3][2] == "1")
      let lines = try runner.run(
        ["score", "out.h5", "text.txt", "--level", "sentence"], in: folder)
      #expect(
        lines.output.split(separator: "\n").map {
          $0.split(separator: "\t").prefix(3).joined(separator: " ")
        }
          == ["sentid tokens oov", "1 3 1", "2 1 0", "3 2 0"])
      // The same in other bases, as objects, and by tokens.
      func numbers(_ options: [String]) throws -> [[String: Any]] {
        try runner.run(["score", "out.h5", "text.txt", "--json"] + options, in: folder).output
          .split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
          }
      }
      let ten = try numbers(["--level", "sentence", "--base", "10"])
      let e = try numbers(["--level", "sentence"])
      for (ten, e) in zip(ten, e) {
        let (ten, e) = (try #require(ten["logprob"] as? Double), e["logprob"] as? Double)
        #expect(abs(ten * log(10) - (e ?? 0)) < 1e-12)
      }
      let tokens = try numbers(["--level", "token", "--base", "e"])
      let units = try #require(tokens[0]["units"] as? [[String: Any]])
      #expect(units.map { $0["token"] as? String } == ["w0", "<unk>", "<eos>"])
      #expect(units.map { $0["sentpos"] as? Int } == [1, 2, nil])
      #expect(units.map { $0["surp"] == nil } == [false, true, false])
      try Data("w 0 \tx\n\nw1\n".utf8).write(to: URL(filePath: "\(folder)/words.txt"))
      let own = try runner.run(
        ["score", "out.h5", "text.txt", "--words", "words.txt", "--carry"], in: folder)
      #expect(own.exitCode == 0 && own.output.contains("\nw0\t1\t1\t2\t"), "\(own.errors)")
      try Data("w0 y\n\nw1\n".utf8).write(to: URL(filePath: "\(folder)/words.txt"))
      let other = try runner.run(
        ["score", "out.h5", "text.txt", "--words", "words.txt"], in: folder)
      #expect(other.exitCode == 2)
      #expect(other.errors.contains("words.txt: line 1: expected the words of line 1 of text.txt"))
    }
  }

  @Test func conversionsCanBeNarrowedStrictAndDry() throws {
    try withTokens { folder in
      let arguments = [
        "convert", Fixtures.path("pytorch/lstm-state.pt"), "--vocabulary", "tokens.txt", "-o",
      ]
      func exists(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(folder)/\(name)")
      }
      let dry = try runner.run(arguments + ["dry.h5", "--dry-run"], in: folder)
      #expect(dry.exitCode == 0 && dry.errors.contains("dry.h5 would be written"), "\(dry.errors)")
      let strict = try runner.run(arguments + ["strict.h5", "--strict"], in: folder)
      #expect(strict.exitCode == 2 && strict.errors.contains("--strict refuses the "))
      #expect(!exists("dry.h5") && !exists("strict.h5"))
      let half = try runner.run(arguments + ["half.h5", "--dtype", "bf16"], in: folder)
      #expect(half.exitCode == 0, "\(half.errors)")
      #expect(half.errors.contains("note: /model: weights rounded from f32 to bf16"))
      let model = try Checkpoint(contentsOf: "\(folder)/half.h5")
      #expect(model.parameters.paths.allSatisfy { model.parameters[$0]?.dtype == .bfloat16 })
      #expect(model.provenance.last?.arguments.contains("dtype=bf16") == true)
      #expect(try runner.run(["validate", "half.h5"], in: folder).exitCode == 0)
      // A file of tensors, tokens and tokenizer lacks nothing but the model's past.
      let whole = [
        "convert", "half.h5", "-o", "whole.safetensors", "--strict", "--dtype", "f32",
      ]
      let carried = try runner.run(whole, in: folder)
      #expect(carried.exitCode == 0, "\(carried.errors)")
      let wide = try runner.run(
        ["convert", "half.h5", "--dtype", "f32", "-o", "wide.h5"], in: folder)
      #expect(wide.exitCode == 0 && !wide.errors.contains("rounded"))
      #expect(try Checkpoint(contentsOf: "\(folder)/wide.h5").provenance.count == 2)
      #expect(try runner.run(arguments + ["x.h5", "--dtype", "f8"], in: folder).exitCode == 64)
    }
  }

  @Test func aFolderIsConvertedAsFarAsItGoes() throws {
    try withTokens { folder in
      let models = "\(folder)/models"
      try FileManager.default.createDirectory(
        atPath: "\(models)/deep", withIntermediateDirectories: true)
      func copy(_ name: String, _ copy: String) throws {
        try FileManager.default.copyItem(
          atPath: Fixtures.path("pytorch/\(name)"), toPath: "\(models)/\(copy)")
      }
      try copy("lstm-state.pt", "a.pt")
      try copy("lstm-state.pt", "a.pth")
      try copy("lstm-state.pt", "deep/b.pt")
      try Data("PK\u{03}\u{04}no archive".utf8).write(to: URL(filePath: "\(models)/broken.pt"))
      try Data("words\n".utf8).write(to: URL(filePath: "\(models)/readme.txt"))
      let arguments = [
        "convert", "models", "--to", "unroll", "-o", "new", "--vocabulary", "tokens.txt",
      ]
      let dry = try runner.run(arguments + ["--dry-run"], in: folder)
      #expect(dry.output.contains("models/a.pt\tchecked\t"), "\(dry.output)")
      #expect(dry.errors.contains(": new/a.pt.unroll.h5 would be written"), "\(dry.errors)")
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/new"))
      let file = try runner.run(
        arguments.map { $0 == "new" ? "tokens.txt" : $0 }, in: folder)
      #expect(file.exitCode == 2 && file.errors.contains("expected a folder for the results"))
      let result = try runner.run(arguments, in: folder)
      let rows = result.output.split(separator: "\n").map { $0.split(separator: "\t") }
      #expect(rows[0] == ["model", "result", "seconds", "output"])
      let converted = rows.dropFirst().filter { $0[1] == "converted" }.map { String($0[3]) }
      #expect(
        converted.sorted() == [
          "new/a.pt.unroll.h5", "new/a.pth.unroll.h5", "new/deep/b.unroll.h5",
        ], "\(result.errors)")
      for path in converted {
        #expect(FileManager.default.fileExists(atPath: "\(folder)/\(path)"))
      }
      #expect(try runner.run(arguments, in: folder).exitCode == 2)
      try FileManager.default.removeItem(atPath: "\(models)/broken.pt")
      #expect(try runner.run(arguments + ["--force"], in: folder).exitCode == 0)
      #expect(try runner.run(["convert", "models", "-o", "new"], in: folder).exitCode == 2)
    }
  }

  @Test func gradientsAreShownAndDrawn() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      let text = Array(repeating: "w0 w3 w1 x w8\nw2 w2\n", count: 40).joined()
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      func gradients(_ options: [String]) throws -> CommandResult {
        try runner.run(
          ["gradients", "out.h5", "text.txt", "--lags", "10", "--columns", "4"] + options,
          in: folder)
      }
      let plain = try gradients(["--svg", "a.svg"])
      #expect(plain.exitCode == 0, "\(plain.errors)")
      #expect(plain.output.contains("layer  state  decay rate"))
      #expect(plain.output.contains("\nlayer 0, c: the gradient "))
      let svg = try XMLDocument(contentsOf: URL(filePath: "\(folder)/a.svg"))
      #expect(svg.rootElement()?.name == "svg")
      #expect(try gradients(["--svg", "a.svg"]).exitCode == 2)
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

  @Test func textIsGenerated() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      func generate(_ options: [String]) throws -> CommandResult {
        try runner.run(["generate", "out.h5", "--length", "12"] + options, in: folder)
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
      let few = try generate(["--shortlist", "few.txt", "--length", "60"])
      #expect(Set(few.output.split(whereSeparator: \.isWhitespace)) == ["w3", "w4", "w5"])
      try Data().write(to: URL(filePath: "\(folder)/empty.txt"))
      for text in ["empty.txt", "none.txt"] {
        #expect(try generate(["--shortlist", text]).exitCode == 2)
      }
    }
  }

  @Test func usageErrorsHaveTheirCode() throws {
    #expect(try runner.run(["explain"]).exitCode == 64)
    #expect(try runner.run(["explain", "Z999"]).exitCode == 64)
    #expect(try runner.run(["dance"]).exitCode == 64)
    #expect(try runner.run(["evaluate", "a", "b", "--threads", "0"]).exitCode == 64)
    #expect(try runner.run(["validate", "/no/such/file"]).exitCode == 2)
    #expect(try runner.run(["--help"]).exitCode == 0)
  }
}
