// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Files of Keras's weights alone, false descriptions and damaged archives.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollHDF5
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite("Weights of Keras in HDF5") struct KerasContainerTests: KerasSuite {
  private func zeros(_ path: String, _ shape: Shape) -> (path: String, tensor: Tensor) {
    (path, Tensor([Float](repeating: 0, count: shape.elementCount ?? 0), shape: shape))
  }

  private func layers(
    _ groups: [(name: String, shapes: [Shape])], root: String = "/layers"
  ) -> [(path: String, tensor: Tensor)] {
    groups.flatMap { name, shapes in
      shapes.enumerated().map { zeros("\(root)/\(name)/vars/\($0)", $1) }
    }
  }

  private let lstm: [(name: String, shapes: [Shape])] = [
    ("embedding", [[11, 3]]), ("lstm/cell", [[3, 8], [2, 8], [8]]), ("dense", [[2, 11], [11]]),
  ]

  /// tf.keras 2.12 to 2.15 has another name for the group; eleven layers are in the order of numbers.
  @Test("Layers of a weights file follow the order of their numbers")
  func orderOfLayers() throws {
    let old = try weights(layers(lstm, root: "/_layer_checkpoint_dependencies"))
    #expect(old.checkpoint.architecture.layers.map(\.hiddenSize) == [2])
    var many = [lstm[0]]
    for index in 0...10 {
      let name = index == 0 ? "lstm" : "lstm_\(index)"
      let (D, H) = (index + 3, index + 4)
      many.append(("\(name)/cell", [[D, 4 * H], [H, 4 * H], [4 * H]]))
    }
    many.append(("dense", [[14, 11]]))
    let deep = try weights(layers(many))
    #expect(deep.checkpoint.architecture.layers.map(\.hiddenSize) == Array(4...14))
  }

  @Test("Weights whose shapes make no language model are refused by the dataset")
  func unsuitableShapes() {
    func refusal(_ change: (inout [(name: String, shapes: [Shape])]) -> Void) -> String {
      var groups = lstm
      change(&groups)
      let error = #expect(throws: InterchangeError.self) { try weights(layers(groups)) }
      return "\(error?.place ?? ""): \(error?.expected ?? ""), \(error?.found ?? "")"
    }
    #expect(
      refusal { $0[1].shapes[0] = [4, 8] }
        == "/layers/lstm/cell/vars/0: shape [3, 8], [4, 8]")
    #expect(
      refusal { $0[1].shapes[2] = [7] } == "/layers/lstm/cell/vars/2: shape [8], [7]")
    #expect(
      refusal { $0[1].shapes[1] = [2, 10] }
        == "lstm: the variables of an Embedding, SimpleRNN, LSTM, GRU or Dense layer, "
        + "[3, 8], [2, 10], [8]")
    #expect(
      refusal { $0[2].shapes[0] = [2, 12] }
        == "/layers/dense/vars/0: 11 columns, one for each token, 12")
    let classifier = #expect(throws: InterchangeError.self) {
      try weights(layers([lstm[0], lstm[1], ("dense", [[2, 2], [2]])]))
    }
    #expect(classifier?.fix.contains("not those that classify texts") == true)
    #expect(
      refusal { $0[2].name = "conv1d" }
        == "/layers/conv1d: layers that a recurrent language model has, another")
    #expect(
      refusal {
        $0[1].shapes = [[3, 12], [3, 12], [12]]
        $0[2].shapes[0] = [3, 11]
        $0.append(("gru/cell", [[3, 9], [3, 9]]))
      }
        == ": layers whose order the file tells, /layers/dense, /layers/embedding, /layers/gru, "
        + "/layers/lstm, which fit together in several ways")
    #expect(
      refusal { $0[1] = ("simple_rnn/cell", [[3, 2], [2, 2], [2]]) }
        == "simple_rnn: the activation of a SimpleRNN, weights alone")
    #expect(
      refusal { $0.remove(at: 1) }
        == ": an embedding or none, recurrent layers, one Dense layer, embedding, dense")
    #expect(
      refusal { $0 = [("a/b", [[1]])] }
        == "/layers/a/b: layers that a recurrent language model has, another")
  }

  @Test("An HDF5 file of another program is refused")
  func otherPrograms() throws {
    let error = #expect(throws: InterchangeError.self) { try weights([zeros("/a/b", [2])]) }
    #expect(error?.found == "\"a\"")
  }

  /// The answer of libhdf5 about a hostile file may be anything.
  @Test(
    "A false description of a Keras HDF5 file is refused or read, and never traps",
    arguments: 0..<150)
  func falseInventories(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    let file = try MappedFile(path: path(seed % 2 == 0 ? "lstm.h5" : "lstm.weights.h5"))
    var inventory = try ContainerReader.inProcess.foreign.inventory(
      .mapped(file, 0..<file.count), "x")
    for _ in 0..<Int.random(in: 1...3, using: &generator) { generator.change(&inventory) }
    let changed = inventory
    var options = options
    let inProcess = ContainerReader.inProcess.foreign
    options.reader = ContainerReader(
      inventory: { _ in changed }, decode: { _, _, _ in },
      foreign: ForeignReader(
        inventory: { _, _ in changed }, decode: inProcess.decode, texts: inProcess.texts))
    // Refused or read, in this process.
    _ = try? KerasHDF5Format.read(file, options: options)
  }

  @Test("Damaged .keras archives are refused or read, and never trap")
  func damagedArchives() throws {
    let bytes = try MappedFile(path: path("lstm.keras")).copy(0..<Int.max)
    var refused = 0
    try withTemporaryFolder { folder in
      for seed in 0..<60 {
        var generator = SeededGenerator(seed: UInt64(seed))
        var mutant = bytes
        // The archive and the texts; the container inside has a CRC-32.
        let places = [0..<7000, bytes.count - 400..<bytes.count]
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
          let range = places[Int.random(in: 0...1, using: &generator)]
          mutant[Int.random(in: range, using: &generator)] = UInt8.random(
            in: 0...255, using: &generator)
        }
        let path = "\(folder)/x.keras"
        try Data(mutant).write(to: URL(filePath: path))
        do {
          _ = try KerasFormat.read(MappedFile(path: path), options: options)
        } catch is InterchangeError {
          refused += 1
        }
      }
    }
    #expect(refused > 40)
  }
}
