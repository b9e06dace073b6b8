// One flipped bit anywhere in a file: found, or in bytes that mean nothing.

import Foundation
import TestSupport
import Testing
import UnrollHDF5
import UnrollTensors

@testable import UnrollFormat

/// A file in which single bits are flipped and flipped back.
private struct FlippedFile {
  let path: String
  let bytes: [UInt8]

  init(_ path: String) throws {
    self.path = path
    bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
  }

  /// Runs a closure while one bit is the other way round.
  func withFlip<Result>(of bit: Int, at place: Int, _ body: () throws -> Result) throws -> Result {
    try write(bytes[place] ^ 1 << bit, at: place)
    let result = try body()
    try write(bytes[place], at: place)
    return result
  }

  private func write(_ byte: UInt8, at place: Int) throws {
    let handle = try FileHandle(forUpdating: URL(filePath: path))
    try handle.seek(toOffset: UInt64(place))
    try handle.write(contentsOf: [byte])
    try handle.close()
  }
}

@Suite("Flipped bits") struct FlipTests {
  /// Rules that refuse the data of some objects before digests are compared.
  private static let earlierRules = [
    Layout.tokenOffsets: "V001", "/optimizer/groups/00/parameters": "O007",
    "/training/history/step": "R005",
  ]

  /// libhdf5 reads no data, so its inventory stays the same and it runs only once.
  @Test("A flipped bit in the data of a dataset is found by its digest", arguments: [false, true])
  func flipsInData(inTraining: Bool) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      let model = Checkpoint.small()
      try (inTraining ? model.inTraining() : model).write(to: path)
      let file = try FlippedFile(path)
      let inventory = try Inventory(contentsOf: path)
      let reader = ContainerReader.answering(inventory)
      var places: [(place: Int, object: String)] = []
      for object in inventory.objects {
        guard case .dataset(let dataset) = object.kind else { continue }
        let offset = Int(try #require(dataset.offset))
        places += (offset..<offset + Int(dataset.storageSize)).map { ($0, object.path) }
      }
      #expect(places.count > 3000)
      var generator = SeededGenerator(seed: 21)
      var missed: [String] = []
      for _ in 0..<1500 {
        let (place, object) = try #require(places.randomElement(using: &generator))
        let bit = Int.random(in: 0..<8, using: &generator)
        let findings = try file.withFlip(of: bit, at: place) {
          // Openings read no digests: what they let through is used, and must not trap.
          let opened = try Examination(of: path, upTo: .header, reader: reader)
          if opened.worstLevel != .error { _ = try Checkpoint(opened) }
          return try Examination(of: path, upTo: .bytes, reader: reader).findings
        }
        let rules = ["I001"] + (Self.earlierRules[object].map { [$0] } ?? [])
        let isFound = findings.contains {
          rules.contains($0.rule) && $0.object == object
        }
        if !isFound { missed.append("\(place), bit \(bit), in \(object)") }
      }
      #expect(missed == [])
      #expect(try Examination(of: path, upTo: .bytes).findings.isEmpty)
    }
  }

  /// Through the tool, whose reader may crash.
  @Test(
    "A flipped bit in HDF5 metadata is found or lies in unused bytes", arguments: [false, true])
  func flipsInMetadata(inTraining: Bool) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      let model = Checkpoint.small(hidden: [3], embedding: 2)
      try (inTraining ? model.inTraining() : model).write(to: path)
      let (file, runner) = (try FlippedFile(path), try CommandRunner())
      let content = try runner.run(["inspect", "--json", "a.h5"], in: folder)
      #expect(content.exitCode == 0 && content.output.contains("\"content_digest\""))
      var data: Set<Int> = []
      for case .dataset(let dataset) in try Inventory(contentsOf: path).objects.map(\.kind) {
        let offset = Int(try #require(dataset.offset))
        data.formUnion(offset..<offset + Int(dataset.storageSize))
      }
      let metadata = file.bytes.indices.filter { !data.contains($0) }
      var generator = SeededGenerator(seed: 22)
      var (found, unused) = (0, 0)
      for _ in 0..<150 {
        let place = try #require(metadata.randomElement(using: &generator))
        let bit = Int.random(in: 0..<8, using: &generator)
        try file.withFlip(of: bit, at: place) {
          let result = try runner.run(["validate", "a.h5"], in: folder)
          if result.exitCode == 1 {
            found += 1
            #expect(CommandResult.rules(in: result.output).count > 0, "\(place), bit \(bit)")
            return
          }
          unused += 1
          #expect(result.exitCode == 0, "\(place), bit \(bit): \(result.errors)")
          // Nothing was ever written there: a gap before a multiple of 64.
          #expect(file.bytes[place] == 0, "\(place), bit \(bit)")
          let after = try runner.run(["inspect", "--json", "a.h5"], in: folder)
          #expect(after.output == content.output, "\(place), bit \(bit)")
        }
      }
      #expect(found > 50 && found + unused == 150, "\(found) found, \(unused) in unused bytes")
    }
  }
}
