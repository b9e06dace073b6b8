// The kinds of layers: which change nothing at evaluation, and what their groups are called.

import UnrollTokenization

/// The classes of Keras that a language model has beside those with numbers.
enum KerasKinds {
  /// Classes that give back what they get when a model predicts, and the setting that says how much of it
  /// they change in training.
  static let harmless: [String: String?] = [
    "InputLayer": nil, "Dropout": "rate", "SpatialDropout1D": "rate", "GaussianNoise": "stddev",
    "GaussianDropout": "rate", "AlphaDropout": "rate", "ActivityRegularization": nil,
    "Masking": nil, "Identity": nil,
  ]
  /// Classes that make ids of texts or numbers.
  static let lookups: Set = ["TextVectorization", "StringLookup", "IntegerLookup"]
  /// Classes that make one-hot vectors of ids.
  static let encodings: Set = ["CategoryEncoding", "OneHot"]
  /// Classes of models that apply their layers one after the other.
  static let containers: Set = ["Sequential", "Functional", "Model"]

  /// The names of groups of layers without numbers that change nothing on the way from ids to the output.
  static let harmlessGroups: Set<String> = Set(
    (Array(harmless.keys) + Array(lookups) + Array(encodings)).map(snakeCase) + ["input"])

  /// A class's name as the name of a group: `SimpleRNN` becomes `simple_rnn`.
  static func snakeCase(_ name: String) -> String {
    name.replacing(/\W+/, with: "")
      .replacing(/(.)([A-Z][a-z]+)/) { "\($0.1)_\($0.2)" }
      .replacing(/([a-z])([A-Z])/) { "\($0.1)_\($0.2)" }
      .lowercased()
  }

  /// A group's class and number: `lstm_2` is the third of its class.
  static func split(_ name: String) -> (base: String, number: Int) {
    guard let line = name.lastIndex(of: "_"), let number = Int(name[name.index(after: line)...]),
      number >= 0
    else { return (name, 0) }
    return (String(name[..<line]), number)
  }

  /// The names of the groups of some layers: their classes', and a number for each that is not the first
  /// of its class.
  static func groups(of entries: [KerasLayerEntry]) -> [String] {
    var counts: [String: Int] = [:]
    return entries.map { entry in
      let base = snakeCase(entry.className)
      let count = counts[base, default: 0]
      counts[base] = count + 1
      return count == 0 ? base : "\(base)_\(count)"
    }
  }
}
