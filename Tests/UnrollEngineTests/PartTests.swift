// Texts that are evaluated and scored in parts.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTokenization

@testable import UnrollEngine

@Suite("Parts of a text") struct PartTests {
  /// Reads lines with their numbers.
  private func lines(_ path: String, _ ends: LineEnds, _ part: TextPart?) throws -> [String] {
    var reader = try LineReader(path: path, lineEnds: ends)
    if let part { try reader.restrict(to: part) }
    var lines: [String] = []
    while let line = try reader.next() {
      lines.append("\(line.number) \(line.terminatorCount) \(line.bytes)")
    }
    return lines
  }

  @Test("The lines of all parts are those of the text, with their numbers")
  func linesOfParts() throws {
    try withTemporaryFolder { folder in
      var generator = SeededGenerator(seed: 3)
      let pieces = ["a", "bc", "\n", "\r", "\r\n", "é", "\n\n"]
      for round in 0..<60 {
        let text = (0..<Int.random(in: 0...12, using: &generator))
          .map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
        let path = "\(folder)/text"
        try Data(((round.isMultiple(of: 5) ? "\u{FEFF}" : "") + text).utf8).write(
          to: URL(filePath: path))
        for ends in [LineEnds.universal, .lineFeed, .kept] {
          let whole = try lines(path, ends, nil)
          for count in 1...7 {
            let parts = try (1...count).map { try lines(path, ends, TextPart($0, of: count)) }
            #expect(parts.flatMap { $0 } == whole, "\(text.debugDescription) in \(count)")
          }
        }
      }
    }
  }

  @Test("A sum of log-probabilities is the same in any order")
  func exactSums() {
    var generator = SeededGenerator(seed: 9)
    let numbers = (0..<5000).map { _ in
      Float.random(in: 0...20, using: &generator) * (Bool.random(using: &generator) ? 1 : 1e-9)
    }
    var (forward, backward) = (ExactSum(), ExactSum())
    for number in numbers { forward.add(number) }
    for number in numbers.reversed() { backward.add(number) }
    #expect(forward == backward)
    let expected = numbers.reduce(0.0) { $0 + Double($1) }
    #expect(abs(forward.value / expected - 1) < 1e-12)
    forward.add(1e30)
    #expect(abs(forward.value / Double(Float(1e30)) - 1) < 1e-12)
    forward.add(.infinity)
    #expect(forward.value == .infinity)
    forward.add(.nan)
    #expect(forward.value.isNaN)
  }

  @Test(
    "The figures of all parts add up to those of the text, to the last bit",
    arguments: [PerplexityProtocol.sentence, .srilm, .kenlm, .window])
  func figuresOfParts(known: PerplexityProtocol) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/text"
      try Data((TrainingScene.text(lines: 57, seed: 4) + "the zebra sat\r\n\nthe cat").utf8).write(
        to: URL(filePath: path))
      let model = try LanguageModel(.small(), path: "model")
      let window = known == .window ? try FixedWindow(length: 3, padding: nil) : nil
      func figures(_ part: TextPart?) throws -> Perplexity {
        var preparation = TextPreparation()
        preparation.part = part
        return try model.perplexity(
          ofText: path, protocol: known, window: window, preparation: preparation)
      }
      let whole = try figures(nil)
      for count in [1, 2, 3, 8, 90] {
        let parts = try (1...count).map { index in
          let part = try #require(TextPart(index, of: count))
          let written = PerplexityPart(
            try figures(part), part: part, text: path, textBytes: 1, textDigest: "t",
            model: "m", settings: [:])
          let data = try JSONEncoder().encode(written)
          return (path: "\(index)", part: try JSONDecoder().decode(PerplexityPart.self, from: data))
        }
        let merged = try PerplexityPart.merged(parts.reversed())
        #expect(merged.totalNLL.bitPattern == whole.totalNLL.bitPattern)
        #expect(merged.figures.map(\.value) == whole.figures.map(\.value))
        #expect(merged.predictions == whole.predictions && merged.bytes == whole.bytes)
        #expect(merged.unknown == whole.unknown && merged.lines == whole.lines)
        guard count > 1 else { continue }
        #expect(throws: EngineError.self) { try PerplexityPart.merged(Array(parts.dropLast())) }
        #expect(throws: EngineError.self) { try PerplexityPart.merged(parts + parts.prefix(1)) }
      }
    }
  }

  @Test(
    "A protocol whose state goes through the text refuses parts",
    arguments: [PerplexityProtocol.stream, .columns, .lmEval])
  func streamsRefuse(known: PerplexityProtocol) throws {
    let model = try LanguageModel(.small(), path: "model")
    var preparation = TextPreparation()
    preparation.part = TextPart(1, of: 2)
    let error = #expect(throws: EngineError.self) {
      try model.perplexity(ofText: "any", protocol: known, preparation: preparation)
    }
    #expect(error?.description.contains("sentence, srilm, kenlm, window") == true)
  }

  @Test("Compressed texts and standard input have no parts")
  func textsWithoutParts() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/text.gz"
      // gzip's header and an empty deflate stream.
      try Data([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]).write(
        to: URL(filePath: path))
      let part = try #require(TextPart(2, of: 3))
      #expect(throws: TextError.self) { try lines(path, .universal, part) }
    }
  }

  @Test(
    "Parts are written as k/n, from 1",
    arguments: [
      ("1/1", true), ("3/64", true), ("0/2", false), ("3/2", false), ("1", false), ("a/2", false),
      ("1/0", false), ("-1/2", false),
    ])
  func names(text: String, isPart: Bool) {
    #expect((TextPart(text) != nil) == isPart)
  }
}
