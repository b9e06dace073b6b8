// Models of TensorFlow.js: the weights of the Keras files that they were made of, and folders that lie.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

/// The folders of `fixtures/tfjs`, made by `scripts/make/tfjs-fixtures`.
@Suite("Models of TensorFlow.js") struct TensorFlowJSTests {
  private var options: ReadingOptions {
    ReadingOptions(
      vocabulary: Vocabulary(tokens: (0..<11).map { "token\($0)".utf8 }, unit: .word))
  }

  private func read(_ path: String) throws -> Conversion {
    let file = try MappedFile(path: path)
    let format = try #require(AllFormats.format(of: file))
    return try format.read(file, options: options)
  }

  private func model(_ name: String) throws -> Conversion {
    try read(Fixtures.path("tfjs/\(name)/model.json"))
  }

  @Test(
    "A converted model has weights and layers of its Keras file",
    arguments: [
      ("keras2", "keras/keras2-hard.h5"), ("layers", "keras/keras2-hard.h5"),
      ("javascript", "keras/keras2-hard.h5"),
    ])
  func weightsAreThoseOfKeras(name: String, source: String) throws {
    let (found, expected) = (try model(name).checkpoint, try read(Fixtures.path(source)).checkpoint)
    #expect(found.weightsDigest == expected.weightsDigest)
    #expect(found.architecture == expected.architecture)
  }

  @Test(
    "Quantized weights are widened as the converter's own reader does",
    arguments: ["uint8", "uint16", "float16"])
  func quantizedWeightsAreWidened(name: String) throws {
    let expected = try read(Fixtures.path("tfjs/\(name)/widened.h5")).checkpoint
    #expect(try model(name).checkpoint.weightsDigest == expected.weightsDigest)
    #expect(expected.weightsDigest != (try model("keras2").checkpoint.weightsDigest))
  }

