// Word lattices: the best path, compared with an n-best list of all paths.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTokenization

@testable import UnrollEngine

@Suite("Word lattices") struct LatticeTests {
  /// A lattice and all of its paths.
  private struct Sample {
    struct Arc {
      let from: Int
      let to: Int
      let word: String
      let acoustic: Double
      let language: Double
    }

    let nodeCount: Int
    var arcs: [Arc] = []

    /// Creates a lattice in which every node is on a path.
    init(seed: UInt64, nodeCount: Int = 6) {
      self.nodeCount = nodeCount
      var generator = SeededGenerator(seed: seed)
      let words = ["the", "cat", "a", "mat", "dog", "!NULL", "sat", "x", "the"]
      for from in 0..<nodeCount - 1 {
        let others = (from + 1..<nodeCount).filter { _ in
          Int.random(in: 0..<3, using: &generator) == 0
        }
        for to in [from + 1, from + 1] + others {
          arcs.append(
            Arc(
              from: from, to: to, word: words[Int.random(in: words.indices, using: &generator)],
              acoustic: -Double(Int.random(in: 0...300, using: &generator)) / 64,
              language: -Double(Int.random(in: 0...300, using: &generator)) / 64))
        }
      }
    }

    var text: String {
      "N=\(nodeCount) L=\(arcs.count)\n" + (0..<nodeCount).map { "I=\($0)\n" }.joined()
        + arcs.enumerated().map { number, arc in
          "J=\(number) S=\(arc.from) E=\(arc.to) W=\(arc.word) a=\(arc.acoustic) l=\(arc.language)\n"
        }.joined()
    }

    /// The words and scores of all paths.
    func paths(from node: Int = 0) -> [(words: [String], acoustic: Double, language: Double)] {
      guard node < nodeCount - 1 else { return [([], 0, 0)] }
      return arcs.filter { $0.from == node }.flatMap { arc in
        paths(from: arc.to).map { rest in
          (
            (arc.word == "!NULL" ? [] : [arc.word]) + rest.words, arc.acoustic + rest.acoustic,
            arc.language + rest.language
          )
        }
      }
    }
  }

  private func lattice(_ content: String, name: String = "u.lat") throws -> Lattice {
    try withTemporaryFolder { folder in
      let path = "\(folder)/\(name)"
      try Data(content.utf8).write(to: URL(filePath: path))
      return try Lattice(path: path)
    }
  }

  private func list(
    of sample: Sample, _ model: LanguageModel, _ unknown: UnknownWords, languageShare: Double = 0
  ) throws -> NBestList {
    let lines = sample.paths().map { path in
      "u\t\(path.acoustic + languageShare * path.language)\t\(path.words.joined(separator: " "))\n"
    }
    return try withTemporaryFolder { folder in
      let path = "\(folder)/list"
      try Data(lines.joined().utf8).write(to: URL(filePath: path))
      var list = NBestList()
      try model.score(nbest: path, unknown: unknown) { scored, _ in list.add(scored) }
      return list
    }
  }

  @Test(
    "The best path is the best hypothesis of an n-best list of all paths, with the same numbers",
    arguments: [UnknownWords.undefined, .include, .penalty(2), .exclude],
    1...6 as ClosedRange<UInt64>)
  func exact(unknown: UnknownWords, seed: UInt64) throws {
    let model = try LanguageModel(
      .small(cell: seed.isMultiple(of: 2) ? .gru : .lstm), path: "small")
    let sample = Sample(seed: seed)
    let list = try list(of: sample, model, unknown)
    for weights in [RescoringWeights(), RescoringWeights(languageModel: 0.5, word: -0.75)] {
      var settings = LatticeSettings()
      settings.unknown = unknown
      (settings.languageModel, settings.word) = (weights.languageModel, weights.word)
      let found = try model.bestPath(of: try lattice(sample.text), settings)
      let expected = list.utterances[0].hypotheses[list.utterances[0].best(weights)]
      #expect(found.text == expected.hypothesis.text)
      #expect(found.logProbability == expected.logProbability)
      #expect(found.total == weights.total(expected))
      #expect(found.acoustic == expected.hypothesis.acoustic)
      #expect(found.sentenceCount == Set(sample.paths().map(\.words)).count)
      // Limits that are wide enough change nothing.
      (settings.beam, settings.pathsPerNode, settings.recombined) = (1e6, 1_000_000, 100)
      let limited = try model.bestPath(of: try lattice(sample.text), settings)
      #expect(limited.text == found.text && limited.total == found.total)
    }
  }

