// The configuration of `unroll validate`: a JSON file with rules to select, levels and suppressions.

import ArgumentParser
import Foundation
import UnrollFormat
import UnrollTensors

/// The contents of a configuration file; every key is optional, and other keys are refused.
struct Configuration: Decodable {
  /// The file in the current folder that is read by default.
  static let defaultName = ".unroll.json"

  var select: [RuleSelector] = []
  var ignore: [RuleSelector] = []
  var level: Level?
  var strict = false
  var levels: [String: Level] = [:]
  var suppressions: [Suppression] = []

  private enum Key: String, CodingKey, CaseIterable {
    case select, ignore, level, strict, levels, suppressions
  }

  /// Creates an empty configuration.
  init() {}

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(of: Key.self)
    select = try values.decodeIfPresent([RuleSelector].self, forKey: .select) ?? []
    ignore = try values.decodeIfPresent([RuleSelector].self, forKey: .ignore) ?? []
    level = try values.decodeIfPresent(Level.self, forKey: .level)
    strict = try values.decodeIfPresent(Bool.self, forKey: .strict) ?? false
    levels = try values.decodeIfPresent([String: Level].self, forKey: .levels) ?? [:]
    suppressions = try values.decodeIfPresent([Suppression].self, forKey: .suppressions) ?? []
    for (id, level) in levels.sorted(by: { $0.key < $1.key }) {
      let rule = Rule[id]
      guard let rule, rule.level != .error || level == .error else {
        throw values.error(
          .levels,
          rule == nil
            ? "expected ids of rules; found \(id)"
            : "expected levels for rules that are notes or warnings; found \(level.rawValue) for \(id), "
              + "which is error: a file that breaks it cannot be read")
      }
    }
  }

  /// Reads the named file, or `.unroll.json` if there is one.
  ///
  /// - Throws: `FileError` if it cannot be read; `ValidationError` that names the location in it.
  static func read(_ named: String?) throws -> Configuration {
    guard named != nil || FileManager.default.fileExists(atPath: defaultName) else {
      return Configuration()
    }
    let path = named ?? defaultName
    if named == nil { Output.note("note: findings are chosen as \(path) says") }
    return try decode(path)
  }

  private static func decode(_ path: String) throws -> Configuration {
    let data = try Data(contentsOfFile: path)
    do {
      return try JSONDecoder().decode(Configuration.self, from: data)
    } catch let error as DecodingError {
      throw ValidationError(
        "\(printable(path)): \(error.sentence)\n  fix: see `unroll validate --help`")
    }
  }
}

extension Data {
  /// Reads a file.
  ///
  /// - Throws: `FileError` if that fails.
  init(contentsOfFile path: String) throws(FileError) {
    let file = try MappedFile(path: path)
    self.init(file.copy(0..<file.count))
  }
}

extension Decoder {
  /// Returns the members of an object, and refuses others.
  func container<Key: CodingKey & CaseIterable>(
    of keys: Key.Type
  ) throws -> KeyedDecodingContainer<Key> {
    let names = Key.allCases.map(\.stringValue)
    let found = try container(keyedBy: AnyKey.self).allKeys.map(\.stringValue).sorted()
    let container = try container(keyedBy: keys)
    if let unknown = found.first(where: { !names.contains($0) }) {
      throw DecodingError.dataCorrupted(
        .init(
          codingPath: codingPath,
          debugDescription: "expected only \(names.joined(separator: ", ")); found \(unknown)"))
    }
    return container
  }
}

private struct AnyKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }
  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

extension KeyedDecodingContainer {
  fileprivate func error(_ key: Key, _ description: String) -> DecodingError {
    .dataCorruptedError(forKey: key, in: self, debugDescription: description)
  }
}

extension DecodingError {
  /// The location and the problem, printable.
  var sentence: String {
    let (context, key): (Context, (any CodingKey)?) =
      switch self {
      case .typeMismatch(_, let context), .valueNotFound(_, let context): (context, nil)
      case .keyNotFound(let key, let context): (context, key)
      case .dataCorrupted(let context): (context, nil)
      @unknown default: (Context(codingPath: [], debugDescription: "not readable"), nil)
      }
    let keys = context.codingPath + (key.map { [$0] } ?? [])
    let place = String(
      keys.map { $0.intValue.map { "[\($0)]" } ?? ".\($0.stringValue)" }.joined().dropFirst())
    let reason = key == nil ? context.debugDescription : "expected a value; found nothing"
    return excerpt((place.isEmpty ? "" : "\(place): ") + reason)
  }
}

extension RuleSelector: Decodable {
  /// Reads an id or a letter.
  ///
  /// - Throws: `DecodingError` with the expectation.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let selector = RuleSelector(text) else {
      throw DecodingError.dataCorruptedError(
        in: container,
        debugDescription: "expected the id of a rule or its first letter; found \(text)")
    }
    self = selector
  }
}

extension Level: Decodable {
  /// Reads the name of a level.
  ///
  /// - Throws: `DecodingError` with the expectation.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let level = Level(rawValue: text) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "expected note, warning or error; found \(text)")
    }
    self = level
  }
}

extension Suppression: Decodable {
  private enum Key: String, CodingKey, CaseIterable { case rule, object, file, reason }

  /// Reads a suppression.
  ///
  /// - Throws: `DecodingError` with the expectation.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(of: Key.self)
    let rule = try values.decode(String.self, forKey: .rule)
    guard Rule.all.contains(where: { $0.id == rule }) else {
      throw values.error(.rule, "expected the id of a rule; found \(rule)")
    }
    let reason = try values.decode(String.self, forKey: .reason)
    guard reason.contains(where: { !$0.isWhitespace }) else {
      throw values.error(.reason, "expected why the findings are accepted; found an empty text")
    }
    self.init(
      rule: rule,
      object: try values.decodeIfPresent(String.self, forKey: .object) ?? "*",
      file: try values.decodeIfPresent(String.self, forKey: .file) ?? "*",
      reason: reason)
  }
}
