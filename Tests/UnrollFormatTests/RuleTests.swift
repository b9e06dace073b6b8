// Each rule by one mutation of a valid file: the whole finding, and no finding of another rule.

import Foundation
import TestSupport
import Testing
import UnrollHDF5
import UnrollTensors

@testable import UnrollFormat

/// A way to break one rule.
struct Mutation: Sendable, CustomTestStringConvertible {
  let rule: String
  /// Changes the objects before they are sealed with valid digests and written.
  var outline: (@Sendable (inout Outline) -> Void)?
  /// Changes the sealed objects; only the digest of all content is made valid again.
  var sealed: (@Sendable (inout Outline) -> Void)?
  /// Changes the bytes of the written file.
  var bytes: (@Sendable (inout [UInt8]) -> Void)?
  /// Changes what libhdf5 said of the written file.
  var inventory: (@Sendable (inout Inventory) throws(ContainerFailure) -> Void)?
  var tied = false
  var cell = Cell.lstm
  /// The sizes of the layers, if the rule looks at larger ones than the valid file has.
  var hidden: [Int]?
  /// The optimizer of a model in training; `nil` where the valid file is of none.
  var training: OptimizerKind?
  /// The storage profile.
  var profile = StorageProfile.live
  /// The log-probabilities that an engine computes for the self-test; `nil` if none does.
  var replay: [Double]?

  var testDescription: String { rule }

  /// The findings in the mutated file, its path replaced by `FILE`.
  func findings() throws -> [String] {
    try withExamination { examination in
      examination.findings.map {
        $0.description.replacing(examination.contents.path, with: "FILE")
      }
    }
  }

  /// Runs a closure on the examination of the mutated file, which has a folder for itself.
  func withExamination<Result>(_ body: (Examination) throws -> Result) throws -> Result {
    try withTemporaryFolder { folder in
      let path = "\(folder)/model.unroll.h5"
      let model =
        tied
        ? Checkpoint.small(cell: cell, tied: true, hidden: [5])
        : Checkpoint.small(cell: cell, hidden: hidden ?? [7, 6])
      var outline = (training.map { model.inTraining(kind: $0, groupCount: 2) } ?? model).outline()
      if let change = self.outline {
        change(&outline)
        outline.seal()
      }
      if let change = sealed {
        change(&outline)
        outline.sealContent()
      }
      try outline.write(to: path, replacing: false, profile: profile)
      if let change = bytes {
        var bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
        change(&bytes)
        try Data(bytes).write(to: URL(filePath: path))
      }
      let change = inventory
      let reader = ContainerReader.changing { inventory throws(ContainerFailure) in
        try change?(&inventory)
      }
      var examination = try Examination(of: path, upTo: .bytes, reader: reader)
      if let replay {
        examination = try examination.replaying { _, _ in
          Replay(logProbabilities: replay, roundings: replay.map { _ in 0 })
        }
      }
      return try body(examination)
    }
  }
}

@Suite("Rules") struct RuleTests {
  @Test(
    "A valid file of each kind has no findings",
    arguments: [
      Mutation(rule: "valid"),
      Mutation(rule: "valid, tied", tied: true),
      Mutation(rule: "valid, GRU", cell: .gru),
      Mutation(rule: "valid, RNN", cell: .rnn),
      Mutation(rule: "valid, minGRU", cell: .minGRU),
      Mutation(rule: "valid, QRNN in training", cell: .qrnn, training: .adam),
      Mutation(rule: "valid, wider", hidden: [32, 48]),
      Mutation(rule: "valid, wider RNN", cell: .rnn, hidden: [32, 48]),
      Mutation(rule: "valid, in training", training: .sgd),
      Mutation(rule: "valid, in training with Adam", training: .adam),
      Mutation(rule: "valid, in training with RMSprop", training: .rmsprop),
      Mutation(rule: "valid, in training with Adagrad", training: .adagrad),
      Mutation(rule: "valid, in training with Adadelta", training: .adadelta),
      Mutation(rule: "valid, in training with ASGD", training: .asgd),
      Mutation(rule: "valid, archive", profile: .archive),
      Mutation(rule: "valid, archive, in training", training: .sgd, profile: .archive),
      Mutation(rule: "valid, tied, in training", tied: true, training: .sgd),
    ])
  func validFiles(_ mutation: Mutation) throws {
    #expect(try mutation.findings() == [])
  }

