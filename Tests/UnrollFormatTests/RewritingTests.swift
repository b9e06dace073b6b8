// The same content in another file: profiles, cards, what goes along and what is dropped.

import Foundation
import TestSupport
import Testing
import UnrollHDF5
import UnrollTensors

@testable import UnrollFormat

@Suite("Repacking and editing") struct RewritingTests {
  private static let companions = Fixtures.root.appending(
    path: "fixtures/checkpoints/torch-mixed.unroll.h5"
  ).path()

  private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(filePath: path)) }

  @Test("Repacking to an archive and back gives the same bytes", arguments: [false, true])
  func roundTrip(inTraining: Bool) throws {
    try withTemporaryFolder { folder in
      let model = Checkpoint.small()
      try (inTraining ? model.inTraining() : model).write(to: "\(folder)/a.h5")
      let live = try Examination(of: "\(folder)/a.h5", upTo: .bytes)
      try live.repack(to: "\(folder)/b.h5", profile: .archive)
      let archive = try Examination(of: "\(folder)/b.h5", upTo: .bytes)
      #expect(live.profile == .live && archive.profile == .archive)
      #expect(archive.findings.isEmpty)
      #expect(archive.header.contentDigest == live.header.contentDigest)
      try archive.repack(to: "\(folder)/c.h5", profile: .live)
      #expect(try bytes("\(folder)/a.h5") == bytes("\(folder)/c.h5"))
      try archive.repack(to: "\(folder)/d.h5", profile: .archive)
      #expect(try bytes("\(folder)/b.h5") == bytes("\(folder)/d.h5"))
    }
  }

  @Test("An archive opens with the weights of the model")
  func openedArchive() throws {
    try withTemporaryFolder { folder in
      let model = Checkpoint.small()
      try model.write(to: "\(folder)/a.h5", profile: .archive)
      let opened = try Checkpoint(contentsOf: "\(folder)/a.h5")
      for path in model.parameters.paths {
        #expect(opened.parameters[path]?.floats() == model.parameters[path]?.floats())
      }
      #expect(opened.weightsDigest == model.weightsDigest)
    }
  }

  @Test("An edit changes the card and the provenance alone", arguments: StorageProfile.allCases)
  func editedCard(profile: StorageProfile) throws {
    try withTemporaryFolder { folder in
      try Checkpoint.small().write(to: "\(folder)/a.h5", profile: profile)
      let before = try Examination(of: "\(folder)/a.h5", upTo: .bytes)
      try before.edit(to: "\(folder)/b.h5", tool: "test 1") { card in
        card.fields[.license] = ["MIT"]
        card.fields[.authors] = ["A", "B"]
        card.readme = "Ünrolled."
      }
      let after = try Examination(of: "\(folder)/b.h5", upTo: .bytes)
      #expect(after.findings.isEmpty && after.profile == profile)
      #expect(after.header.weightsDigest == before.header.weightsDigest)
      #expect(after.header.contentDigest != before.header.contentDigest)
      let model = try Checkpoint(after)
      #expect(model.card?.fields == [.license: ["MIT"], .authors: ["A", "B"]])
      #expect(model.card?.readme == "Ünrolled.")
      #expect(model.provenance.count == 2)
      #expect(model.provenance.last?.arguments == "license=MIT\nauthors=A; B\nreadme=new")
      #expect(model.provenance.last?.inputs == "\(digest(of: before.contents.file)) a.h5")
      // And back: what is removed leaves nothing but the history.
      try after.edit(to: "\(folder)/c.h5", tool: "test 1") { $0 = Card() }
      let last = try Checkpoint(contentsOf: "\(folder)/c.h5")
      #expect(last.card == nil && last.provenance.count == 3)
    }
  }

  @Test("A checkpoint written by h5py keeps every object and attribute")
  func foreignFile() throws {
    try withTemporaryFolder { folder in
      let original = try Examination(of: Self.companions, upTo: .bytes)
      let model = try Checkpoint(original)
      #expect(model.card?.fields[.authors] == ["A. Ü.", "B"])
      #expect(model.extensions.names == ["org.example.phonology"])
      #expect(model.vocabulary.kinds?.first == .control && model.vocabulary.counts?.first == 12)
      #expect(model.vocabulary.scores?.count == 13 && model.tokenizer.probe?.ids.count == 7)
      // Through the value, and object by object.
      try model.write(to: "\(folder)/value.h5")
      try original.repack(to: "\(folder)/objects.h5", profile: .live)
      let lines = try Set(Self.objects(of: Self.companions))
      #expect(try Set(Self.objects(of: "\(folder)/objects.h5")) == lines)
      // The value has its own producer and a history that is not empty of groups.
      let value = try Set(Self.objects(of: "\(folder)/value.h5"))
      #expect(
        lines.subtracting(value).allSatisfy { $0.hasPrefix("/ ") }, "\(lines.subtracting(value))")
    }
  }

  /// Every object of a file with its attributes and what its data is.
  private static func objects(of path: String) throws -> [String] {
    try Inventory(contentsOf: path).objects.map { object in
      var kind = "\(object.kind)"
      if case .dataset(let dataset) = object.kind {
        kind = "\(dataset.datatype) \(dataset.dimensions ?? [])"
      }
      return "\(object.path) \(kind) \(object.attributes.sorted { $0.key < $1.key })"
    }
  }

  @Test("Self-test and extensions of other weights are dropped")
  func otherWeights() throws {
    try withTemporaryFolder { folder in
      var model = try Checkpoint(contentsOf: Self.companions)
      model.extensions.objects["/extensions/org.example.weights"] = Outline.Object(
        kind: .group, attributes: ["weights_digest": .text(model.weightsDigest)])
      try model.write(to: "\(folder)/a.h5")
      let same = try Checkpoint(contentsOf: "\(folder)/a.h5")
      #expect(same.selfTest != nil && same.extensions.names.count == 2)
      let bias = try #require(model.parameters[.outputWeight]?.shape)
      model.parameters[.outputWeight] = Tensor(
        [Float](repeating: 0.5, count: bias.elementCount ?? 0), shape: bias)
      try model.write(to: "\(folder)/b.h5")
      let other = try Checkpoint(contentsOf: "\(folder)/b.h5")
      #expect(other.selfTest == nil && other.extensions.names == ["org.example.phonology"])
    }
  }

  @Test("A damaged file is not repacked")
  func damagedFile() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      try Checkpoint.small().write(to: path)
      var data = try bytes(path)
      let place = try #require(data.firstRange(of: Array("thecatsat".utf8))?.lowerBound)
      data[place] ^= 1
      try data.write(to: URL(filePath: path))
      let examination = try Examination(of: path, upTo: .bytes)
      #expect(throws: InvalidCheckpoint.self) {
        try examination.repack(to: "\(folder)/b.h5", profile: .archive)
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a.h5"])
    }
  }
}
