// `unroll convert` back to PyTorch, as its users see it.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTokenization

@Suite("Conversion to other formats") struct ExportTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  /// Writes a small checkpoint, `a.h5`, and runs a closure in its folder.
  private func withCheckpoint(
    _ checkpoint: Checkpoint = .small(tied: true, hidden: [7, 5]), _ body: (String) throws -> Void
  ) throws {
    try withTemporaryFolder { folder in
      try checkpoint.write(to: "\(folder)/a.h5")
      try body(folder)
    }
  }

  private func files(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
  }

  private func data(_ name: String, in folder: String) throws -> Data {
    try Data(contentsOf: URL(filePath: "\(folder)/\(name)"))
  }

  /// The line of `inspect` with the digest of the weights.
  private func weightsDigest(_ name: String, in folder: String) throws -> String {
    let output = try runner.run(["inspect", name], in: folder).output
    return try String(#require(output.firstMatch(of: /weights  [0-9a-f]{64}/)).0)
  }

  @Test("Conversion to PyTorch and back keeps the weights, and notes what is not preserved")
  func roundTrip() throws {
    try withCheckpoint { folder in
      let there = try runner.run(
        ["convert", "a.h5", "-o", "b.pt", "--write-vocabulary", "words.txt"], in: folder)
      #expect(there.exitCode == 0)
      #expect(
        there.errors == """
          note: /vocabulary: not preserved: 11 tokens; they are in words.txt
          note: /tokenizer: not preserved: how text becomes tokens (whitespace)
          note: /provenance: not preserved: its history, 1 step
          note: /model/layers: the layers differ, so each is a module of its own, rnns.0 to rnns.1; \
          they follow one another in this order
          wrote b.pt: read back, 10 tensors equal bit for bit, log-probabilities of 4 tokens equal
          wrote words.txt

          """)
      let back = try runner.run(
        ["convert", "b.pt", "--vocabulary", "words.txt", "-o", "c.h5"], in: folder)
      #expect(back.exitCode == 0, "\(back.errors)")
      #expect(try weightsDigest("a.h5", in: folder) == weightsDigest("c.h5", in: folder))
      #expect(
        try runner.run(["validate", "c.h5"], in: folder).output == "c.h5: valid, no findings\n")
      // The second export is the first one, byte for byte: the history is not in it.
      #expect(try runner.run(["convert", "c.h5", "-o", "d.pt"], in: folder).exitCode == 0)
      #expect(try data("b.pt", in: folder) == data("d.pt", in: folder))
    }
  }

  @Test("A state_dict of an Elman RNN converts back only with --nonlinearity")
  func activationOnTheWayBack() throws {
    try withCheckpoint(.small(cell: .rnn, hidden: [6], activation: .relu)) { folder in
      let there = try runner.run(
        ["convert", "a.h5", "-o", "b.pt", "--write-vocabulary", "words.txt"], in: folder)
      #expect(there.errors.contains("--nonlinearity relu"))
      let back = ["convert", "b.pt", "--vocabulary", "words.txt", "-o", "c.h5"]
      #expect(try runner.run(back, in: folder).exitCode == 2)
      #expect(try runner.run(back + ["--nonlinearity", "relu"], in: folder).exitCode == 0)
      #expect(try weightsDigest("a.h5", in: folder) == weightsDigest("c.h5", in: folder))
    }
  }

  @Test(
    "safetensors, npz and gguf keep the weights and the vocabulary",
    arguments: ["safetensors", "npz", "gguf"])
  func namedArrays(format: String) throws {
    try withCheckpoint { folder in
      let there = try runner.run(["convert", "a.h5", "-o", "a.\(format)"], in: folder)
      #expect(there.exitCode == 0, "\(there.errors)")
      let back = try runner.run(["convert", "a.\(format)", "-o", "b.h5"], in: folder)
      #expect(back.exitCode == 0, "\(back.errors)")
      #expect(try weightsDigest("a.h5", in: folder) == weightsDigest("b.h5", in: folder))
      let models = try ["a", "b"].map { try Checkpoint(contentsOf: "\(folder)/\($0).h5") }
      #expect(models[0].vocabulary.tokenBytes == models[1].vocabulary.tokenBytes)
      #expect(models[0].vocabulary.unknownID == models[1].vocabulary.unknownID)
    }
  }

  /// A tutorial's network whose letters mean something else: V is the input's matrix.
  @Test("A map assigns arrays to parameters, and a wrong map is refused by its entry")
  func mapOfArrays() throws {
    try withTemporaryFolder { folder in
      let words = (0..<11).map { "w\($0)\n" }.joined()
      try Data(words.utf8).write(to: URL(filePath: "\(folder)/words.txt"))
      func convert(_ model: String, map: String?) throws -> (Int, String) {
        var arguments = [
          "convert", model, "--vocabulary", "words.txt", "-o", "a.h5", "--force", "--nonlinearity",
          "tanh",
        ]
        if let map {
          try Data(map.utf8).write(to: URL(filePath: "\(folder)/map.json"))
          arguments += ["--map", "map.json"]
        }
        let result = try runner.run(arguments, in: folder)
        return (result.exitCode, result.errors)
      }
      let model = Fixtures.path("numpy/refused-letters.npz")
      #expect(try convert(model, map: nil).0 == 2)
      let names =
        #"{"rnn.weight_ih_l0": "V", "rnn.weight_hh_l0": "U", "decoder.weight": "W"}"#
      #expect(try convert(model, map: names).0 == 0)
      let digest = try weightsDigest("a.h5", in: folder)
      #expect(try runner.run(["inspect", "a.h5"], in: folder).output.contains("names=map"))
      let paths =
        #"{"/model/layers/00/weight_ih": "V", "/model/layers/00/weight_hh": "U", "#
        + #""/model/output/weight": "W"}"#
      #expect(try convert(model, map: paths).0 == 0)
      #expect(try weightsDigest("a.h5", in: folder) == digest)
      for (map, message) in [
        (#"{"rnn.weight_ih_l0": "X"}"#, "X: expected a tensor of this name, as the map says"),
        (#"{"/model/layers/0/weight_ih": "V"}"#, "expected a parameter of the format"),
        (#"{"a": "V", "b": "V"}"#, "V: expected each tensor once"),
        ("[1]", "expected a JSON object"),
        (#"{"a": 1}"#, "a: expected the name of a tensor"),
      ] {
        let (code, errors) = try convert(model, map: map)
        #expect(code == 2 && errors.contains(message), "\(map): \(errors)")
      }
    }
    try withCheckpoint { folder in
      try Data(#"{"a": "b"}"#.utf8).write(to: URL(filePath: "\(folder)/map.json"))
      let refused = try runner.run(
        ["convert", "a.h5", "--map", "map.json", "-o", "b.npz"], in: folder)
      #expect(
        refused.exitCode == 2 && refused.errors.contains("map.json: a: expected a role such as"))
    }
  }

  @Test("A map names the tensors of the output, in formats whose tensors have free names")
  func mapOfOutput() throws {
    let map = """
      {"encoder.weight": "lut", "rnn.weight_ih_l0": "lower.x", "rnn.weight_hh_l0": "lower.h",
       "rnn.bias_ih_l0": "lower.b", "rnn.bias_hh_l0": "lower.c", "decoder.weight": "out.w",
       "decoder.bias": "out.b", "gates": "ifog"}
      """
    try withCheckpoint(.small(hidden: [7])) { folder in
      try Data(map.utf8).write(to: URL(filePath: "\(folder)/map.json"))
      let command = ["convert", "a.h5", "--map", "map.json", "-o"]
      let written = try runner.run(command + ["b.pt"], in: folder)
      #expect(written.exitCode == 0)
      #expect(written.errors.contains("names as in the map; to convert back, give the same --map"))
      let plain = try runner.run(
        ["convert", "b.pt", "--vocabulary", "w.txt", "-o", "c.h5"], in: folder)
      #expect(plain.exitCode == 2)
      #expect(
        try runner.run(
          ["convert", "a.h5", "-o", "x.pt", "--write-vocabulary", "w.txt"], in: folder
        )
        .exitCode == 0)
      let back = try runner.run(
        ["convert", "b.pt", "--map", "map.json", "--vocabulary", "w.txt", "-o", "c.h5"], in: folder)
      #expect(back.exitCode == 0)
      #expect(try weightsDigest("c.h5", in: folder) == weightsDigest("a.h5", in: folder))
      let onnx = try runner.run(command + ["b.onnx"], in: folder)
      #expect(onnx.exitCode == 2 && onnx.errors.contains("leave --map out, or give another output"))
      #expect(try !files(folder).contains("b.onnx"))
    }
  }

  @Test("The output's extension or --to chooses the format, and Unroll to Unroll is refused")
  func targetFormat() throws {
    try withCheckpoint { folder in
      #expect(try runner.run(["convert", "a.h5", "-o", "b.pth"], in: folder).exitCode == 0)
      #expect(
        try runner.run(["convert", "a.h5", "-o", "b.bin", "--to", "pytorch"], in: folder).exitCode
          == 0)
      #expect(try data("b.pth", in: folder) == data("b.bin", in: folder))
      for arguments in [["-o", "c.h5"], ["-o", "c"], ["-o", "c.pt", "--to", "unroll"]] {
        let refused = try runner.run(["convert", "a.h5"] + arguments, in: folder)
        #expect(refused.exitCode == 2)
        #expect(refused.errors.contains("found one whose name is that of an Unroll checkpoint"))
        #expect(refused.errors.contains("give --to"))
      }
      #expect(try files(folder) == ["a.h5", "b.bin", "b.pth"])
    }
  }

  /// A folder as Hugging Face's programs know it, and its weights without our metadata.
  @Test("--write-config writes a config.json that is read again with the tensors alone")
  func writtenConfiguration() throws {
    try withCheckpoint { folder in
      let arguments = [
        "convert", "a.h5", "-o", "model.safetensors", "--write-config", "config.json",
      ]
      let there = try runner.run(arguments, in: folder)
      #expect(there.exitCode == 0)
      #expect(there.errors.hasSuffix("tokens equal\nwrote config.json\n"), "\(there.errors)")
      #expect(
        try String(decoding: data("config.json", in: folder), as: UTF8.self) == """
          {
            "model_type": "lstm",
            "vocab_size": 11,
            "embedding_size": 5,
            "hidden_size": [7, 5],
            "num_hidden_layers": 2,
            "tie_word_embeddings": true
          }

          """)
      let weights = try data("model.safetensors", in: folder)
      // Nothing is overwritten, and neither is written without the other.
      let again = try runner.run(arguments, in: folder)
      #expect(again.exitCode == 2 && again.errors.contains("--force to replace it"))
      try FileManager.default.removeItem(atPath: "\(folder)/model.safetensors")
      #expect(try runner.run(arguments, in: folder).exitCode == 2)
      #expect(try files(folder) == ["a.h5", "config.json"])
      // Another program saves the tensors alone: the configuration is read.
      let key = Array(#""unroll":"#.utf8)
      var bytes = Array(weights)
      let place = try #require(bytes.firstRange(of: key)).lowerBound
      bytes.replaceSubrange(place..<place + key.count, with: Array(#""other_":"#.utf8))
      try Data(bytes).write(to: URL(filePath: "\(folder)/model.safetensors"))
      let words = (0..<11).map { "w\($0)\n" }.joined()
      try Data(words.utf8).write(to: URL(filePath: "\(folder)/words.txt"))
      let back = try runner.run(
        ["convert", "model.safetensors", "--vocabulary", "words.txt", "-o", "b.h5"], in: folder)
      #expect(back.exitCode == 0, "\(back.errors)")
      #expect(
        back.errors.contains("note: config.json: describes the model of these tensors\n"))
      #expect(try weightsDigest("a.h5", in: folder) == weightsDigest("b.h5", in: folder))
      for (arguments, message) in [
        (["-o", "c.pt", "--write-config", "c.json"], "expected an output of safetensors"),
        (["-o", "c.safetensors", "--write-config", "c.safetensors"], "need different names"),
      ] {
        let refused = try runner.run(["convert", "a.h5"] + arguments, in: folder)
        #expect(refused.exitCode != 0 && refused.errors.contains(message), "\(refused.errors)")
      }
    }
    // A stack that the words of a configuration cannot describe.
    var mixed = Checkpoint.small(cell: .rnn)
    mixed.architecture.layers[1].activation = .relu
    try withCheckpoint(mixed) { folder in
      let refused = try runner.run(
        ["convert", "a.h5", "-o", "a.safetensors", "--write-config", "config.json"], in: folder)
      #expect(refused.exitCode == 2 && refused.errors.contains("layers of one kind of cell"))
      #expect(try files(folder) == ["a.h5"])
    }
  }

  /// From one foreign format to another, here to itself: a whole module becomes a state_dict.
  @Test("A whole PyTorch module converts to a state_dict with the same weights")
  func moduleToStateDict() throws {
    try withTemporaryFolder { folder in
      let words = (0..<11).map { "w\($0)\n" }.joined()
      try Data(words.utf8).write(to: URL(filePath: "\(folder)/words.txt"))
      for source in ["lstm-module", "lstm-tied-module"] {
        let result = try runner.run(
          [
            "convert", Fixtures.path("pytorch/\(source).pt"), "--vocabulary", "words.txt", "-o",
            "\(source).pt",
          ], in: folder)
        #expect(result.exitCode == 0, "\(result.errors)")
        #expect(result.errors.contains("/vocabulary: not preserved: 11 tokens"))
        for (model, output) in [
          (Fixtures.path("pytorch/\(source).pt"), "a"), ("\(source).pt", "b"),
        ] {
          let convert = [
            "convert", model, "--vocabulary", "words.txt", "-o", "\(source).\(output).h5",
          ]
          #expect(try runner.run(convert, in: folder).exitCode == 0)
        }
        #expect(
          try weightsDigest("\(source).a.h5", in: folder)
            == weightsDigest("\(source).b.h5", in: folder))
      }
    }
  }

  // MARK: - Refusals

  @Test(
    "An existing model or vocabulary file is replaced only with --force",
    arguments: ["b.pt", "words.txt"])
  func existingFiles(name: String) throws {
    try withCheckpoint { folder in
      try Data("precious".utf8).write(to: URL(filePath: "\(folder)/\(name)"))
      let convert = ["convert", "a.h5", "-o", "b.pt", "--write-vocabulary", "words.txt"]
      let refused = try runner.run(convert, in: folder)
      #expect(refused.exitCode == 2)
      #expect(
        refused.errors
          == "unroll: \(name): cannot write: file exists\n  fix: give another name, or --force to replace it\n"
      )
      #expect(try data(name, in: folder) == Data("precious".utf8))
      #expect(try files(folder) == ["a.h5", name])
      #expect(try runner.run(convert + ["--force"], in: folder).exitCode == 0)
      #expect(try files(folder) == ["a.h5", "b.pt", "words.txt"])
      #expect(try data(name, in: folder) != Data("precious".utf8))
    }
  }

  @Test("No output replaces the input, under another name or with --force")
  func inputAsOutput() throws {
    try withCheckpoint { folder in
      let before = try data("a.h5", in: folder)
      try FileManager.default.linkItem(atPath: "\(folder)/a.h5", toPath: "\(folder)/a.pt")
      for arguments in [
        ["-o", "a.pt"], ["-o", "a.h5", "--to", "pytorch"],
        ["-o", "b.pt", "--write-vocabulary", "a.h5"],
      ] {
        let result = try runner.run(["convert", "a.h5", "--force"] + arguments, in: folder)
        #expect(result.exitCode == 2)
        #expect(result.errors.contains("it is the input a.h5"))
      }
      #expect(try files(folder) == ["a.h5", "a.pt"])
      #expect(try data("a.h5", in: folder) == before)
    }
  }

  @Test("Wrong usage of convert has exit code 64, and a checkpoint takes no --vocabulary")
  func wrongUsage() throws {
    try withCheckpoint { folder in
      for arguments in [
        ["-o", "b.pt", "--to", "nothing"],
        ["-o", "b.pt", "--write-vocabulary", "./b.pt"],
      ] {
        #expect(try runner.run(["convert", "a.h5"] + arguments, in: folder).exitCode == 64)
      }
      let beside = try runner.run(
        ["convert", "a.h5", "-o", "b.pt", "--vocabulary", "a.h5"], in: folder)
      #expect(beside.exitCode == 2 && beside.errors.contains("a checkpoint holds all that"))
      #expect(try files(folder) == ["a.h5"])
    }
  }

  @Test("A vocabulary that cannot be written leaves no model behind")
  func unwritableVocabulary() throws {
    try withCheckpoint { folder in
      for (name, message) in [
        (String(repeating: "v", count: 300), "file name too long"),
        ("none/words.txt", "fix: make the folder, or give another name"),
      ] {
        let result = try runner.run(
          ["convert", "a.h5", "-o", "b.pt", "--write-vocabulary", name], in: folder)
        #expect(result.exitCode == 2)
        #expect(result.errors.contains(message), "\(result.errors)")
        #expect(try files(folder) == ["a.h5"])
      }
    }
  }

  @Test("A model that cannot be written leaves no vocabulary behind")
  func unwritableModel() throws {
    try withCheckpoint { folder in
      let result = try runner.run(
        shell: "ulimit -f 2; unroll convert a.h5 -o b.pt --write-vocabulary words.txt", in: folder,
        seconds: 15)
      #expect(result.exitCode == 2)
      #expect(try files(folder) == ["a.h5"])
    }
  }

  /// A limit of 1 KiB on the size of files stands for a disk that is full.
  @Test("A write that fails on a full disk leaves no file behind")
  func fullDisk() throws {
    try withCheckpoint { folder in
      let result = try runner.run(
        shell: "ulimit -f 2; unroll convert a.h5 -o b.pt", in: folder, seconds: 15)
      #expect(result.exitCode == 2)
      #expect(result.errors.contains("cannot write: file too large"), "\(result.errors)")
      #expect(try files(folder) == ["a.h5"])
    }
  }

  @Test("A token with a line break refuses --write-vocabulary before anything is written")
  func tokenWithLineBreak() throws {
    var checkpoint = Checkpoint.small()
    let tokens = ["the", "a\nb", "c", "<eos>", "d", "e", "f", "g", "h", "i", "<unk>"]
    checkpoint.vocabulary = Vocabulary(tokens: tokens.map { Array($0.utf8) }, unit: .word)
    checkpoint.vocabulary.endOfSentenceID = 3
    checkpoint.vocabulary.unknownID = 10
    try withCheckpoint(checkpoint) { folder in
      let result = try runner.run(
        ["convert", "a.h5", "-o", "b.pt", "--write-vocabulary", "words.txt"], in: folder)
      #expect(result.exitCode == 2)
      #expect(result.errors.contains("words.txt: token 1: expected a token without"))
      #expect(try files(folder) == ["a.h5"])
      // Without the list, the model can be written.
      #expect(try runner.run(["convert", "a.h5", "-o", "b.pt"], in: folder).exitCode == 0)
    }
  }

  @Test("Errors of an export name the file once and advise a fix")
  func messagesOfAnExport() throws {
    try withCheckpoint { folder in
      func errors(_ arguments: [String]) throws -> String {
        let result = try runner.run(["convert"] + arguments, in: folder)
        #expect(result.exitCode != 0)
        return result.errors
      }
      try FileManager.default.createDirectory(
        atPath: "\(folder)/d", withIntermediateDirectories: false)
      #expect(
        try errors(["a.h5", "-o", "x.training.pt"]).hasPrefix(
          "unroll: a.h5: /optimizer: expected the optimizer of a training, found none\n"))
      #expect(
        try errors(["d", "-o", "results"]) == """
          unroll: d: it is a folder, and --to is missing
            fix: give the format that its models get: --to unroll, --to pytorch or another

          """)
      for more in [[], ["--force"]] {
        #expect(
          try errors(["a.h5", "-o", "d", "--to", "pytorch"] + more) == """
            unroll: d: cannot write: it is a folder
              fix: give the name of a file, such as d/model.unroll.h5

            """)
      }
    }
  }

  @Test("Roles that a map states are not noted as assumed")
  func mapsInsteadOfAssumptions() throws {
    try withCheckpoint(.small(cell: .lstm, hidden: [6])) { folder in
      let written = try runner.run(
        ["convert", "a.h5", "-o", "b.pt", "--write-vocabulary", "words.txt"], in: folder)
      #expect(written.exitCode == 0)
      let map = try runner.run(["convert", "b.pt", "--print-map"], in: folder).output
      try Data(map.utf8).write(to: URL(filePath: "\(folder)/map.json"))
      let options = ["convert", "b.pt", "--vocabulary", "words.txt", "--force", "-o", "c.h5"]
      let stated = try runner.run(options + ["--map", "map.json"], in: folder)
      #expect(stated.exitCode == 0 && !stated.errors.contains("assumed from names and shapes"))
      let assumed = try runner.run(options, in: folder)
      #expect(assumed.errors.contains("assumed from names and shapes: encoder.weight, rnn, "))
    }
  }
}
