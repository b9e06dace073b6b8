// Rule S003.

import UnrollHDF5

extension Rule {
  /// Every object and attribute of the layout MUST be of the kind, type and rank that the
  /// layout gives.
  static let partsHaveTheirTypes = Rule(
    id: "S003", level: .error,
    summary: """
      Every object and attribute of the layout MUST be of the kind, type and rank that the \
      layout gives.
      """,
    why: """
      A number in the place of a name, or a matrix in the place of a vector, is never what was \
      meant.
      """,
    example: "The attribute `size` of `/vocabulary` is the text \"11\", not the integer 11.",
    fix: "write the file again with the tool that made it"
  ) { contents in
    contents.inventory.objects.flatMap { object -> [Violation] in
      guard let schema = Layout.schema(of: object.path),
        let target = contents.object(object.path)
      else { return [] }
      var violations = [kindViolation(object.path, target.kind, schema.kind)].compactMap { $0 }
      for attribute in schema.attributes {
        guard let value = object.attributes[attribute.name], !attribute.value.hasType(of: value)
        else {
          continue
        }
        violations.append(
          wrongType(
            object.path, "attribute \(attribute.name): \(attribute.value.typeName)", value.typeName)
        )
      }
      return violations
    }
  }
}

private func kindViolation(
  _ path: String, _ found: InventoryObject.Kind, _ expected: ObjectSchema.Kind
) -> Violation? {
  switch (expected, found) {
  case (.group, .group): return nil
  case (.group, _): return wrongType(path, "a group", "a dataset")
  case (.dataset(let elements, let rank), .dataset(let dataset)):
    guard case .element(let element) = dataset.datatype, elements.contains(element),
      dataset.dimensions?.count == rank
    else {
      let types = elements.count == 1 ? elements.map(\.rawValue).joined() : "numbers"
      let dimensions = dataset.dimensions?.count ?? 0
      return wrongType(
        path, "\(types) in \(rank) dimension(s)",
        "\(dataset.datatype) in \(dimensions) dimension(s)")
    }
    return nil
  case (.dataset, _): return wrongType(path, "a dataset", "a group")
  }
}

private func wrongType(_ path: String, _ expected: String, _ found: String) -> Violation {
  Violation(
    object: path, expected: expected, found: found)
}
