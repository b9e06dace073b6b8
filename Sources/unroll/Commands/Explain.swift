// `unroll explain`: describes the rules.

import ArgumentParser
import UnrollFormat

struct Explain: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Explain a rule: requirement, reason, example and fix.")

  @Argument(help: "The ids of rules, such as V002.")
  var ids: [String] = []

  @Flag(help: "Show every rule.")
  var all = false

  @Flag(help: "Print the rules as JSON.")
  var json = false

  func validate() throws {
    guard all != ids.isEmpty else { return }
    throw ValidationError(all ? "Give ids or --all, not both." : "Give the id of a rule, or --all.")
  }

  func run() throws {
    let rules = try all ? Rule.all : ids.map(rule)
    if json {
      try Output.json(RuleCatalogue(rules: rules.map(RuleCatalogue.Entry.init)))
    } else {
      Output.result(rules.map(\.explanation).joined(separator: "\n\n"))
    }
  }

  private func rule(_ id: String) throws -> Rule {
    guard let rule = Rule[id.uppercased()] else {
      throw ValidationError("There is no rule \(id). `unroll explain --all` shows all.")
    }
    return rule
  }
}

/// The rules as JSON.
private struct RuleCatalogue: Encodable {
  let version = 1
  let rules: [Entry]

  struct Entry: Encodable {
    let id: String
    let level: String
    let cost: String
    let what: String
    let why: String
    let example: String
    let fix: String
    /// The repair by `unroll validate --fix`, if there is one.
    let repair: String?

    init(_ rule: Rule) {
      (id, level, cost) = (rule.id, rule.level.rawValue, rule.cost.rawValue)
      (what, why, example, fix) = (rule.summary, rule.why, rule.example, rule.fix)
      repair = rule.repair?.explanation
    }
  }
}
