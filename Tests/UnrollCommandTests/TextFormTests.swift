// Forms of texts, and advice about them, as users of the command see them.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("Forms of texts") struct TextFormTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private func write(_ text: String, to path: String) throws {
    try Data(text.utf8).write(to: URL(filePath: path))
  }

  private func json(_ result: CommandResult) throws -> [String: Any] {
    try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any] ?? [:]
  }

  /// The first command between backticks in a message.
  private func command(_ result: CommandResult) throws -> String {
    String(try #require(result.errors.firstMatch(of: #/`([^`]+)`/#)?.1, "\(result.errors)"))
  }

  private static let training = [
    "--train", "train.txt", "--valid", "train.txt", "--batch-size", "2", "--bptt", "5",
    "--hidden-size",
    "4", "--embedding-size", "3", "--steps", "3",
  ]

  @Test("All verbs read a text without its byte-order mark")
  func byteOrderMarks() throws {
    try withTemporaryFolder { folder in
      let text = "the cat sat on a mat\nthe dog ran\n"
      try write(String(repeating: text, count: 20), to: "\(folder)/train.txt")
      #expect(
        try runner.run(["train", "-o", "m.unroll.h5"] + Self.training, in: folder).exitCode == 0)
      var outputs: [[String]] = []
      for mark in ["", "\u{FEFF}"] {
        try write(mark + text, to: "\(folder)/text.txt")
        outputs.append(
          try [["tokenize"], ["score"], ["score", "--level", "token"]].map { verb in
            try runner.run([verb[0], "m.unroll.h5", "text.txt"] + verb.dropFirst(), in: folder)
              .output
          })
      }
      #expect(outputs[0] == outputs[1] && outputs[0].allSatisfy { !$0.isEmpty })
    }
  }

  @Test(
    "A UTF-16 text is refused by its encoding, and the advised command converts it",
    arguments: ["UTF-16", "UTF-16LE", "UTF-16BE"], ["text.txt", "a text.txt.gz", "-"])
  func wideEncodings(encoding: String, name: String) throws {
    try withTemporaryFolder { folder in
      let model = Fixtures.path("words/keras.json")
      try write("The cat sat\nthe dog sat\n", to: "\(folder)/plain.txt")
      let source = "iconv -f UTF-8 -t \(encoding) plain.txt"
      let prepared =
        switch name {
        case "-": "\(source) > wide.txt"
        case "text.txt": "\(source) > text.txt"
        default: "\(source) | gzip > '\(name)'"
        }
      #expect(try runner.run(shell: prepared, in: folder, seconds: 60).exitCode == 0)
      let verb = "unroll tokenize --tokenizer '\(model)'"
      let refused = try runner.run(
        shell: name == "-" ? "\(verb) - < wide.txt" : "\(verb) '\(name)'", in: folder, seconds: 60)
      #expect(
        refused.exitCode == 2 && refused.errors.contains("found \(encoding)"), "\(refused.errors)")
      let command = try command(refused)
      let cured = try runner.run(
        shell: name == "-"
          ? "\(command) < wide.txt | \(verb) -" : "\(command) && \(verb) new.txt", in: folder,
        seconds: 60)
      let plain = try runner.run(shell: "\(verb) plain.txt", in: folder, seconds: 60)
      #expect(cured.exitCode == 0 && cured.output == plain.output, "\(command): \(cured.errors)")
    }
  }

  @Test("Capitals are named as the cause in a vocabulary of lower case, and --lowercase cures them")
  func capitals() throws {
    try withTemporaryFolder { folder in
      try write(String(repeating: "the cat sat on a mat\n", count: 20), to: "\(folder)/train.txt")
      #expect(
        try runner.run(["train", "-o", "m.unroll.h5"] + Self.training, in: folder).exitCode == 0)
      try write("The cat sat\n", to: "\(folder)/text.txt")
      let evaluate = ["evaluate", "m.unroll.h5", "text.txt"]
      let refused = try runner.run(evaluate, in: folder)
      #expect(refused.errors.contains("capitals, and the vocabulary is in lower case"))
      let lowered = try runner.run(evaluate + ["--lowercase", "--json"], in: folder)
      #expect(try json(lowered)["unknown"] as? Int == 0 && !lowered.errors.contains("capitals"))
      #expect(try runner.run(shell: command(refused), in: folder, seconds: 60).exitCode == 0)
      let cured = try runner.run(["evaluate", "m.unroll.h5", "new.txt"], in: folder)
      #expect(cured.exitCode == 0 && !cured.errors.contains("capitals"), "\(cured.errors)")
    }
  }

  @Test(
    "One text for training and validation, an empty text to score, and a missing state are said")
  func poorInputs() throws {
    try withTemporaryFolder { folder in
      try write(String(repeating: "the cat sat on a mat\n", count: 20), to: "\(folder)/train.txt")
      let trained = try runner.run(["train", "-o", "m.unroll.h5"] + Self.training, in: folder)
      #expect(trained.errors.contains("warning: --train and --valid are the same text"))
      try write("", to: "\(folder)/empty.txt")
      let scored = try runner.run(["score", "m.unroll.h5", "empty.txt"], in: folder)
      #expect(scored.exitCode == 0 && scored.errors.contains("note: empty.txt: the text is empty"))
      let resumed = try runner.run(["finetune", "none.last.unroll.h5", "--resume"], in: folder)
      #expect(resumed.exitCode == 2 && resumed.errors.contains("begin anew"), "\(resumed.errors)")
      try write("sentence_good,sentence_bad\nthe cat,cat the\n", to: "\(folder)/pairs.csv")
      let pairs = try runner.run(["score", "m.unroll.h5", "pairs.csv", "--pairs"], in: folder)
      #expect(pairs.exitCode == 2 && pairs.errors.contains("found commas between the fields"))
      try write("u1,12.5,the cat sat\nu1,13,the mat sat\n", to: "\(folder)/list.csv")
      let list = try runner.run(["score", "m.unroll.h5", "list.csv", "--nbest"], in: folder)
      #expect(list.exitCode == 2 && list.errors.contains("found commas"), "\(list.errors)")
      try write("u1\t12.5\tthe cat sat\nu2\t13\tthe mat sat\n", to: "\(folder)/costs.tsv")
      let costs = try runner.run(["score", "m.unroll.h5", "costs.tsv", "--nbest"], in: folder)
      #expect(costs.exitCode == 0 && costs.errors.contains("costs need a minus sign"))
    }
  }

  @Test("Tokens of a list that look like starts and ends of lines are suggested, not assumed")
  func likelyLineTokens() throws {
    try withTemporaryFolder { folder in
      try write("SOS\nEOS\na\nb\nc\nd\ne\nf\ng\nh\ni\n", to: "\(folder)/list.txt")
      let convert =
        [
          "convert", Fixtures.path("roles/plain.pt"), "--vocabulary", "list.txt", "--force", "-o",
          "m.unroll.h5",
        ]
      let open = try runner.run(convert, in: folder)
      #expect(open.errors.contains("has SOS and EOS, which may be such tokens"), "\(open.errors)")
      let stated = try runner.run(
        convert + ["--line-start", "SOS", "--line-end", "EOS"], in: folder)
      #expect(stated.exitCode == 0 && !stated.errors.contains("such tokens"), "\(stated.errors)")
    }
  }

  @Test("A training on characters in CR LF is warned of, and the advised command removes them")
  func windowsLineEndsOfTraining() throws {
    try withTemporaryFolder { folder in
      let text = String(repeating: "the cat sat\r\n", count: 20)
      try write(text, to: "\(folder)/text.txt")
      func train(_ text: String, tokenizer: String, output: String) throws -> CommandResult {
        try runner.run(
          ["train", "--train", text, "--valid", text, "--tokenizer", tokenizer, "--steps", "1"]
            + [
              "--embedding-size", "2", "--hidden-size", "2", "--num-layers", "1", "--batch-size",
              "1", "-o", output,
            ],
          in: folder)
      }
      let warned = try train("text.txt", tokenizer: "character", output: "a.unroll.h5")
      #expect(
        warned.exitCode == 0
          && warned.errors.contains("warning: text.txt: the text has lines that end in CR LF"),
        "\(warned.errors)")
      #expect(try runner.run(shell: command(warned), in: folder, seconds: 60).exitCode == 0)
      let cured = try train("new.txt", tokenizer: "character", output: "b.unroll.h5")
      #expect(cured.exitCode == 0 && !cured.errors.contains("CR LF"), "\(cured.errors)")
      // Words are cut at carriage returns, too.
      let words = try train("text.txt", tokenizer: "whitespace", output: "c.unroll.h5")
      #expect(words.exitCode == 0 && !words.errors.contains("CR LF"), "\(words.errors)")
    }
  }

  @Test("CR LF is named as the cause for a Keras Tokenizer, and the advised command removes it")
  func windowsLineEnds() throws {
    try withTemporaryFolder { folder in
      try write("The cat sat\r\nthe dog sat\r\n", to: "\(folder)/text.txt")
      let without = ["tokenize", "--tokenizer", Fixtures.path("words/keras.json")]
      let refused = try runner.run(without + ["text.txt"], in: folder)
      #expect(refused.exitCode == 2, "\(refused.output)")
      #expect(refused.errors.contains(#"found "sat\r""#) && refused.errors.contains("CR LF"))
      // With a token for unknown words nothing is refused: a warning says so.
      let with = ["tokenize", "--tokenizer", Fixtures.path("words/keras-oov.json")]
      let warned = try runner.run(with + ["text.txt"], in: folder)
      #expect(
        warned.exitCode == 0 && warned.errors.contains("warning: text.txt"), "\(warned.errors)")
      for result in [refused, warned] {
        let command = try command(result)
        #expect(try runner.run(shell: command, in: folder, seconds: 60).exitCode == 0)
        for verb in [without, with] {
          let cured = try runner.run(verb + ["new.txt"], in: folder)
          #expect(cured.exitCode == 0 && !cured.errors.contains("CR LF"), "\(cured.errors)")
          #expect(cured.errors.contains("0 unknown"))
        }
      }
    }
  }

  @Test("--unknown drop leaves unknown words out and counts them")
  func unknownWordsAreLeftOut() throws {
    try withTemporaryFolder { folder in
      let text = Fixtures.path("words/dropping.txt")
      let converted = try runner.run(
        [
          "convert", Fixtures.path("words/dropping-words.keras"), "--tokenizer",
          Fixtures.path("words/keras.json"), "-o", "m.unroll.h5",
        ], in: folder)
      #expect(converted.errors.contains("--unknown drop"), "\(converted.errors)")
      for verb in [["evaluate", "--json"], ["tokenize", "--summary", "--json"]] {
        let refused = try runner.run([verb[0], "m.unroll.h5", text] + verb.dropFirst(), in: folder)
        #expect(refused.exitCode == 2 && refused.errors.contains("--unknown drop"))
        let taken = try runner.run(
          [verb[0], "m.unroll.h5", text, "--unknown", "drop"] + verb.dropFirst(), in: folder)
        #expect(taken.exitCode == 0 && taken.errors.contains("note: 8 words"), "\(taken.errors)")
        #expect(try json(taken)["left_out"] as? Int == 8)
      }
      let scored = try runner.run(
        ["score", "m.unroll.h5", text, "--unknown", "drop", "--level", "sentence"], in: folder)
      #expect(scored.exitCode == 0 && scored.errors.contains("8 tokens have text"))
      #expect(scored.errors.contains("(in 5 of 6 lines): it is left out"), "\(scored.errors)")
      #expect(scored.output.split(separator: "\n").dropFirst(4).first == "4\t3\t1\t-8.344800")
    }
  }

  @Test(
    "Option values outside their domain have exit code 64",
    arguments: [
      ["score", "--unknown", "penalty=-3"], ["score", "--unknown", "penalty=nan"],
      ["score", "--unknown", "penalty=inf"], ["score", "--unknown", "penalty="],
      ["score", "--threads", "0"], ["score", "--context", "0"], ["evaluate", "--cache", "0"],
      ["evaluate", "--cache", "5", "--cache-theta", "nan"],
      ["evaluate", "--cache", "5", "--cache-theta", "inf"],
      ["evaluate", "--cache", "5", "--cache-weight", "nan"],
      ["evaluate", "--cache", "5", "--cache-weight", "-0.1"],
      ["evaluate", "--dynamic", "nan"], ["evaluate", "--dynamic", "inf"],
      ["evaluate", "--dynamic", "0"], ["evaluate", "--dynamic", "0.1", "--segment", "0"],
      ["evaluate", "--resamples", "-1"], ["evaluate", "--seed", "-1"],
      ["evaluate", "--threads", "-2"],
    ])
  func senselessNumbers(arguments: [String]) throws {
    try withTemporaryFolder { folder in
      try write("a\n", to: "\(folder)/text.txt")
      let result = try runner.run(
        [arguments[0], "m.unroll.h5", "text.txt"] + arguments.dropFirst(), in: folder)
      // The model is not there: a number that was accepted would end in 2.
      #expect(result.exitCode == 64 && result.output.isEmpty, "\(result.errors)")
    }
  }

  @Test(
    "New tokens of lines are added to the vocabulary of a training, and counted once a line",
    arguments: ["whitespace", "character"])
  func newTokensOfLines(tokenizer: String) throws {
    try withTemporaryFolder { folder in
      try write(
        String(repeating: "a b\nb\n", count: 20), to: "\(folder)/train.txt")
      let trained = try runner.run(
        [
          "train", "-o", "m.unroll.h5", "--tokenizer", tokenizer, "--line-start", "<s>",
          "--line-end", "</s>",
        ] + Self.training, in: folder)
      #expect(trained.exitCode == 0, "\(trained.errors)")
      let model = try Checkpoint(contentsOf: "\(folder)/m.unroll.h5")
      let vocabulary = model.vocabulary
      let counts = try #require(vocabulary.counts)
      let found = Dictionary(
        uniqueKeysWithValues: vocabulary.indices.map { (vocabulary.text(of: $0), counts[$0]) })
      let expected: [String: UInt64] = ["<unk>": 0, "<s>": 40, "a": 20, "b": 40, "</s>": 40]
      #expect(found == (tokenizer == "character" ? expected.merging([" ": 20]) { $1 } : expected))
      #expect(vocabulary.beginningOfSentenceID == vocabulary.id(of: "<s>"))
      #expect(vocabulary.endOfSentenceID == vocabulary.id(of: "</s>"))
      let tokens = try runner.run(["tokenize", "m.unroll.h5", "train.txt"], in: folder)
      #expect(tokens.output.contains("\t</s>\t0"), "\(tokens.output)")
      let listed = try runner.run(
        [
          "train", "-o", "n.unroll.h5", "--tokenizer", "bpe", "--vocabulary-size", "260",
          "--line-start", "<s>",
        ]
          + Self.training, in: folder)
      #expect(listed.exitCode == 2 && listed.errors.contains("--append-eos"), "\(listed.errors)")
    }
  }

  @Test("train --resume names the command that goes on")
  func resumingByAnotherVerb() throws {
    try withTemporaryFolder { folder in
      try write(String(repeating: "a b\nb\n", count: 20), to: "\(folder)/train.txt")
      let trained = try runner.run(["train", "-o", "m.unroll.h5"] + Self.training, in: folder)
      #expect(trained.exitCode == 0, "\(trained.errors)")
      for option in [["--resume", "m.last.unroll.h5"], ["--resume=m.last.unroll.h5"]] {
        let refused = try runner.run(["train"] + option + Self.training, in: folder)
        #expect(refused.exitCode == 64, "\(refused.errors)")
        let words = try #require(refused.errors.firstMatch(of: #/unroll (finetune [^\n]+)/#)?.1)
        let command = words.replacing("TEXT", with: "train.txt").replacing(
          "FILE.unroll.h5", with: "m.unroll.h5")
        let resumed = try runner.run(
          shell: "unroll \(command) --steps 5", in: folder, seconds: 60)
        #expect(resumed.exitCode == 0, "\(resumed.errors)")
      }
    }
  }

  @Test("The plausibility check of a conversion uses the window of the file or of the options")
  func checksOfWindows() throws {
    try withTemporaryFolder { folder in
      let text = Fixtures.path("windows/text.txt")
      for (model, own, pad) in [
        ("plain", [], "<pad>"), ("masked", [], "none"),
        ("plain", ["--context", "3", "--pad", "none"], "none"),
      ] {
        let converted = try runner.run(
          [
            "convert", Fixtures.path("windows/\(model).keras"), "-o", "m.unroll.h5", "--force",
            "--vocabulary", Fixtures.path("windows/word_index.json"), "--check", text,
          ] + own, in: folder)
        let length = own.isEmpty ? 5 : 3
        let evaluated = try json(
          try runner.run(
            [
              "evaluate", "m.unroll.h5", text, "--protocol", "window", "--context", "\(length)",
              "--pad", pad, "--json",
            ], in: folder))
        let nll = try #require(evaluated["nll"] as? Double)
        let figure = String(format: "%.2f nats a token", nll)
        #expect(converted.errors.contains(figure), "\(figure): \(converted.errors)")
        #expect(converted.errors.contains("each from the \(length) before it"))
      }
    }
  }

  @Test("--estimate counts the predictions of windows within lines, and with --carry across them")
  func estimatesCrossLines() throws {
    try withTemporaryFolder { folder in
      let converted = try runner.run(
        [
          "convert", Fixtures.path("windows/plain.keras"), "-o", "m.unroll.h5", "--vocabulary",
          Fixtures.path("windows/word_index.json"),
        ], in: folder)
      #expect(converted.exitCode == 0, "\(converted.errors)")
      // Without padding the first token of the text, or of each of four lines, is not predicted.
      for (carry, predictions) in [([], 22), (["--carry"], 25)] {
        let estimate = try runner.run(
          [
            "evaluate", "m.unroll.h5", Fixtures.path("windows/text.txt"), "--protocol", "window",
            "--context", "5", "--pad", "none", "--estimate",
          ] + carry, in: folder)
        let line = estimate.output.split(separator: "\n").first { $0.hasPrefix("predictions") }
        #expect(line?.hasSuffix(" \(predictions)") == true, "\(estimate.output)")
      }
    }
  }

  @Test(
    "A text that comes through a named pipe is read whole",
    arguments: [
      "cat text.txt | unroll VERB", "cat text.txt > pipe & unroll VERB",
    ])
  func namedPipes(_ command: String) throws {
    try withTemporaryFolder { folder in
      try Checkpoint.small().write(to: "\(folder)/m.unroll.h5")
      // More than a reader takes at once: a first look at the text would lose the rest of it.
      try Data(String(repeating: "the cat sat on a mat\n", count: 20_000).utf8).write(
        to: URL(filePath: "\(folder)/text.txt"))
      #expect(try runner.run(shell: "mkfifo pipe", in: folder, seconds: 10).exitCode == 0)
      let path = command.contains("> pipe") ? "pipe" : "/dev/stdin"
      for verb in ["tokenize m.unroll.h5 TEXT --json", "score m.unroll.h5 TEXT --level sentence"] {
        let whole = try runner.run(
          shell: "unroll \(verb.replacing("TEXT", with: "text.txt"))", in: folder, seconds: 60)
        let piped = try runner.run(
          shell: command.replacing("VERB", with: verb.replacing("TEXT", with: path)), in: folder,
          seconds: 60)
        #expect(piped.exitCode == 0, "\(piped.errors)")
        #expect(whole.output.split(separator: "\n").count >= 20_000)
        #expect(piped.output == whole.output)
      }
    }
  }
}
