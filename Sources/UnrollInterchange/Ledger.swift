// The account of all named content of a foreign file: nothing is ignored silently.

import UnrollFormat
import UnrollTensors

/// The named content of a file, such as tensors, datasets or records, and its use by a reader.
///
/// A reader creates a ledger of all names, accounts for each, and gets from `settle` the settlement
/// that a `Conversion` requires; if a name is left over, `settle` throws an error that names it.
struct Ledger {
  /// Proof that every name of a file is accounted for; only `settle` creates one.
  struct Settlement {
    /// Notes on names that the caller leaves out, and on unused content worth a note.
    let notes: [Note]
    fileprivate init(notes: [Note]) { self.notes = notes }
  }

  /// The file's path, for errors.
  private let file: String
  /// The names in the order of the file.
  private let names: [String]
  /// The names that are not accounted for yet.
  private var open: Set<String>
  /// The names, and groups of names, that the caller leaves out.
  private let ignored: [String]
  private var notes: [Note] = []

  /// Opens an account.
  ///
  /// - Parameters:
  ///   - names: All names of the file.
  ///   - ignored: The names that the caller leaves out, or prefixes of several.
  ///   - file: The file's path.
  /// - Throws: `InterchangeError` if a name to ignore does not exist.
  init(_ names: [String], ignoring ignored: Set<String>, of file: String) throws {
    self.names = names
    self.ignored = ignored.sorted()
    self.file = file
    open = Set(names)
    for name in self.ignored {
      let matches = names.filter { Self.is($0, name) }
      guard !matches.isEmpty else {
        throw InterchangeError(
          file: file, place: name, expected: "a name in the file, to be ignored",
          found: "none; there are \(list(names))",
          fix: "give --ignore a name as the file has it, or leave it out")
      }
      open.subtract(matches)
      let count = matches == [name] ? "" : " (\(matches.count) names)"
      notes.append(Note(place: name, message: "ignored, as requested\(count)"))
    }
  }

  /// Returns `true` if a name equals another or is below it: `a/b` and `a.b` are below `a`.
  private static func `is`(_ name: String, _ group: String) -> Bool {
    name == group || name.hasPrefix(group + "/") || name.hasPrefix(group + ".")
  }

  /// Returns `true` if the caller leaves a name out; a reader then proceeds without it.
  func isIgnored(_ name: String) -> Bool { ignored.contains { Self.is(name, $0) } }

  /// The names that are not accounted for yet, in the order of the file.
  var left: [String] { names.filter(open.contains) }

  /// Returns the first of some names that the caller leaves out, in the order of the file.
  func ignored(among some: Set<String>) -> String? {
    names.first { some.contains($0) && isIgnored($0) }
  }

  /// Accounts for a name whose value is in the model.
  mutating func use(_ name: String) { open.remove(name) }

  /// Accounts for names without effect at evaluation.
  ///
  /// - Parameters:
  ///   - place: A name, or the prefix of several.
  ///   - reason: The text of a note, if they are worth one, such as `not preserved: 3 metrics`.
  mutating func pass(_ place: String, noting reason: String? = nil) {
    let matches = open.filter { Self.is($0, place) }
    open.subtract(matches)
    guard let reason, !matches.isEmpty else { return }
    notes.append(Note(place: place, message: reason))
  }

  /// Accounts for several groups with one note.
  ///
  /// - Parameters:
  ///   - places: The groups.
  ///   - reason: The text of the note.
  mutating func pass(_ places: [String], noting reason: String) {
    let found = places.filter { place in open.contains { Self.is($0, place) } }
    guard !found.isEmpty else { return }
    for place in found { pass(place) }
    notes.append(Note(place: list(found), message: reason))
  }

  /// Closes the account.
  ///
  /// - Parameters:
  ///   - expected: The expected parts of the model, in words.
  ///   - fix: Advice besides leaving names out.
  /// - Returns: The settlement.
  /// - Throws: `InterchangeError` naming unused content, a dozen names at most.
  consuming func settle(expected: String, fix: String) throws -> Settlement {
    let left = left
    guard let first = left.first else { return Settlement(notes: notes) }
    throw InterchangeError(
      file: file, place: left.count == 1 ? first : "", expected: expected,
      found: left.count == 1 ? "this beside it" : "\(left.count) others beside it: \(list(left))",
      fix: "\(fix); what is no part of the model is left out with --ignore NAME")
  }
}
