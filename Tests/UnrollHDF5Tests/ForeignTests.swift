// The values that an inventory has of another program's file in memory, in addition to those of a checkpoint.

import TestSupport
import Testing
import UnrollHDF5
import UnrollTensors

@Suite("HDF5 files of other programs in memory") struct ForeignTests {
  private func image(_ name: String) throws -> (path: String, bytes: ByteStorage) {
    let path = Fixtures.path(name)
    let file = try MappedFile(path: path)
    return (path, .mapped(file, 0..<file.count))
  }

  /// h5py's texts and its bfloat16 are values in the one dialect and descriptions in the other.
  @Test("Texts that h5py wrote are values of a foreign inventory")
  func textsOfH5py() throws {
    let (path, bytes) = try image("keras/lstm.h5")
    let foreign = try Inventory(foreign: bytes, name: path)
    let ours = try Inventory(contentsOf: path)
    #expect(foreign.objects.map(\.path) == ours.objects.map(\.path))
    #expect(foreign.objects[0].attributes["keras_version"] == .text("3.15.1"))
    #expect(ours.objects[0].attributes["keras_version"] == .other("variable-length string"))
    let group = try #require(foreign.objects.first { $0.path == "/model_weights" })
    #expect(group.attributes["layer_names"] == .texts(["embedding", "lstm", "dense"]))
    let fixed = try image("keras/keras2-hard.h5")
    let old = try Inventory(foreign: fixed.bytes, name: fixed.path)
    #expect(old.objects[0].attributes["keras_version"] == .text("2.2.4"))
  }

  private static let texts = ["the", "öl", "猫", "", "ten bytes!"]

  /// The padding of fixed-length strings, NULs or spaces, is not part of them.
  @Test(
    "Strings of fixed length are read without their padding",
    arguments: ["nulls", "terminator", "spaces", "chunks"])
  func stringsOfFixedLength(name: String) throws {
    let (path, bytes) = try image("foreign/strings.h5")
    let found = try readTexts("/\(name)", ofForeign: bytes, name: path)
    #expect(String(decoding: found, as: UTF8.self) == Self.texts.map { $0 + "\0" }.joined())
    guard name != "chunks" else { return }
    let inventory = try Inventory(foreign: bytes, name: path)
    #expect(inventory.objects[0].attributes[name] == .texts(Self.texts))
  }

  @Test(
    "Strings that are too many, contain NUL or cannot be decoded are refused",
    arguments: [
      ("inside", "one has a NUL inside"),
      ("bomb", "16777216 of 1024 bytes each are more than 268435456 bytes"),
      ("chunk", "2097152 of 1024 bytes each are more than 268435456 bytes"),
      ("lzf", "its shape changed meanwhile"),
    ])
  func invalidStrings(name: String, reason: String) throws {
    let (path, bytes) = try image("foreign/strings.h5")
    let error = #expect(throws: HDF5Error.self) {
      try readTexts("/\(name)", ofForeign: bytes, name: path)
    }
    #expect(error?.reason == reason)
  }

  /// Places in the image are those in the file, and two images at once are two files.
  @Test("Several files in memory are read at once without confusion")
  func concurrentImages() async throws {
    let names = ["keras/lstm.h5", "keras/keras2-cudnn-gru.h5", "keras/keras2-cudnn-lstm.h5"]
    let expected = try names.map {
      try Inventory(contentsOf: Fixtures.path($0)).objects.map(\.kind)
    }
    await withTaskGroup(of: (Int, [InventoryObject.Kind]?).self) { group in
      for round in 0..<12 {
        let index = round % 3
        group.addTask {
          guard let (path, bytes) = try? image(names[index]) else { return (index, nil) }
          return (index, try? Inventory(foreign: bytes, name: path).objects.map(\.kind))
        }
      }
      for await (index, kinds) in group { #expect(kinds == expected[index]) }
    }
  }

  @Test("Memory that is no HDF5 file is refused")
  func otherMemory() {
    #expect(throws: HDF5Error.self) { try Inventory(foreign: .owned([1, 2, 3]), name: "x") }
    #expect(throws: HDF5Error.self) { try Inventory(foreign: .owned([]), name: "x") }
  }
}
