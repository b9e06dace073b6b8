// Classes and expressions beside those of Oniguruma in the library tokenizers.

import Foundation
import TestSupport
import Testing

@testable import UnrollTokenization

/// The files that `scripts/make/oniguruma-fixtures` wrote.
private struct OnigurumaFixtures {
  struct Classes: Decodable {
    /// For each class the first and last scalars of its runs.
    let runs: [String: [UInt32]]
  }

  struct Expressions: Decodable {
    let refused: [String: String]
    let others: [String]
  }

  static func read<Value: Decodable>(_ name: String) throws -> Value {
    let path = Fixtures.path("expressions/\(name)")
    return try JSONDecoder().decode(Value.self, from: Data(contentsOf: URL(filePath: path)))
  }
}

@Suite("Classes and expressions of Oniguruma") struct OnigurumaTests {
  /// All scalars.
  private static let scalars = (UInt32(0)...0x10FFFF).filter { Unicode.Scalar($0) != nil }
  /// The traits of each.
  private static let traits = scalars.map { ScalarTraits(of: $0).rawValue }

  /// The first and last scalars of the runs of those for which a condition holds.
  private func runs(_ isMember: (_ place: Int, _ scalar: UInt32) -> Bool) -> [UInt32] {
    var bounds: [UInt32] = []
    var wasMember = false
    for place in Self.scalars.indices {
      let isMember = isMember(place, Self.scalars[place])
      if isMember != wasMember { bounds.append(Self.scalars[isMember ? place : place - 1]) }
      wasMember = isMember
    }
    return wasMember ? bounds + [0x10FFFF] : bounds
  }

  @Test("Each class has the scalars that it has in Oniguruma, of all of Unicode")
  func classesAreThoseOfOniguruma() throws {
    let fixtures: OnigurumaFixtures.Classes = try OnigurumaFixtures.read("classes.json")
    #expect(fixtures.runs.count == 37)
    for (name, expected) in fixtures.runs.sorted(by: { $0.key < $1.key }) {
      guard case .set(let set) = try ExpressionParser.parse(name) else {
        Issue.record("\(name) is no set")
        continue
      }
      let (mask, others) = try parts(of: set)
      let own = runs { place, scalar in
        Self.traits[place] & mask != 0 || others.contains { $0.contains(scalar) }
      }
      let first = zip(own, expected).first { $0 != $1 }
      #expect(own == expected, "\(name): \(first.map { "\($0) for \($1)" } ?? "another length")")
    }
  }

  /// The traits of a set and its other scalars.
  private func parts(of set: ScalarSet) throws -> (mask: UInt32, others: [ClosedRange<UInt32>]) {
    switch set {
    case .traits(let traits): return (traits.rawValue, [])
    case .range(let range): return (0, [range])
    case .union(let sets):
      let parts = try sets.map { try self.parts(of: $0) }
      return (parts.reduce(0) { $0 | $1.mask }, parts.flatMap(\.others))
    default:
      Issue.record("\(set) is no class")
      return (0, [])
    }
  }

  @Test("The fast scanners use the character classes of Oniguruma")
  func scannersHaveTheSameClasses() throws {
    let fixtures: OnigurumaFixtures.Classes = try OnigurumaFixtures.read("classes.json")
    let classes = Self.scalars.map { ScalarClasses(of: $0) }
    for (name, own) in [
      (#"\p{L}"#, ScalarClasses.letter), (#"\p{N}"#, .number), (#"\s"#, .space), (#"\p{M}"#, .mark),
      (#"\p{Mn}"#, .nonspacingMark),
    ] {
      #expect(runs { place, _ in classes[place].contains(own) } == fixtures.runs[name], "\(name)")
    }
  }

  @Test("An expression that Oniguruma refuses is refused")
  func refusedExpressionsAreRefused() throws {
    let fixtures: OnigurumaFixtures.Expressions = try OnigurumaFixtures.read("refused.json")
    #expect(fixtures.refused.count > 30 && fixtures.others.count > 30)
    for (expression, error) in fixtures.refused {
      #expect(throws: ExpressionError.self, "\(expression): \(error)") {
        try TextPattern(regex: expression)
      }
    }
  }

  @Test("No expression is called invalid that Oniguruma takes")
  func othersAreNotCalledInvalid() throws {
    let fixtures: OnigurumaFixtures.Expressions = try OnigurumaFixtures.read("refused.json")
    for expression in fixtures.others {
      do {
        _ = try TextPattern(regex: expression)
      } catch {
        #expect(!error.isInvalid, "\(expression): \(error.construct)")
      }
    }
  }

  @Test(
    "An invalid expression is to be corrected, and an unsupported one to be rewritten",
    arguments: [
      ("a{99999999999999999999}", "correct the expression"), ("{1}", "correct the expression"),
      ("[z-a]", "correct the expression"), (#"[\\w-.]"#, "correct the expression"),
      ("(a", "correct the expression"), ("a{1}{2}", "write the expression without it"),
      (#"\\p{Han}"#, "write the expression without it"),
      ("a{2000}", "write the expression without it"),
    ])
  func adviceIsThatOfTheKind(expression: String, advice: String) throws {
    let text =
      #"{"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"},"pre_tokenizer":{"type":"Split","#
      + #""pattern":{"Regex":"\#(expression)"},"behavior":"Isolated"}}"#
    let error = #expect(throws: DefinitionError.self) {
      try TokenizerDefinition(Array(text.utf8)).tokens()
    }
    let message = error?.textError(path: "tokenizer.json").description ?? ""
    #expect(message.contains("fix: \(advice)"), "\(message)")
    #expect(!message.contains("newer version"))
  }

  @Test("Braces that are no quantifier are text, as in Oniguruma")
  func otherBracesAreText() throws {
    let texts = [("a{+1}", "a{{1}"), ("a{ 1}", "a{ 1}"), ("a{,}", "a{,}"), ("{a}", "{a}")]
    for (expression, text) in texts {
      let pattern = try TextPattern(regex: expression)
      var matches: [Range<Int>] = []
      Array("xx\(text)".utf8).withUnsafeBytes { bytes in
        _ = pattern.forEachMatch(in: bytes, 0..<bytes.count) { matches.append($0) }
      }
      #expect(matches == [2..<2 + text.utf8.count], "\(expression)")
    }
  }
}
