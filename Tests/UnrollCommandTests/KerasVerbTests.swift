// `unroll convert` of Keras's files, as its users see it; containers inside that crash libhdf5 or reach out.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollInterchange

@Suite("Conversion of Keras files") struct KerasVerbTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private func path(_ name: String) -> String { Fixtures.path("keras/\(name)") }

  /// Runs a closure in a folder with a list of eleven tokens.
  private func withTokens(_ body: (String) throws -> Void) throws {
    try withTemporaryFolder { folder in
      let words = (0..<10).map { "w\($0)\n" }.joined() + "<eos>\n"
      try Data(words.utf8).write(to: URL(filePath: "\(folder)/words.txt"))
      try body(folder)
    }
  }

  private func convert(
    _ arguments: [String], in folder: String
  ) throws -> (code: Int, errors: String) {
    let result = try runner.run(["convert"] + arguments, in: folder)
    return (result.exitCode, result.errors)
  }

  @Test("Conversion to Keras and back keeps weights, vocabulary and optimizer")
  func roundTrip() throws {
    try withTokens { folder in
      let there = ["--vocabulary", "words.txt", "-o", "a.h5"]
      let figures =
        "read back, 7 tensors equal bit for bit, log-probabilities of 4 tokens equal\n"
      let unchecked =
        "note: words.txt: the order of the tokens was not checked; --check TEXT tests it on a text of the model's kind\n"
      #expect(
        try convert([path("gru.keras")] + there, in: folder)
          == (0, "\(unchecked)wrote a.h5: \(figures)"))
      for (name, option) in [("b.keras", []), ("b", ["--to", "keras-h5"])] {
        let out = try convert(["a.h5", "-o", name] + option, in: folder)
        #expect(out.code == 0)
        #expect(out.errors.hasSuffix("wrote \(name): \(figures)"))
        #expect(
          try convert([name, "-o", "c.h5", "--force"], in: folder)
            == (0, "wrote c.h5: \(figures)"))
        let (a, c) = try (
          Checkpoint(contentsOf: "\(folder)/a.h5"), Checkpoint(contentsOf: "\(folder)/c.h5")
        )
        #expect(a.weightsDigest == c.weightsDigest)
        #expect(a.vocabulary.tokenBytes == c.vocabulary.tokenBytes)
        #expect(a.optimizer?.groups == c.optimizer?.groups && c.optimizer?.step == 3)
      }
      let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
      #expect(names == ["a.h5", "b", "b.keras", "c.h5", "words.txt"])
    }
  }

  /// Through the child process.
  @Test("Weights in compressed chunks equal those of the contiguous file")
  func chunkedData() throws {
    try withTokens { folder in
      let models = [path("lstm.weights.h5"), Fixtures.path("foreign/chunks.weights.h5")]
      let digests = try models.map { model in
        let options = ["--vocabulary", "words.txt", "--force", "-o", "a.h5"]
        #expect(try convert([model] + options, in: folder).code == 0)
        return try Checkpoint(contentsOf: "\(folder)/a.h5").weightsDigest
      }
      #expect(digests[0] == digests[1])
    }
  }

  @Test("A Keras file without a vocabulary asks for one, and --strict refuses assumptions")
  func missingVocabulary() throws {
    try withTokens { folder in
      let bare = try convert([path("lstm.keras"), "-o", "a.h5"], in: folder)
      #expect(bare.code == 2 && bare.errors.contains("expected a vocabulary of 11 tokens"))
      let strict = [path("lstm.weights.h5"), "--vocabulary", "words.txt", "--strict", "-o", "a.h5"]
      #expect(try convert(strict, in: folder).code != 0)
      let named = [path("rnn.keras"), "--vocabulary", "words.txt", "--nonlinearity"]
      #expect(try convert(named + ["relu", "-o", "a.h5"], in: folder).code == 0)
    }
  }

  /// A configuration beside weights says what is assumed without it.
  @Test("--keras-config describes weights alone, and is refused where the file has its own")
  func configurationOfWeights() throws {
    try withTokens { folder in
      let text =
        #"{"class_name": "Sequential", "keras_version": "2.2.4", "config": ["#
        + #"{"class_name": "Embedding", "config": {"name": "embedding_1"}}, {"class_name": "LSTM", "#
        + #""config": {"name": "lstm", "units": 4, "activation": "tanh", "recurrent_activation": "#
        + #""hard_sigmoid", "return_sequences": true}}, {"class_name": "Dense", "config": "#
        + #"{"name": "dense", "activation": "softmax"}}]}"#
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/model.json"))
      let options = [
        "--vocabulary", "words.txt", "--keras-config", "model.json", "--force", "-o", "a.h5",
      ]
      let told = try convert([path("lstm.weights.h5")] + options, in: folder)
      #expect(told.code == 0 && !told.errors.contains("assumed"), "\(told.errors)")
      let layer = try Checkpoint(contentsOf: "\(folder)/a.h5").architecture.layers[0]
      #expect(layer.gateActivation == .hardSigmoid(alpha: 0.2, beta: 0.5))
      for (model, found) in [
        (path("lstm.h5"), "one with a configuration"),
        (path("lstm.keras"), "one with a configuration"),
        (Fixtures.path("numpy/lstm.npz"), "found npz"),
      ] {
        let refused = try convert([model] + options, in: folder)
        #expect(refused.code == 2 && refused.errors.contains(found), "\(refused.errors)")
      }
    }
  }

  /// The wrong file for `--keras-config`, a file that is cut off, a folder that is a model: each is told.
  @Test("A wrong --keras-config, a truncated file and an unpacked model are named with a fix")
  func wrongFiles() throws {
    try withTokens { folder in
      let weights = path("lstm.weights.h5")
      let bytes = try Data(contentsOf: URL(filePath: weights))
      try bytes.prefix(20000).write(to: URL(filePath: "\(folder)/cut.weights.h5"))
      for name in [
        "x.keras/config.json", "x.keras/metadata.json", "x.keras/model.weights.h5",
        "y/saved_model.pb",
      ] {
        let file = URL(filePath: "\(folder)/\(name)")
        try FileManager.default.createDirectory(
          at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data().write(to: file)
      }
      let told =
        "give with --keras-config what `model.to_json()` says of the model that has these weights"
      let options = ["--vocabulary", "words.txt", "-o", "a.h5"]
      for (arguments, found) in [
        ([weights, "--keras-config", "words.txt"] + options, told),
        ([weights, "--keras-config", path("references.json")] + options, told),
        (
          [weights, "--keras-config", path("lstm.keras")] + options,
          "unzip -p model.keras config.json > model.json"
        ),
        (
          ["cut.weights.h5"] + options,
          "expected an HDF5 file of Keras of \(bytes.count) bytes, as it says, found 20000 bytes\n"
            + "  fix: the file is cut off: copy it again"
        ),
        (["x.keras"] + options, "found the folder of one that was unpacked\n  fix: pack it again"),
        (
          ["y"] + options,
          "found a damaged graph of a SavedModel of TensorFlow\n  fix: copy the folder"
        ),
      ] {
        let result = try convert(arguments, in: folder)
        #expect(result.code == 2 && result.errors.contains(found), "\(result.errors)")
      }
    }
  }

  private func forms(_ name: String) -> String { Fixtures.path("keras-forms/\(name)") }

  @Test(
    "An ignored name is noted, recorded in the provenance, and refused where there are no such names"
  )
  func ignoredNames() throws {
    try withTokens { folder in
      let options = ["--vocabulary", "words.txt", "--ignore", "/vars/0", "-o", "a.h5"]
      let out = try convert([forms("class-own.weights.h5")] + options, in: folder)
      #expect(out.code == 0 && out.errors.contains("note: /vars/0: ignored, as requested\n"))
      let entry = try #require(Checkpoint(contentsOf: "\(folder)/a.h5").provenance.last)
      #expect(entry.arguments.split(separator: "\n").contains("ignored=/vars/0"))
      let onnx = try convert(
        [Fixtures.path("onnx/lstm-script.onnx")] + options + ["--force"], in: folder)
      #expect(onnx.code == 2 && onnx.errors.contains("/vars/0: expected a name in the file"))
      let again = try convert(["a.h5", "-o", "b.keras", "--ignore", "x"], in: folder)
      #expect(again.code == 2 && again.errors.contains("ignored names"))
    }
  }

  @Test("--keras-config describes an archive of a custom class, and nothing is assumed")
  func configurationOfClass() throws {
    try withTokens { folder in
      let layers = [
        #"{"class_name": "Embedding", "config": {"name": "embedding", "output_dim": 5}}"#,
        #"{"class_name": "LSTM", "config": {"name": "bottom", "units": 4, "activation": "tanh", "#
          + #""recurrent_activation": "sigmoid", "return_sequences": true}}"#,
        #"{"class_name": "LSTM", "config": {"name": "top", "units": 6, "activation": "tanh", "#
          + #""recurrent_activation": "sigmoid", "return_sequences": true}}"#,
        #"{"class_name": "Dense", "config": {"name": "fc", "activation": "softmax"}}"#,
      ].joined(separator: ", ")
      try Data(#"{"class_name": "Sequential", "config": {"layers": [\#(layers)]}}"#.utf8)
        .write(to: URL(filePath: "\(folder)/model.json"))
      let options = ["--vocabulary", "words.txt", "--force", "-o"]
      let told = ["--keras-config", "model.json"]
      for name in ["class.keras", "class.weights.h5"] {
        let alone = try convert([forms(name)] + options + ["a.h5"], in: folder)
        #expect(alone.code == 0 && alone.errors.contains("one after the other"))
        let said = try convert([forms(name)] + options + ["b.h5"] + told, in: folder)
        #expect(said.code == 0 && !said.errors.contains("assumed"), "\(said.errors)")
        let digests = try ["a.h5", "b.h5"].map {
          try Checkpoint(contentsOf: "\(folder)/\($0)").weightsDigest
        }
        #expect(digests[0] == digests[1])
      }
    }
  }

  @Test("The gate activation that an old file does not state is requested and recorded")
  func gateActivation() throws {
    try withTokens { folder in
      let options = ["--vocabulary", "words.txt", "-o", "a.h5"]
      let asked = try convert([forms("keras224tf.h5")] + options, in: folder)
      #expect(asked.code == 2 && asked.errors.contains("--gate-activation"))
      let told = ["--gate-activation", "hard_sigmoid"]
      #expect(try convert([forms("keras224tf.h5")] + options + told, in: folder).code == 0)
      let checkpoint = try Checkpoint(contentsOf: "\(folder)/a.h5")
      #expect(
        checkpoint.provenance.last?.arguments.contains("gate_activation=hard_sigmoid") == true)
      #expect(
        checkpoint.architecture.layers[0].gateActivation == .hardSigmoid(alpha: 0.2, beta: 0.5))
      let other = try convert([path("lstm.keras")] + options + told + ["--force"], in: folder)
      #expect(other.code == 2 && other.errors.contains("leave --gate-activation out"))
      #expect(try convert(["x", "--gate-activation", "relu", "-o", "y"], in: folder).code == 64)
    }
  }

  @Test("An output whose extension contradicts --to is noted")
  func extensionOfAnotherFormat() throws {
    try withTokens { folder in
      try Checkpoint.small().write(to: "\(folder)/a.h5")
      let note = "note: b.onnx: written as npz, as --to says; its name is one of onnx\n"
      let arguments = ["a.h5", "-o", "b.onnx", "--to", "npz", "--dry-run"]
      #expect(try convert(arguments, in: folder).errors.hasPrefix(note))
      for (name, format) in [
        ("b.pth", "fastai"), ("b.npz", "npz"), ("b", "onnx"), ("b.training.pt", "pytorch"),
      ] {
        let result = try convert(["a.h5", "-o", name, "--to", format, "--dry-run"], in: folder)
        #expect(!result.errors.contains("as --to says"), "\(result.errors)")
      }
    }
  }

  @Test("Two biases are added for Keras, and the rounding of the sum is noted")
  func twoBiases() throws {
    try withTemporaryFolder { folder in
      var checkpoint = Checkpoint.small()
      let bias = try #require(checkpoint.parameters[.layer(0, .biasHH)]?.floats())
      checkpoint.parameters[.layer(0, .biasHH)] = Tensor(bias.map { $0 / 3 }, shape: [bias.count])
      try checkpoint.write(to: "\(folder)/a.h5")
      let out = try convert(["a.h5", "-o", "a.keras"], in: folder)
      #expect(out.code == 0)
      let sums =
        "note: /model/layers/00/bias: Keras has one bias: the sum of the two, rounded to f32; "
      #expect(out.errors.contains(sums))
      #expect(
        out.errors.contains("note: /model/layers/01/bias: Keras has one bias: the sum of the two; ")
      )
      let last = try #require(out.errors.split(separator: "\n").last)
      let found = try #require(last.firstMatch(of: /of 4 tokens within (\S+) nats/))
      #expect(try #require(Double(found.1)) < 1e-6)
    }
  }

  /// Hostile containers, as Keras's own weights and alone, are refused: nothing is read elsewhere, nothing
  /// crashes, nothing is written.
  @Test(
    "A hostile HDF5 file inside a .keras archive is refused and nothing is written",
    arguments: [
      "crash-cve-2018-13871", "crash-cve-2021-46244", "external-link", "external-storage-absolute",
      "virtual-dataset", "soft-link", "cycle", "bomb-of-4-terabytes", "deep", "attributes-1001",
      "truncated-in-the-middle", "name-with-escape",
    ])
  func hostileContainers(name: String) throws {
    let weights = try MappedFile(path: Fixtures.path("hostile/\(name).h5"))
    let configuration = try String(contentsOfFile: path("refused-lambda.json"), encoding: .utf8)
    try withTokens { folder in
      try Data().write(to: URL(filePath: "\(folder)/x.keras"))
      var archive = try ZipWriter(emptying: "\(folder)/x.keras")
      try archive.add("metadata.json", text: "{}")
      try archive.add("config.json", text: configuration)
      try archive.add("model.weights.h5", .mapped(weights, 0..<weights.count))
      try archive.finish()
      let result = try runner.run(
        ["convert", "x.keras", "--vocabulary", "words.txt", "-o", "a.h5"], in: folder)
      #expect(result.exitCode == 2 && result.output == "")
      #expect(result.errors.hasPrefix("unroll: x.keras: "), "\(result.errors)")
      for word in ["UNROLL-SECRET", "root:", "HDF5-DIAG", "Assertion", "\u{1B}"] {
        #expect(!result.errors.contains(word))
      }
      if name.hasPrefix("crash") {
        #expect(result.errors.contains("a reader that crashed"))
        let compared = try runner.run(
          ["diff", "x.keras", "x.keras", "--vocabulary", "words.txt"], in: folder)
        #expect(compared.exitCode == 2 && compared.errors == result.errors)
      }
      let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
      #expect(names == ["words.txt", "x.keras"])
    }
  }
}
