// `validate --fix`: what follows from the rest of a file is put right, and nothing else.

import Foundation
import TestSupport
import Testing
import UnrollTensors

@testable import UnrollFormat

@Suite("Repairs (validate --fix)") struct RepairTests {
  /// The path of a repaired copy beside an examined file.
  private func copy(of examination: Examination) -> String { examination.contents.path + ".fixed" }

  @Test("Seven rules can be repaired")
  func repairableRules() {
    let rules = Rule.all.filter { $0.repair != nil }.map(\.id)
    #expect(rules == ["C003", "C007", "T005", "T007", "I002", "I004", "I007"])
  }

  @Test(
    "A repaired copy has no findings, the same weights and a provenance entry",
    arguments: Mutation.all.filter { Rule[$0.rule]?.repair != nil })
  func repairedCopy(_ mutation: Mutation) throws {
    try mutation.withExamination { examination in
      let fixed = try examination.repair(to: copy(of: examination), tool: "test 1")
      #expect(fixed == examination.findings && fixed.map(\.rule) == [mutation.rule])
      let after = try Examination(of: copy(of: examination), upTo: .bytes)
      #expect(after.findings == [])
      let last = try #require(try Checkpoint(after).provenance.last)
      #expect(last.operation == "repair" && last.arguments == "rules=\(mutation.rule)")
      #expect(last.inputs == "\(digest(of: examination.contents.file)) model.unroll.h5")
      for (path, _) in after.contents.datasets where Layout.isWeight(path) {
        #expect(
          after.contents.tensor(path)?.floats() == examination.contents.tensor(path)?.floats())
      }
    }
  }

  @Test(
    "An error that cannot be repaired refuses the repair, and no file is created",
    arguments: Mutation.all.filter {
      Rule[$0.rule]?.level == .error && Rule[$0.rule]?.repair == nil && $0.replay == nil
    })
  func otherErrors(_ mutation: Mutation) throws {
    try mutation.withExamination { examination in
      let error = try #require(throws: InvalidCheckpoint.self) {
        try examination.repair(to: copy(of: examination))
      }
      #expect(error.findings.map(\.rule) == [mutation.rule])
      #expect(!FileManager.default.fileExists(atPath: copy(of: examination)))
    }
  }

  @Test("A valid file is not written again")
  func validFile() throws {
    try Mutation(rule: "valid").withExamination { examination in
      let fixed = try examination.repair(to: copy(of: examination))
      #expect(fixed == [])
      #expect(!FileManager.default.fileExists(atPath: copy(of: examination)))
    }
  }

  /// A tie stored twice hides the families behind it: what they would find is no less an error.
  @Test(
    "A tie stored twice does not hide another error from the repair",
    arguments: ["the copy differs", "data is damaged"])
  func tieBesideDamage(_ damage: String) throws {
    let path = ParameterPath.outputWeight.description
    let mutation = Mutation(
      rule: damage,
      outline: { outline in
        guard
          case .dataset(let embedding)? =
            outline.objects[ParameterPath.embeddingWeight.description]?.kind,
          var values = embedding.floats()
        else { return }
        if damage == "the copy differs" { values[3] += 1 }
        outline.addDataset(path, Tensor(values, shape: embedding.shape))
      },
      sealed: { outline in
        guard damage == "data is damaged" else { return }
        outline.objects[Layout.tokenBytes]?.attributes[AttributeName.digest] = .text(
          String(repeating: "0", count: 64))
      }, tied: true)
    try mutation.withExamination { examination in
      #expect(examination.findings.map(\.rule) == ["T005"])
      let error = try #require(throws: InvalidCheckpoint.self) {
        try examination.repair(to: copy(of: examination))
      }
      let rule = damage == "the copy differs" ? "T005" : "I001"
      #expect(error.findings.map(\.rule) == [rule])
      #expect(!FileManager.default.fileExists(atPath: copy(of: examination)))
    }
  }

  /// A new digest for the same weights takes their self-test along; other weights are refused.
  @Test(
    "A repair keeps the self-test of the same weights, and refuses other weights",
    arguments: [true, false])
  func selfTests(areTheSame: Bool) throws {
    let weight = ParameterPath.embeddingWeight.description
    try withTemporaryFolder { folder in
      let source = Fixtures.root.appending(path: "fixtures/checkpoints/torch-mixed.unroll.h5")
      let checkpoint = try Checkpoint(contentsOf: source.path())
      #expect(checkpoint.selfTest != nil)
      var outline = checkpoint.outline()
      if areTheSame {
        outline.objects[weight]?.attributes[AttributeName.digest] = nil
        outline.sealWeights()
        let digest = outline.weightsDigest
        #expect(digest != checkpoint.weightsDigest)
        outline.objects[Layout.selfTest]?.attributes[AttributeName.weightsDigest] = .text(digest)
      } else {
        outline.objects["/model/layers/00"]?.attributes[AttributeName.forgetBias] = .number(0.5)
      }
      outline.sealContentDigest()
      try outline.write(to: "\(folder)/a.h5", replacing: false)
      let examination = try Examination(of: "\(folder)/a.h5", upTo: .bytes)
      guard areTheSame else {
        // The digest names other weights: that is no slip of a writer.
        let error = try #require(throws: InvalidCheckpoint.self) {
          try examination.repair(to: "\(folder)/b.h5")
        }
        #expect(error.findings.map(\.rule) == ["I003"])
        return
      }
      let fixed = try examination.repair(to: "\(folder)/b.h5")
      #expect(Set(fixed.map(\.rule)) == ["I002"])
      let after = try Checkpoint(contentsOf: "\(folder)/b.h5")
      #expect(after.selfTest != nil && after.weightsDigest == checkpoint.weightsDigest)
    }
  }

  /// A digest that is missing is computed only where that of all weights shows that nothing changed.
  @Test(
    "A missing digest is repaired only if the digest of all weights matches",
    arguments: [true, false])
  func missingDigest(isChanged: Bool) throws {
    let weight = ParameterPath.outputBias.description
    let mutation = Mutation(
      rule: "I002",
      sealed: { outline in
        outline.objects[weight]?.attributes[AttributeName.digest] = nil
        guard isChanged, case .dataset(let bias)? = outline.objects[weight]?.kind,
          var values = bias.floats()
        else { return }
        values[2] += 0.5
        outline.objects[weight]?.kind = .dataset(Tensor(values, shape: bias.shape))
      })
    try mutation.withExamination { examination in
      #expect(Set(examination.findings.map(\.rule)) == ["I002", "I003"])
      if isChanged {
        let error = try #require(throws: InvalidCheckpoint.self) {
          try examination.repair(to: copy(of: examination))
        }
        #expect(error.findings.map(\.rule) == ["I003"])
      } else {
        _ = try examination.repair(to: copy(of: examination))
        #expect(try Examination(of: copy(of: examination), upTo: .bytes).findings == [])
      }
    }
  }
}
