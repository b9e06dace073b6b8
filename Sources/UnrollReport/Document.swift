// A document of sections that a writer turns into a page.

/// A document about the result of a verb.
package struct Document: Sendable {
  /// The title of the page.
  package var title: String
  /// The program that made it, with its version.
  package var producer: String
  /// The sentence below the title.
  package var lead: String
  /// The most important numbers, with their names.
  package var highlights: [Fact] = []
  /// The origin of the result, such as the model, the text and the command.
  package var facts: [Fact] = []
  /// Notes and warnings.
  package var notes: [String] = []
  /// The sections, in order.
  package var sections: [Section] = []
  /// The result as JSON, as `--json` prints it; `nil` for none.
  package var result: LongText?

  /// A name and its value.
  package struct Fact: Sendable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// A part of the document under a heading.
  package struct Section: Sendable {
    package var title: String
    package var blocks: [Block]

    package init(_ title: String, _ blocks: [Block]) {
      self.title = title
      self.blocks = blocks
    }
  }

  /// A part of a section.
  package enum Block: Sendable {
    case paragraph(String)
    case list([String])
    /// Paragraphs that a click on a line shows.
    case folded(String, [String])
    case facts([Fact])
    case table(Table)
    case figure(Figure)
    case diagram(Diagram)
    case histograms(HistogramRows)
    case heatMap(HeatMap)
  }

  package init(title: String, producer: String, lead: String) {
    self.title = title
    self.producer = producer
    self.lead = lead
  }
}

/// A table of texts and numbers.
package struct Table: Sendable {
  /// The maximum number of rows on a page.
  package static let rowLimit = 1000

  package var caption: String
  package var columns: [Column]
  /// The cells of each row, one for each column.
  package var rows: [[String]]

  /// The heading of a column; numbers are aligned to the right.
  package struct Column: Sendable {
    package var title: String
    package var isNumber: Bool

    /// Creates the heading of a column of texts.
    package static func text(_ title: String) -> Column { Column(title: title, isNumber: false) }
    /// Creates the heading of a column of numbers.
    package static func number(_ title: String) -> Column { Column(title: title, isNumber: true) }
  }

  package init(_ caption: String, _ columns: [Column], _ rows: [[String]]) {
    self.caption = caption
    self.columns = columns
    self.rows = rows
  }

  /// The sentence on rows that a page leaves out; `nil` if it has all.
  var cut: String? {
    rows.count > Self.rowLimit
      ? "These are the first \(Self.rowLimit) of \(rows.count) rows." : nil
  }
}
