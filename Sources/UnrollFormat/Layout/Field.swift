// One row for each stored attribute: what it must be, and how it is read and written.

import UnrollHDF5

/// A stored attribute of a value.
///
/// The layout of a group, its reading and its writing follow from the list of its fields, and so do the tables of the
/// specification, `diff` and the rules on types and ranges.
struct Field<Value>: Sendable {
  /// The name, and what a stored attribute must be.
  let schema: AttributeSchema
  /// Returns the attribute to store, or `nil` where the value has none.
  let stored: @Sendable (Value) -> AttributeValue?
  /// Gives a value what is stored, `nil` where there is none; returns `false` if that cannot be.
  let take: @Sendable (inout Value, AttributeValue?) -> Bool
}

extension Array {
  /// The schemas of fields.
  func schemas<Value>() -> [AttributeSchema] where Element == Field<Value> { map(\.schema) }

  /// Returns the attributes of a value.
  func attributes<Value>(of value: Value) -> [String: AttributeValue]
  where Element == Field<Value> {
    var attributes: [String: AttributeValue] = [:]
    for field in self { attributes[field.schema.name] = field.stored(value) }
    return attributes
  }
}

extension Contents {
  /// Returns a value with what is stored at a group; `nil` where an attribute is missing or not allowed.
  ///
  /// - Parameters:
  ///   - fields: The fields.
  ///   - group: The path of the group.
  ///   - value: The value before, with everything that no field gives.
  /// - Returns: The value.
  func value<Value>(_ fields: [Field<Value>], at group: String, in value: Value) -> Value? {
    guard let attributes = object(group)?.attributes else { return nil }
    var value = value
    for field in fields where !field.take(&value, attributes[field.schema.name]) { return nil }
    return value
  }
}

// MARK: - Kinds of fields

extension Field {
  typealias Path<Part> = WritableKeyPath<Value, Part> & Sendable

  /// One of the names of a type.
  ///
  /// - Parameters:
  ///   - name: The attribute.
  ///   - path: The property.
  ///   - isStored: Tells of a value whether it is stored; without it always, and then it is required.
  /// - Returns: The field.
  static func word<Word: CaseIterable & RawRepresentable<String> & Sendable>(
    _ name: String, _ path: Path<Word>, when isStored: (@Sendable (Value) -> Bool)? = nil
  ) -> Field {
    Field(
      schema: AttributeSchema(
        name: name, value: Layout.words(Word.self), isRequired: isStored == nil),
      stored: { isStored?($0) == false ? nil : .text($0[keyPath: path].rawValue) },
      take: { value, attribute in
        guard case .text(let text)? = attribute else { return isStored != nil }
        guard let word = Word(rawValue: text) else { return false }
        value[keyPath: path] = word
        return true
      })
  }

  /// A size from 1, which is checked before it is used.
  static func size(_ name: String, _ path: Path<Int>) -> Field {
    Field(
      schema: AttributeSchema(name: name, value: .integer(1...Layout.maximumSize)),
      stored: { .integer(Int64($0[keyPath: path])) },
      take: { value, attribute in
        guard case .integer(let size)? = attribute, (1...Layout.maximumSize).contains(size) else {
          return false
        }
        value[keyPath: path] = Int(size)
        return true
      })
  }

  /// A size that a value may lack.
  static func size(_ name: String, _ path: Path<Int?>) -> Field {
    Field(
      schema: AttributeSchema(
        name: name, value: .integer(1...Layout.maximumSize), isRequired: false),
      stored: { $0[keyPath: path].map { .integer(Int64($0)) } },
      take: { value, attribute in
        guard case .integer(let size)? = attribute else { return true }
        guard (1...Layout.maximumSize).contains(size) else { return false }
        value[keyPath: path] = Int(size)
        return true
      })
  }

  /// An integer.
  ///
  /// - Parameters:
  ///   - name: The attribute.
  ///   - path: The property.
  ///   - range: The allowed numbers.
  ///   - isStored: Tells of a value whether it is stored; without it always, and then it is required.
  /// - Returns: The field.
  static func integer(
    _ name: String, _ path: Path<Int>, _ range: ClosedRange<Int64>,
    when isStored: (@Sendable (Value) -> Bool)? = nil
  ) -> Field {
    Field(
      schema: AttributeSchema(
        name: name, value: .integer(range), isRequired: isStored == nil),
      stored: { isStored?($0) == false ? nil : .integer(Int64($0[keyPath: path])) },
      take: { value, attribute in
        guard case .integer(let number)? = attribute, let number = Int(exactly: number) else {
          return isStored != nil
        }
        value[keyPath: path] = number
        return true
      })
  }

  /// An integer that a value may lack.
  static func integer(
    _ name: String, _ path: Path<Int?>, _ range: ClosedRange<Int64>
  ) -> Field {
    Field(
      schema: AttributeSchema(name: name, value: .integer(range), isRequired: false),
      stored: { $0[keyPath: path].map { .integer(Int64($0)) } },
      take: { value, attribute in
        if case .integer(let number)? = attribute { value[keyPath: path] = Int(exactly: number) }
        return true
      })
  }

  /// A truth value, 0 or 1.
  static func flag(_ name: String, _ path: Path<Bool>) -> Field {
    Field(
      schema: AttributeSchema(name: name, value: .integer(0...1)),
      stored: { .integer($0[keyPath: path] ? 1 : 0) },
      take: { value, attribute in
        guard case .integer(let number)? = attribute else { return false }
        value[keyPath: path] = number == 1
        return true
      })
  }

  /// A floating-point number; one that equals a default is not stored.
  static func number(_ name: String, _ path: Path<Double>, unless standard: Double? = nil) -> Field
  {
    Field(
      schema: AttributeSchema(name: name, value: .number, isRequired: standard == nil),
      stored: { $0[keyPath: path] == standard ? nil : .number($0[keyPath: path]) },
      take: { value, attribute in
        guard case .number(let number)? = attribute else { return standard != nil }
        value[keyPath: path] = number
        return true
      })
  }

  /// A text; one that may be missing is empty then.
  ///
  /// - Parameters:
  ///   - name: The attribute.
  ///   - path: The property.
  ///   - isRequired: `false` if a file may lack it.
  ///   - isStoredEmpty: `false` if an empty one is not stored.
  /// - Returns: The field.
  static func text(
    _ name: String, _ path: Path<String>, isRequired: Bool = true, isStoredEmpty: Bool = true
  ) -> Field {
    Field(
      schema: AttributeSchema(name: name, value: .text, isRequired: isRequired),
      stored: { value in
        let text = value[keyPath: path]
        return text.isEmpty && !isStoredEmpty ? nil : .text(text)
      },
      take: { value, attribute in
        guard case .text(let text)? = attribute else { return !isRequired }
        value[keyPath: path] = text
        return true
      })
  }

  /// A text that a value may lack.
  static func text(_ name: String, _ path: Path<String?>) -> Field {
    Field(
      schema: AttributeSchema(name: name, value: .text, isRequired: false),
      stored: { $0[keyPath: path].map { .text($0) } },
      take: { value, attribute in
        if case .text(let text)? = attribute { value[keyPath: path] = text }
        return true
      })
  }

  /// A word that follows from other properties.
  static func derived(
    _ name: String, _ words: [String], _ word: @escaping @Sendable (Value) -> String
  ) -> Field {
    Field(
      schema: AttributeSchema(name: name, value: .word(words)), stored: { .text(word($0)) },
      take: { _, _ in true })
  }
}
