// Rule A001.

extension Rule {
  /// Attributes of the layout MUST have a value that the layout allows.
  static let attributesAreInRange = Rule(
    id: "A001", level: .error,
    summary: "Attributes of the layout MUST have a value that the layout allows.",
    why: "A cell or variant that a reader does not know computes another function.",
    example: "`/model/layers/00` has `cell` = \"transformer\", or `hidden_size` = 0.",
    fix: Fix.convertAgain
  ) { contents in
    contents.inventory.objects.flatMap { object -> [Violation] in
      guard let schema = Layout.schema(of: object.path) else { return [] }
      let isOfTraining = [Layout.optimizer, Layout.training].contains {
        object.path == $0 || object.path.hasPrefix($0 + "/")
      }
      return schema.attributes.compactMap { attribute in
        guard let value = object.attributes[attribute.name], attribute.value.hasType(of: value),
          !attribute.value.allows(value)
        else { return nil }
        return Violation(
          object: object.path, expected: "\(attribute.name): \(attribute.value.domain)",
          found: value.printed, fix: isOfTraining ? Fix.trainAgain : nil)
      }
    }
  }
}