  @Test(
    "A limited search compares fewer sentences, and its path has the score of that path",
    arguments: 1...6 as ClosedRange<UInt64>)
  func limits(seed: UInt64) throws {
    let model = try LanguageModel(.small(), path: "small")
    let sample = Sample(seed: seed, nodeCount: 8)
    let list = try list(of: sample, model, .include)
    var settings = LatticeSettings()
    settings.unknown = .include
    let exact = try model.bestPath(of: try lattice(sample.text), settings)
    let limits: [(inout LatticeSettings) -> Void] = [
      { $0.recombined = 1 }, { $0.beam = 1 }, { $0.pathsPerNode = 2 },
    ]
    for limit in limits {
      var narrow = settings
      limit(&narrow)
      let found = try model.bestPath(of: try lattice(sample.text), narrow)
      #expect(found.sentenceCount < exact.sentenceCount)
      let (own, best) = (try #require(found.total), try #require(exact.total))
      #expect(own <= best)
      let totals = list.utterances[0].hypotheses.filter { $0.hypothesis.text == found.text }
        .compactMap { RescoringWeights().total($0) }
      #expect(totals.contains(own))
      #expect(mostSentences(narrow).map { found.sentenceCount <= $0 } ?? true)
    }
  }

  private func mostSentences(_ settings: LatticeSettings) -> Int? {
    // Nine words at most are last words.
    settings.pathsPerNode ?? settings.recombined.map { _ in 9 }
  }

  @Test("The lattice's own language model has its share, and decides alone with all of it")
  func shares() throws {
    let model = try LanguageModel(.small(), path: "small")
    let sample = Sample(seed: 9)
    var settings = LatticeSettings()
    settings.unknown = .include
    settings.latticeShare = 0.25
    settings.languageModel = 2
    let list = try list(of: sample, model, .include, languageShare: 0.5)
    let best = list.utterances[0].hypotheses[
      list.utterances[0].best(RescoringWeights(languageModel: 1.5))]
    let found = try model.bestPath(of: try lattice(sample.text), settings)
    #expect(found.text == best.hypothesis.text)
    let (total, expected) = (found.total, RescoringWeights(languageModel: 1.5).total(best))
    #expect(abs(try #require(total) - #require(expected)) < 1e-9)
    settings.latticeShare = 1
    let own = try model.bestPath(of: try lattice(sample.text), settings)
    #expect(own.text == (try lattice(sample.text)).firstPass(scale: 2, word: 0))
    let without = sample.text.replacing(" l=", with: " n=")
    #expect(throws: TextError.self) {
      try model.bestPath(of: try lattice(without), settings)
    }
  }

  @Test("Scales and the base of the header apply, and words may stand on nodes")
  func header() throws {
    let model = try LanguageModel(.small(), path: "small")
    let arcs = """
      I=0
      I=1
      I=2
      J=0 S=0 E=1 W=the a=-2 l=-1 r=-0.5
      J=1 S=1 E=2 W=cat a=-3 l=-2
      """
    let plain = try lattice("N=3 L=2\n" + arcs)
    let scaled = try lattice(
      "U=\"one two\" base=10 acscale=0.5 prscale=2 lmscale=3 wdpenalty=-1\nN=3 L=2\n" + arcs)
    let first = try model.bestPath(of: plain, LatticeSettings())
    #expect(first.text == "the cat" && first.acoustic == -5.5 && first.language == -3)
    #expect(plain.utterance == "u" && scaled.utterance == "one two")
    let second = try model.bestPath(of: scaled, LatticeSettings())
    let ten = log(10.0)
    let acoustic = try #require(second.acoustic)
    #expect(abs(acoustic - (-2.5 - 1) * ten) < 1e-12)
    let nats = try #require(second.logProbability)
    #expect(nats == first.logProbability)
    #expect(abs(try #require(second.total) - (acoustic + 3 * nats - 2 * ten)) < 1e-12)
    let probabilities = try lattice(
      """
      base=0
      NODES=3 LINKS=2 start=2 end=0
      I=2 W=<s>
      I=1 WORD="the"
      I=0 W=c\\141t
      J=0 START=2 END=1 acoustic=0.25
      J=1 START=1 END=0 acoustic=0.5
      """, name: "v.slf")
    let third = try model.bestPath(of: probabilities, LatticeSettings())
    #expect(third.text == "the cat" && third.language == nil && probabilities.utterance == "v")
    #expect(abs(try #require(third.acoustic) - log(0.125)) < 1e-12)
    #expect(third.logProbability == nats)
  }

  @Test("Fields have quoted and escaped values, and an apostrophe may begin a word")
  func fields() {
    func values(_ text: String) -> [String]? { SLFLines().fields(of: text)?.map(\.value) }
    #expect(values(#"J=1 W="new york" V='a b'"#) == ["1", "new york", "a b"])
    #expect(values(#"W='tis x=\"q\101\\"#) == ["'tis", #""qA\"#])
    #expect(values("W= a=1") == ["", "1"])
    for broken in ["W=\"open", "word", "=x", "W=x\\", #"W=\377"#] {
      #expect(values(broken) == nil, "\(broken)")
    }
    #expect(["!NULL", "!SENT_START", "<s>", "</s>", "<eps>"].allSatisfy(SLFLines.isMark))
    #expect(!["!", "!x", "NULL", "<unk>", ""].contains(where: SLFLines.isMark))
  }

