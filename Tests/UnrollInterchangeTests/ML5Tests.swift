// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Models of ml5.js: TensorFlow's formulas on raw files, and folders that lie.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite("ml5.js") struct ML5Tests {
  private static let (V, D, H) = (5, 3, 4)
  private static let shapes: [(name: String, shape: [Int])] = [
    ("Variable", []), ("embedding", [V, D]),
    ("rnnlm/multi_rnn_cell/cell_0/basic_lstm_cell/weights", [D + H, 4 * H]),
    ("rnnlm/multi_rnn_cell/cell_0/basic_lstm_cell/biases", [4 * H]),
    ("rnnlm/softmax_w", [H, V]), ("rnnlm/softmax_b", [V]),
  ]

  /// Writes a model with seeded numbers, and reads what a closure made of its files.
  private func convert(
    _ change: (_ folder: String, _ manifest: inout [String: [String: Any]]) throws -> Void = {
      _, _ in
    }
  ) throws -> (conversion: Conversion, numbers: [String: [Float]]) {
    try withTemporaryFolder { folder in
      var generator = SeededGenerator(seed: 17)
      var manifest: [String: [String: Any]] = [:]
      var numbers: [String: [Float]] = [:]
      for (name, shape) in Self.shapes {
        let values = (0..<shape.reduce(1, *)).map { _ in generator.number(1) }
        let file = name.replacingOccurrences(of: "/", with: "_")
        try values.withUnsafeBytes { try Data($0).write(to: URL(filePath: "\(folder)/\(file)")) }
        manifest[name] = ["filename": file, "shape": shape]
        numbers[name] = values
      }
      try Data(#"{"a":0,"\r":1,"é":2," ":3,"\"":4}"#.utf8)
        .write(to: URL(filePath: "\(folder)/vocab.json"))
      try change(folder, &manifest)
      try JSONSerialization.data(withJSONObject: manifest)
        .write(to: URL(filePath: "\(folder)/manifest.json"))
      let file = try MappedFile(path: "\(folder)/manifest.json")
      #expect(ML5Format.recognizes(file))
      var conversion = try ML5Format.read(file, options: ReadingOptions())
      // The folder goes; the numbers stay.
      for path in conversion.checkpoint.parameters.paths {
        guard let tensor = conversion.checkpoint.parameters[path] else { continue }
        conversion.checkpoint.parameters[path] = Tensor(
          tensor.floats() ?? [], shape: tensor.shape)
      }
      return (conversion, numbers)
    }
  }

  @Test(
    "Folders with the names that TensorFlow has from 1.2 on give the same model",
    arguments: ["basic_lstm_cell", "lstm_cell"])
  func laterNamesAreRead(cell: String) throws {
    let old = try convert().conversion.checkpoint
    let new = try convert { _, manifest in
      let group = "rnnlm/multi_rnn_cell/cell_0"
      for (before, after) in [("weights", "kernel"), ("biases", "bias")] {
        manifest["\(group)/\(cell)/\(after)"] =
          manifest.removeValue(forKey: "\(group)/basic_lstm_cell/\(before)")
      }
    }.conversion.checkpoint
    #expect(new.weightsDigest == old.weightsDigest)
    #expect(new.architecture.layers[0].forgetBias == 1)
  }

  @Test("An extra tensor of an ml5 folder is refused by name, unless it belongs to the training")
  func otherTensorsAreNamed() throws {
    func copy(_ name: String) throws -> [String] {
      try convert { _, manifest in manifest[name] = manifest["rnnlm/softmax_b"] }
        .conversion.notes.map(\.description)
    }
    let error = #expect(throws: InterchangeError.self) { try copy("rnnlm/peephole") }
    #expect(error?.place == "rnnlm/peephole")
    #expect(
      try copy("rnnlm/softmax_b/Adam") == [
        "rnnlm/softmax_b/Adam: not preserved: it is of the training alone"
      ])
    let other = #expect(throws: InterchangeError.self) {
      try convert { _, manifest in
        manifest["rnnlm/multi_rnn_cell/cell_0/lstm_cell/gru"] =
          manifest.removeValue(forKey: "rnnlm/multi_rnn_cell/cell_0/basic_lstm_cell/weights")
      }
    }
    #expect(other?.expected.contains("basic_lstm_cell/kernel") == true)
    #expect(other?.fix.contains("BasicLSTMCell") == true)
  }

  @Test("Log-probabilities of an ml5 model equal those of TensorFlow's LSTM formulas")
  func stepOfTensorFlow() throws {
    let (conversion, numbers) = try convert()
    let (V, D, H) = (Self.V, Self.D, Self.H)
    let model = conversion.checkpoint
    #expect(conversion.notes.isEmpty)
    #expect(model.architecture.layers[0].forgetBias == 1)
    #expect(model.architecture.layers[0].bias == .single)
    #expect(
      model.vocabulary.indices.map { model.vocabulary.text(of: $0) } == ["a", "\r", "é", " ", "\""])
    #expect(model.tokenizer.kind == .character && model.tokenizer.lineEnds == .kept)
    // [i, j, f, o] = [x, h] kernel + bias; c' = c sigmoid(f + 1) + sigmoid(i) tanh(j).
    func values(_ name: String) throws -> [Double] {
      try #require(numbers.first { $0.key.hasSuffix(name) }).value.map(Double.init)
    }
    let (embedding, kernel, bias) = (
      try values("embedding"), try values("weights"), try values("biases")
    )
    let (softmax, softmaxBias) = (try values("softmax_w"), try values("softmax_b"))
    func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
    var (h, c) = ([Double](repeating: 0, count: H), [Double](repeating: 0, count: H))
    var expected: [Double] = []
    let ids = [2, 0, 4, 1, 3]
    for (id, next) in zip(ids, ids.dropFirst()) {
      let input = embedding[id * D..<(id + 1) * D] + h
      let gates = (0..<4 * H).map { column in
        zip(0..., input).reduce(bias[column]) { $0 + $1.1 * kernel[$1.0 * 4 * H + column] }
      }
      for unit in 0..<H {
        c[unit] =
          c[unit] * sigmoid(gates[2 * H + unit] + 1) + sigmoid(gates[unit]) * tanh(gates[H + unit])
        h[unit] = tanh(c[unit]) * sigmoid(gates[3 * H + unit])
      }
      let logits = (0..<V).map { token in
        (0..<H).reduce(softmaxBias[token]) { $0 + h[$1] * softmax[$1 * V + token] }
      }
      expected.append(logits[next] - log(logits.reduce(0) { $0 + exp($1) }))
    }
    // The same by our formulas, on the numbers that were converted.
    let found = try ours(model, ids)
    for (a, b) in zip(found, expected) { #expect(abs(a - b) < 1e-12) }
  }

  /// The log-probabilities by `spec/FORMAT.md`: gates i, f, g, o of `weight_ih`, `weight_hh` and `bias`.
  private func ours(_ model: Checkpoint, _ ids: [Int]) throws -> [Double] {
    func values(_ path: ParameterPath) throws -> [Double] {
      try #require(model.parameters[path]?.floats()).map(Double.init)
    }
    let (embedding, weightIH) = (try values(.embeddingWeight), try values(.layer(0, .weightIH)))
    let (weightHH, bias) = (try values(.layer(0, .weightHH)), try values(.layer(0, .bias)))
    let (output, outputBias) = (try values(.outputWeight), try values(.outputBias))
    let (V, D, H) = (Self.V, Self.D, Self.H)
    func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
    var (h, c) = ([Double](repeating: 0, count: H), [Double](repeating: 0, count: H))
    return zip(ids, ids.dropFirst()).map { id, next in
      let gates = (0..<4 * H).map { row -> Double in
        var sum = bias[row]
        for k in 0..<D { sum += weightIH[row * D + k] * embedding[id * D + k] }
        for k in 0..<H { sum += weightHH[row * H + k] * h[k] }
        return sum
      }
      for unit in 0..<H {
        let forget = sigmoid(gates[H + unit] + model.architecture.layers[0].forgetBias)
        c[unit] = forget * c[unit] + sigmoid(gates[unit]) * tanh(gates[2 * H + unit])
        h[unit] = sigmoid(gates[3 * H + unit]) * tanh(c[unit])
      }
      let logits = (0..<V).map { token in
        (0..<H).reduce(outputBias[token]) { $0 + h[$1] * output[token * H + $1] }
      }
      return logits[next] - log(logits.reduce(0) { $0 + exp($1) })
    }
  }

  private func refusal(
    _ change: (_ folder: String, _ manifest: inout [String: [String: Any]]) throws -> Void
  ) throws -> String {
    do {
      _ = try convert(change)
      return "converted"
    } catch let error as InterchangeError {
      return "\(error.place): expected \(error.expected), found \(error.found)"
    } catch let error as FileError {
      return "\(error.operation)"
    }
  }

  @Test("An ml5 folder with wrong ids, file names, shapes or sizes is refused by its entry")
  func inconsistentFolders() throws {
    func vocab(_ json: String) throws -> String {
      try refusal { folder, _ in
        try Data(json.utf8).write(to: URL(filePath: "\(folder)/vocab.json"))
      }
    }
    #expect(
      try vocab(#"{"":0,"b":1,"c":2,"d":3,"e":4}"#).contains("a character with an id of its own"))
    #expect(
      try vocab(#"{"a":0,"b":0,"c":2,"d":3,"e":4}"#).contains("a character with an id of its own"))
    #expect(try vocab(#"{"a":0,"b":1,"c":2,"d":3,"e":5}"#).contains("below 5, found 5"))
    #expect(try vocab(#"{"a":0,"b":1,"c":2,"d":3}"#).contains("found none for 4"))
    #expect(try vocab("[]").contains("a JSON object of characters"))
    for file in ["/etc/passwd", "../x", "..", "a/b", ""] {
      let found = try refusal { _, manifest in manifest["embedding"]?["filename"] = file }
      #expect(found.hasPrefix("embedding: expected a file in the model's folder"))
    }
    #expect(try refusal { _, manifest in manifest["embedding"]?["filename"] = "none" } == "open")
    #expect(
      try refusal { _, manifest in manifest["embedding"]?["shape"] = [1 << 40, 1 << 40] }
        .hasPrefix("embedding: expected "))
    #expect(
      try refusal { _, manifest in manifest["embedding"]?["shape"] = [3, 5] }
        .hasPrefix("rnnlm/multi_rnn_cell/cell_0/basic_lstm_cell/weights: expected shape"))
    #expect(
      try refusal { _, manifest in manifest["rnnlm/softmax_b"] = nil }
        .contains("a tensor softmax_b"))
    #expect(
      try refusal { folder, _ in
        try Data([1, 2, 3]).write(to: URL(filePath: "\(folder)/embedding"))
      }.contains("found 3 bytes"))
    #expect(throws: InterchangeError.self) { try ML5Format.exportNotes(for: .small()) }
  }
}
