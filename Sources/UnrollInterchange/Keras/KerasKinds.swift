// The kinds of layers: those without effect at evaluation, and the names of their groups.

import UnrollTokenization

/// Classes of Keras that a language model may have beside layers with variables.
enum KerasKinds {
  /// Classes that are the identity at evaluation, and the setting with the rate of their effect in
  /// training.
  static let harmless: [String: String?] = [
    "InputLayer": nil, "Dropout": "rate", "SpatialDropout1D": "rate", "GaussianNoise": "stddev",
    "GaussianDropout": "rate", "AlphaDropout": "rate", "ActivityRegularization": nil,
    "Masking": nil, "Identity": nil,
  ]
  /// Classes that map texts or numbers to ids.
  static let lookups: Set = ["TextVectorization", "StringLookup", "IntegerLookup"]
  /// Classes that map ids to one-hot vectors.
  static let encodings: Set = ["CategoryEncoding", "OneHot"]
  /// Classes of models that apply their layers in sequence.
  static let containers: Set = ["Sequential", "Functional", "Model"]

  /// The group names of layers without variables that have no effect between ids and the output.
  static let harmlessGroups: Set<String> = Set(
    (Array(harmless.keys) + Array(lookups) + Array(encodings)).map(snakeCase) + ["input"])

  /// Returns a class's name as a group name: `SimpleRNN` becomes `simple_rnn`.
  static func snakeCase(_ name: String) -> String {
    name.replacing(/\W+/, with: "")
      .replacing(/(.)([A-Z][a-z]+)/) { "\($0.1)_\($0.2)" }
      .replacing(/([a-z])([A-Z])/) { "\($0.1)_\($0.2)" }
      .lowercased()
  }

  /// Returns the class and number of a group: `lstm_2` is the third of its class.
  static func split(_ name: String) -> (base: String, number: Int) {
    guard let line = name.lastIndex(of: "_"), let number = Int(name[name.index(after: line)...]),
      number >= 0
    else { return (name, 0) }
    return (String(name[..<line]), number)
  }

  /// Returns the group names of layers: their classes', with a number for each but the first of its
  /// class.
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
