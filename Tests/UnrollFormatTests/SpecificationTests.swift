// The specification, the rules and the layout say the same.

import Foundation
import TestSupport
import Testing

@testable import UnrollFormat

@Suite("The specification") struct SpecificationTests {
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

  @Test("Rules and the numbered sentences of the specification are the same")
  func sentencesOfRules() {
    let rules = Dictionary(uniqueKeysWithValues: Rule.all.map { ($0.id, $0.summary) })
    #expect(sentences.filter { !$0.key.hasPrefix("F") } == rules)
    for (id, sentence) in sentences where id.hasPrefix("F") {
      #expect(sentence.contains("(Not checkable: "), "\(id)")
    }
  }

  @Test("The specification's table of objects equals the layout in the code")
  func objects() {
    let rows = text.matches(of: #/\n\| `(/[^`]*)` \| (group|float|f32|f64|u8|u32|u64)/#)
    #expect(rows.map { String($0.1) } == Layout.objects.map(\.path))
  }

  @Test("The specification's table of attributes equals the layout in the code")
  func attributes() {
    var expected: [String: Int] = [:]
    for object in Layout.objects {
      guard case .group = object.kind else {
        #expect(object.attributes.map(\.name) == ["digest"], "\(object.path)")
        continue
      }
      for attribute in object.attributes {
        let (type, words) = Self.column(attribute.value)
        let presence = attribute.isRequired ? "required" : "optional"
        expected[
          "\(object.path) \(attribute.name) \(type) \(words.sorted()) \(presence)", default: 0] += 1
      }
    }
    let row =
      #/\n\| `(/[^`]*)` \| `([a-z0-9_]+)` \| (text\[\]|text|int|number) \| ([^|]*)\| (\w+) \|/#
    var table: [String: Int] = [:]
    for match in text.matches(of: row) {
      let words = match.4.matches(of: #/"([^"]+)"/#).map { String($0.1) }.sorted()
      table["\(match.1) \(match.2) \(match.3) \(words) \(match.5)", default: 0] += 1
    }
    #expect(Set(table.keys).subtracting(expected.keys) == [])
    #expect(Set(expected.keys).subtracting(table.keys) == [])
    #expect(table.values.allSatisfy { $0 == 1 })
  }

  /// The type and the words of an attribute as the table has them.
  private static func column(_ value: AttributeSchema.Value) -> (type: String, words: [String]) {
    switch value {
    case .text: ("text", [])
    case .texts: ("text[]", [])
    case .integer: ("int", [])
    case .number: ("number", [])
    // A table of its own lists them.
    case .word(let words) where words.contains("divide_on_plateau"): ("text", [])
    case .word(let words): ("text", words)
    }
  }

  @Test("spec/RULES.md lists the rules of the code")
  func catalogue() {
    expectSnapshot(Rule.catalogue, "spec/RULES.md")
  }
}
