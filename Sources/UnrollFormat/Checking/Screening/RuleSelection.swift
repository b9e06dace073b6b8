// Which rules a report is about: by id, or by the letter of a family.

/// A rule's id such as `V002`, or a family's letter such as `V`.
public struct RuleSelector: Sendable, Hashable {
  /// The id or letter, in capitals.
  public let text: String

  /// Reads a selector; `nil` if there is no such rule or family.
  public init?(_ text: String) {
    let text = text.uppercased()
    guard Rule.all.contains(where: { $0.id == text || String($0.family) == text }) else {
      return nil
    }
    self.text = text
  }
}

/// The rules that a report is about.
public struct RuleSelection: Sendable {
  /// The rules to report; all where it is empty.
  public var select: [RuleSelector]
  /// The rules to leave out.
  public var ignore: [RuleSelector]

  /// Selects all rules by default.
  public init(select: [RuleSelector] = [], ignore: [RuleSelector] = []) {
    self.select = select
    self.ignore = ignore
  }

  /// `true` if a rule is reported.
  public func contains(_ id: String) -> Bool {
    !isIgnored(id) && (select.isEmpty || names(id, in: select) || names(id.prefix(1), in: select))
  }

  /// `true` if a rule is left out by name; an id takes precedence over a family.
  func isIgnored(_ id: String) -> Bool {
    names(id, in: ignore) || (names(id.prefix(1), in: ignore) && !names(id, in: select))
  }

  private func names(_ text: some StringProtocol, in selectors: [RuleSelector]) -> Bool {
    selectors.contains { $0.text == text }
  }
}
