// Pages: escaping, the same bytes, colors, the policy of the page, and what is cut.

import Crypto
import Foundation
import TestSupport
import Testing

@testable import UnrollReport

@Suite("Pages") struct DocumentTests {
  private static let hostile = "</script><b onclick=\"x\">&\u{202E}\u{7}"

  /// A document with every kind of block, and a hostile text in each place.
  private static func document(lines: Int = 2, rows: Int = 3) throws -> Document {
    let text = hostile
    var document = Document(title: text, producer: text, lead: text)
    document.highlights = [.init(text, text)]
    document.facts = [.init(text, text)]
    document.notes = [text]
    let cell = HeatMap.Cell(text: text, level: 3, detail: text)
    let none = HeatMap.Cell(text: "x", level: nil, detail: "none")
    var map = HeatMap(
      title: text, legend: (0..<HeatMap.levelCount).map { "\($0) \(text)" }, missing: text,
      isSpaced: true)
    for line in 1...lines { try map.append(line: line, [cell, none]) }
    let table = Table(
      text, [.text(text), .number(text)], (0..<rows).map { [text, "\($0)"] })
    let curve = Figure(
      title: text, summary: text, x: .init(label: text, range: 0...2),
      y: .init(label: text, range: 0...4),
      series: [.init(name: text, points: [.init(x: 0, y: 1), .init(x: 2, y: 3)])],
      marks: [.x(1, text)])
    let bars = Figure.bars(title: text, label: text, rows: [(text, 2), ("b", 1)])
    let diagram = Diagram(
      title: text, summary: text, ends: (text, text),
      boxes: [.init(text, text, loop: text), .init("b", "c")], tie: text)
    document.sections = [
      .init(text, [.paragraph(text), .list([text]), .facts([.init(text, text)])]),
      .init("Tables", [.table(table), .heatMap(map)]),
      .init("Figures", [.figure(curve)] + (bars.map { [.figure($0)] } ?? [])),
      .init("Diagrams", [.diagram(diagram)]),
    ]
    document.result = LongText("{\"text\":\"</script><!--\"}")
    return document
  }

  private func matches(_ pattern: Regex<(Substring, Substring)>, _ text: String) -> [String] {
    text.matches(of: pattern).map { String($0.1) }
  }

  @Test("A page has no markup that came from a text")
  func escaping() throws {
    let page = try Self.document().html
    #expect(!page.contains("<b ") && !page.contains("\u{202E}") && !page.contains("\u{7}"))
    #expect(page.contains("&lt;/script&gt;&lt;b onclick=&quot;x&quot;&gt;&amp;\\u{202e}\\u{7}"))
    // One script of ours, and the result.
    #expect(page.matches(of: #/<script/#).count == 2)
    #expect(page.matches(of: #/<\/script>/#).count == 2)
    for figure in [try Self.document().sections[2]] {
      guard case .figure(let drawing) = figure.blocks[0] else { continue }
      #expect(!drawing.svg.contains("<b ") && drawing.svg.contains("&lt;b onclick"))
    }
  }

