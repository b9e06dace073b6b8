// A document as one HTML page that needs nothing from elsewhere.

import Crypto
import Foundation
import UnrollTensors

extension Document {
  /// The page: the same bytes for the same document.
  package var html: String { HTMLWriter(document: self).page }
}

/// A writer of a page.
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

  var page: String {
    let html = Markup.element(
      "html", ["lang": "en"], [.newline, head, .newline, body, .newline])
    return "<!DOCTYPE html>\n" + html.characters + "\n"
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

  private var body: Markup {
    .element(
      "body", [:],
      [.newline]
        + Markup.lines(
          [
            .element("a", ["class": "skip", "href": "#content"], "Skip to content"),
            .element("div", ["class": "page"], [.newline] + Markup.lines([header, main, footer])),
          ] + result
            + (hasScript
              ? [.element("script", [:], [Markup(trusted: PageScript.text)])] : [])))
  }

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

  private var main: Markup {
    let sections = document.sections.enumerated().map { section($1, number: $0 + 1) }
    return .element(
      "main", ["id": "content"],
      [.newline] + Markup.lines(highlights + notes + sections + origin))
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

  private func section(_ section: Document.Section, number: Int) -> Markup {
    let id = "section-\(number)"
    let blocks = section.blocks.enumerated().flatMap { index, block in
      self.block(block, id: "\(id)-\(index + 1)")
    }
    return .element(
      "section", ["aria-labelledby": id],
      [.newline] + Markup.lines([.element("h2", ["id": id], section.title)] + blocks))
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
    case .figure(let figure): self.figure(figure, id: id)
    case .diagram(let diagram): [drawing(diagram.title, diagram.drawing(id: id))]
    case .heatMap(let map): heatMap(map)
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

  private func figure(_ figure: Figure, id: String) -> [Markup] {
    let data = [Markup.element("summary", [:], "Numbers of this figure")]
    return [
      drawing(figure.title, figure.drawing(id: id)),
      .element("details", [:], data + table(figure.table, id: "\(id)-table")),
    ]
  }

  private func drawing(_ title: String, _ drawing: Markup) -> Markup {
    let box = Markup.element(
      "div",
      ["class": "wide", "role": "region", "aria-label": "Drawing: \(title)", "tabindex": "0"],
      [drawing])
    return .element("figure", [:], [.element("figcaption", [:], title), box])
  }

  // MARK: Heat maps

  private func heatMap(_ map: HeatMap) -> [Markup] {
    let colors = map.legend.enumerated().map { index, range in
      Markup.element("li", ["class": "h\(index)"], range)
    }
    let legend = colors + [.element("li", ["class": "none"], map.missing)]
    let lines = map.lines.map { line in
      Markup.element("li", ["value": "\(line.number)", "dir": "auto"], cells(line, map.isSpaced))
    }
    return [
      .element("ul", ["class": "legend", "aria-label": "Colors"], legend),
      .element(
        "ol", ["class": map.isBordered ? "heat parts" : "heat", "aria-label": map.title],
        [.newline] + Markup.lines(lines)),
    ]
  }

  /// The classes of the colors.
  private static let levelNames = (0..<HeatMap.levelCount).map { "h\($0)" }

  private func cells(_ line: HeatMap.Line, _ isSpaced: Bool) -> [Markup] {
    let space = Markup(trusted: isSpaced ? " " : "<wbr>")
    return line.cells.flatMap { cell in
      let name = cell.level.map { Self.levelNames[min(max($0, 0), HeatMap.levelCount - 1)] }
      return [
        .element("span", ["class": name ?? "none", "data-d": cell.detail], cell.text), space,
      ]
    }
  }

  // MARK: Result

  private var isEmbedded: Bool {
    document.result.map { $0.utf8.count <= Self.resultLimit } ?? false
  }

  private var result: [Markup] {
    guard let result = document.result, isEmbedded else { return [] }
    // In JSON these characters are in strings only, where they may be written so.
    let escaped = result.replacing(scalar: "<", with: "\\u003c")
    return [
      .element(
        "script", ["type": "application/json", "id": "result"],
        [.newline, Markup(trusted: escaped), .newline])
    ]
  }
}
