// Rule X006.

import UnrollHDF5

extension Rule {
  /// A dataset MUST hold little-endian integers or floats of a standard type, and attributes
  /// MUST hold fixed-length UTF-8 strings, 64-bit integers or 64-bit floats.
  static let datatypesAreNumbers = Rule(
    id: "X006", level: .error,
    summary: """
      A dataset MUST hold little-endian integers or floats of a standard type, and attributes \
      MUST hold fixed-length UTF-8 strings, 64-bit integers or 64-bit floats.
      """,
    why: """
      Other types need conversion code in libhdf5, which is where most of its defects are, and \
      mean nothing to a checkpoint.
      """,
    example: """
      `/vocabulary/token_bytes` holds strings of variable length, or the root attribute \
      `format` is one, as h5py writes it.
      """,
    fix: "write the file again with the tool that made it, in types that the format has"
  ) { contents in
    contents.inventory.objects.flatMap { object -> [Violation] in
      if object.kind == .namedDatatype { return [oddType(object.path, "a named datatype")] }
      var violations: [Violation] = []
      if case .dataset(let dataset) = object.kind {
        if case .element = dataset.datatype {
        } else {
          violations.append(oddType(object.path, dataset.datatype.description))
        }
      }
      for (name, value) in object.attributes.sorted(by: { $0.key < $1.key }) {
        guard case .other(let type) = value, !type.hasPrefix("larger than") else { continue }
        violations.append(oddType(object.path, "attribute \(name): \(type)"))
      }
      return violations
    }
  }
}

private func oddType(_ path: String, _ found: String) -> Violation {
  Violation(
    object: path, expected: "a standard little-endian number type, or fixed-length UTF-8 text",
    found: found)
}
