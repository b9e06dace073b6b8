// `unroll train` as its users see it: new models from texts, options and configurations.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("New models (train)") struct TrainTests {
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

  private static let texts = ["--train", "train.txt", "--valid", "valid.txt", "--batch-size", "4"]
  private static let small = ["--hidden-size", "7,5", "--embedding-size", "6"]

  @Test("A new model learns and is valid, and the same seed gives the same bytes")
  func newModel() throws {
    try withTexts { folder in
      let arguments =
        ["train"] + Self.texts + Self.small + [
          "-o", "new.unroll.h5", "--epochs", "4", "--bptt", "5", "--optimizer", "adam,beta1=0.8",
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
      #expect(history.map(\.epoch) == [0, 1, 2, 3, 4])
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

  @Test("--config gives the options of a training, and options override it")
  func configurations() throws {
    try withTexts { folder in
      let config = """
        {"cell": "gru", "hidden_size": "7,6", "embedding_size": 6, "tied": true, "epochs": 1,
         "tokenizer": "character", "train": "train.txt", "valid": "valid.txt"}
        """
      try Data(config.utf8).write(to: URL(filePath: "\(folder)/small.json"))
      let result = try runner.run(
        ["train", "--config", "small.json", "--batch-size", "4", "--steps", "2", "-o", "a.h5"],
        in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      let model = try Checkpoint(contentsOf: "\(folder)/a.h5")
      #expect(model.architecture.isTied && model.architecture.layers.allSatisfy { $0.cell == .gru })
      #expect(model.vocabulary.unit == .character)
      #expect(try Checkpoint(contentsOf: "\(folder)/a.last.h5").training?.step == 2)
      for wrong in ["[]", "{\"hidden_size\": {}}", "{", "", "{\"tied\": true, \"tied\": false}"] {
        try Data(wrong.utf8).write(to: URL(filePath: "\(folder)/wrong.json"))
        let refused = try runner.run(
          ["train", "--config", "wrong.json"] + Self.texts + ["-o", "b.h5"], in: folder)
        #expect(
          refused.exitCode == 2 && refused.errors.contains("wrong.json: expected a JSON object"))
      }
    }
  }

  @Test("The AWD-LSTM recipe trains with its regularization, averaging and seed")
  func committedRecipe() throws {
    try withTexts { folder in
      let recipe = Fixtures.path("recipes/awd-lstm-ptb.json")
      let result = try runner.run(
        ["train", "--config", recipe] + Self.texts + Self.small + [
          "--hidden-size", "7,6", "--bptt", "6", "--steps", "12", "-o", "awd.h5",
        ], in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      let state = try #require(try Checkpoint(contentsOf: "\(folder)/awd.last.h5").training)
      #expect(state.regularization.count == 7 && state.data.windowKind == .random)
      #expect(state.averageAfter == 5 && state.seed == 141 && state.schedule.kind == .constant)
    }
  }

  @Test("Provenance records the vocabulary, the vectors and their files")
  func recordedSources() throws {
    try withTexts { folder in
      try Data("a\ndog\n<unk>\n<eos>\n".utf8).write(to: URL(filePath: "\(folder)/words.txt"))
      try Data("2 6\na 1 2 3 4 5 6\ndog 6 5 4 3 2 1\n".utf8)
        .write(to: URL(filePath: "\(folder)/rows.vec"))
      let listed = try model(["--vocabulary", "words.txt", "--vectors", "rows.vec"], in: folder)
      let entry = try #require(listed.provenance.last)
      for line in ["tokenizer=whitespace", "vocabulary=list", "embedding_rows=vectors"] {
        #expect(entry.arguments.split(separator: "\n").contains(Substring(line)))
      }
      let names = entry.inputs.split(separator: "\n").map { $0.split(separator: " ")[1] }
      #expect(names == ["words.txt", "rows.vec", "train.txt", "valid.txt"])
      let counted = try model(["--min-count", "2", "--force"], in: folder)
      #expect(counted.provenance.last?.arguments.contains("minimum_count=2\n") == true)
    }
  }

  @Test("The configuration file is an input that no output or log replaces")
  func configurationAsOutput() throws {
    try withTexts { folder in
      let config = Data(
        "{\"hidden_size\": 7, \"num_layers\": 1, \"embedding_size\": 6, \"steps\": 1}".utf8)
      try config.write(to: URL(filePath: "\(folder)/c.conf"))
      let arguments = ["train", "--config", "c.conf", "--force"] + Self.texts
      for output in [["-o", "c.conf"], ["-o", "a.h5", "--log", "c.conf"]] {
        let result = try runner.run(arguments + output, in: folder)
        #expect(result.exitCode == 2 && result.errors.contains("it is the input c.conf"))
        #expect(try Data(contentsOf: URL(filePath: "\(folder)/c.conf")) == config)
      }
    }
  }

  @Test("A model larger than the memory is refused before any file is created")
  func memoryLimit() throws {
    try withTexts { folder in
      let result = try runner.run(
        ["train"] + Self.texts + [
          "--hidden-size", "1000000", "--num-layers", "1", "-o", "a.h5", "--log", "run.jsonl",
        ],
        in: folder)
      #expect(result.exitCode == 2 && result.errors.contains("of memory of this machine"))
      // A run that failed before it began leaves no files behind.
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 2)
    }
  }

  @Test("A model is not written to standard output")
  func standardOutput() throws {
    try withTexts { folder in
      let result = try runner.run(
        ["train"] + Self.texts + Self.small + ["--steps", "1", "-o", "-"], in: folder)
      #expect(result.exitCode == 2 && result.errors.contains("a file of this name is ./-"))
    }
  }

  @Test("A line without predicted tokens has the score NA")
  func unpredictedLines() throws {
    try withTexts { folder in
      _ = try model(["--tokenizer", "character"], in: folder)
      let result = try runner.run(
        shell: "printf 'a cat\\n\\n' | unroll score a.h5 - --level sentence", in: folder,
        seconds: 15)
      #expect(result.errors.contains("the first token of each line is not predicted"))
      #expect(result.output.hasSuffix("\n2\t1\t0\tNA\n"), "\(result.output)")
    }
  }

  // MARK: - Tokens

  /// Trains a small model with options and gives it; it is valid, and its texts can be evaluated.
  private func model(_ options: [String], in folder: String) throws -> Checkpoint {
    let result = try runner.run(
      ["train"] + Self.texts + Self.small + ["--steps", "2", "-o", "a.h5"] + options, in: folder)
    #expect(result.exitCode == 0, "\(result.errors)")
    let evaluated = try runner.run(["evaluate", "a.h5", "valid.txt", "--json"], in: folder)
    #expect(evaluated.exitCode == 0, "\(evaluated.errors)")
    let valid = try runner.run(["validate", "--strict", "a.h5"], in: folder)
    #expect(valid.exitCode == 0, "\(valid.output)")
    return try Checkpoint(contentsOf: "\(folder)/a.h5")
  }

  private func ids(_ line: String, in folder: String) throws -> String {
    try runner.run(
      shell: "printf '\(line)\\n' | unroll tokenize --json a.h5 -", in: folder, seconds: 15
    ).output
  }

  @Test(
    "A tokenizer of another program is stored and gives the same ids",
    arguments: ["gpt2.json", "bert.json", "sp-unigram.model", "gpt2-merges.txt"])
  func foreignTokenizers(name: String) throws {
    try withTexts { folder in
      let path = Fixtures.path("tokenizers/\(name)")
      let list =
        name == "gpt2-merges.txt"
        ? ["--vocabulary", Fixtures.path("tokenizers/gpt2-vocab.json")] : []
      let model = try model(["--tokenizer", path] + list, in: folder)
      let original = try Data(contentsOf: URL(filePath: path))
      #expect(model.tokenizer.definition?.bytes == [UInt8](original))
      #expect(model.tokenizer.probe?.ids.isEmpty == false)
      let apart = try runner.run(
        shell: "printf 'the cat\\n' | unroll tokenize --json --tokenizer '\(path)' "
          + "\(list.joined(separator: " ")) -", in: folder, seconds: 15)
      #expect(try ids("the cat", in: folder) == apart.output && apart.exitCode == 0)
    }
  }

  @Test("--tokenizer bpe learns byte pairs, with or without <eos> at the end of lines")
  func bytePairs() throws {
    try withTexts { folder in
      let model = try model(
        ["--tokenizer", "bpe", "--vocabulary-size", "270", "--append-eos"], in: folder)
      #expect(model.vocabulary.count == 270 && model.vocabulary.unit == .subword)
      #expect(model.tokenizer.kind == .bpe && model.tokenizer.appendsEndOfSentence)
      #expect(model.vocabulary.endOfSentenceID == 0)
      #expect(try ids("the cat", in: folder).contains(#""pieces":["the","Ġcat","<eos>"]"#))
      try FileManager.default.removeItem(atPath: "\(folder)/a.h5")
      try FileManager.default.removeItem(atPath: "\(folder)/a.last.h5")
      let stream = try self.model(["--tokenizer", "bpe", "--vocabulary-size", "270"], in: folder)
      #expect(stream.vocabulary.id(of: "<eos>") == nil)
      #expect(try ids("the cat", in: folder).contains(#""pieces":["the","Ġcat","Ċ"]"#))
    }
  }

  @Test("--tokenizer greedy takes the longest tokens of a list")
  func greedyTokens() throws {
    try withTexts { folder in
      let tokens = ["<eos>", "the ", "cat", "at", " "] + "abcdeghimnorst".map(String.init)
      let list = tokens.map { $0 + "\n" }.joined()
      try Data(list.utf8).write(to: URL(filePath: "\(folder)/list.txt"))
      let model = try model(["--tokenizer", "greedy", "--vocabulary", "list.txt"], in: folder)
      #expect(model.tokenizer.kind == .greedy && model.vocabulary.unit == .subword)
      let pieces = #""pieces":["the ","cat"," ","s","at","<eos>"]"#
      #expect(try ids("the cat sat", in: folder).contains(pieces))
    }
  }

  @Test("An exported tokenizer goes back to converted weights with the same loss")
  func exportedTokenizer() throws {
    try withTexts { folder in
      func run(_ arguments: [String]) throws -> CommandResult {
        try runner.run(arguments, in: folder)
      }
      let bpe = ["train", "--tokenizer", "bpe", "--vocabulary-size", "270", "--append-eos"]
      let small = [
        "--hidden-size", "4", "--num-layers", "1", "--embedding-size", "4", "--epochs", "1", "-o",
        "a.h5",
      ]
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
      let told = try run(list + ["d.h5"])
      #expect(told.exitCode == 0, "\(told.errors)")
      let wrong = try run(list + ["e.h5", "--vocabulary-format", "list"])
      #expect(wrong.exitCode == 2 && wrong.errors.contains("found 1 tokens"), "\(wrong.errors)")
    }
  }

  @Test("A training text without tokens is refused by name")
  func emptyText() throws {
    try withTexts { folder in
      try Data().write(to: URL(filePath: "\(folder)/empty.txt"))
      let empty = try runner.run(
        ["train", "--train", "empty.txt", "--valid", "valid.txt", "-o", "a.h5"], in: folder)
      #expect(empty.exitCode == 2)
      #expect(empty.errors.contains("empty.txt: expected a text with tokens"), "\(empty.errors)")
    }
  }

  @Test("--vectors replaces the initial embedding rows of the words that it holds")
  func wordVectors() throws {
    try withTexts { folder in
      let vectors = "2 3\ncat 0.5 -1.25 2\nzebra 1 2 3\n"
      try Data(vectors.utf8).write(to: URL(filePath: "\(folder)/vectors.txt"))
      let result = try runner.run(
        [
          "train", "--vectors", "vectors.txt", "--hidden-size", "4", "--num-layers", "1",
          "--freeze", "embedding",
        ]
          + Self.texts + ["--steps", "2", "-o", "a.h5"], in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      #expect(result.errors.contains("note: 1 of 12 tokens have a vector"))
      let model = try Checkpoint(contentsOf: "\(folder)/a.h5")
      let row = try #require(model.vocabulary.id(of: "cat"))
      let values = try #require(model.parameters[.embeddingWeight]?.floats())
      #expect(Array(values[row * 3..<row * 3 + 3]) == [0.5, -1.25, 2])
      let binary = try runner.run(
        [
          "train", "--vectors", Fixtures.path("vectors/word2vec.bin.gz"), "--hidden-size", "4",
          "--num-layers", "1",
        ]
          + Self.texts + ["--steps", "1", "-o", "c.h5"], in: folder)
      #expect(binary.errors.contains("note: 3 of 12 tokens have a vector"), "\(binary.errors)")
      let refused = try runner.run(
        ["train", "--vectors", "vectors.txt", "--embedding-size", "5"] + Self.texts + [
          "-o", "b.h5",
        ],
        in: folder)
      #expect(refused.exitCode == 2 && refused.errors.contains("vectors of 5 numbers; found 3"))
    }
  }

  @Test(
    "Options that do not fit the architecture are refused with a fix",
    arguments: [
      ["--tied"], ["--cell", "lstm", "--activation", "relu"], ["--init", "irnn"],
      ["--freeze", "layers/09"],
    ])
  func unsuitableOptions(options: [String]) throws {
    try withTexts { folder in
      let refused = try runner.run(
        ["train"] + Self.texts + Self.small + options + ["-o", "a.h5"], in: folder)
      #expect(refused.exitCode == 2 && refused.errors.contains("fix: "), "\(refused.errors)")
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/a.h5"))
    }
  }

  @Test(
    "Wrong usage of train has exit code 64 and a message",
    arguments: [
      ["--hidden-size", "0", "--num-layers", "1"], ["--hidden-size", "a"],
      ["--embedding-size", "0"],
      ["--optimizer", "lion"],
      ["--optimizer", "sgd,beta1=0.9"], ["--schedule", "cosine,every=2"], ["--schedule", "up"],
      ["--regularize", "embedding:weight=0.5"], ["--regularize", "output:locked=1"],
      ["--regularize", "output:locked=0.1,output:element=0.1"], ["--dropout", "1"],
      ["--average-after", "3", "--optimizer", "adam"], ["--tokenizer", "bpe"],
      ["--tokenizer", "bpe", "--vocabulary-size", "256"], ["--tokenizer", "unigram"],
      ["--tokenizer", "bpe", "--vocabulary-size", "300", "--vocabulary", "train.txt"],
      ["--tokenizer", "greedy"], ["--append-eos"], ["--tokenizer", "a.json", "--min-count", "2"],
    ])
  func wrongUsage(options: [String]) throws {
    try withTexts { folder in
      let refused = try runner.run(["train"] + Self.texts + options + ["-o", "a.h5"], in: folder)
      #expect(refused.exitCode == 64 && refused.errors.contains("Error: "), "\(refused.errors)")
    }
  }
}
