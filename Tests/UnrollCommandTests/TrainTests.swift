// `unroll train` as its users see it: new models from texts, options and configurations.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite struct TrainTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private func withTexts(_ body: (String) throws -> Void) throws {
    try withTemporaryFolder { folder in
      let lines = ["the cat sat on a mat", "a dog ran to the cat", "the mat is on the dog"]
      let text = (0..<40).map { lines[$0 * 7 % 3] + "\n" }.joined()
      for name in ["train.txt", "valid.txt"] {
        try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name)"))
      }
      try body(folder)
    }
  }

  private static let texts = ["--train", "train.txt", "--valid", "valid.txt", "--columns", "4"]
  private static let small = ["--hidden", "7,5", "--embedding", "6"]

  @Test func aNewModelLearnsAndIsValid() throws {
    try withTexts { folder in
      let arguments =
        ["train"] + Self.texts + Self.small + [
          "-o", "new.unroll.h5", "--epochs", "4", "--window", "5", "--optimizer", "adam,beta1=0.8",
          "--learning-rate", "0.05", "--dropout", "0.1", "--schedule", "cosine,warm_up=3",
        ]
      let result = try runner.run(arguments, in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      #expect(result.errors.contains("note: 12 tokens, "))
      let model = try Checkpoint(contentsOf: "\(folder)/new.unroll.h5")
      #expect(model.architecture.layers.map(\.hiddenSize) == [7, 5])
      #expect(model.vocabulary.counts?.reduce(0, +) == 40 * 7)
      #expect(model.provenance.map(\.operation) == ["train"])
      let history = try #require(
        try Checkpoint(contentsOf: "\(folder)/new.last.unroll.h5").training
      ).history
      #expect(try #require(history.last).validNLL < history[0].validNLL - 0.5)
      let valid = try runner.run(
        ["validate", "--strict", "new.unroll.h5", "new.last.unroll.h5"], in: folder)
      #expect(valid.exitCode == 0, "\(valid.output)")
      // The same arguments give the same bytes, another seed gives others.
      for (name, seed) in [("again", "1"), ("other", "2")] {
        _ = try runner.run(
          arguments.map { $0 == "new.unroll.h5" ? "\(name).unroll.h5" : $0 } + ["--seed", seed],
          in: folder)
      }
      func bytes(_ name: String) throws -> Data {
        try Data(contentsOf: URL(filePath: "\(folder)/\(name).unroll.h5"))
      }
      #expect(try bytes("again") == bytes("new") && bytes("other") != bytes("new"))
    }
  }

  @Test func aConfigurationStandsForOptions() throws {
    try withTexts { folder in
      let config = """
        {"cell": "gru", "hidden": "7,6", "embedding": 6, "tied": true, "epochs": 1,
         "tokenizer": "character", "forget_bias": 1.5}
        """
      try Data(config.utf8).write(to: URL(filePath: "\(folder)/small.json"))
      let result = try runner.run(
        ["train", "--config", "small.json"] + Self.texts + ["--steps", "2", "-o", "a.h5"],
        in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      let model = try Checkpoint(contentsOf: "\(folder)/a.h5")
      #expect(model.architecture.isTied && model.architecture.layers.allSatisfy { $0.cell == .gru })
      #expect(model.vocabulary.unit == .character)
      #expect(try Checkpoint(contentsOf: "\(folder)/a.last.h5").training?.step == 2)
      for wrong in ["[]", "{\"hidden\": {}}", "{", ""] {
        try Data(wrong.utf8).write(to: URL(filePath: "\(folder)/wrong.json"))
        let refused = try runner.run(
          ["train", "--config", "wrong.json"] + Self.texts + ["-o", "b.h5"], in: folder)
        #expect(
          refused.exitCode == 2 && refused.errors.contains("wrong.json: expected a JSON object"))
      }
    }
  }

  @Test func theCommittedRecipeIsOne() throws {
    try withTexts { folder in
      let recipe = Fixtures.path("recipes/awd-lstm-ptb.json")
      let result = try runner.run(
        ["train", "--config", recipe] + Self.texts + Self.small + [
          "--hidden", "7,6", "--window", "6", "--steps", "12", "-o", "awd.h5",
        ], in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      let state = try #require(try Checkpoint(contentsOf: "\(folder)/awd.last.h5").training)
      #expect(state.regularization.count == 7 && state.data.hasRandomWindows)
      #expect(state.averageAfter == 5 && state.seed == 141 && state.schedule.kind == .constant)
    }
  }

  @Test func binaryVectorsTakeThePlaceOfDrawnRows() throws {
    try withTexts { folder in
      func bytes(_ vector: [Float]) -> [UInt8] {
        vector.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) }
      }
      let entries: [(String, [Float])] = [("zebra", [1, 2, 3]), ("cat", [0.5, -1.25, 2])]
      func write(_ name: String, _ file: [UInt8]) throws {
        try Data(file).write(to: URL(filePath: "\(folder)/\(name)"))
      }
      let head = Array("2 3\n".utf8)
      let plain = head + entries.flatMap { Array("\($0.0) ".utf8) + bytes($0.1) }
      try write("a.bin", plain)
      try write("b.bin", head + entries.flatMap { Array("\($0.0) ".utf8) + bytes($0.1) + [10] })
      for name in ["a", "b"] {
        let result = try runner.run(
          ["train", "--vectors", "\(name).bin", "--hidden", "4", "--freeze", "embedding"]
            + Self.texts + ["--epochs", "1", "-o", "\(name).h5"], in: folder)
        #expect(result.exitCode == 0, "\(result.errors)")
        let model = try Checkpoint(contentsOf: "\(folder)/\(name).h5")
        let row = try #require(model.vocabulary.id(of: "cat")) * 3
        let rows = try #require(model.parameters[.embeddingWeight]?.floats())
        #expect(Array(rows[row..<row + 3]) == [0.5, -1.25, 2])
      }
      // Files that lie about their sizes, or break off.
      try write("short.bin", Array(plain.dropLast(1)))
      try write("many.bin", Array("3 3\n".utf8) + plain.dropFirst(4))
      try write("nan.bin", head + Array("cat ".utf8) + bytes([.nan, 1, 2]) + plain.suffix(18))
      for name in ["short", "many", "nan"] {
        let refused = try runner.run(
          ["train", "--vectors", "\(name).bin", "--hidden", "4"] + Self.texts + ["-o", "c.h5"],
          in: folder)
        #expect(refused.exitCode == 2 && refused.errors.contains("\(name).bin:"))
        #expect(refused.errors.contains("expected"), "\(refused.errors)")
      }
    }
  }

  @Test func tokensAreThoseOfAnotherProgramOrLearned() throws {
    try withTexts { folder in
      let small = ["--hidden", "4", "--embedding", "4", "--epochs", "1", "-o"]
      let json = Fixtures.path("tokenizers/gpt2.json")
      let train = try runner.run(
        ["train", "--tokenizer", json] + Self.texts + small + ["a.h5"], in: folder)
      #expect(train.exitCode == 0, "\(train.errors)")
      let export = try runner.run(["tokenize", "a.h5", "--export", "a.json"], in: folder)
      #expect(export.exitCode == 0, "\(export.errors)")
      let original = try Data(contentsOf: URL(filePath: json))
      #expect(try Data(contentsOf: URL(filePath: "\(folder)/a.json")) == original)
      #expect(try runner.run(["tokenize", "a.h5", "--export", "a.json"], in: folder).exitCode == 2)
      let evaluated = try runner.run(["evaluate", "a.h5", "valid.txt", "--json"], in: folder)
      #expect(evaluated.output.contains("\"unknown\" : 0"))
      let bpe = ["train", "--tokenizer", "bpe", "--maximum-size", "280"] + Self.texts + small
      let learned = try runner.run(bpe + ["b.h5"], in: folder)
      #expect(learned.exitCode == 0, "\(learned.errors)")
      let model = try Checkpoint(contentsOf: "\(folder)/b.h5")
      // Fewer than asked for: the text has no more pairs.
      #expect(model.vocabulary.count <= 280 && model.vocabulary.id(of: "Ġcat") != nil)
      #expect(try runner.run(["validate", "b.h5"], in: folder).exitCode == 0)
      #expect(
        try runner.run(["tokenize", "b.h5", "--export", "b.json"], in: folder).exitCode == 0)
      let again = try runner.run(
        ["tokenize", "--tokenizer", "b.json", "valid.txt", "--summary"], in: folder)
      #expect(again.exitCode == 0)
      let words = try runner.run(
        ["train"] + Self.texts + small + ["c.h5"], in: folder)
      #expect(words.exitCode == 0)
      #expect(
        try runner.run(["tokenize", "c.h5", "--export", "c.txt"], in: folder).exitCode == 0)
      let list = try String(contentsOfFile: "\(folder)/c.txt", encoding: .utf8)
      #expect(list.split(separator: "\n").contains("cat"))
      for options in [["bpe"], ["wordpiece"], ["greedy"]] {
        let wrong = ["train", "--tokenizer"] + options + Self.texts + ["-o", "d.h5"]
        #expect(try runner.run(wrong, in: folder).exitCode == 64)
      }
    }
  }

  @Test func aTokenizersFileBelongsToWeightsAgain() throws {
    try withTexts { folder in
      func run(_ arguments: [String]) throws -> CommandResult {
        try runner.run(arguments, in: folder)
      }
      let bpe = ["train", "--tokenizer", "bpe", "--maximum-size", "270", "--append-eos"]
      let small = ["--hidden", "4", "--embedding", "4", "--epochs", "1", "-o", "a.h5"]
      #expect(try run(bpe + Self.texts + small).exitCode == 0)
      #expect(try run(["tokenize", "a.h5", "--export", "a.json"]).exitCode == 0)
      #expect(try run(["convert", "a.h5", "-o", "a.pt"]).exitCode == 0)
      let back = ["convert", "a.pt", "--tokenizer", "a.json", "--append-eos", "-o", "b.h5"]
      #expect(try run(back).exitCode == 0)
      let figures = try ["a.h5", "b.h5"].map { name in
        let output = try run(["evaluate", name, "valid.txt", "--json"]).output
        return try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any]
      }
      #expect(figures[0]?["nll"] as? Double == figures[1]?["nll"] as? Double)
      // A list of its tokens in JSON, under a name that does not say so.
      let model = try Checkpoint(contentsOf: "\(folder)/a.h5")
      let tokens = model.vocabulary.indices.map { model.vocabulary.text(of: $0) }
      try JSONSerialization.data(withJSONObject: tokens)
        .write(to: URL(filePath: "\(folder)/tokens.list"))
      let list = ["convert", "a.pt", "--vocabulary", "tokens.list", "--tokenizer", "greedy", "-o"]
      #expect(try run(list + ["c.h5", "--vocabulary-format", "json"]).exitCode == 0)
      #expect(try Checkpoint(contentsOf: "\(folder)/c.h5").tokenizer.kind == .greedy)
      let wrong = try run(list + ["d.h5"])
      #expect(wrong.exitCode == 2 && wrong.errors.contains("expected 1 rows"), "\(wrong.errors)")
    }
  }

  @Test func aTextWithoutTokensIsNamed() throws {
    try withTexts { folder in
      try Data().write(to: URL(filePath: "\(folder)/empty.txt"))
      let empty = try runner.run(
        ["train", "--train", "empty.txt", "--valid", "valid.txt", "-o", "a.h5"], in: folder)
      #expect(empty.exitCode == 2)
      #expect(empty.errors.contains("empty.txt: expected a text with tokens"), "\(empty.errors)")
    }
  }

  @Test func vectorsTakeThePlaceOfDrawnRows() throws {
    try withTexts { folder in
      let vectors = "2 3\ncat 0.5 -1.25 2\nzebra 1 2 3\n"
      try Data(vectors.utf8).write(to: URL(filePath: "\(folder)/vectors.txt"))
      let result = try runner.run(
        ["train", "--vectors", "vectors.txt", "--hidden", "4", "--freeze", "embedding"]
          + Self.texts + ["--steps", "2", "-o", "a.h5"], in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      #expect(result.errors.contains("note: 1 of 12 tokens have a vector"))
      let model = try Checkpoint(contentsOf: "\(folder)/a.h5")
      let row = try #require(model.vocabulary.id(of: "cat"))
      let values = try #require(model.parameters[.embeddingWeight]?.floats())
      #expect(Array(values[row * 3..<row * 3 + 3]) == [0.5, -1.25, 2])
      let refused = try runner.run(
        ["train", "--vectors", "vectors.txt", "--embedding", "5"] + Self.texts + ["-o", "b.h5"],
        in: folder)
      #expect(refused.exitCode == 2 && refused.errors.contains("vectors of 5 numbers; found 3"))
    }
  }

  @Test(arguments: [
    ["--tied"], ["--cell", "lstm", "--activation", "relu"], ["--initialization", "irnn"],
    ["--freeze", "layers/09"],
  ])
  func whatDoesNotFitIsRefused(options: [String]) throws {
    try withTexts { folder in
      let refused = try runner.run(
        ["train"] + Self.texts + Self.small + options + ["-o", "a.h5"], in: folder)
      #expect(refused.exitCode == 2 && refused.errors.contains("fix: "), "\(refused.errors)")
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/a.h5"))
    }
  }

  @Test(arguments: [
    ["--hidden", "0"], ["--hidden", "a"], ["--embedding", "0"], ["--optimizer", "lion"],
    ["--optimizer", "sgd,beta1=0.9"], ["--schedule", "cosine,every=2"], ["--schedule", "up"],
    ["--regularize", "embedding:weight=0.5"], ["--regularize", "output:locked=1"],
    ["--regularize", "output:locked=0.1,output:element=0.1"], ["--dropout", "1"],
    ["--average-after", "3", "--optimizer", "adam"], ["--tokenizer", "bpe"],
  ])
  func wrongUsageIsNamed(options: [String]) throws {
    try withTexts { folder in
      let refused = try runner.run(["train"] + Self.texts + options + ["-o", "a.h5"], in: folder)
      #expect(refused.exitCode == 64 && refused.errors.contains("Error: "), "\(refused.errors)")
    }
  }
}
