// A document as one HTML page that needs nothing from elsewhere.

import Crypto
import Foundation
import UnrollTensors

extension Document {
  /// Writes the page: the same bytes for the same document.
  ///
  /// - Throws: `FileError` if a temporary file of a long text cannot be read.
  package func write(to output: inout some TextOutputStream) throws(FileError) {
    try HTMLWriter(document: self).write(to: &output)
  }

  /// The page in memory.
  ///
  /// - Throws: `FileError`, as `write(to:)`.
  package var html: String {
    get throws(FileError) {
      var page = ""
      try write(to: &page)
      return page
    }
  }
}

/// A writer of a page, block by block.
private struct HTMLWriter {
  let document: Document

  /// The largest result that is embedded, in bytes.
  private static let resultLimit = 3_000_000

  private var hasScript: Bool {
    document.sections.contains { section in
      section.blocks.contains { block in
        if case .heatMap = block { true } else { false }
      }
    }
  }

  func write(to output: inout some TextOutputStream) throws(FileError) {
    output.write("<!DOCTYPE html>\n<html lang=\"en\">\n")
    output.write(head.characters)
    output.write("\n<body>\n")
    lines([.element("a", ["class": "skip", "href": "#content"], "Skip to content")], to: &output)
    output.write("<div class=\"page\">\n")
    lines([header], to: &output)
    output.write("<main id=\"content\">\n")
    lines(highlights + notes, to: &output)
    for (index, section) in document.sections.enumerated() {
      try write(section, number: index + 1, to: &output)
    }
    lines(origin, to: &output)
    output.write("</main>\n")
    lines([footer], to: &output)
    output.write("</div>\n")
    try writeResult(to: &output)
    lines(
      hasScript ? [.element("script", [:], [Markup(trusted: PageScript.text)])] : [], to: &output)
    output.write("</body>\n</html>\n")
  }

  private func lines(_ parts: [Markup], to output: inout some TextOutputStream) {
    for part in parts {
      output.write(part.characters)
      output.write("\n")
    }
  }

  // MARK: Head

