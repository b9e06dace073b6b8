// The groups that go along with a model: /card, /self_test and /extensions.

import UnrollTensors

extension Layout {
  static let card = "/card"
  static let readme = "/card/readme"
  static let selfTest = "/self_test"
  static let selfTestIDs = "/self_test/token_ids"
  static let selfTestLogProbabilities = "/self_test/log_probabilities"
  static let extensions = "/extensions"

  /// `true` if a path is inside an extension, where only the rules of the container hold.
  static func isInsideExtension(_ path: String) -> Bool { path.hasPrefix(extensions + "/") }

  static let companionObjects: [ObjectSchema] = [
    ObjectSchema(
      path: card, kind: .group,
      attributes: CardField.allCases.map {
        AttributeSchema(
          name: $0.rawValue, value: $0.isList ? .texts : .text, isRequired: false)
      }, isRequired: false),
    numbers(readme, .uint8, isRequired: false),
    ObjectSchema(
      path: selfTest, kind: .group,
      attributes: [
        AttributeSchema(name: AttributeName.weightsDigest, value: .text),
        AttributeSchema(name: AttributeName.producer, value: .text),
        AttributeSchema(name: AttributeName.arithmetic, value: .text),
        AttributeSchema(name: AttributeName.tolerance, value: .number),
      ], isRequired: false),
    numbers(selfTestIDs, .uint32),
    numbers(selfTestLogProbabilities, .float64),
    ObjectSchema(path: extensions, kind: .group, isRequired: false),
  ]
}

extension AttributeName {
  static let arithmetic = "arithmetic"
  static let tolerance = "tolerance"
}
