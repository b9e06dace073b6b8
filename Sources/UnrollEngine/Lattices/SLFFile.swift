// HTK's Standard Lattice Format: lines of fields, NAME=VALUE.

import UnrollTensors
import UnrollTokenization

/// The content of a file in Standard Lattice Format, checked line by line.
///
/// The header names the numbers of nodes (`N`) and arcs (`L`); a line `I=` describes a node, and a
/// line `J=` an arc with its score of the sounds (`a`), of pronunciation (`r`) and of a language
/// model (`l`). Words (`W`) belong to arcs, or to the nodes to which the arcs lead. Every line is
/// read once and memory follows the lines that there are, not the numbers that they name.
struct SLFFile {
  private struct RawArc {
    let line: Int
    let from: Int
    let to: Int
    let word: String?
    var scores: [String: Double]
  }

  private static let longNames = [
    "NODES": "N", "LINKS": "L", "UTTERANCE": "U", "SUBLAT": "S", "START": "S", "END": "E",
    "WORD": "W", "acoustic": "a", "language": "l",
  ]
  private static let numbers: Set = ["base", "acscale", "lmscale", "prscale", "wdpenalty"]
  private static let places: Set = ["N", "L", "start", "end"]

  let path: String
  private var lines = SLFLines()
  private var header: [String: Double] = [:]
  private var counts: [String: Int] = [:]
  private var name: String?
  private var rawArcs: [RawArc?] = []

  /// The word of each node: `nil` if it names none, and `.some(nil)` for a mark.
  private(set) var words: [String??] = []
  /// The arcs, in order of their numbers.
  private(set) var arcs: [Lattice.Arc] = []

  var utterance: String { name ?? Self.utterance(ofFile: path) }
  var hasAcoustic: Bool { rawArcs.contains { $0?.scores["a"] != nil } }
  var hasLanguage: Bool { rawArcs.contains { $0?.scores["l"] != nil } }
  var languageScale: Double? { header["lmscale"] }
  var wordScore: Double? { header["wdpenalty"].map { $0 * logarithm } }
  var start: Int? { counts["start"] }
  var end: Int? { counts["end"] }

  /// The natural logarithm of the base of the scores; 1 where they are probabilities.
  private var logarithm: Double {
    header["base"].map { $0 == 0 ? 1 : Elementary.log($0) } ?? 1
  }

  /// Reads a file.
  ///
  /// - Throws: `FileError` or `TextError` if it cannot be read, or is no lattice.
  init(path: String) throws {
    self.path = path
    var nodes: [Int: String??] = [:]
    var arcs: [Int: RawArc] = [:]
    var file = try FieldLines(path: path)
    while let (text, line) = try file.next() {
      guard text.first != "#" else { continue }
      let fields = try fields(text, line)
      guard let first = fields.first else { continue }
      switch first.name {
      case "I":
        let number = try place(first, below: "N", line)
        guard nodes.updateValue(try word(of: fields, line), forKey: number) == nil else {
          throw refusal(line, expected: "each node once", found: "I=\(number) again")
        }
      case "J":
        let number = try place(first, below: "L", line)
        guard arcs.updateValue(try arc(fields, line), forKey: number) == nil else {
          throw refusal(line, expected: "each arc once", found: "J=\(number) again")
        }
      default: try readHeader(fields, line)
      }
    }
    try check(count: nodes.count, "N", "nodes")
    try check(count: arcs.count, "L", "arcs")
    try checkHeader()
    words = nodes.sorted { $0.key < $1.key }.map(\.value)
    rawArcs = arcs.sorted { $0.key < $1.key }.map(\.value)
    self.arcs = try rawArcs.compactMap { $0 }.map(finished)
  }

  /// Returns an error of the file as a whole, or of a line.
  func refusal(
    _ line: Int? = nil, expected: String, found: String,
    fix: String = "write the file again, in HTK's Standard Lattice Format"
  ) -> TextError {
    TextError(path: path, line: line, expected: expected, found: found, fix: fix)
  }

  /// Returns the name of a file without its folder and the ends that lattices have.
  private static func utterance(ofFile path: String) -> String {
    var name = path.split(separator: "/").last.map(String.init) ?? path
    for end in [".gz", ".lat", ".slf", ".htk"] where name.hasSuffix(end) && name != end {
      name.removeLast(end.count)
    }
    return name
  }

  private func fields(_ text: String, _ line: Int) throws(TextError) -> [SLFLines.Field] {
    guard let fields = lines.fields(of: text) else {
      throw refusal(line, expected: "fields, NAME=VALUE, as of a lattice", found: text)
    }
    return fields
  }

