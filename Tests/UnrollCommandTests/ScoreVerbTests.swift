// `unroll score` as its users see it.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("Scores (score)") struct ScoreVerbTests: VerbSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test("score --flush answers a line in a pipe before the next one arrives")
  func flushedLines() throws {
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

  @Test("score prints words, sentences and tokens as TSV and JSON, in any base")
  func scores() throws {
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

  @Test("Unknown words give no score unless --unknown asks for one, and are counted")
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
  func quoting() throws {
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
}
