// The account of everything that a foreign file names: nothing of it is passed over in silence.

import UnrollFormat
import UnrollTensors

/// The named things of a file, tensors, datasets, layers or records, and what a reader did with each.
///
/// A reader makes one of all the names, says of each what becomes of it, and gets from `settle` what a
/// `Conversion` is made of; with anything left over it gets an error that names it.
struct Ledger {
  /// Proof that every name of a file has been accounted for; only `settle` makes one.
  struct Settlement {
    /// What was left out on request, and what was passed over for a reason that is worth a note.
    let notes: [Note]
    fileprivate init(notes: [Note]) { self.notes = notes }
  }

  /// The file's path, for errors.
  private let file: String
  /// The names in the order of the file.
  private let names: [String]
  /// The names without an account yet.
  private var open: Set<String>
  /// What the caller leaves out by hand: names, and groups of names.
  private let ignored: [String]
  private var notes: [Note] = []

  /// Opens an account.
  ///
  /// - Parameters:
  ///   - names: Everything in the file that has a name.
  ///   - ignored: What the caller leaves out: a name, or the group in front of several.
  ///   - file: The file's path.
  /// - Throws: `InterchangeError` if something is to be ignored that is not there.
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
      notes.append(Note(place: name, message: "ignored, as asked for\(count)"))
    }
  }

  /// Whether a name is another one or below it: `a/b` and `a.b` are below `a`.
  private static func `is`(_ name: String, _ group: String) -> Bool {
    name == group || name.hasPrefix(group + "/") || name.hasPrefix(group + ".")
  }

  /// Whether the caller leaves a name out; a reader then does without it.
  func isIgnored(_ name: String) -> Bool { ignored.contains { Self.is(name, $0) } }

  /// The names without an account yet, in the order of the file.
  var left: [String] { names.filter(open.contains) }

  /// The first of some names that the caller leaves out, in the order of the file.
  func ignored(among some: Set<String>) -> String? {
    names.first { some.contains($0) && isIgnored($0) }
  }

  /// Accounts for a name whose value is in the model.
  mutating func use(_ name: String) { open.remove(name) }

  /// Accounts for names that change nothing at evaluation.
  ///
  /// - Parameters:
  ///   - place: A name, or the group in front of several.
  ///   - reason: What they are, if that is worth a note, such as `not carried: 3 metrics`.
  mutating func pass(_ place: String, noting reason: String? = nil) {
    let matches = open.filter { Self.is($0, place) }
    open.subtract(matches)
    guard let reason, !matches.isEmpty else { return }
    notes.append(Note(place: place, message: reason))
  }

  /// Accounts for several groups of one reason, with one note.
  ///
  /// - Parameters:
  ///   - places: The groups.
  ///   - reason: What they are, that is worth a note.
  mutating func pass(_ places: [String], noting reason: String) {
    let found = places.filter { place in open.contains { Self.is($0, place) } }
    guard !found.isEmpty else { return }
    for place in found { pass(place) }
    notes.append(Note(place: list(found), message: reason))
  }

  /// Closes the account.
  ///
  /// - Parameters:
  ///   - expected: What the model is made of, in words.
  ///   - fix: What the user can do beside leaving names out by hand.
  /// - Returns: What a `Conversion` is made of.
  /// - Throws: `InterchangeError` naming what is left over, a dozen at most.
  consuming func settle(expected: String, fix: String) throws -> Settlement {
    let left = left
    guard let first = left.first else { return Settlement(notes: notes) }
    throw InterchangeError(
      file: file, place: left.count == 1 ? first : "", expected: expected,
      found: left.count == 1 ? "this beside it" : "\(left.count) others beside it: \(list(left))",
      fix: "\(fix); what is no part of the model is left out with --ignore NAME")
  }
}
