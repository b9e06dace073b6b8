// The verbs as their users see them: results, refusals, exit codes, and what is left behind.

import Foundation
import TestSupport
import Testing
import UnrollFormat

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite("Verbs: results, refusals and exit codes") struct VerbTests {
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

  @Test("Two conversions of one model give the same bytes")
  func convertingTwiceGivesTheSameBytes() throws {
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

  @Test("With --flush a line in a pipe is answered before the next one comes")
  func linesInAPipeAreAnsweredAtOnce() throws {
    try withTokens { folder in
      #expect(try convert("pytorch/lstm-tied-module.pt", in: folder).exitCode == 0)
      // Without an answer the loop ends after ten seconds, and the second line is not sent.
      let script = """
        mkfifo pipe
        unroll score --flush --level sentence out.h5 - <pipe >table.tsv &
        exec 3>pipe
        echo 'w1 w2' >&3
        for try in $(seq 200); do
          if [ $(wc -l <table.tsv) = 2 ]; then echo 'w3' >&3; break; fi
          sleep 0.05
        done
        exec 3>&-
        wait
        cut -f 1-3 table.tsv
        printf 'w1 w2\\nw3\\n' | unroll score --level sentence out.h5 - | cmp - table.tsv && echo equal
        """
      let result = try runner.run(shell: script, in: folder, seconds: 30)
      #expect(result.output == "sentid\ttokens\toov\n1\t3\t0\n2\t2\t0\nequal\n")
      let compressed = try runner.run(
        shell: "echo w1 | gzip | unroll score --flush out.h5 -", in: folder, seconds: 15)
      #expect(compressed.exitCode == 2)
      #expect(
        compressed.errors.contains("-: line 1: expected plain text, line by line; found gzip data"))
    }
  }

  @Test("convert replaces an existing file only with --force")
  func anExistingFileIsReplacedOnlyByForce() throws {
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
  func theInputIsNeverTheOutput() throws {
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
      ("characters/test.txt", "a supported format"), ("hostile/valid.unroll.h5", "copy the file"),
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

  @Test("A model without a vocabulary asks for --corpus or --vocabulary")
  func aMissingVocabularyIsAskedFor() throws {
    try withTokens { folder in
      let result = try runner.run(
        ["convert", Fixtures.path("pytorch/lstm-state.pt"), "-o", "out.h5"], in: folder)
      #expect(result.exitCode == 2)
      #expect(result.errors.contains("--corpus") && result.errors.contains("--vocabulary"))
      #expect(try files(folder) == ["tokens.txt"])
    }
  }

  @Test("A corpus whose vocabulary has another size than the model is refused")
  func aVocabularyOfAnotherSizeIsRefused() throws {
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
  func aPlainRNNNeedsItsNonlinearity() throws {
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

  @Test("evaluate gives the same JSON with any number of threads, in every protocol")
  func evaluationIsTheSameForAnyThreads() throws {
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
            Set(fields.keys) == [
              "protocol", "tokens", "predictions", "words", "bytes", "unknown", "left_out", "nll",
              "perplexity",
              "bits_per_token", "bits_per_word", "bits_per_byte", "seconds", "tokens_per_second",
              "context", "context_length", "pad", "first_token", "line_ends", "divisor",
              "interval_low", "interval_high",
              "blocks", "figures", "precision", "adaptation", "interval_of", "vocabulary_size",
              "reasons",
            ])
          fields["seconds"] = nil
          fields["tokens_per_second"] = nil
          return fields as NSDictionary
        }
        #expect(results[0] == results[1])
      }
    }
  }

  @Test("--precision of evaluate is reported, and unsupported precisions are refused")
  func precisionIsSaid() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      try Data("w0 w3 w1 x w8\nw2 w2\n".utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      func evaluate(_ precision: String) throws -> CommandResult {
        try runner.run(["evaluate", "out.h5", "text.txt", "--precision", precision], in: folder)
      }
      #expect(try !evaluate("f32").output.contains("precision"))
      let quick = try evaluate("bf16")
      #expect(quick.exitCode == 0 && quick.output.contains("precision       bf16"))
      #expect(try evaluate("f16").exitCode == 64)
      let training = try runner.run(
        [
          "finetune", "out.h5", "--train", "t", "--valid", "v", "-o", "o.h5", "--precision", "int8",
        ],
        in: folder)
      #expect(training.exitCode == 64 && training.errors.contains("f32 or bf16"))
    }
  }

  @Test("UNROLL_KERNELS chooses an instruction set, changes nothing, and names what there is")
  func instructionSetsCanBeChosen() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      try Data("w0 w3 w1 x w8\nw2 w2\n".utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      func evaluate(_ kernels: String) throws -> CommandResult {
        try runner.run(
          shell: "UNROLL_KERNELS=\(kernels) unroll evaluate out.h5 text.txt --json", in: folder,
          seconds: 60)
      }
      func nll(_ result: CommandResult) throws -> Double {
        let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
        return try #require((object as? [String: Any])?["nll"] as? Double)
      }
      #expect(try nll(evaluate("portable")) == nll(evaluate("")))
      let unknown = try evaluate("sse9")
      #expect(unknown.exitCode == 2 && unknown.errors.contains("UNROLL_KERNELS: expected "))
      #expect(unknown.errors.contains("or portable on this processor, found sse9"))
    }
  }

  @Test("score prints words, sentences and tokens as TSV and JSON, in any base")
  func scoresAreTSV() throws {
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
      let included = ["--level", "sentence", "--unknown", "include"]
      let ten = try numbers(included + ["--base", "10"])
      let e = try numbers(included)
      for (ten, e) in zip(ten, e) {
        let (ten, e) = (try #require(ten["logprob"] as? Double), e["logprob"] as? Double)
        #expect(abs(ten * log(10) - (e ?? 0)) < 1e-12)
      }
      let tokens = try numbers(["--level", "token", "--base", "e"])
      let units = try #require(tokens[0]["units"] as? [[String: Any]])
      #expect(units.map { $0["token"] as? String } == ["w0", "<unk>", "<eos>"])
      #expect(units.map { $0["sentpos"] as? Int } == [1, 2, nil])
      #expect(units.map { $0["surp"] is NSNull } == [false, true, false])
      #expect(units.map { $0["surp_reason"] as? String } == [nil, "not in the vocabulary", nil])
      try Data("w 0 \tx\n\nw1\n".utf8).write(to: URL(filePath: "\(folder)/words.txt"))
      let own = try runner.run(
        ["score", "out.h5", "text.txt", "--words", "words.txt", "--carry"], in: folder)
      #expect(own.exitCode == 0 && own.output.contains("\nw 0\t1\t1\t3\t"), "\(own.errors)")
      try Data("w0 y\n\nw1\n".utf8).write(to: URL(filePath: "\(folder)/words.txt"))
      let other = try runner.run(
        ["score", "out.h5", "text.txt", "--words", "words.txt"], in: folder)
      #expect(other.exitCode == 2)
      #expect(other.errors.contains("words.txt: line 1: expected the words of line 1 of text.txt"))
    }
  }

  @Test("A misspelled hypothesis does not win without a word, and a number is given on request")
  func unknownWordsAreSaid() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      try Data("w0 w1\nw0 x y\n".utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      func score(_ options: [String]) throws -> (cells: [[Substring]], errors: String) {
        let result = try runner.run(["score", "out.h5", "text.txt"] + options, in: folder)
        #expect(result.exitCode == 0, "\(result.errors)")
        let lines = result.output.split(separator: "\n")
        return (lines.dropFirst().map { $0.split(separator: "\t") }, result.errors)
      }
      let plain = try score(["--level", "sentence"])
      #expect(plain.cells[0][3] != "NA" && plain.cells[1][3] == "NA")
      #expect(
        plain.errors.contains("note: 2 tokens in 1 of 2 lines are not in the vocabulary"),
        "\(plain.errors)")
      #expect(plain.errors.contains("--unknown include"))
      let include = try score(["--level", "sentence", "--unknown", "include"])
      let penalty = try score(["--level", "sentence", "--unknown", "penalty=2.5"])
      let exclude = try score(["--level", "sentence", "--unknown", "exclude"])
      let values = try [include, penalty, exclude].map { try #require(Double($0.cells[1][3])) }
      #expect(abs(values[0] - values[1] - 5) < 1e-5 && values[2] > values[0])
      for result in [include, penalty, exclude] {
        #expect(result.errors.contains("2 tokens in 1 of 2 lines"))
      }
      let words = try score(["--unknown", "include"])
      #expect(words.cells[3][4] != "NA" && words.cells[3][7] == "1")
      #expect(words.errors.contains("2 words in 1 of 2 lines"))
      let wrong = try runner.run(
        ["score", "out.h5", "text.txt", "--unknown", "penalty=x"], in: folder)
      #expect(wrong.exitCode == 64)
    }
  }

  @Test("CSV is quoted by RFC 4180, and TSV keeps quotes, signs and words called NA")
  func tablesHaveNoTraps() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      let words = ["\"w0\"", "NA", "#w1", "a,b", "it's", "o\u{200D}k"]
      try Data("\u{FEFF}\(words.joined(separator: " "))\n".utf8)
        .write(to: URL(filePath: "\(folder)/text.txt"))
      let tsv = try runner.run(["score", "out.h5", "text.txt"], in: folder).output
      let rows = tsv.split(separator: "\n").dropFirst().map {
        $0.split(separator: "\t", omittingEmptySubsequences: false)
      }
      #expect(rows.map { String($0[0]) } == words)
      #expect(rows.allSatisfy { $0.count == 8 })
      let csv = try runner.run(["score", "out.h5", "text.txt", "--csv"], in: folder).output
      let lines = csv.components(separatedBy: "\r\n")
      #expect(lines.last == "" && lines.count == 8)
      #expect(lines[0] == "word,sentid,sentpos,wlen,surp,entropy,entred,oov")
      #expect(lines[1].hasPrefix("\"\"\"w0\"\"\",1,1,4,NA,"))
      #expect(lines[4].hasPrefix("\"a,b\",1,4,3,NA,"))
      #expect(lines[6].hasPrefix("o\u{200D}k,1,6,3,NA,"))
      let both = try runner.run(["score", "out.h5", "text.txt", "--csv", "--json"], in: folder)
      #expect(both.exitCode == 64)
    }
  }

  @Test("A model that is worse than guessing is said to be so by evaluate and by score")
  func worseThanGuessing() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      // Of all words the least and the most probable after <eos>.
      func surprisal(_ word: String) throws -> Double {
        try Data("\(word)\n".utf8).write(to: URL(filePath: "\(folder)/text.txt"))
        let row = try runner.run(
          ["score", "out.h5", "text.txt", "--level", "sentence"], in: folder
        ).output.split(separator: "\n")[1]
        return try -#require(Double(row.split(separator: "\t")[3]))
      }
      let words = try (0..<9).map { (try surprisal("w\($0)"), "w\($0)") }.sorted { $0.0 < $1.0 }
      let guessing = log(11.0)
      for (nll, word) in [words[0], words[8]] {
        try Data("\(word)\n".utf8).write(to: URL(filePath: "\(folder)/text.txt"))
        for verb in [["evaluate", "--protocol", "sentence"], ["score"]] {
          let result = try runner.run(
            [verb[0], "out.h5", "text.txt"] + verb.dropFirst(), in: folder)
          #expect(
            result.errors.contains("worse than guessing (ln V = 2.3979, V = 11)")
              == (nll / 2 > guessing), "\(verb) \(word) \(nll) \(result.errors)")
        }
      }
      #expect(words[0].0 / 2 < guessing)
    }
  }

  @Test("Programs' perplexities have their own names, and missing numbers have a reason")
  func perplexitiesHaveTheirNames() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      try Data("w0 x w1\n".utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      func evaluate(_ name: String, _ options: [String] = []) throws -> String {
        try runner.run(
          ["evaluate", "out.h5", "text.txt", "--protocol", name] + options, in: folder
        ).output
      }
      for (name, figure) in [
        ("kenlm", "perplexity including OOVs"), ("srilm", "ppl "), ("lm-eval", "word_perplexity"),
      ] {
        let table = try evaluate(name).split(separator: "\n")
        #expect(
          !table.contains { $0.hasPrefix("perplexity  ") }
            && table.contains { $0.hasPrefix(figure) })
        let object = try #require(
          try JSONSerialization.jsonObject(with: Data(evaluate(name, ["--json"]).utf8))
            as? [String: Any])
        #expect(object["perplexity"] is NSNull && object["interval_low"] is NSNull)
        let reasons = try #require(object["reasons"] as? [String: String])
        #expect(reasons["perplexity"]?.contains("figures") == true)
        #expect(reasons["interval_low"] != nil)
      }
      #expect(try evaluate("sentence").contains("\nperplexity  "))
    }
  }

  @Test("convert rounds with --dtype, refuses with --strict and writes nothing with --dry-run")
  func conversionsCanBeNarrowedStrictAndDry() throws {
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
  func aFolderIsConvertedAsFarAsItGoes() throws {
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

  @Test("gradients prints a table, JSON and SVG, the same with any number of threads")
  func gradientsAreShownAndDrawn() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      let text = Array(repeating: "w0 w3 w1 x w8\nw2 w2\n", count: 40).joined()
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      func gradients(_ options: [String]) throws -> CommandResult {
        try runner.run(
          ["gradients", "out.h5", "text.txt", "--lags", "10", "--batch-size", "4"] + options,
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

  @Test("generate repeats its text with the same seed and follows its options")
  func textIsGenerated() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      func generate(_ options: [String]) throws -> CommandResult {
        try runner.run(["generate", "out.h5", "--max-tokens", "12"] + options, in: folder)
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
      let few = try generate(["--shortlist", "few.txt", "--max-tokens", "60"])
      #expect(Set(few.output.split(whereSeparator: \.isWhitespace)) == ["w3", "w4", "w5"])
      try Data().write(to: URL(filePath: "\(folder)/empty.txt"))
      for text in ["empty.txt", "none.txt"] {
        #expect(try generate(["--shortlist", text]).exitCode == 2)
      }
    }
  }

  @Test("Wrong usage has exit code 64, and an unreadable file 2")
  func usageErrorsHaveTheirCode() throws {
    #expect(try runner.run(["explain"]).exitCode == 64)
    #expect(try runner.run(["explain", "Z999"]).exitCode == 64)
    #expect(try runner.run(["dance"]).exitCode == 64)
    #expect(try runner.run(["evaluate", "a", "b", "--threads", "0"]).exitCode == 64)
    #expect(try runner.run(["validate", "/no/such/file"]).exitCode == 2)
    #expect(try runner.run(["--help"]).exitCode == 0)
  }
}
