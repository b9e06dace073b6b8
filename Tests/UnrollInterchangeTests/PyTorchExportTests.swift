// State_dicts that we write: read back, and byte for byte beside those of torch.save.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite("Export of state_dicts") struct PyTorchExportTests {
  // MARK: - Beside torch.save

  /// The fixtures that torch.save wrote to a stream, so that their folder is `archive`.
  @Test(
    "A written state_dict equals the file of torch.save byte for byte",
    arguments: ["lstm-tied", "gru-float64", "rnn-bfloat16", "mixed", "deep"])
  func bytesOfTorchSave(name: String) throws {
    let source = PyTorchFixtures.path("export-\(name).pt")
    let checkpoint = try PyTorchFixtures.convert("export-\(name).pt", nonlinearity: asked(name))
      .checkpoint
    try withTemporaryFolder { folder in
      try PyTorchFormat.export(checkpoint, to: "\(folder)/ours.pt")
      let files = try [source, "\(folder)/ours.pt"].map { try MappedFile(path: $0) }
      let archives = try files.map(ZipArchive.init)
      let bytes = try zip(files, archives).map { file, archive in
        try withoutFirstHalfOfTheID(file, archive)
      }
      #expect(bytes[0] == bytes[1])
      #expect(archives[0].records.count == archives[1].records.count)
    }
  }

  private func asked(_ name: String) -> Activation? { name.hasPrefix("rnn") ? .tanh : nil }

  /// A file with zeros for the digits that depend on the C++ library, and for what covers them: 20
  /// digits, and their CRC-32 in the descriptor and in the directory.
  private func withoutFirstHalfOfTheID(
    _ file: MappedFile, _ archive: ZipArchive
  ) throws -> [UInt8] {
    var bytes = file.copy(0..<file.count)
    let record = try #require(archive.records["archive/.data/serialization_id"])
    #expect(record.data.count == 40)
    #expect(bytes[record.data].allSatisfy { (0x30...0x39).contains($0) })
    let checksum = withUnsafeBytes(of: record.checksum.littleEndian) { Array($0) }
    // Behind the data: the descriptor's mark and CRC-32.
    #expect(Array(bytes[record.data.upperBound + 4..<record.data.upperBound + 8]) == checksum)
    var places = [record.data.prefix(20), record.data.upperBound + 4..<record.data.upperBound + 8]
    // The last entry of the directory: its CRC-32 is before the sizes, the name ends it.
    let end = try ZipDirectory(file).range.upperBound - record.name.utf8.count - 30
    #expect(Array(bytes[end..<end + 4]) == checksum)
    places.append(end..<end + 4)
    for place in places { bytes.replaceSubrange(place, with: place.map { _ in 0 }) }
    return bytes
  }

  // MARK: - Round trips

  struct Model: CustomTestStringConvertible, Sendable {
    var cell = Cell.lstm
    var activation = Activation.tanh
    var hidden = [7, 7]
    var isTied = false
    var bias = LayerBias.double
    var dtype = DType.float32
    var hasOutputBias = true

    var testDescription: String {
      "\(cell) \(activation) \(hidden) \(isTied ? "tied" : "free") \(bias) \(dtype)"
    }
  }

  static let models: [Model] =
    Cell.usual.flatMap { cell in
      [
        Model(cell: cell), Model(cell: cell, hidden: [6, 9, 4]),
        Model(cell: cell, hidden: [5, 5], isTied: true),
        Model(cell: cell, hidden: [5], isTied: true, hasOutputBias: false),
        Model(cell: cell, bias: .none), Model(cell: cell, hidden: [8, 3], bias: .none),
        Model(cell: cell, dtype: .float16), Model(cell: cell, isTied: false, dtype: .bfloat16),
        Model(cell: cell, dtype: .float64),
      ]
    } + [
      Model(cell: .rnn, activation: .relu), Model(cell: .rnn, activation: .relu, hidden: [4, 3]),
    ]

  func checkpoint(_ model: Model, seed: UInt64) -> Checkpoint {
    var checkpoint = Checkpoint.small(
      cell: model.cell, tied: model.isTied, hidden: model.hidden, activation: model.activation)
    checkpoint.architecture.hasOutputBias = model.hasOutputBias
    for index in checkpoint.architecture.layers.indices {
      checkpoint.architecture.layers[index].bias = model.bias
    }
    fill(&checkpoint, dtype: model.dtype, seed: seed)
    return checkpoint
  }

  /// Gives every parameter of the architecture random bytes: any bit pattern has to come back.
  private func fill(_ checkpoint: inout Checkpoint, dtype: DType, seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var parameters = ParameterTree<Tensor>()
    for (path, shape) in checkpoint.architecture.parameters {
      let bytes = (0..<(shape.byteCount(of: dtype) ?? 0)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      parameters[path] = Tensor(shape: shape, dtype: dtype, storage: .owned(bytes))
    }
    checkpoint.parameters = parameters
  }

  private func read(
    _ path: String, _ checkpoint: Checkpoint, nonlinearity: Activation?
  ) throws -> Checkpoint {
    try PyTorchFormat.read(
      MappedFile(path: path),
      options: ReadingOptions(vocabulary: checkpoint.vocabulary, nonlinearity: nonlinearity)
    ).checkpoint
  }

  private func bytes(_ checkpoint: Checkpoint) -> [ParameterPath: [UInt8]] {
    Dictionary(
      uniqueKeysWithValues: checkpoint.parameters.paths.map { path in
        (path, checkpoint.parameters[path]?.withUnsafeBytes { Array($0) } ?? [])
      })
  }

  @Test("A model of each kind comes back from its state_dict bit for bit", arguments: models)
  func roundTrip(model: Model) throws {
    let original = checkpoint(model, seed: 11)
    try withTemporaryFolder { folder in
      for name in ["a.pt", "b.pt"] { try PyTorchFormat.export(original, to: "\(folder)/\(name)") }
      let back = try read(
        "\(folder)/a.pt", original, nonlinearity: model.cell == .rnn ? model.activation : nil)
      #expect(back.architecture == original.architecture)
      #expect(bytes(back) == bytes(original))
      #expect(back.parameters.paths.count == original.architecture.parameters.count)
      for path in back.parameters.paths {
        #expect(back.parameters[path]?.dtype == model.dtype)
      }
      let files = try ["a.pt", "b.pt"].map {
        try Data(contentsOf: URL(filePath: "\(folder)/\($0)"))
      }
      #expect(files[0] == files[1])
    }
  }

  @Test("A stack of LSTM, GRU and RNN layers comes back from its state_dict")
  func mixedStack() throws {
    var original = Checkpoint.small(hidden: [6, 6, 6])
    original.architecture.layers[1].cell = .gru
    original.architecture.layers[1].bias = .none
    original.architecture.layers[2].cell = .rnn
    original.architecture.layers[2].activation = .relu
    fill(&original, dtype: .float32, seed: 3)
    try withTemporaryFolder { folder in
      try PyTorchFormat.export(original, to: "\(folder)/a.pt")
      let back = try read("\(folder)/a.pt", original, nonlinearity: .relu)
      #expect(back.architecture == original.architecture)
      #expect(bytes(back) == bytes(original))
    }
  }

  /// Storages start at multiples of 64, and are written as they lie in the file they came from.
  @Test("Storages of a written state_dict start at multiples of 64 bytes")
  func alignment() throws {
    try withTemporaryFolder { folder in
      try PyTorchFormat.export(Checkpoint.small(), to: "\(folder)/a.pt")
      let archive = try ZipArchive(MappedFile(path: "\(folder)/a.pt"))
      #expect(archive.records.values.allSatisfy { $0.data.lowerBound % 64 == 0 })
      #expect(archive.records.count == 6 + Checkpoint.small().architecture.parameters.count)
    }
  }

  @Test("Progress of an export counts every byte twice: written and read back")
  func progress() throws {
    let checkpoint = Checkpoint.small()
    var count = 0
    try withTemporaryFolder { folder in
      try PyTorchFormat.export(checkpoint, to: "\(folder)/a.pt") { count += $0 }
    }
    #expect(count == 2 * bytes(checkpoint).values.reduce(0) { $0 + $1.count })
  }
}
