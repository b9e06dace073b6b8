// Each rule by one mutation of a valid file: the whole finding, and no finding of another rule.

import Foundation
import TestSupport
import Testing
import UnrollHDF5
import UnrollTensors

@testable import UnrollFormat

/// A way to break one rule, and the finding that it must raise.
struct Mutation: Sendable, CustomTestStringConvertible {
  let rule: String
  let finding: String
  /// Changes the objects before they are sealed with valid digests and written.
  var outline: (@Sendable (inout Outline) -> Void)?
  /// Changes the bytes of the written file.
  var bytes: (@Sendable (inout [UInt8]) -> Void)?
  /// Changes what libhdf5 said of the written file.
  var inventory: (@Sendable (inout Inventory) throws(InventoryFailure) -> Void)?
  var tied = false
  var cell = Cell.lstm

  var testDescription: String { rule }

  /// The findings in the mutated file, its path replaced by `FILE`.
  func findings() throws -> [String] {
    try withTemporaryFolder { folder in
      let path = "\(folder)/model.unroll.h5"
      var outline =
        tied
        ? Checkpoint.small(cell: cell, tied: true, hidden: [5]).outline()
        : Checkpoint.small(cell: cell).outline()
      if let change = self.outline {
        change(&outline)
        outline.seal()
      }
      try outline.write(to: path, replacing: false)
      if let change = bytes {
        var bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
        change(&bytes)
        try Data(bytes).write(to: URL(filePath: path))
      }
      let change = inventory
      let examination = try Examination(of: path, upTo: .bytes) {
        path throws(InventoryFailure) in
        var inventory = try inventoryInProcess(path)
        try change?(&inventory)
        return inventory
      }
      return examination.findings.map { $0.description.replacing(path, with: "FILE") }
    }
  }
}

@Suite struct RuleTests {
  @Test(arguments: [
    Mutation(rule: "valid", finding: ""),
    Mutation(rule: "valid, tied", finding: "", tied: true),
    Mutation(rule: "valid, GRU", finding: "", cell: .gru),
    Mutation(rule: "valid, RNN", finding: "", cell: .rnn),
  ])
  func aValidFileRaisesNone(_ mutation: Mutation) throws {
    #expect(try mutation.findings() == [])
  }

  @Test(arguments: Mutation.all)
  func aMutationRaisesItsRuleAlone(_ mutation: Mutation) throws {
    #expect(
      try mutation.findings() == [
        mutation.finding + "; `unroll explain \(mutation.rule)` shows the rule"
      ])
  }

  @Test func everyRuleHasAMutation() {
    #expect(Rule.all.map(\.id) == Mutation.all.map(\.rule))
  }

  @Test func idsAreUniqueAndLawful() {
    let ids = Rule.all.map(\.id)
    #expect(Set(ids).count == ids.count)
    #expect(ids.allSatisfy { $0.wholeMatch(of: /[CXSATVI]\d{3}/) != nil })
    for rule in Rule.all {
      #expect(rule.summary.hasSuffix(".") && rule.why.hasSuffix("."), "\(rule.id)")
      #expect(rule.summary.contains("MUST") == (rule.level == .error) || rule.id == "A008")
    }
  }
}