  /// The whole findings stand in `findings.txt`, one after the other in the order of the rules.
  @Test("Each mutation is found by its rule alone, with the finding of the snapshot")
  func ruleOfEachMutation() throws {
    var text = ""
    for mutation in Mutation.all {
      let findings = try mutation.findings()
      #expect(findings.count == 1, "\(mutation.rule): \(findings)")
      #expect(findings.first?.contains(" \(mutation.rule): ") == true, "\(mutation.rule)")
      text += findings.joined(separator: "\n") + "\n\n"
    }
    expectSnapshot(text, "Tests/Snapshots/findings.txt")
  }

  @Test("An impossible vocabulary size is a finding", arguments: [-1, 0, Int64.min, Int64.max])
  func impossibleSize(size: Int64) throws {
    let mutation = Mutation(
      rule: "A001",
      outline: { $0.objects["/vocabulary"]?.attributes["size"] = .integer(size) })
    let findings = try mutation.findings()
    #expect(findings.contains { $0.contains("error A001: expected size: an integer from 1") })
  }

  @Test("A layer of a cell with other variants than the cell has is a finding")
  func variantsOfCells() throws {
    for (cell, attribute, value, expected) in [
      (Cell.qrnn, "window", nil, "expected attribute window; found nothing"),
      (.lstm, "window", .integer(1), "expected no window for this cell; found attribute window"),
      (.minGRU, "bias", .text("double"), "expected bias single or none; found double"),
      (.minGRU, "gate_activation", .text("sigmoid"), "expected no gate_activation for this cell"),
    ] as [(Cell, String, AttributeValue?, String)] {
      let mutation = Mutation(
        rule: "A011",
        outline: { $0.objects["/model/layers/00"]?.attributes[attribute] = value }, cell: cell)
      let findings = try mutation.findings()
      #expect(
        findings.contains { $0.contains(" A011: \(expected)") }, "\(attribute): \(findings)")
    }
  }

  @Test("Every rule has a mutation")
  func everyRule() {
    #expect(Rule.all.map(\.id) == Mutation.all.map(\.rule))
  }

  @Test("Ids of rules are unique and well-formed, and MUST stands in errors only")
  func ruleIDs() {
    let ids = Rule.all.map(\.id)
    #expect(Set(ids).count == ids.count)
    #expect(ids.allSatisfy { $0.wholeMatch(of: /[CXSATVORIEMPQ]\d{3}/) != nil })
    for rule in Rule.all {
      #expect(rule.summary.contains("MUST") == (rule.level == .error))
    }
  }

  @Test("Every rule states its requirement, reason, example and fix", arguments: Rule.all)
  func ruleTexts(_ rule: Rule) {
    for sentence in [rule.summary, rule.why, rule.example] {
      let isBegun = sentence.first?.isLowercase == false || sentence.hasPrefix("libhdf5")
      #expect(sentence.hasSuffix(".") && isBegun, "\(sentence)")
      #expect(!sentence.contains("  ") && !sentence.contains("\n") && sentence.count > 20)
    }
    // Something to look for in a file: a name, a number, bytes.
    #expect(rule.example.contains(/[0-9`"]/), "\(rule.example)")
    #expect(rule.fix.count > 10 && rule.fix.first?.isUppercase == false && rule.fix.last != ".")
    #expect(
      rule.explanation.split(separator: "\n").map { $0.prefix { $0 != " " } } == [
        rule.id[...], rule.summary.prefix { $0 != " " }, "Why:", "Example:", "Fix:", "Checked:",
      ])
  }

  @Test("No two rules share an example")
  func ownExamples() {
    #expect(Set(Rule.all.map(\.example)).count == Rule.all.count)
  }
}
