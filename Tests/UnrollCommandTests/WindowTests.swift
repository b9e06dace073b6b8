// Fixed windows, line conventions and the form of texts as users of the command see them.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("Windows and line conventions") struct WindowTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private func write(_ text: String, to path: String) throws {
    try Data(text.utf8).write(to: URL(filePath: path))
  }

  private func json(_ result: CommandResult) throws -> [String: Any] {
    let line = result.output.prefix { $0 != "\n" }
    let all = result.output.hasPrefix("{\n") ? result.output[...] : line
    return try JSONSerialization.jsonObject(with: Data(all.utf8)) as? [String: Any] ?? [:]
  }

  @Test("Conversion names the options of a window, and JSON output states them")
  func windowsAreStated() throws {
    try withTemporaryFolder { folder in
      let converted = try runner.run(
        [
          "convert", Fixtures.path("windows/plain.keras"), "-o", "m.unroll.h5", "--vocabulary",
          Fixtures.path("windows/word_index.json"),
        ], in: folder)
      #expect(converted.errors.contains("`--context 5 --pad TOKEN`"), "\(converted.errors)")
      let text = Fixtures.path("windows/text.txt")
      let window = ["--context", "5", "--pad", "<pad>", "--json"]
      for arguments in [
        ["evaluate", "m.unroll.h5", text, "--protocol", "window"], ["score", "m.unroll.h5", text],
        ["generate", "m.unroll.h5", "--prompt", "the cat", "--max-tokens", "3"],
      ] {
        let result = try runner.run(arguments + window, in: folder)
        #expect(result.exitCode == 0, "\(result.errors)")
        let fields = try json(result)
        #expect(fields["protocol"] as? String == "window", "\(result.output)")
        #expect(fields["context_length"] as? Int == 5 && fields["pad"] as? String == "<pad>")
      }
      for arguments in [
        ["--protocol", "window"], ["--context", "5"], ["--pad", "the"], ["--carry"],
        ["--protocol", "window", "--context", "0"],
      ] {
        let result = try runner.run(["evaluate", "m.unroll.h5", text] + arguments, in: folder)
        #expect(result.exitCode != 0 && result.output.isEmpty, "\(arguments)")
      }
    }
  }

  private static let training = [
    "--train", "train.txt", "--valid", "train.txt", "--batch-size", "2", "--bptt", "5",
    "--hidden-size",
    "4", "--embedding-size", "3", "--steps", "3",
  ]

  @Test("Line conventions of a training are stored, and --resume refuses to change them")
  func lineConventionsOfTraining() throws {
    try withTemporaryFolder { folder in
      let text = String(repeating: "the cat sat <eos>\na dog ran <eos>\n", count: 30)
      try write(text, to: "\(folder)/train.txt")
      let warned = try runner.run(["train", "-o", "w.unroll.h5"] + Self.training, in: folder)
      #expect(warned.errors.contains("fix: give --line-end none"), "\(warned.errors)")
      let trained = try runner.run(
        ["train", "-o", "a.unroll.h5", "--line-end", "none", "--line-start", "none"]
          + Self.training, in: folder)
      #expect(trained.exitCode == 0, "\(trained.errors)")
      #expect(!trained.errors.contains("already"))
      let model = try Checkpoint(contentsOf: "\(folder)/a.unroll.h5")
      #expect(model.lineStartAndEnd == [nil, nil])
      func resume(_ options: [String]) throws -> CommandResult {
        try runner.run(
          [
            "finetune", "a.last.unroll.h5", "--resume", "-o", "a.unroll.h5", "--train",
            "train.txt", "--valid", "train.txt", "--steps", "5",
          ] + options, in: folder)
      }
      let refused = try resume(["--line-end", "<eos>"])
      #expect(refused.exitCode == 2, "\(refused.errors)")
      #expect(refused.errors.contains("--line-end as the training began: none"))
      #expect(try resume(["--line-end", "none"]).exitCode == 0)
      let last = try Checkpoint(contentsOf: "\(folder)/a.last.unroll.h5")
      #expect(last.lineStartAndEnd == [nil, nil])
      let tuned = try runner.run(
        [
          "finetune", "a.unroll.h5", "-o", "b.unroll.h5", "--train", "train.txt", "--valid",
          "train.txt", "--steps", "2", "--batch-size", "2", "--line-end", "<eos>",
        ], in: folder)
      #expect(tuned.exitCode == 0, "\(tuned.errors)")
      #expect(
        try Checkpoint(contentsOf: "\(folder)/b.unroll.h5").lineStartAndEnd == ["<eos>", "<eos>"])
      let lacking = try runner.run(
        ["evaluate", "a.unroll.h5", "train.txt", "--line-start", "<s>"], in: folder)
      #expect(lacking.exitCode == 2 && lacking.errors.contains("found <s>"), "\(lacking.errors)")
    }
  }

  @Test(
    "A byte-order mark does not change a training",
    arguments: [["--tokenizer", "whitespace"], ["--tokenizer", "character"]])
  func byteOrderMarksAreNoText(tokenizer: [String]) throws {
    try withTemporaryFolder { folder in
      let text = String(repeating: "the cat sat\na dog ran\n", count: 30)
      var digests: [String] = []
      for mark in ["", "\u{FEFF}"] {
        try write(mark + text, to: "\(folder)/train.txt")
        let result = try runner.run(
          ["train", "-o", "m.unroll.h5", "--force"] + tokenizer + Self.training, in: folder)
        #expect(result.exitCode == 0, "\(result.errors)")
        digests.append(try Checkpoint(contentsOf: "\(folder)/m.unroll.h5").weightsDigest)
      }
      #expect(digests[0] == digests[1])
    }
  }

  @Test(
    "Text in CR LF or NFD is refused for this cause, and the advised command converts it",
    arguments: [("caf\u{E9} au lait\r\n", "CR LF"), ("cafe\u{301} au lait\n", "NFD")])
  func causesOfUnknownTextAreCured(text: String, cause: String) throws {
    try withTemporaryFolder { folder in
      try write(
        String(repeating: "caf\u{E9} au lait\n", count: 40), to: "\(folder)/train.txt")
      // A vocabulary without a token for unknown text.
      try write(#"["\n"," ","a","c","f","\u00e9","e","u","l","i","t"]"#, to: "\(folder)/list.json")
      let trained = try runner.run(
        [
          "train", "-o", "m.unroll.h5", "--tokenizer", "character", "--vocabulary", "list.json",
        ] + Self.training, in: folder)
      #expect(trained.exitCode == 0, "\(trained.errors)")
      try write(text, to: "\(folder)/it's old.txt")
      for arguments in [
        ["evaluate", "m.unroll.h5", "it's old.txt"],
        [
          "finetune", "m.unroll.h5", "-o", "t.unroll.h5", "--train", "it's old.txt", "--valid",
          "it's old.txt",
        ],
      ] {
        let refused = try runner.run(arguments, in: folder)
        #expect(refused.exitCode == 2 && refused.errors.contains(cause), "\(refused.errors)")
        let command = try #require(refused.errors.firstMatch(of: #/`([^`]+)`/#)?.1)
        let cured = try runner.run(
          shell: "\(command) && unroll evaluate m.unroll.h5 new.txt --json", in: folder,
          seconds: 60)
        #expect(cured.exitCode == 0, "\(cured.errors)")
        #expect(
          try Data(contentsOf: URL(filePath: "\(folder)/new.txt"))
            == Data("caf\u{E9} au lait\n".utf8))
      }
      // Other text is not cured by it, and no such cause is named.
      try write("caf\u{E9} zz\n", to: "\(folder)/other.txt")
      let other = try runner.run(["evaluate", "m.unroll.h5", "other.txt"], in: folder)
      #expect(other.exitCode == 2 && !other.errors.contains("NFD"), "\(other.errors)")
    }
  }
}

extension Checkpoint {
  /// The line conventions, from what is stored.
  fileprivate var lineStartAndEnd: [String?] {
    let start: Int? =
      switch tokenizer.sentenceStart {
      case .eos: vocabulary.endOfSentenceID
      case .bos: vocabulary.beginningOfSentenceID
      case .none: nil
      }
    let end = tokenizer.appendsEndOfSentence ? vocabulary.endOfSentenceID : nil
    return [start, end].map { id in id.map { vocabulary.text(of: $0) } }
  }
}
