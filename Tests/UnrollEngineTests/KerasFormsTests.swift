// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Other forms of the same computation: their log-probabilities are those of the program that saved them.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine

/// The files of `fixtures/keras-forms`, made by `scripts/make/keras-forms-fixtures`.
@Suite("Forms of Keras models") struct KerasFormsTests {
  private struct Text: Decodable {
    let text: String
    let vocabulary: [String]
    let log_probabilities: [Double]
  }

  private struct References: Decodable {
    let ids: [Int]
    let models: [String: [Double]]
  }

  private struct Texts: Decodable {
    struct Models: Decodable { let vectorization: Text }
    let models: Models
  }

  private func path(_ name: String) -> String { Fixtures.path("keras-forms/\(name)") }

  private func decode<Value: Decodable>(_ type: Value.Type, _ name: String) throws -> Value {
    try JSONDecoder().decode(type, from: Data(contentsOf: URL(filePath: path(name))))
  }

  private func convert(
    _ name: String, rows: Int = 11, _ change: (inout ReadingOptions) throws -> Void = { _ in }
  ) throws -> Conversion {
    try convertFixture("keras-forms/\(name)", tokens: rows, change)
  }

  private static let files = [
    "nested.keras", "nested.h5", "nested.weights.h5", "reversible.keras", "untied.keras",
    "untied.weights.h5", "tied.weights.h5", "projection.keras", "folded.keras", "encoded.keras",
    "one-hot.keras", "shards.weights.json", "class.keras", "class.weights.h5",
    "class-square.weights.h5",
  ]

  @Test(
    "Nested models, ties, projections, encodings, shards and classes give Keras's numbers",
    arguments: files)
  func formsGiveTheNumbersOfKeras(name: String) throws {
    let references = try decode(References.self, "references-keras.json")
    let expected = try #require(references.models[String(name.prefix { $0 != "." })])
    let checkpoint = try convert(name).checkpoint
    // Keras computed in single precision, and a folded layer is rounded once.
    try expectLogProbabilities(of: checkpoint, references.ids, expected, within: 5e-6, name)
  }

  @Test(
    "Cells in an RNN, one or several, give Keras's numbers", arguments: ["cells.keras", "cells.h5"])
  func cellsGiveTheNumbersOfKeras(name: String) throws {
    let references = try decode(References.self, "references-keras.json")
    let expected = try #require(references.models["cells"])
    let checkpoint = try convert(name).checkpoint
    #expect(checkpoint.architecture.layers.map(\.cell) == [.lstm, .gru, .rnn])
    try expectLogProbabilities(of: checkpoint, references.ids, expected, within: 5e-6, name)
  }

  /// tf_keras 2.21 computed with hard_sigmoid what versions before 2.3 have by default.
  @Test(
    "Weights of old versions have gates of hard_sigmoid",
    arguments: [
      ("keras215.h5", nil), ("keras1-lstm.h5", nil), ("keras1-gru.h5", nil),
      ("keras1-lstm-model.h5", nil), ("keras224tf.h5", "hard_sigmoid"),
    ])
  func oldVersionsGiveTheNumbersOfTheirs(name: String, gates: String?) throws {
    let models = try decode(Numbers.self, "references-tensorflow.json")
    let expected = try #require(models.lists[String(name.prefix { $0 != "." })])
    let conversion = try convert(name) {
      if gates != nil { $0.gateActivation = .hardSigmoid(alpha: 0.2, beta: 0.5) }
    }
    #expect(
      conversion.checkpoint.architecture.layers[0].gateActivation
        == .hardSigmoid(alpha: 0.2, beta: 0.5))
    try expectLogProbabilities(of: conversion.checkpoint, models.ids, expected, within: 5e-6, name)
  }

  /// The lists of log-probabilities among other references.
  private struct Numbers: Decodable {
    let ids: [Int]
    let lists: [String: [Double]]

    private enum Key: String, CodingKey { case ids, models }
    private enum Value: Decodable {
      case list([Double])
      case other

      init(from decoder: any Decoder) throws {
        let list = try? decoder.singleValueContainer().decode([Double].self)
        self = list.map(Value.list) ?? .other
      }
    }

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: Key.self)
      ids = try container.decode([Int].self, forKey: .ids)
      lists = try container.decode([String: Value].self, forKey: .models).compactMapValues {
        if case .list(let list) = $0 { return list }
        return nil
      }
    }
  }

  @Test("An order that the file does not tell is taken from a configuration or a map")
  func anOrderIsTakenFromTheCaller() throws {
    let references = try decode(References.self, "references-keras.json")
    let expected = try #require(references.models["class-order"])
    let configured = try convert("class-order.weights.h5") {
      $0.configuration = try MappedFile(path: path("class-order.json"))
    }
    let named = try convert("class-order.weights.h5") {
      $0.names = [
        "encoder.weight": "/embedding/vars/0", "decoder.weight": "/fc/vars/0",
        "decoder.bias": "/fc/vars/1",
      ]
      for (layer, group) in [(0, "/first_lstm"), (1, "/layers/lstm_1")] {
        for (index, role) in ["weight_ih", "weight_hh", "bias"].enumerated() {
          $0.names["rnn.\(role)_l\(layer)"] = "\(group)/cell/vars/\(index)"
        }
      }
    }
    for conversion in [configured, named] {
      try expectLogProbabilities(
        of: conversion.checkpoint, references.ids, expected, within: 5e-6, "class-order")
    }
  }

  @Test("TextVectorization and StringLookup layers give the vocabulary and Keras's numbers")
  func vocabulariesOfLookupsAreTaken() throws {
    let reference = try decode(Texts.self, "references-tensorflow.json").models.vectorization
    let conversion = try convert("vectorization.keras") { $0.vocabulary = nil }
    let vocabulary = conversion.checkpoint.vocabulary
    #expect(vocabulary.indices.map { vocabulary.text(of: $0) } == reference.vocabulary)
    #expect(vocabulary.unknownID == 1 && conversion.checkpoint.tokenizer.kind == .character)
    #expect(conversion.notes.contains { $0.message.contains("texts in lower case") })
    let ids = try reference.text.map { character in
      try #require(reference.vocabulary.firstIndex(of: String(character)))
    }
    try expectLogProbabilities(
      of: conversion.checkpoint, ids, reference.log_probabilities, within: 5e-6, "vectorization")
    let words = try convert("lookup.keras") { $0.vocabulary = nil }.checkpoint.vocabulary
    #expect(words.indices.map { words.text(of: $0) } == ["[UNK]", "the", "cat", "sat"])
  }
}
