// Rule I005.

extension Rule {
  /// The data of a dataset in chunks MUST decode, and its checksums MUST agree.
  static let filteredDataDecodes = Rule(
    id: "I005", level: .error,
    summary: "The data of a dataset in chunks MUST decode, and its checksums MUST agree.",
    why: "A chunk that does not decode is damaged, and what is left of it are other numbers.",
    example: "A byte of a chunk of `/model/embedding/weight` was changed on the way.",
    fix: Fix.copyAgain
  ) { contents in
    switch contents.failure {
    case .undecodable(let object, let reason):
      [
        Violation(
          object: object, expected: "chunks that libhdf5 decodes", found: "its refusal: \(reason)")
      ]
    case .died(let how) where !contents.inventory.objects.isEmpty:
      [
        Violation(
          object: "/", expected: "chunks that libhdf5 decodes within its limits", found: how,
          fix: "do not use the file: it is damaged or made to attack its readers")
      ]
    default: []
    }
  }
}