  @Test("The result in a page is the same JSON, however its texts look like markup")
  func embeddedResult() throws {
    let page = try Self.document().html
    let pattern = #/<script type="application\/json" id="result">([^<]*)<\/script>/#
    let text = try #require(matches(pattern, page).first)
    let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: String]
    #expect(object == ["text": "</script><!--"])
  }

  @Test("The same document gives the same bytes")
  func sameBytes() throws { #expect(try Self.document().html == Self.document().html) }

  @Test("The policy of a page allows its own style and script, and nothing from elsewhere")
  func policy() throws {
    let page = try Self.document().html
    let policy = try #require(
      matches(#/http-equiv="Content-Security-Policy" content="([^"]*)"/#, page).first)
    #expect(policy.hasPrefix("default-src 'none'; "))
    #expect(!policy.contains("unsafe") && !policy.contains("http"))
    let parts = [
      matches(#/<style>([^<]*)<\/style>/#, page), matches(#/(?s)<script>(.*?)<\/script>/#, page),
    ]
    for (part, name) in zip(parts, ["style-src", "script-src"]) {
      let text = try #require(part.first)
      let hash = Data(SHA256.hash(data: Data(text.utf8))).base64EncodedString()
      #expect(policy.contains("\(name) 'sha256-\(hash)'"))
    }
    #expect(page.matches(of: #/(src|href)="[^#"]/#).isEmpty)
    var plain = try Self.document()
    plain.sections.remove(at: 1)
    let withoutScript = try plain.html
    #expect(!withoutScript.contains("script-src") && !withoutScript.contains("<script>"))
  }

  @Test("Ids are unique, and each reference to one has its element")
  func references() throws {
    let page = try Self.document().html
    let ids = matches(#/ id="([^"]*)"/#, page)
    #expect(Set(ids).count == ids.count && ids.count > 10)
    let references =
      matches(#/aria-labelledby="([^"]*)"/#, page).flatMap { $0.split(separator: " ") }
      + matches(#/href="\#([^"]*)"/#, page).map { Substring($0) }
    for reference in references { #expect(ids.contains(String(reference)), "\(reference)") }
  }

  @Test("A diagram has its boxes from top to bottom, with their names, loops and tie, in words too")
  func diagram() throws {
    func page(tie: String?) throws -> String {
      var document = Document(title: "t", producer: "p", lead: "l")
      document.sections = [
        .init(
          "Structure",
          [
            .diagram(
              Diagram(
                title: "Way", summary: "From in to out.", ends: ("in", "out"),
                boxes: [.init("one", "10 x 2"), .init("two", "h", loop: "state")], tie: tie))
          ])
      ]
      return try document.html
    }
    let tied = try page(tie: "same")
    #expect(tied.contains("<desc id=\"section-1-1-desc\">From in to out.</desc>"))
    let texts = matches(#/<text [^>]*>([^<]*)<\/text>/#, tied)
    #expect(texts == ["in", "out", "one", "10 x 2", "two", "h", "state", "same"])
    let edges = matches(#/<rect class="box" x="120" y="([0-9]+)"/#, tied).compactMap(Int.init)
    #expect(edges.count == 2 && edges[1] - edges[0] == 82)
    // The tie is a dashed line, so color is not its only sign.
    #expect(tied.matches(of: #/<path class="line s1 d1"/#).count == 1)
    let untied = try page(tie: nil)
    #expect(!untied.contains("line s1 d1") && untied.contains("line s0"))
  }

  // MARK: Colors

  /// Returns the relative luminance of a color such as `#0072b2`, as WCAG 2 defines it.
  private func luminance(_ color: String) throws -> Double {
    let number = try #require(UInt32(color.dropFirst(), radix: 16), "\(color)")
    let parts = [UInt32(16), 8, 0].map { (shift: UInt32) -> Double in
      let part = Double((number >> shift) & 255) / 255
      return part <= 0.04045 ? part / 12.92 : pow((part + 0.055) / 1.055, 2.4)
    }
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
  }

  private func contrast(_ first: String, _ second: String) throws -> Double {
    let values = try [luminance(first), luminance(second)].sorted()
    return (values[1] + 0.05) / (values[0] + 0.05)
  }

  @Test("Texts have a contrast of 4.5 and drawings one of 3, in light, dark and print")
  func colors() throws {
    let page = try Self.document().html
    let sets = page.matches(of: #/:root\{((?:--[a-z0-9]+:#[0-9a-f]{6};?)+)/#).map { set in
      Dictionary(
        uniqueKeysWithValues: set.1.split(separator: ";").map { pair in
          let parts = pair.split(separator: ":")
          return (String(parts[0].dropFirst(2)), String(parts[1]))
        })
    }
    #expect(sets.count == 3 && sets[0] == sets[2] && sets[0] != sets[1])
    let texts =
      [
        ("text", "ground"), ("text", "surface"), ("text", "empty"), ("quiet", "ground"),
        ("quiet", "surface"), ("link", "ground"), ("warn", "surface"),
      ] + (0..<HeatMap.levelCount).map { ("t\($0)", "h\($0)") }
      + (0..<4).map { ("u\($0)", "c\($0)") }
    let drawings =
      [("mark", "ground")] + (0..<StyleSheet.seriesCount).map { ("s\($0)", "ground") }
    for colors in sets {
      for (pairs, least) in [(texts, 4.5), (drawings, 3)] {
        for (first, second) in pairs {
          let ratio = try contrast(
            #require(colors[first]), #require(colors[second]))
          #expect(ratio >= least, "\(first) on \(second): \(ratio)")
        }
      }
    }
  }

  @Test("Colors of a heat map go away from the page, in light and in dark")
  func order() throws {
    let page = try Self.document().html
    for (index, set) in page.matches(of: #/:root\{(--[^}]*)\}/#).prefix(2).enumerated() {
      let values = try (0..<HeatMap.levelCount).map { level in
        let color = try #require(set.1.split(separator: ";").first { $0.hasPrefix("--h\(level):") })
        return try luminance(String(color.split(separator: ":")[1]))
      }
      #expect(values == (index == 0 ? values.sorted(by: >) : values.sorted()))
    }
  }

  // MARK: Sizes

  @Test("A long table is cut, and the page says so")
  func longTable() throws {
    let page = try Self.document(rows: 1200).html
    #expect(page.contains("These are the first 1000 of 1200 rows."))
    #expect(try !Self.document(rows: 1000).html.contains("These are the first"))
  }

  @Test("A result that is too long is left out, and the page says so")
  func longResult() throws {
    var document = try Self.document()
    document.result = LongText("[\"" + String(repeating: "x", count: 3_000_000) + "\"]")
    let page = try document.html
    #expect(page.utf8.count < 100_000)
    #expect(page.contains("too long for it: `--json` prints it"))
  }

  @Test("A text that leaves memory for a temporary file is the same, in whole characters")
  func longText() throws {
    var document = try Self.document()
    var map = HeatMap(title: "t", legend: ["one"], missing: "none", isSpaced: false)
    var expected = ""
    let names = ["a", "ü", "\u{1F600}", "<"].map { String(repeating: $0, count: 40_001) }
    for (index, name) in names.enumerated() {
      try map.append(line: index + 1, [.init(text: name, level: 0, detail: "d")])
      expected += "<li value=\"\(index + 1)\" dir=\"auto\"><span class=\"h0\" data-d=\"d\">"
      expected += name.replacing("<", with: "&lt;") + "</span><wbr></li>\n"
    }
    document.sections = [.init("Text", [.heatMap(map)])]
    document.result = LongText()
    for name in names { try document.result?.append(name) }
    let page = try document.html
    func part(from start: String, to end: String) throws -> Substring {
      let first = try #require(page.range(of: start)).upperBound
      return page[first..<(try #require(page[first...].range(of: end)).lowerBound)]
    }
    // Comparisons, since a search for a long text of equal characters takes minutes.
    #expect(try part(from: "aria-label=\"t\">\n", to: "</ol>") == expected)
    let result = try part(from: "id=\"result\">\n", to: "\n</script>")
    #expect(result == names.joined().replacing("<", with: "\\u003c"))
    #expect(document.result?.byteCount == names.joined().utf8.count)
  }

  @Test("Two decimals are those of printf")
  func decimals() {
    let values =
      (0..<2000).map { Double($0) * 0.0049999 } + [0.005, 0.015, 1.005, 2.675, 1e-9, 8.125]
    for value in values + values.map({ $0 * 1e6 }) + [1e300, -1.239, .infinity] {
      #expect(hundredths(value) == String(format: "%.2f", value), "\(value)")
    }
  }
}
