// Rule X020.

extension Rule {
  /// Reading the metadata MUST NOT crash, hang or exhaust the process that does it.
  static let readerSurvives = Rule(
    id: "X020", level: .error,
    summary: "Reading the metadata MUST NOT crash, hang or exhaust the process that does it.",
    why: """
      libhdf5 crashes or hangs on about one in six known hostile files; the reader runs it in \
      a process of its own under limits.
      """,
    example: """
      A message size of 0 in an object header makes libhdf5 1.10 end with a segmentation \
      fault.
      """,
    fix: "do not use the file: it is damaged or made to attack its readers"
  ) { contents in
    // With an inventory it was the decoder that died: I005's finding.
    guard case .died(let how) = contents.failure, contents.inventory.objects.isEmpty else {
      return []
    }
    return [
      Violation(
        object: "/", expected: "metadata that libhdf5 reads within its limits", found: how)
    ]
  }
}
