// Rule X004.

extension Rule {
  /// A dataset MUST NOT keep its data in other files.
  static let noExternalStorage = Rule(
    id: "X004", level: .error,
    summary: "A dataset MUST NOT keep its data in other files.",
    why: """
      External storage makes a reader return the bytes of any file of the machine as numbers.
      """,
    example: """
      The numbers of `/model/embedding/weight` are said to be the bytes of `/etc/passwd`.
      """,
    fix: "do not use the file: it reads others"
  ) { contents in
    contents.datasets.filter { $0.dataset.externalFileCount > 0 }.map { path, dataset in
      Violation(
        object: path, expected: "data inside the file",
        found: "external storage in \(dataset.externalFileCount) other file(s)")
    }
  }
}