  private var head: Markup {
    .element(
      "head", [:],
      [.newline]
        + Markup.lines([
          .void("meta", ["charset": "utf-8"]),
          .void("meta", ["http-equiv": "Content-Security-Policy", "content": policy]),
          .void("meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"]),
          .void("meta", ["name": "color-scheme", "content": "light dark"]),
          .void("meta", ["name": "generator", "content": document.producer]),
          .element("title", [:], document.title),
          .element("style", [:], [Markup(trusted: StyleSheet.ofPage)]),
        ]))
  }

  /// The policy that browsers enforce: nothing is loaded, and only this style and script are used.
  private var policy: String {
    let script = hasScript ? " script-src '\(hash(PageScript.text))';" : ""
    return
      "default-src 'none'; style-src '\(hash(StyleSheet.ofPage))';\(script) base-uri 'none'; form-action 'none'"
  }

  private func hash(_ text: String) -> String {
    "sha256-" + Data(SHA256.hash(data: Data(text.utf8))).base64EncodedString()
  }

  // MARK: Body

  private var header: Markup {
    .element(
      "header", [:],
      [.newline]
        + Markup.lines(
          [
            .element("p", ["class": "producer"], document.producer),
            .element("h1", [:], document.title),
            .element("p", ["class": "lead"], document.lead),
          ] + navigation))
  }

  private var navigation: [Markup] {
    // A row of links helps with some sections, not with a hundred.
    guard 3...12 ~= document.sections.count else { return [] }
    let links = document.sections.enumerated().map { index, section in
      Markup.element(
        "li", [:], [.element("a", ["href": "#section-\(index + 1)"], section.title)])
    }
    return [.element("nav", ["aria-label": "Sections"], [.element("ul", [:], links)])]
  }

  private var highlights: [Markup] {
    guard !document.highlights.isEmpty else { return [] }
    let items = document.highlights.map { fact in
      Markup.element(
        "div", [:], [.element("dt", [:], fact.name), .element("dd", [:], fact.value)])
    }
    return [.element("dl", ["class": "highlights"], items)]
  }

  private var notes: [Markup] {
    guard !document.notes.isEmpty else { return [] }
    return [
      .element(
        "section", ["class": "notes", "aria-labelledby": "notes"],
        [
          .element("h2", ["id": "notes"], "Notes"),
          .element("ul", [:], document.notes.map { .element("li", [:], $0) }),
        ])
    ]
  }

  private var origin: [Markup] {
    guard !document.facts.isEmpty else { return [] }
    return [
      .element(
        "section", ["aria-labelledby": "origin"],
        [.element("h2", ["id": "origin"], "Origin"), facts(document.facts)])
    ]
  }

  private var footer: Markup {
    let text =
      "This page is complete: it loads nothing."
      + (isEmbedded ? " The result as JSON is in its element with the id “result”." : "")
      + (document.result != nil && !isEmbedded
        ? " The result as JSON is too long for it: `--json` prints it." : "")
    return .element("footer", [:], text)
  }

  // MARK: Sections

  private func write(
    _ section: Document.Section, number: Int, to output: inout some TextOutputStream
  ) throws(FileError) {
    let id = "section-\(number)"
    output.write(Markup.opening("section", ["aria-labelledby": id]) + "\n")
    lines([.element("h2", ["id": id], section.title)], to: &output)
    for (index, block) in section.blocks.enumerated() {
      if case .heatMap(let map) = block {
        try map.write(to: &output)
      } else {
        lines(self.block(block, id: "\(id)-\(index + 1)"), to: &output)
      }
    }
    output.write("</section>\n")
  }

  private func block(_ block: Document.Block, id: String) -> [Markup] {
    switch block {
    case .paragraph(let text): [.element("p", [:], text)]
    case .list(let texts): [.element("ul", [:], texts.map { .element("li", [:], $0) })]
    case .folded(let title, let texts):
      [
        .element(
          "details", [:], [.element("summary", [:], title)] + texts.map { .element("p", [:], $0) })
      ]
    case .facts(let facts): [self.facts(facts)]
    case .table(let table): self.table(table, id: id)
    case .figure(let figure):
      [drawing(figure.title, figure.drawing(id: id)), numbers(figure.table, id: id)]
    case .histograms(let rows):
      [drawing(rows.title, rows.drawing(id: id)), numbers(rows.table, id: id)]
    case .diagram(let diagram): [drawing(diagram.title, diagram.drawing(id: id))]
    case .heatMap: []
    }
  }

  private func facts(_ facts: [Document.Fact]) -> Markup {
    .element(
      "dl", ["class": "facts"],
      facts.flatMap { [.element("dt", [:], $0.name), .element("dd", [:], $0.value)] })
  }

  private func table(_ table: Table, id: String) -> [Markup] {
    let head = table.columns.map { column in
      Markup.element(
        "th", column.isNumber ? ["scope": "col", "class": "n"] : ["scope": "col"], column.title)
    }
    let rows = table.rows.prefix(Table.rowLimit).map { row in
      let cells = zip(row, table.columns).map { cell, column in
        Markup.element("td", column.isNumber ? ["class": "n"] : [:], cell)
      }
      return Markup.element("tr", [:], cells)
    }
    let content: [Markup] = [
      .element("caption", ["id": "\(id)-caption"], table.caption), .newline,
      .element("thead", [:], [.element("tr", [:], head)]), .newline,
      .element("tbody", [:], [.newline] + Markup.lines(rows)),
    ]
    let box = Markup.element(
      "div",
      ["class": "wide", "role": "region", "aria-labelledby": "\(id)-caption", "tabindex": "0"],
      [.element("table", [:], content)])
    return [box] + (table.cut.map { [.element("p", [:], $0)] } ?? [])
  }

  private func numbers(_ table: Table, id: String) -> Markup {
    let head = Markup.element("summary", [:], "Numbers of this figure")
    return .element("details", [:], [head] + self.table(table, id: "\(id)-table"))
  }

  private func drawing(_ title: String, _ drawing: Markup) -> Markup {
    let box = Markup.element(
      "div",
      ["class": "wide", "role": "region", "aria-label": "Drawing: \(title)", "tabindex": "0"],
      [drawing])
    return .element("figure", [:], [.element("figcaption", [:], title), box])
  }

  // MARK: Result

  private var isEmbedded: Bool { document.result.map { $0.byteCount <= Self.resultLimit } ?? false }

  private func writeResult(to output: inout some TextOutputStream) throws(FileError) {
    guard let result = document.result, isEmbedded else { return }
    output.write(
      Markup.opening("script", ["type": "application/json", "id": "result"]) + "\n")
    try result.write(to: &output, Self.escaped)
    output.write("\n</script>\n")
  }

  /// Returns JSON without `<`: it is in strings only, where it may be written as a number.
  private static func escaped(_ json: String) -> String {
    guard json.utf8.contains(UInt8(ascii: "<")) else { return json }
    let bytes = json.utf8.reduce(into: [UInt8]()) { bytes, byte in
      if byte == UInt8(ascii: "<") { bytes += "\\u003c".utf8 } else { bytes.append(byte) }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
