// The error of this module: a foreign file that cannot be read or written.

import UnrollTensors

/// A foreign file that cannot be converted, with location, expectation and advice.
public struct InterchangeError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The file's path.
  public let file: String
  /// The location in the file: a record, a byte of it, or a tensor.
  ///
  /// Empty for the file as a whole.
  public let place: String
  /// The expectation.
  public let expected: String
  /// The finding.
  public let found: String
  /// The advice.
  public let fix: String
  /// Lines to show below the message, such as a map to complete; empty if there are none.
  public private(set) var details = ""

  /// Creates an error from its five parts.
  public init(file: String, place: String, expected: String, found: String, fix: String) {
    self.file = file
    self.place = place
    self.expected = expected
    self.found = found
    self.fix = fix
  }

  /// The five parts on two lines, then the details.
  public var description: String {
    let position = place.isEmpty ? printable(file) : "\(printable(file)): \(Self.excerpt(place))"
    let lines = details.split(separator: "\n", omittingEmptySubsequences: false)
    return "\(position): expected \(Self.excerpt(expected)), found \(Self.excerpt(found))\n"
      + "  fix: \(printable(fix))"
      + (details.isEmpty ? "" : lines.map { "\n" + printable(String($0)) }.joined())
  }

  /// Returns the error with lines to show below it.
  func showing(_ details: String) -> InterchangeError {
    var error = self
    error.details = details
    return error
  }

  /// The error about a checkpoint that is not a file yet, with the file that it was read from.
  ///
  /// - Parameter path: The file.
  /// - Returns: The same error for errors about other files.
  package func naming(_ path: String) -> InterchangeError {
    guard file == "the checkpoint" else { return self }
    return InterchangeError(file: path, place: place, expected: expected, found: found, fix: fix)
      .showing(details)
  }

  /// Shortens a text: names in a pickle may be megabytes long, and lists show a dozen names.
  private static func excerpt(_ text: String) -> String { UnrollTensors.excerpt(text, limit: 1000) }
}

/// Returns a list for a message: the first items, and the number of further ones.
func list(_ items: [String], atMost limit: Int = 12) -> String {
  let shown = items.prefix(limit).joined(separator: ", ")
  return items.count > limit ? "\(shown) and \(items.count - limit) more" : shown
}
