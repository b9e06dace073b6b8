// Texts that ranks score together: the same bytes for any number of them.

import Foundation
import Synchronization
import TestSupport
import Testing
import UnrollFormat
import UnrollNeural
import UnrollTokenization

@testable import UnrollEngine

@Suite("Texts that ranks score together") struct SharedScoringTests {
  /// A result in which every bit of the scores is seen.
  private static func row(_ score: SentenceScore) -> String {
    let tokens = score.tokens.map { "\($0.token) \($0.logProbability ?? 1) \($0.entropy ?? 1)" }
    let words = score.words.map { "\($0.word) \($0.surprisal ?? -1)" }
    return "\(score.line)\t\((tokens + words).joined(separator: "|"))\n"
  }

  /// One process's result, and the sums.
  private static func alone(
    _ path: String, _ settings: ScoreSettings
  ) throws -> (text: String, totals: ScoreTotals) {
    let model = try LanguageModel(.small(), path: "model")
    var (text, totals) = ("header\n", ScoreTotals())
    try model.score(text: path, settings) { score, _ in
      text += row(score)
      totals.add(score)
    }
    return (text, totals)
  }

  /// Faults of the ranks of a test.
  private struct Faults: Sendable {
    /// The rank whose rows fail, and the line.
    var failing: (rank: Int, line: Int)?
    /// The number of windows after which rank 0 cannot print.
    var fullAfter = Int.max
    /// A rank that has another version.
    var otherVersion: Int?
    var hasUnknown = true
  }

  private struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// Scores a text by R ranks, with parts and windows of few bytes.
  private static func shared(
    _ path: String, _ settings: ScoreSettings, ranks: Int, partSize: Int = 64,
    faults: Faults = Faults()
  ) -> (printed: String, totals: [Result<ScoreTotals, any Error>]) {
    let printed = Mutex<(bytes: [UInt8], windows: Int)>(([], 0))
    let totals = ThreadGroup.run(ranks) { group in
      let begun = Result {
        let scoring = try SharedScoring(
          ofText: path, LanguageModel(.small(unknown: faults.hasUnknown), path: "model"), settings,
          facts: [("version", group.rank == faults.otherVersion ? "2" : "1"), ("text", "a")],
          header: "header\n"
        ) { score, _ in
          if let failing = faults.failing, failing == (group.rank, score.line) {
            throw Failure(description: "line \(score.line) fails")
          }
          return row(score)
        }
        (scoring.partSize, scoring.windowSize) = (partSize, 100)
        return scoring
      }
      return try SharedScoring.run(begun, group, host: "h\(group.rank)") { bytes in
        #expect(group.rank == 0 && bytes.count <= 100)
        try printed.withLock {
          guard $0.windows < faults.fullAfter else { throw Failure(description: "disk full") }
          $0.bytes += bytes
          $0.windows += 1
        }
      }
    }
    return (String(decoding: printed.withLock { $0.bytes }, as: UTF8.self), totals)
  }

  private static let texts = [
    ("lines of words", TrainingScene.text(lines: 80, seed: 6)),
    ("an empty text", ""),
    ("fewer bytes than ranks", "a\n"),
    ("no last line end", TrainingScene.text(lines: 30, seed: 7) + "the zebra sat"),
    (
      "carriage returns",
      TrainingScene.text(lines: 40, seed: 8).replacingOccurrences(of: "\n", with: "\r\n")
        + "the cat\ra dog\r"
    ),
    (
      "a line longer than many parts",
      "the cat\n" + String(repeating: "sat on ", count: 90) + "\na mat\n\n"
    ),
    ("a byte-order mark", "\u{FEFF}the cat\nsat\n" + TrainingScene.text(lines: 20, seed: 9)),
    ("empty lines", String(repeating: "\n", count: 300)),
  ]

