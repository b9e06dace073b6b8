// Rule C008.

extension Rule {
  /// libhdf5 MUST be able to open the file and every object in it.
  static let libraryReadsEveryObject = Rule(
    id: "C008", level: .error,
    summary: "libhdf5 MUST be able to open the file and every object in it.",
    why: "Damaged metadata fails its checksum here; nothing in such a file can be trusted.",
    example: "One flipped bit in the header of `/model` makes its checksum fail.",
    fix: Fix.copyAgain
  ) { contents in
    if case .refused(let reason) = contents.failure {
      return [
        Violation(
          object: "/", expected: "an HDF5 file that libhdf5 opens", found: "its refusal: \(reason)")
      ]
    }
    return contents.inventory.objects.compactMap { object in
      guard case .unreadable(let reason) = object.kind else { return nil }
      return Violation(
        object: object.path, expected: "an object that libhdf5 reads",
        found: "its refusal: \(reason)")
    }
  }
}
