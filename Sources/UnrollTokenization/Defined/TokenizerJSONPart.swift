// Parts of the file tokenizer.json with their places, for errors.

import Foundation
import UnrollSerialization

/// A part of the file.
struct JSONPart {
  let place: String
  let value: JSONValue

  /// Its type; empty if it has none.
  var type: String { value["type"]?.text ?? "" }

  /// A part of this one.
  subscript(key: String) -> JSONPart? {
    value[key].map { JSONPart(place: "\(place).\(key)", value: $0) }
  }

  /// Returns the parts of a list.
  func parts(_ key: String) throws -> [JSONPart] {
    let list = try require(value[key]?.array, key, "a list")
    return list.enumerated().map { JSONPart(place: "\(place).\(key)[\($0)]", value: $1) }
  }

  /// Returns a value that the file must have.
  ///
  /// - Throws: `DefinitionError` with the place, if it is `nil`.
  func require<Value>(
    _ value: Value?, _ key: String, _ expected: String
  ) throws -> Value {
    guard let value else {
      throw DefinitionError("\(place).\(key)", expected: expected, found: "something else")
    }
    return value
  }

  /// Returns the bytes of a text.
  func text(_ key: String) throws -> [UInt8] {
    try require(value[key]?.bytes, key, "a text")
  }

  /// Returns a small number, 0 by default.
  func count(_ key: String) throws -> Int {
    let count = value[key]?.int ?? 0
    return try require((0...1000).contains(count) ? count : nil, key, "a small number")
  }

  /// Returns a choice; `standard` by default.
  func flag(_ key: String, _ standard: Bool) -> Bool { value[key]?.bool ?? standard }

  /// The refusal of a part that this version does not have.
  var unsupported: DefinitionError {
    DefinitionError(unsupported: type.isEmpty ? "a part without a type" : type, at: place)
  }

  /// Returns a pattern that is a literal or a regular expression.
  func pattern() throws -> TextPattern {
    let pattern = try require(value["pattern"], "pattern", "a pattern")
    if let literal = pattern["String"]?.bytes { return .literal(literal) }
    let regex = try require(pattern["Regex"]?.text, "pattern", "String or Regex")
    do {
      return try TextPattern(regex: regex)
    } catch {
      throw DefinitionError(error, in: regex, at: "\(place).pattern")
    }
  }

  /// Returns the behavior of a split.
  func behavior() throws -> CutBehavior {
    let name = value["behavior"]?.text ?? CutBehavior.isolated.rawValue
    return try require(CutBehavior(rawValue: name), "behavior", "a behavior of a split")
  }

  /// Bytes in base64.
  func base64(_ key: String) throws -> [UInt8] {
    let text = String(decoding: try text(key), as: UTF8.self)
    return Array(try require(Data(base64Encoded: text), key, "base64"))
  }
}
