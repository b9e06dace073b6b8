// Data of other programs' HDF5 files that is not in one run of bytes.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollHDF5
import UnrollTensors

@testable import UnrollInterchange

/// The files of `fixtures/foreign`, made by `scripts/make/foreign-fixtures`.
@Suite("Data of foreign HDF5 files") struct ForeignDataTests {
  private let options = ReadingOptions(vocabulary: PyTorchFixtures.vocabulary(11))

  private func read(_ name: String, _ options: ReadingOptions? = nil) throws -> Conversion {
    try KerasHDF5Format.read(
      MappedFile(path: Fixtures.path(name)), options: options ?? self.options)
  }

  @Test("Chunked and contiguous Keras weights give the same numbers")
  func chunkedData() throws {
    let plain = try read("keras/lstm.weights.h5").checkpoint
    let chunks = try read("foreign/chunks.weights.h5").checkpoint
    #expect(chunks.weightsDigest == plain.weightsDigest)
  }

  private func refusal(_ name: String, _ options: ReadingOptions? = nil) -> String? {
    do {
      _ = try read(name, options)
      return nil
    } catch let error as InterchangeError {
      return "\(error.place): \(error.found)"
    } catch {
      return "\(error)"
    }
  }

  @Test("Unknown HDF5 filters and datasets larger than the file are refused")
  func unknownFiltersAndBombs() {
    #expect(
      refusal("foreign/lzf.weights.h5")
        == "/layers/embedding/vars/0: f32 of shape [11, 5], through the filter lzf (32000); "
        + "known are deflate, shuffle and fletcher32")
    #expect(
      refusal("foreign/bomb.weights.h5")
        == "/layers/embedding/vars/0: f32 of shape [250000, 1000], too large for a file of 4496 bytes"
    )
  }

  @Test("HDF5 strings of fixed length are read without padding, and bombs are refused")
  func stringsOfFixedLength() throws {
    let file = try MappedFile(path: Fixtures.path("foreign/strings.h5"))
    let container = try ForeignContainer(
      .mapped(file, 0..<file.count), name: "x", reader: .inProcess)
    #expect(try container.texts("/spaces") == ["the", "öl", "猫", "", "ten bytes!"])
    for (path, reason) in [
      ("/lzf", "through the filter lzf (32000); known are deflate, shuffle and fletcher32"),
      ("/bomb", "more texts, 16777216, than the file has room for"),
    ] {
      #expect {
        try container.texts(path)
      } throws: { error in
        guard case .undecodable(let object, let found)? = error as? ContainerFailure else {
          return false
        }
        return object == path && found == reason
      }
    }
  }

  /// The answer of a process that read the file may be anything.
  @Test("Decoded data that ends early is refused")
  func truncatedData() throws {
    let inProcess = ContainerReader.inProcess
    var options = options
    options.reader = ContainerReader(
      inventory: inProcess.inventory, decode: inProcess.decode,
      foreign: ForeignReader(
        inventory: inProcess.foreign.inventory,
        decode: { _, _, _, descriptor in ftruncate(descriptor, 100) },
        texts: inProcess.foreign.texts))
    let found = try #require(refusal("foreign/chunks.weights.h5", options))
    #expect(found.hasSuffix(": what libhdf5 cannot decode (its decoded data ends early)"))
  }

  /// Descriptions that lie about chunks are refused, or their data is read as it is.
  @Test(
    "A chunked dataset with a false description is refused or read, and never traps",
    arguments: 0..<200)
  func falseDescriptions(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    let file = try MappedFile(path: Fixtures.path("foreign/chunks.weights.h5"))
    let foreign = ContainerReader.inProcess.foreign
    var inventory = try foreign.inventory(.mapped(file, 0..<file.count), "x")
    let datasets = inventory.objects.indices.filter {
      if case .dataset = inventory.objects[$0].kind { true } else { false }
    }
    let index = try #require(datasets.randomElement(using: &generator))
    guard case .dataset(var dataset) = inventory.objects[index].kind else { return }
    let sizes: [UInt64] = [0, 1, 2, 3, 5, 1 << 20, 1 << 31, 1 << 40, 1 << 62, .max]
    func some(_ count: Int) -> [UInt64] {
      (0..<count).map { _ in sizes.randomElement(using: &generator) ?? 0 }
    }
    switch seed % 4 {
    case 0: dataset.dimensions = some(Int.random(in: 0...3, using: &generator))
    case 1:
      dataset.chunks = ChunkGrid(
        dimensions: some(Int.random(in: 0...3, using: &generator)), count: some(1)[0])
    case 2: dataset.layout = [.compact, .chunked, .virtual, .unknown][seed / 4 % 4]
    default: dataset.datatype = .element(DType.allCases[seed / 4 % DType.allCases.count])
    }
    inventory.objects[index].kind = .dataset(dataset)
    let changed = inventory
    var options = options
    options.reader = ContainerReader(
      inventory: { _ in changed }, decode: { _, _, _ in },
      foreign: ForeignReader(
        inventory: { _, _ in changed }, decode: foreign.decode, texts: foreign.texts))
    _ = try? KerasHDF5Format.read(file, options: options)
  }

  /// A damaged stream, or a wrong sum, is what libhdf5 says of it.
  @Test("Damaged compressed chunks are refused")
  func damagedChunks() throws {
    let bytes = try MappedFile(path: Fixtures.path("foreign/chunks.weights.h5")).copy(0..<Int.max)
    // zlib's first byte, in front of each stream.
    let streams = bytes.indices.filter { bytes[$0...].starts(with: [0x78, 0x5E]) }
    let streamsOfNine = bytes.indices.filter { bytes[$0...].starts(with: [0x78, 0xDA]) }
    #expect(streams.count + streamsOfNine.count >= 12)
    try withTemporaryFolder { folder in
      for place in (streams + streamsOfNine).prefix(6) {
        var mutant = bytes
        mutant[place + 4] ^= 0xFF
        try Data(mutant).write(to: URL(filePath: "\(folder)/x.h5"))
        #expect(throws: InterchangeError.self) {
          try KerasHDF5Format.read(MappedFile(path: "\(folder)/x.h5"), options: options)
        }
      }
    }
  }
}
