// Compares the contents of a file with the requirements of the layout.

import UnrollHDF5

extension AttributeSchema.Value {
  /// `true` if a value is of the right type.
  func hasType(of value: AttributeValue) -> Bool {
    switch (self, value) {
    case (.text, .text), (.word, .text), (.integer, .integer), (.number, .number),
      (.texts, .texts):
      true
    default: false
    }
  }

  /// `true` if a value of the right type is allowed.
  func allows(_ value: AttributeValue) -> Bool {
    switch (self, value) {
    case (.word(let words), .text(let text)): words.contains(text)
    case (.integer(let range), .integer(let integer)): range.contains(integer)
    default: true
    }
  }

  /// The type in words.
  var typeName: String {
    switch self {
    case .text, .word: "text"
    case .texts: "array of text"
    case .integer: "integer"
    case .number: "number"
    }
  }

  /// The allowed values in words.
  var domain: String {
    switch self {
    case .text, .texts, .number: typeName
    case .word(let words): words.joined(separator: " or ")
    case .integer(let range):
      [Layout.maximumSize, Layout.maximumCount].contains(range.upperBound)
        ? "an integer from \(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
    }
  }
}

extension AttributeValue {
  /// The type in words.
  var typeName: String {
    switch self {
    case .text: "text"
    case .texts: "array of text"
    case .integer: "integer"
    case .number: "number"
    case .other(let name): name
    }
  }

  /// The value for a message.
  var printed: String {
    switch self {
    case .text(let text): text
    case .texts(let texts): texts.joined(separator: ", ")
    case .integer(let integer): String(integer)
    case .number(let number): String(number)
    case .other(let name): name
    }
  }
}

extension ObjectSchema {
  /// The kind of object that the schema describes, in one word.
  var kindName: String {
    switch kind {
    case .group: "group"
    case .dataset: "dataset"
    }
  }
}