  @Test(
    "A file that is no lattice is refused",
    arguments: [
      ("N=2 L=1\nI=0\nI=1\nJ=0 S=0 E=2 W=the\n", "line 4: expected a number from 0, below N=2"),
      ("N=2 L=1\nI=0\nI=1\nJ=0 S=-1 E=1 W=the\n", "line 4: expected a number from 0, below N=2"),
      ("N=2 L=1\nI=0\nI=2\n", "line 3: expected a number from 0, below N=2"),
      ("N=2 L=1\nI=0\nI=0\n", "line 3: expected each node once"),
      ("N=2 L=2\nI=0\nI=1\nJ=0 S=0 E=1 W=a\nJ=0 S=0 E=1 W=a\n", "line 5: expected each arc once"),
      ("I=0\nN=1 L=1\n", "line 1: expected a header"),
      ("VERSION=1.0\n", "expected a header with the numbers N= and L="),
      ("N=9223372036854775807 L=1\nI=0\n", "expected N=9223372036854775807 nodes"),
      ("N=99999999999999999999 L=1\nI=0\n", "line 1: expected a count"),
      ("N=2 L=4000000000\nI=0\nI=1\nJ=0 S=0 E=1 W=a\n", "expected L=4000000000 arcs"),
      ("N=0 L=0\n", "expected N=0 nodes, at least 1"),
      (
        "N=4 L=4\nI=0\nI=1\nI=2\nI=3\nJ=0 S=0 E=1 W=a\nJ=1 S=1 E=2 W=a\nJ=2 S=2 E=1 W=a\nJ=3 S=2 E=3 W=a\n",
        "expected arcs that lead forward; found a cycle"
      ),
      (
        "N=2 L=2\nI=0\nI=1\nJ=0 S=0 E=1 W=a\nJ=1 S=1 E=0 W=a\n",
        "expected one node at the start; found none"
      ),
      (
        "N=3 L=1\nI=0\nI=1\nI=2\nJ=0 S=0 E=1 W=a\n", "expected one node at the start; found 2: 0, 2"
      ),
      (
        "N=3 L=2\nI=0\nI=1\nI=2\nJ=0 S=0 E=1 W=a\nJ=1 S=0 E=2 W=a\n",
        "expected one node at the end; found 2: 1, 2"
      ),
      (
        "N=3 L=1 start=0 end=2\nI=0\nI=1\nI=2\nJ=0 S=0 E=1 W=a\n",
        "expected a path from node 0 to node 2"
      ),
      ("N=2 L=1 end=2\nI=0\nI=1\nJ=0 S=0 E=1 W=a\n", "expected a node below 2; found end=2"),
      ("N=2 L=1\nI=0\nI=1\nJ=0 S=0 E=1\n", "line 4: expected a word, W="),
      ("N=2 L=1\nI=0 W=the\nI=1\nJ=0 S=0 E=1 W=a\n", "expected a first node without a word"),
      ("N=2 L=1\nI=0\nI=1 W=the\nJ=0 S=0 E=1 W=a\n", "line 4: expected words of nodes or of arcs"),
      ("N=2 L=1\nI=0\nI=1\nJ=0 S=0 W=a\n", "line 4: expected an arc with S= and E="),
      ("N=2 L=1\nI=0\nI=1\nJ=0 S=0 E=1 W=a a=x\n", "line 4: expected a number; found a=x"),
      ("N=2 L=1\nI=0\nI=1\nJ=0 S=0 E=1 W=a a=nan\n", "line 4: expected a number; found a=nan"),
      ("N=2 L=1 base=0\nI=0\nI=1\nJ=0 S=0 E=1 W=a a=0\n", "line 4: expected a probability above 0"),
      ("N=2 L=1 base=1\nI=0\nI=1\nJ=0 S=0 E=1 W=a a=0\n", "expected a base of logarithms"),
      ("SUBLAT=x\n", "line 1: expected a lattice without sublattices"),
      ("N=1 L=0\nI=0 L=x\n", "line 2: expected a lattice without sublattices"),
      ("the cat sat\n", "line 1: expected fields, NAME=VALUE"),
    ])
  func refusals(content: String, message: String) throws {
    let error = #expect(throws: TextError.self) { try lattice(content) }
    #expect(error?.description.contains(message) == true, "\(String(describing: error))")
  }

  @Test("More partial paths than memory should hold are refused, and a limit lets the same pass")
  func explosion() throws {
    let model = try LanguageModel(.small(hidden: [1], embedding: 1), path: "small")
    let words = ["the", "cat", "sat"]
    let arcs = (0..<4).flatMap { node in words.map { "S=\(node) E=\(node + 1) W=\($0)" } }
    let content =
      "N=5 L=\(arcs.count)\n" + (0..<5).map { "I=\($0)\n" }.joined()
      + arcs.enumerated().map { "J=\($0) \($1)\n" }.joined()
    let lattice = try lattice(content)
    var settings = LatticeSettings()
    #expect(try model.bestPath(of: lattice, settings).sentenceCount == 81)
    settings.pathLimit = 80
    let error = #expect(throws: TextError.self) { try model.bestPath(of: lattice, settings) }
    #expect(error?.description.contains("--max-tokens-per-node") == true)
    settings.pathsPerNode = 5
    #expect(try model.bestPath(of: lattice, settings).sentenceCount == 5)
  }
}
