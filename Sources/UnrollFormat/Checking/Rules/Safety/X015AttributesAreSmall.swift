// Rule X015.

extension Rule {
  /// An attribute MUST NOT be larger than 32 KiB.
  static let attributesAreSmall = Rule(
    id: "X015", level: .error,
    summary: "An attribute MUST NOT be larger than 32 KiB.",
    why: """
      Large attributes live in structures that libhdf5 reads whole, and that older readers \
      refuse.
      """,
    example: "The root attribute `producer` is a text of 33 KiB.",
    fix: "store long text as a dataset"
  ) { contents in
    contents.inventory.objects.flatMap { object in
      object.attributes.sorted { $0.key < $1.key }.compactMap { name, value in
        guard case .other(let type) = value, type.hasPrefix("larger than") else { return nil }
        return Violation(
          object: object.path, expected: "attributes of at most 32 KiB",
          found: "attribute \(name) \(type)")
      }
    }
  }
}
