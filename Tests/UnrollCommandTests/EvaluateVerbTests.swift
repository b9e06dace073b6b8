// `unroll evaluate` as its users see it.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("Evaluation (evaluate)") struct EvaluateVerbTests: VerbSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test("evaluate gives the same JSON with any number of threads, in every protocol")
  func threadCounts() throws {
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
              "details", "baseline", "part", "mixture", "reasons",
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
  func precisions() throws {
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

  @Test("UNROLL_KERNELS selects an instruction set, changes no result, or lists valid ones")
  func instructionSets() throws {
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

  @Test("evaluate and score warn of a model that is worse than guessing")
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
        let text = String(repeating: "\(word)\n", count: 50)
        try Data(text.utf8).write(to: URL(filePath: "\(folder)/text.txt"))
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

  @Test("Perplexities of other programs have their own names, and missing numbers a reason")
  func namesOfPerplexities() throws {
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
}
