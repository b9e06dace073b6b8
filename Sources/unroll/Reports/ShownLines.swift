// The lines of a text on a page: the first ones, each with its JSON.

import UnrollReport
import UnrollTensors

/// The lines that a page shows, until it has enough of them, and their number.
struct ShownLines {
  /// The colored text.
  private(set) var map: HeatMap
  /// The JSON objects of the lines on the page.
  private var objects = LongText("[\n")
  private var shownCount = 0
  private var cellCount = 0
  /// The number of all lines.
  private(set) var count = 0

  /// The largest size of the JSON objects of a page, in bytes.
  private static let byteLimit = 2_500_000
  /// The largest number of words or tokens of the text on a page.
  private static let cellLimit = 20_000

  init(_ map: HeatMap) { self.map = map }

  /// Adds a line; later lines are counted, and not shown once one did not fit.
  ///
  /// - Parameters:
  ///   - number: Its number in the text, counted from 1.
  ///   - cellCount: The number of its words or tokens.
  ///   - object: Returns the line as `--json` prints it.
  ///   - cells: Returns its words or tokens.
  /// - Throws: `FileError` if a temporary file cannot be written; the errors of the closure.
  mutating func add(
    line number: Int, cellCount: Int, object: () throws -> String, cells: () -> [HeatMap.Cell]
  ) throws {
    count += 1
    self.cellCount += cellCount
    guard shownCount == count - 1, self.cellCount <= Self.cellLimit else { return }
    let object = try object()
    guard objects.byteCount + object.utf8.count <= Self.byteLimit else { return }
    try objects.append(shownCount == 0 ? object : ",\n" + object)
    try map.append(line: number, cells())
    shownCount += 1
  }

  /// The JSON objects of the lines on the page, as one array.
  ///
  /// - Throws: `FileError` if a temporary file cannot be written.
  var result: LongText {
    get throws(FileError) {
      var result = objects
      try result.append("\n]")
      return result
    }
  }

  /// The sentence on lines that the page leaves out; none if it shows all.
  ///
  /// - Parameters:
  ///   - rest: The sentence behind it.
  ///   - things: The lines, in the plural.
  /// - Returns: The paragraph.
  func cut(_ rest: String, of things: String = "lines") -> [Document.Block] {
    guard shownCount < count else { return [] }
    return [
      .paragraph(
        "The text is cut: the page shows the first \(Output.grouped(shownCount)) of \(Output.grouped(count)) \(things). "
          + rest)
    ]
  }
}
