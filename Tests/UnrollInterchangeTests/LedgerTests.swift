// The account of a file's names: used, passed over, ignored on request, or refused.

import Testing
import UnrollFormat

@testable import UnrollInterchange

@Suite("The account of a file's names") struct LedgerTests {
  private func ledger(
    _ names: [String] = ["a/0", "a/1", "ab", "optimizer/0", "optimizer/1"],
    ignoring ignored: Set<String> = []
  ) throws -> Ledger {
    try Ledger(names, ignoring: ignored, of: "x.h5")
  }

  private func settle(_ ledger: Ledger) throws -> [String] {
    try ledger.settle(expected: "a model", fix: "save it again").notes.map(\.description)
  }

  @Test("A file whose every name is used or skipped is accepted, with the requested notes")
  func settles() throws {
    var ledger = try ledger()
    ledger.use("a/0")
    ledger.pass("a")
    ledger.use("ab")
    ledger.pass("optimizer", noting: "not preserved: its numbers")
    #expect(try settle(ledger) == ["optimizer: not preserved: its numbers"])
  }

  @Test("Unused names are refused by name, at most a dozen of them")
  func refusesWhatIsLeft() throws {
    var one = try ledger()
    one.use("ab")
    one.pass("optimizer")
    // Only names below the group are passed over, not every name with the same beginning.
    one.use("a/1")
    let error = #expect(throws: InterchangeError.self) { try settle(one) }
    #expect(error?.place == "a/0" && error?.file == "x.h5")
    #expect(error?.fix.contains("--ignore NAME") == true)
    let many = try ledger((0..<20).map { "t\($0)" })
    let list = #expect(throws: InterchangeError.self) { try settle(many) }
    #expect(list?.found.hasPrefix("20 others beside it: t0, t1, ") == true)
    #expect(list?.found.hasSuffix("t11 and 8 more") == true)
  }

  @Test("Ignored names and groups are noted, and missing ones are refused")
  func ignoresByHand() throws {
    var ledger = try ledger(ignoring: ["optimizer", "ab"])
    #expect(ledger.isIgnored("optimizer/1") && ledger.isIgnored("ab") && !ledger.isIgnored("a/0"))
    ledger.pass("a")
    #expect(
      try settle(ledger) == [
        "ab: ignored, as requested", "optimizer: ignored, as requested (2 names)",
      ])
    let error = #expect(throws: InterchangeError.self) { try self.ledger(ignoring: ["c"]) }
    #expect(error?.place == "c" && error?.found.contains("a/0, a/1, ab") == true)
  }
}
