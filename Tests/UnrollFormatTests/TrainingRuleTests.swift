// Files that lie about a training: each way is a finding of its rule, and none a trap.

import Foundation
import TestSupport
import Testing
import UnrollHDF5
import UnrollTensors

@testable import UnrollFormat

@Suite("Rules for training state") struct TrainingRuleTests {
  @Test(
    "Each inconsistency of a training is found by its rule alone",
    arguments: Mutation.moreOfTraining.indices)
  func inconsistencies(index: Int) throws {
    let mutation = Mutation.moreOfTraining[index]
    let findings = try mutation.findings()
    #expect(!findings.isEmpty)
    for finding in findings {
      #expect(finding.contains(" error \(mutation.rule): "), "\(finding)")
      // No conversion brings a training back.
      #expect(!finding.contains("fix: convert again from the original model"), "\(finding)")
    }
  }

  /// The inventory that libhdf5 gives of a file may be anything; every file that opens has valid numbers.
  @Test("False attributes and shapes of a training are refused or harmless")
  func falseAttributesAndShapes() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      try Checkpoint.small().inTraining(groupCount: 2).write(to: path)
      let inventory = try Inventory(contentsOf: path)
      let places = inventory.objects.indices.filter { index in
        ["/optimizer", "/training"].contains { inventory.objects[index].path.hasPrefix($0) }
      }
      var generator = SeededGenerator(seed: 23)
      var (opened, refused) = (0, 0)
      for _ in 0..<1000 {
        var lie = inventory
        let index = try #require(places.randomElement(using: &generator))
        lie.objects[index].lie(using: &generator)
        let examination = try Examination(of: path, upTo: .header, reader: .answering(lie))
        guard examination.worstLevel != .error else {
          refused += 1
          continue
        }
        let training = try #require(try Checkpoint(examination).training)
        let (tokens, columns) = (training.data.tokens, training.data.columns)
        #expect(columns >= 1 && training.data.window >= 1 && training.schedule[.factor] >= 1)
        #expect((0..<tokens / columns).contains(training.data.cursor))
        opened += 1
      }
      #expect(opened > 50 && refused > 300, "\(opened) opened, \(refused) refused")
    }
  }

  @Test("A training state that breaks a rule is not written")
  func invalidState() throws {
    var checkpoint = Checkpoint.small().inTraining()
    checkpoint.optimizer?.slots[.average] = checkpoint.parameters
    try withTemporaryFolder { folder throws in
      let error = #expect(throws: InvalidCheckpoint.self) {
        try checkpoint.write(to: "\(folder)/a.h5")
      }
      let rules = Set(error?.findings.filter { $0.level == .error }.map(\.rule) ?? [])
      #expect(rules == ["O001"])
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
    }
  }
}

extension InventoryObject {
  /// Changes one attribute, or the shape of a dataset, to a value at the edge of what is possible.
  fileprivate mutating func lie(using generator: inout SeededGenerator) {
    let integers: [Int64] = [.min, -1, 0, 1, 2, 12, 1 << 31, 1 << 62, 1 << 62 + 1, .max]
    let numbers = [0, -0.0, 1, -1, .nan, .infinity, .greatestFiniteMagnitude, 0x1p-1074]
    if case .dataset(var dataset) = kind, let first = dataset.dimensions?.first {
      let size = [0, 1, first + 1, 1 << 31, 1 << 62, .max].randomElement(using: &generator)
      dataset.dimensions?[0] = size ?? 0
      dataset.storageSize = UInt64.random(in: 0...64, using: &generator)
      kind = .dataset(dataset)
      return
    }
    guard let name = attributes.keys.sorted().randomElement(using: &generator) else { return }
    switch attributes[name] {
    case .integer: attributes[name] = .integer(integers.randomElement(using: &generator) ?? 0)
    case .number: attributes[name] = .number(numbers.randomElement(using: &generator) ?? 0)
    default: attributes[name] = .text("")
    }
  }
}
