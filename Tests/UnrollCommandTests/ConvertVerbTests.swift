// `unroll convert` as its users see it: results, refusals, and files that are left behind.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("Conversion (convert)") struct ConvertVerbTests: VerbSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test("Two conversions of one model give the same bytes")
  func sameBytes() throws {
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

  @Test("convert replaces an existing file only with --force")
  func existingFiles() throws {
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

  @Test("convert never replaces its input, even with --force")
  func inputAsOutput() throws {
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

  @Test(
    "A refused conversion names the cause and a fix, and creates no file",
    arguments: [
      ("pytorch/hostile-system.pt", "os"), ("pytorch/hostile-truncated.pt", "truncated"),
      ("characters/test.txt", "a supported format"), ("hostile/valid.unroll.h5", "give --to"),
    ])
  func refusals(model: String, word: String) throws {
    try withTokens { folder in
      let result = try convert(model, in: folder)
      #expect(result.exitCode == 2, "\(result.errors)")
      #expect(
        result.errors.contains("expected") && result.errors.contains("fix: "), "\(result.errors)")
      #expect(result.errors.contains(word), "\(result.errors)")
      #expect(try files(folder) == ["tokens.txt"])
    }
  }

  @Test("A model without a vocabulary asks for --corpus or --vocabulary")
  func missingVocabulary() throws {
    try withTokens { folder in
      let result = try runner.run(
        ["convert", Fixtures.path("pytorch/lstm-state.pt"), "-o", "out.h5"], in: folder)
      #expect(result.exitCode == 2)
      #expect(result.errors.contains("--corpus") && result.errors.contains("--vocabulary"))
      #expect(try files(folder) == ["tokens.txt"])
    }
  }

  @Test("A corpus whose vocabulary has another size than the model is refused")
  func vocabularySize() throws {
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

  @Test("An Elman RNN of PyTorch asks for --nonlinearity")
  func nonlinearity() throws {
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

  @Test("convert rounds with --dtype, refuses with --strict and writes nothing with --dry-run")
  func dtypeStrictAndDryRun() throws {
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

  @Test("A folder is converted file by file, and a broken model stops no other")
  func folders() throws {
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

  @Test("An output whose ending no format has is refused, and no file is written")
  func unknownEndings() throws {
    try withTokens { folder in
      for name in ["out.onxx", "out.pth.tar"] {
        let refused = try convert("pytorch/lstm-state.pt", in: folder, to: name)
        #expect(refused.exitCode == 2, "\(name)")
        #expect(refused.errors.contains(".onnx, ") && refused.errors.contains("--to"))
      }
      let stated = try convert("pytorch/lstm-state.pt", in: folder, to: "a.x", ["--to", "unroll"])
      #expect(stated.exitCode == 0)
      #expect(try convert("pytorch/lstm-state.pt", in: folder, to: "poet").exitCode == 0)
      #expect(try files(folder) == ["a.x", "poet", "tokens.txt"])
    }
  }
}
