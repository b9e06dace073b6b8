// Settings of Keras's layers: read, noted, or refused by name.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollHDF5
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite("Configurations of Keras models") struct KerasConfigurationTests: KerasSuite {
  @Test(
    "Layers of other kinds are refused by name",
    arguments: [
      ("bidirectional", "bidirectional: a layer Bidirectional"),
      ("lambda", "lambda: a layer Lambda"),
    ])
  func otherLayers(name: String, message: String) throws {
    let configuration = try String(contentsOfFile: path("refused-\(name).json"), encoding: .utf8)
    #expect(refusal("lstm.keras") { $0 = configuration } == message)
  }

  private static let policy =
    "{\"module\": \"keras\", \"class_name\": \"DTypePolicy\", "
    + "\"config\": {\"name\": \"float32\"}, \"registered_name\": null}"

  @Test(
    "A layer setting that changes the computed function is refused by name",
    arguments: [
      ("\"class_name\": \"LSTM\"", "\"class_name\": \"Custom>LSTM\"", "lstm: a layer Custom>LSTM"),
      ("\"activation\": \"tanh\"", "\"activation\": \"relu\"", "lstm: relu"),
      (
        "\"recurrent_activation\": \"sigmoid\"", "\"recurrent_activation\": \"swish\"",
        "lstm: swish"
      ),
      ("\"go_backwards\": false", "\"go_backwards\": true", "lstm: go_backwards"),
      (
        "\"go_backwards\": false", "\"quantization_mode\": \"int8\"",
        "lstm: a layer quantised to int8"
      ),
      (
        "\"class_name\": \"DTypePolicy\", \"config\": {\"name\": \"float32\"}",
        "\"class_name\": \"QuantizedDTypePolicy\", \"config\": {\"mode\": \"int8\"}",
        "embedding: a layer quantised to int8"
      ),
      (policy, "\"int8_from_float32\"", "embedding: a layer quantised to int8"),
      (policy, "\"int32\"", "embedding: int32"),
      (policy, "\"mixed_float64\"", "embedding: mixed_float64"),
      (
        policy, "{\"class_name\": \"Mine\", \"config\": {}}",
        "embedding: an object of the class Mine"
      ),
      ("\"units\": 4", "\"units\": 6.5", "lstm: 6.5"),
      ("\"units\": 4", "\"units\": \"4\"", "lstm: \"4\""),
      ("\"units\": 11", "\"units\": -11", "dense: -11"),
      ("\"output_dim\": 5", "\"output_dim\": true", "embedding: true"),
      ("\"units\": 4", "\"units\": 4, \"lora_rank\": 2", "lstm: a layer LSTM"),
      ("\"units\": 11", "\"units\": 11, \"lora_rank\": 0.5", "dense: 0.5"),
      (
        "\"activation\": \"softmax\"", "\"activation\": \"sigmoid\"", "dense: the function sigmoid"
      ),
      ("\"class_name\": \"Sequential\"", "\"class_name\": \"Mine\"", "read"),
      (
        "\"class_name\": \"LSTM\"", "\"class_name\": \"GRU\"",
        "model.weights.h5: /layers/gru/cell/vars: none there"
      ),
      (
        "\"module\": \"keras.layers\", \"class_name\": \"LSTM\"",
        "\"module\": \"mine\", \"class_name\": \"LSTM\"", "lstm: a layer mine.LSTM"
      ),
      (
        "\"registered_name\": null, \"build_config\": {\"input_shape\": [null, null, 5]}",
        "\"registered_name\": \"Mine>LSTM\"", "lstm: a layer Mine>LSTM"
      ),
    ])
  func unsupportedSettings(
    setting: String, other: String, message: String
  ) {
    #expect(
      refusal("lstm.keras") { $0 = $0.replacingOccurrences(of: setting, with: other) } == message)
  }

  @Test(
    "A Softmax layer over another axis than the tokens is refused",
    arguments: [("1", "softmax: another axis"), ("-1", "read"), ("2", "read")])
  func softmaxAxis(axis: String, message: String) {
    let layer =
      ", {\"module\": \"keras.layers\", \"class_name\": \"Softmax\", \"config\": {\"name\": \"softmax\", "
      + "\"axis\": \(axis)}, \"registered_name\": null}], \"build_input_shape\""
    let found = refusal("lstm.keras") {
      $0 = $0.replacingOccurrences(
        of: "\"activation\": \"softmax\"", with: "\"activation\": \"linear\""
      )
      .replacingOccurrences(of: "], \"build_input_shape\"", with: layer)
    }
    #expect(found == message)
  }

  @Test("Padding, missing sequences, a missing softmax and averaged weights are noted")
  func notedSettings() throws {
    let conversion = try read("lstm.keras") {
      $0 = $0.replacingOccurrences(of: "\"mask_zero\": false", with: "\"mask_zero\": true")
        .replacingOccurrences(of: "\"return_sequences\": true", with: "\"return_sequences\": false")
        .replacingOccurrences(of: "\"activation\": \"softmax\"", with: "\"activation\": \"linear\"")
        .replacingOccurrences(of: "\"use_ema\": false", with: "\"use_ema\": true")
    }
    let messages = conversion.notes.map(\.description)
    #expect(messages.count == 4)
    #expect(messages[0].hasPrefix("embedding: assumed: token 0 pads texts"))
    #expect(messages[1].hasPrefix("lstm: assumed: predictions after each token"))
    #expect(messages[2].hasPrefix("dense: assumed: a softmax"))
    #expect(messages[3] == "optimizer: not preserved: its setting use_ema")
  }

  @Test(
    "A fixed input length is noted as a window",
    arguments: ["input_length", "output_sequence_length"])
  func inputLengths(setting: String) throws {
    let notes = try read("lstm.keras") {
      $0 = $0.replacing("\"input_dim\": 11", with: "\"\(setting)\": 7, \"input_dim\": 11")
    }.notes.map(\.message)
    #expect(notes.count == 1 && notes[0].contains("windows of 7 tokens"))
  }

  /// Keras would bring the weights to the type; here they stay as they are.
  @Test("A dtype policy that differs from the weights is noted")
  func typePolicies() throws {
    func notes(_ dtype: String) throws -> [String] {
      try read("lstm.keras") {
        $0 = $0.replacingOccurrences(of: Self.policy, with: dtype)
      }.notes.map(\.description)
    }
    #expect(try notes("\"float32\"") == [] && notes("null") == [])
    #expect(
      try notes("\"float64\"") == [
        "embedding: assumed: weights of f32, as they are in the file; Keras would bring them to f64, "
          + "as config.json says"
      ])
    #expect(
      try notes("\"mixed_bfloat16\"") == [
        "embedding: not preserved: it computes in bfloat16; the weights are of float32"
      ])
    let narrow = try read("narrow.keras") {
      $0 = $0.replacingOccurrences(of: "\"name\": \"bfloat16\"", with: "\"name\": \"float32\"")
    }
    #expect(narrow.checkpoint.parameters[.embeddingWeight]?.dtype == .bfloat16)
    #expect(narrow.notes.map(\.place) == ["embedding_2", "lstm_1"])
  }

  /// The functional model's GRU reads its embedding twice, or nothing does.
  @Test("Layers that do not form a chain are refused")
  func branchedLayers() {
    #expect(
      refusal("gru.keras") {
        $0 = $0.replacingOccurrences(
          of: "\"keras_history\": [\"dropout\", 0, 0]",
          with: "\"keras_history\": [\"embedding_1\", 0, 0]")
      } == "embedding_1: one that several read")
    #expect(
      refusal("gru.keras") {
        $0 = $0.replacingOccurrences(
          of: "\"keras_history\": [\"dropout\", 0, 0]",
          with: "\"keras_history\": [\"dropout\", 0, 1]")
      } == "gru: one that reads a state or a second use of a layer")
  }

  /// A configuration that is of other weights: both are named.
  @Test(
    "A configuration that contradicts the weights is refused by the dataset",
    arguments: [
      (
        "\"units\": 4", "\"units\": 6",
        "/layers/lstm/cell/vars/1: shape [6, 24], as config.json says of lstm (LSTM), [4, 16]"
      ),
      (
        "\"units\": 11", "\"units\": 12",
        "/layers/dense/vars/0: shape [4, 12], as config.json says of dense (Dense), [4, 11]"
      ),
      (
        "\"output_dim\": 5", "\"output_dim\": 4",
        "/layers/embedding/vars/0: shape [11, 4], as config.json says of embedding (Embedding), [11, 5]"
      ),
      (
        "\"use_bias\": true", "\"use_bias\": false",
        "lstm: 2 variables, as config.json says of lstm (LSTM), 3"
      ),
      (
        "LSTM", "GRU",
        "/layers/gru/cell/vars: the variables of lstm (GRU), as config.json says, none there"
      ),
    ])
  func configurationsOfOtherWeights(
    old: String, new: String, expected: String
  ) throws {
    do {
      _ = try read("lstm.keras") { $0 = $0.replacing(old, with: new) }
      Issue.record("read")
    } catch let error as InterchangeError {
      let place = error.place.replacing("model.weights.h5: ", with: "")
      #expect("\(place): \(error.expected), \(error.found)" == expected)
      #expect(
        error.fix.hasPrefix("the configuration is not of these weights: save the model again"))
    }
  }

  @Test("A GRU whose biases contradict reset_after is refused")
  func resetAfter() throws {
    let error = #expect(throws: InterchangeError.self) {
      try read("gru.keras") {
        $0 = $0.replacing("\"reset_after\": true", with: "\"reset_after\": false")
      }
    }
    #expect(
      error?.expected.hasPrefix("one row (no reset_after), as config.json says of gru") == true)
    #expect(error?.found.hasPrefix("shape [2, ") == true)
  }

  /// Values of a configuration in each other's places, or others: refused or read, never a trap.
  @Test(
    "A changed configuration is refused or read, and never traps",
    arguments: ["lstm", "gru", "gru-before"])
  func changedConfigurations(name: String) throws {
    let archive = try ZipArchive(MappedFile(path: path("\(name).keras")))
    let record = try #require(archive.records["config.json"])
    let text = archive.storage(of: record).withUnsafeBytes {
      String(decoding: $0, as: UTF8.self)
    }
    let values = text.ranges(of: /: ("[^"]*"|[-.0-9e]+|true|false|null|\[[^\[\]]*\])/)
    let others =
      [
        "null", "true", "-1", "1e300", "9007199254740993", "[]", "{}", "\"relu\"", "[[[1]]]",
        "[\"a\", 0, 0]", "{\"class_name\": \"LSTM\", \"config\": {}}",
      ].map { ": \($0)" } + values.map { String(text[$0]) }
    var refused = 0
    for seed in 0..<60 {
      var generator = SeededGenerator(seed: UInt64(seed))
      let outcome = refusal("\(name).keras") { configuration in
        for _ in 0..<Int.random(in: 3...12, using: &generator) {
          let places = configuration.ranges(
            of: /: ("[^"]*"|[-.0-9e]+|true|false|null|\[[^\[\]]*\])/)
          let place = places[Int.random(in: places.indices, using: &generator)]
          configuration.replaceSubrange(
            place, with: others[Int.random(in: others.indices, using: &generator)])
        }
      }
      refused += outcome == "read" ? 0 : 1
    }
    #expect(refused > 10 && refused < 60)
  }
}
