// The rules as text: for `unroll explain` and `spec/RULES.md`.

extension Rule {
  /// What the rule wants, why, and what it costs.
  public var explanation: String {
    """
    \(id) (\(level.rawValue))
    \(summary)
    Why: \(why)
    Checked: \(cost.explanation)
    """
  }

  /// All rules as a page; `spec/RULES.md` is this text.
  public static var catalogue: String {
    let head = """
      # The rules of the Unroll checkpoint format

      Generated from the code: `RECORD_SNAPSHOTS=1 swift test` writes it. An id never changes its
      meaning. Families: C container, X safety, S structure, A architecture, T tensors, V vocabulary,
      O optimizer, R resume, I integrity. A file that breaks a rule of level error is not opened.

      """
    return head + all.map { "\n\($0.section)" }.joined()
  }

  private var section: String {
    """
    ## \(id) (\(level.rawValue))

    \(summary)

    Why: \(why)

    Checked: \(cost.explanation)

    """
  }
}

extension Cost {
  fileprivate var explanation: String {
    switch self {
    case .container: "before libhdf5 sees the file, at every opening."
    case .header: "at every opening."
    case .bytes: "by `unroll validate`, since it reads every byte."
    }
  }
}