  @Test("Any number of ranks prints the bytes of one process", arguments: texts)
  func sameBytes(name: String, text: String) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/text"
      try Data(text.utf8).write(to: URL(filePath: path))
      let expected = try Self.alone(path, ScoreSettings())
      for ranks in [1, 2, 3] {
        for partSize in [20, 64, 1 << 20] {
          let found = Self.shared(path, ScoreSettings(), ranks: ranks, partSize: partSize)
          #expect(found.printed == expected.text, "\(ranks) ranks, parts of \(partSize) bytes")
          for totals in found.totals { #expect(try totals.get() == expected.totals) }
        }
      }
    }
  }

  @Test("Windows, guesses and lower case are shared")
  func settings() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/text"
      try Data((TrainingScene.text(lines: 40, seed: 3) + "THE CAT\n").utf8)
        .write(to: URL(filePath: path))
      var settings = ScoreSettings()
      settings.preparation.isLowercased = true
      settings.guesses = 3
      var windowed = settings
      windowed.window = try FixedWindow(length: 2, padding: nil)
      for settings in [settings, windowed] {
        let expected = try Self.alone(path, settings)
        #expect(Self.shared(path, settings, ranks: 3).printed == expected.text)
      }
    }
  }

  @Test("The error of one rank ends all, after the rounds before", arguments: [0, 1, 2])
  func failingRank(rank: Int) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/text"
      try Data(String(repeating: "the cat\n", count: 72).utf8).write(to: URL(filePath: path))
      // Parts of 64 bytes have 8 lines: the second of three rounds has the lines 25 to 48.
      let line = 25 + 8 * rank
      let found = Self.shared(
        path, ScoreSettings(), ranks: 3, faults: Faults(failing: (rank, line)))
      let expected = try Self.alone(path, ScoreSettings()).text.split(separator: "\n").prefix(25)
      #expect(found.printed == expected.joined(separator: "\n") + "\n")
      for (other, result) in found.totals.enumerated() {
        let error = #expect(throws: (any Error).self) { try result.get() }
        let message = "line \(line) fails"
        #expect(
          error.map { "\($0)" }
            == (other == rank ? message : "rank \(rank) on h\(rank): \(message)")
        )
      }
    }
  }

  @Test("Errors of the text name its lines")
  func linesOfErrors() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/text"
      try Data((String(repeating: "the cat\n", count: 60) + "zebra\n").utf8)
        .write(to: URL(filePath: path))
      let found = Self.shared(
        path, ScoreSettings(), ranks: 2, faults: Faults(hasUnknown: false))
      for result in found.totals {
        let error = #expect(throws: (any Error).self) { try result.get() }
        #expect(error.map { "\($0)".contains("text: line 61: ") } == true, "\(error as Any)")
      }
    }
  }

  @Test("An output that rank 0 cannot write ends all ranks", arguments: [0, 5, 11])
  func fullDisk(windows: Int) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/text"
      try Data(String(repeating: "a\n", count: 20).utf8).write(to: URL(filePath: path))
      let all = try Self.alone(path, ScoreSettings()).text.utf8.count
      #expect(all > 100 * windows)
      let found = Self.shared(
        path, ScoreSettings(), ranks: 2, partSize: 1 << 20, faults: Faults(fullAfter: windows))
      #expect(found.printed.utf8.count == 100 * windows)
      let errors = found.totals.map { result in
        #expect(throws: (any Error).self) { try result.get() }.map { "\($0)" }
      }
      #expect(errors == ["disk full", "rank 0 on h0: disk full"])
    }
  }

  @Test("A rank with another fact is named, and nothing is printed")
  func otherFacts() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/text"
      try Data("the cat\n".utf8).write(to: URL(filePath: path))
      let found = Self.shared(
        path, ScoreSettings(), ranks: 3, faults: Faults(otherVersion: 2))
      #expect(found.printed.isEmpty)
      for result in found.totals {
        let error = #expect(throws: RankFailure.self) { try result.get() }
        #expect(
          error?.description.hasPrefix(
            "rank 2 on h2: expected the version of rank 0 on h0, 1; found 2\n") == true)
      }
    }
  }

  @Test("Compressed texts are refused")
  func compressedText() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/text.gz"
      // gzip's header and an empty deflate stream.
      try Data([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]).write(
        to: URL(filePath: path))
      for result in Self.shared(path, ScoreSettings(), ranks: 2).totals {
        let error = #expect(throws: (any Error).self) { try result.get() }
        #expect(error.map { "\($0)".contains("decompress it into a file, or start one") } == true)
      }
    }
  }

  @Test("A reader that goes on from part to part reads the lines of each, with their numbers")
  func partsByOneReader() throws {
    try withTemporaryFolder { folder in
      var generator = SeededGenerator(seed: 5)
      let pieces = ["a", "bc", "\n", "\r", "\r\n", "é", "\n\n"]
      for _ in 0..<40 {
        let text = (0..<Int.random(in: 0...14, using: &generator))
          .map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
        let path = "\(folder)/text"
        try Data(text.utf8).write(to: URL(filePath: path))
        for ends in [LineEnds.universal, .lineFeed, .kept] {
          for (ranks, count) in [(1, 3), (2, 4), (2, 6), (3, 9)] {
            for rank in 1...ranks {
              var reader = try LineReader(path: path, lineEnds: ends)
              for index in stride(from: rank, through: count, by: ranks) {
                let part = try #require(TextPart(index, of: count))
                var fresh = try LineReader(path: path, lineEnds: ends)
                try fresh.restrict(to: part)
                try reader.restrict(to: part)
                while let line = try fresh.next() {
                  let own = try reader.next()
                  #expect(own?.number == line.number && own?.bytes == line.bytes, "\(text) \(part)")
                }
                #expect(try reader.next() == nil)
              }
            }
          }
        }
      }
    }
  }
}
