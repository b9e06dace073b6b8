// The specification, the rules and the layout say the same.

import Foundation
import TestSupport
import Testing

@testable import UnrollFormat

@Suite struct SpecificationTests {
  private let text: String

  init() throws {
    text = try String(
      contentsOf: Fixtures.root.appending(path: "spec/FORMAT.md"), encoding: .utf8)
  }

  /// The sentences with an id, lines joined.
  private var sentences: [String: String] {
    var sentences: [String: String] = [:]
    for paragraph in text.split(separator: "\n\n") {
      let line = paragraph.split(separator: "\n").joined(separator: " ")
      guard let match = line.prefixMatch(of: #/\*\*([A-Z]\d{3})\*\* /#) else { continue }
      sentences[String(match.1)] = String(line[match.range.upperBound...])
    }
    return sentences
  }

  @Test func eachRuleIsASentenceAndEachSentenceARule() {
    let rules = Dictionary(uniqueKeysWithValues: Rule.all.map { ($0.id, $0.summary) })
    #expect(sentences.filter { !$0.key.hasPrefix("F") } == rules)
    for (id, sentence) in sentences where id.hasPrefix("F") {
      #expect(sentence.contains("(Not checkable: "), "\(id)")
    }
  }

  @Test func theTableIsTheLayout() {
    var table: [String: Set<String>] = [:]
    for row in text.matches(of: #/\n\| `(/[^`]*)` \| [^|]* \| ([^|]*)\|/#) {
      table[String(row.1)] = Set(row.2.matches(of: #/`([a-z0-9_]+)`/#).map { String($0.1) })
    }
    let layout = Dictionary(
      uniqueKeysWithValues: Layout.objects.map { ($0.path, Set($0.attributes.map(\.name))) })
    #expect(table == layout)
  }

  @Test func optionalAttributesStandInParentheses() {
    let required = text.matches(of: #/[|,] `([a-z0-9_]+)` (?:text|int|number)/#).map {
      String($0.1)
    }
    let optional = text.matches(of: #/\(`([a-z0-9_]+)` (?:text|int|number)/#).map { String($0.1) }
    let attributes = Layout.objects.flatMap(\.attributes)
    #expect(required.sorted() == attributes.filter(\.isRequired).map(\.name).sorted())
    #expect(optional.sorted() == attributes.filter { !$0.isRequired }.map(\.name).sorted())
  }

  @Test func theCatalogueIsUpToDate() {
    expectSnapshot(Rule.catalogue, "spec/RULES.md")
  }
}