  private mutating func readHeader(_ fields: [SLFLines.Field], _ line: Int) throws(TextError) {
    for field in fields {
      let key = Self.longNames[field.name] ?? field.name
      switch key {
      case "U": name = field.value
      case "S":
        throw refusal(
          line, expected: "a lattice without sublattices", found: "SUBLAT=\(field.value)",
          fix: "expand the sublattices with HTK's HBuild")
      case _ where Self.numbers.contains(key): header[key] = try number(field, line)
      case _ where Self.places.contains(key):
        guard let number = Int(field.value), number >= 0 else {
          throw refusal(line, expected: "a count or a place from 0", found: field.text)
        }
        counts[key] = number
      default: break
      }
    }
  }

  private func checkHeader() throws(TextError) {
    if let base = header["base"], base < 0 || base == 1 {
      throw refusal(expected: "a base of logarithms, or 0 for none", found: "base=\(base)")
    }
    for name in ["start", "end"] {
      if let place = counts[name], place >= counts["N", default: 0] {
        throw refusal(
          expected: "a node below \(counts["N", default: 0])", found: "\(name)=\(place)")
      }
    }
  }

  private func check(count: Int, _ name: String, _ things: String) throws(TextError) {
    guard let expected = counts[name] else {
      throw refusal(expected: "a header with the numbers N= and L=", found: "no \(name)=")
    }
    guard count == expected, count > 0 else {
      throw refusal(
        expected: "\(name)=\(expected) \(things), at least 1", found: "\(count)",
        fix: "the file was cut off or changed: write it again")
    }
  }

  /// Returns the number of a node or an arc.
  private func place(
    _ field: SLFLines.Field, below count: String, _ line: Int
  ) throws(TextError) -> Int {
    guard let limit = counts[count] else {
      throw refusal(
        line, expected: "a header with the numbers N= and L= before it", found: field.text)
    }
    guard let number = Int(field.value), 0..<limit ~= number else {
      throw refusal(line, expected: "a number from 0, below \(count)=\(limit)", found: field.text)
    }
    return number
  }

  private func number(_ field: SLFLines.Field, _ line: Int) throws(TextError) -> Double {
    guard let number = Double(field.value), number.isFinite else {
      throw refusal(line, expected: "a number", found: field.text)
    }
    return number
  }

  /// Returns the word of a node; an inner `nil` is a mark.
  private func word(of fields: [SLFLines.Field], _ line: Int) throws(TextError) -> String?? {
    if let sublattice = fields.first(where: { $0.name == "L" || $0.name == "SUBLAT" }) {
      throw refusal(
        line, expected: "a lattice without sublattices", found: sublattice.text,
        fix: "expand the sublattices with HTK's HBuild")
    }
    guard let word = fields.first(where: { $0.name == "W" || $0.name == "WORD" }) else {
      return .none
    }
    return .some(SLFLines.isMark(word.value) ? nil : word.value)
  }

  private func arc(_ fields: [SLFLines.Field], _ line: Int) throws(TextError) -> RawArc {
    var places: [String: Int] = [:]
    var scores: [String: Double] = [:]
    var word: String?
    for field in fields.dropFirst() {
      let key = Self.longNames[field.name] ?? field.name
      switch key {
      case "S", "E": places[key] = try place(field, below: "N", line)
      case "a", "l", "r": scores[key] = try number(field, line)
      case "W": word = field.value
      default: break
      }
    }
    guard let from = places["S"], let to = places["E"] else {
      throw refusal(
        line, expected: "an arc with S= and E=", found: fields.map(\.text).joined(separator: " "))
    }
    return RawArc(line: line, from: from, to: to, word: word, scores: scores)
  }

  /// Returns an arc with its word and natural logarithms.
  private func finished(_ raw: RawArc) throws(TextError) -> Lattice.Arc {
    let nodeWord = words[raw.to]
    let arcWord: String?? = raw.word.map { SLFLines.isMark($0) ? nil : $0 }
    if case .some(.some(let a)) = arcWord, case .some(.some(let b)) = nodeWord {
      throw refusal(raw.line, expected: "words of nodes or of arcs", found: "both: \(b), \(a)")
    }
    guard arcWord != nil || nodeWord != nil else {
      throw refusal(
        raw.line, expected: "a word, W=, of the arc or of node \(raw.to)", found: "none",
        fix: "write W=!NULL where there is no word")
    }
    func score(_ name: String, _ scale: String) throws(TextError) -> Double {
      guard let given = raw.scores[name] else { return 0 }
      let isProbability = header["base"] == 0
      guard !isProbability || given > 0 else {
        throw refusal(raw.line, expected: "a probability above 0, for base=0", found: "\(given)")
      }
      return header[scale, default: 1] * (isProbability ? Elementary.log(given) : given * logarithm)
    }
    return Lattice.Arc(
      from: raw.from, to: raw.to, word: (arcWord ?? nil) ?? (nodeWord ?? nil),
      acoustic: try score("a", "acscale") + score("r", "prscale"),
      language: try score("l", ""))
  }
}
