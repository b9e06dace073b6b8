// Reading and changing the fixtures of Keras in tests.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollHDF5
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

/// A suite of tests that read `fixtures/keras`.
protocol KerasSuite {}

extension KerasSuite {
  /// The options that give the eleven tokens of the fixtures.
  var options: ReadingOptions { ReadingOptions(vocabulary: PyTorchFixtures.vocabulary(11)) }

  /// The path of a fixture.
  func path(_ name: String) -> String { Fixtures.path("keras/\(name)") }

  /// Reads a file of the format that its content has.
  func read(_ path: String, _ options: ReadingOptions? = nil) throws -> Conversion {
    let file = try MappedFile(path: path)
    let format = try #require(AllFormats.format(of: file))
    return try format.read(file, options: options ?? self.options)
  }

  /// Reads a fixture's variables with another configuration.
  func read(
    _ name: String, configuration change: (inout String) -> Void
  ) throws -> Conversion {
    let archive = try ZipArchive(MappedFile(path: path(name)))
    return try withTemporaryFolder { folder in
      let copy = "\(folder)/x.keras"
      try Data().write(to: URL(filePath: copy))
      var writer = try ZipWriter(emptying: copy)
      for name in ["metadata.json", "config.json", "model.weights.h5"] {
        let record = try #require(archive.records[name])
        let bytes = archive.storage(of: record)
        guard name == "config.json" else {
          try writer.add(name, bytes)
          continue
        }
        var text = bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        change(&text)
        try writer.add(name, text: text)
      }
      try writer.finish()
      return try read(copy)
    }
  }

  /// The notes about a fixture.
  func notes(_ name: String) throws -> [String] {
    try read(path(name)).notes.map(\.description)
  }

  /// Expects two optimizers to have the same state, bit for bit.
  func expectEqual(_ a: OptimizerState?, _ b: OptimizerState?) throws {
    let (a, b) = (try #require(a), try #require(b))
    #expect(a.kind == b.kind && a.step == b.step && a.groups == b.groups)
    #expect(Set(a.slots.keys) == Set(b.slots.keys))
    for (slot, tree) in a.slots {
      #expect(tree.paths == b.slots[slot]?.paths)
      for path in tree.paths {
        let (one, other) = (try #require(tree[path]), try #require(b.slots[slot]?[path]))
        #expect(one.shape == other.shape)
        #expect(one.withUnsafeBytes { bytes in other.withUnsafeBytes { bytes.elementsEqual($0) } })
      }
    }
  }

  /// The location and the finding with which a fixture of another configuration is refused, or `read`.
  func refusal(_ name: String, configuration change: (inout String) -> Void) -> String {
    do {
      _ = try read(name, configuration: change)
      return "read"
    } catch let error as InterchangeError {
      return "\(error.place): \(error.found)"
    } catch {
      return "\(error)"
    }
  }

  /// Writes datasets as a file of weights.
  func weights(
    _ datasets: [(path: String, tensor: Tensor)]
  ) throws -> Conversion {
    try withTemporaryFolder { folder in
      let path = "\(folder)/x.weights.h5"
      try ForeignContainer.write(datasets, to: path) { _ in }
      return try read(path)
    }
  }
}
