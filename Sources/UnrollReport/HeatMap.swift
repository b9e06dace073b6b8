// A text whose parts have colors by a number.

import UnrollTensors

/// A text whose parts have colors by a number.
package struct HeatMap: Sendable {
  /// The number of colors.
  package static let levelCount = 9

  /// The name of the whole.
  package let title: String
  /// The range of numbers of each color, in words; at most `levelCount` of them.
  package let legend: [String]
  /// The meaning of a part without a number.
  package let missing: String
  /// `true` if parts have a space between them.
  package let isSpaced: Bool
  /// `true` if a line is drawn before each part.
  package let isBordered: Bool
  /// The classes of the colors.
  private let classes: [String]
  /// The elements of the lines, written as they come: as values they would take several times the memory.
  private var elements = LongText()

  /// A part of a line.
  package struct Cell: Sendable {
    package var text: String
    /// The color, 0 to 8; `nil` without a number.
    package var level: Int?
    /// The numbers behind the color, in words.
    package var detail: String

    package init(text: String, level: Int?, detail: String) {
      self.text = text
      self.level = level
      self.detail = detail
    }
  }

  /// Creates a heat map without lines.
  ///
  /// - Parameters:
  ///   - title: The name of the whole.
  ///   - legend: The range of numbers of each color, in words.
  ///   - missing: The meaning of a part without a number.
  ///   - isSpaced: `true` if parts have a space between them.
  ///   - isBordered: `true` if a line is drawn before each part.
  ///   - isDiverging: `true` for colors of two directions around the middle one.
  package init(
    title: String, legend: [String], missing: String, isSpaced: Bool, isBordered: Bool = false,
    isDiverging: Bool = false
  ) {
    classes =
      isDiverging
      ? ["c3", "c2", "c1", "c0", "h0", "h2", "h4", "h6", "h8"]
      : (0..<Self.levelCount).map { "h\($0)" }
    self.title = title
    self.legend = legend
    self.missing = missing
    self.isSpaced = isSpaced
    self.isBordered = isBordered
  }

  /// Adds a line.
  ///
  /// - Parameters:
  ///   - number: Its number in the text, counted from 1.
  ///   - cells: Its parts.
  /// - Throws: `FileError` if a temporary file cannot be written.
  package mutating func append(line number: Int, _ cells: [Cell]) throws(FileError) {
    var line = "<li value=\"\(number)\" dir=\"auto\">"
    for cell in cells {
      line += "<span class=\""
      line += cell.level.map { classes[min(max($0, 0), Self.levelCount - 1)] } ?? "none"
      line += "\" data-d=\""
      line += Markup.escaped(cell.detail)
      line += "\">"
      line += Markup.escaped(cell.text)
      line += isSpaced ? "</span> " : "</span><wbr>"
    }
    try elements.append(line + "</li>\n")
  }

  /// Writes the legend and the lines.
  ///
  /// - Throws: `FileError` if a temporary file cannot be read.
  func write(to output: inout some TextOutputStream) throws(FileError) {
    let colors = legend.enumerated().map { index, range in
      Markup.element("li", ["class": classes[index]], range)
    }
    let items = colors + [.element("li", ["class": "none"], missing)]
    output.write(
      Markup.element("ul", ["class": "legend", "aria-label": "Colors"], items).characters + "\n")
    let name = isBordered ? "heat parts" : "heat"
    output.write(Markup.opening("ol", ["class": name, "aria-label": title]) + "\n")
    try elements.write(to: &output) { $0 }
    output.write("</ol>\n")
  }
}