  /// Reads a copy of a folder with another model.json or other files.
  private func outcome(
    of name: String = "layers",
    _ change: (_ folder: String, _ model: inout [String: Any]) throws -> Void
  ) throws -> String {
    try withTemporaryFolder { folder in
      let source = URL(filePath: Fixtures.path("tfjs/\(name)"))
      for file in try FileManager.default.contentsOfDirectory(
        at: source, includingPropertiesForKeys: nil)
      {
        try FileManager.default.copyItem(
          at: file, to: URL(filePath: "\(folder)/\(file.lastPathComponent)"))
      }
      let path = URL(filePath: "\(folder)/model.json")
      var model = try #require(
        try JSONSerialization.jsonObject(with: Data(contentsOf: path)) as? [String: Any])
      try change(folder, &model)
      try JSONSerialization.data(withJSONObject: model).write(to: path)
      do {
        return "\(try read(path.path).checkpoint.architecture.layers.count) layers"
      } catch let error as InterchangeError {
        return "\(error.place): expected \(error.expected), found \(error.found)"
      } catch let error as FileError {
        return error.operation
      }
    }
  }

  /// Reads a copy whose first group or first weight differs.
  private func changingGroup(_ group: (inout [String: Any]) -> Void) throws -> String {
    try outcome { _, model in
      var groups = try #require(model["weightsManifest"] as? [[String: Any]])
      group(&groups[0])
      model["weightsManifest"] = groups
    }
  }

  private func changingWeight(_ weight: (inout [String: Any]) -> Void) throws -> String {
    try changingGroup { group in
      guard var weights = group["weights"] as? [[String: Any]] else { return }
      weight(&weights[0])
      group["weights"] = weights
    }
  }

  @Test("An unchanged copy is read") func copiesAreRead() throws {
    #expect(try outcome { _, _ in }.hasSuffix("layers"))
  }

  @Test(
    "Files outside the folder are refused",
    arguments: [
      "../layers/group1-shard1of1.bin", "/etc/passwd", "a/../../b", ".", "", "a//b",
      "https://example.com/group1", "..\\x",
    ])
  func pathsStayInside(path: String) throws {
    #expect(
      try changingGroup { $0["paths"] = [path] }
        == "weightsManifest[0]: expected files in the model's folder, found \"\(path)\"")
  }

  @Test("Files that are missing, too short or too long are refused") func filesThatLie() throws {
    #expect(try changingGroup { $0["paths"] = ["none.bin"] } == "open")
    #expect(try changingGroup { $0["paths"] = [] }.contains("found 0 bytes left in the files"))
    let longer = try outcome { folder, model in
      let groups = try #require(model["weightsManifest"] as? [[String: Any]])
      let name = try #require((groups[0]["paths"] as? [String])?.last)
      let path = URL(filePath: "\(folder)/\(name)")
      try (Data(contentsOf: path) + [0]).write(to: path)
    }
    #expect(longer.contains("bytes for its weights"))
  }

  @Test("Weights that lie are refused") func weightsThatLie() throws {
    for shape in [[-1, 4], [1 << 40, 1 << 40]] as [[Int]] {
      #expect(try changingWeight { $0["shape"] = shape }.contains("expected "))
    }
    #expect(try changingWeight { $0["shape"] = [0.5] }.contains("a shape of whole numbers"))
    #expect(
      try changingWeight { $0["dtype"] = "string" }.contains("numbers of float32, found string"))
    #expect(try changingWeight { $0["name"] = "a//b" }.contains("a name, a shape and a dtype"))
    #expect(
      try changingWeight { $0["quantization"] = ["dtype": "uint4"] }.contains("found uint4"))
    #expect(
      try changingWeight { $0["quantization"] = ["dtype": "uint8", "scale": 1] }.contains(
        "found uint8"))
    // The layer of another name has no weights then.
    #expect(try changingWeight { $0["name"] = "other/kernel" }.contains("expected "))
    let twice = try outcome { _, model in
      guard let groups = model["weightsManifest"] as? [[String: Any]] else { return }
      model["weightsManifest"] = groups + [groups[0]]
    }
    #expect(twice.contains("one tensor of this name, found several"))
  }

  @Test("A graph-model and a file of weights alone are refused by name")
  func otherKindsAreNamed() throws {
    let graph = #expect(throws: InterchangeError.self) {
      try read(Fixtures.path("tfjs/graph-model.json"))
    }
    #expect(graph?.found.hasPrefix("a graph-model") == true)
    #expect(
      try outcome { _, model in model["modelTopology"] = nil }
        == "modelTopology: expected the layers of a model, found none")
    #expect(try outcome { _, model in model["weightsManifest"] = 1 }.contains("groups of weights"))
  }

  // MARK: - Writing

  /// Writes a model, and returns what is read again.
  private func trip(_ checkpoint: Checkpoint) throws -> Checkpoint {
    try withTemporaryFolder { folder in
      let path = "\(folder)/model.json"
      #expect(AllFormats.format(named: path)?.name == "tensorflowjs")
      try TensorFlowJSFormat.export(checkpoint, to: path)
      let first = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
      #expect(first.count == 2 && first[0] == "model.json")
      try TensorFlowJSFormat.export(checkpoint, to: path, replacing: true)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == first)
      var back = try TensorFlowJSFormat.read(MappedFile(path: path), options: ReadingOptions())
        .checkpoint
      // The folder goes; the numbers stay.
      for path in back.parameters.paths {
        guard let tensor = back.parameters[path] else { continue }
        back.parameters[path] = Tensor(tensor.floats() ?? [], shape: tensor.shape)
      }
      return back
    }
  }

  @Test(
    "A model is written and comes back bit for bit, with its tokens",
    arguments: [
      "keras/lstm.keras", "keras/gru-before.keras", "keras/rnn.keras", "keras/keras2-hard.h5",
    ])
  func modelsReturn(name: String) throws {
    var checkpoint = try read(Fixtures.path(name)).checkpoint
    checkpoint.optimizer = nil
    for index in checkpoint.architecture.layers.indices
    where checkpoint.architecture.layers[index].gateActivation != .sigmoid {
      // Keras 3 has another slope.
      checkpoint.architecture.layers[index].gateActivation = .hardSigmoid(ofKeras: 2)
    }
    let back = try trip(checkpoint)
    #expect(back.weightsDigest == checkpoint.weightsDigest)
    #expect(back.vocabulary.tokenBytes == checkpoint.vocabulary.tokenBytes)
  }

  @Test("A tie is written twice and returns as a tie; two biases become one")
  func variantsAreWritten() throws {
    let back = try trip(.small(tied: true, hidden: [7, 5]))
    #expect(back.architecture.isTied)
    #expect(back.architecture.layers.map(\.bias) == [.single, .single])
  }

  @Test("Layers that TensorFlow.js does not have are refused before anything is written")
  func otherLayersAreNotWritten() throws {
    let gru = #expect(throws: InterchangeError.self) {
      try TensorFlowJSFormat.exportNotes(for: .small(cell: .gru))
    }
    #expect(gru?.found.contains("reset_after") == true)
    let hard = try read(Fixtures.path("keras/gru-before.keras")).checkpoint
    var steep = hard
    steep.architecture.layers[0].gateActivation = .hardSigmoid(ofKeras: 3)
    #expect(throws: InterchangeError.self) { try TensorFlowJSFormat.exportNotes(for: steep) }
  }
}
