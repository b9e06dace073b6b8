// Files of Keras: three forms of one model, layouts of Keras 2, optimizers.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollHDF5
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite("Keras files") struct KerasTests: KerasSuite {
  @Test("The content of a Keras file decides its format, not its name")
  func formatOfContent() throws {
    for (name, format) in [
      ("lstm.keras", "keras"), ("lstm.weights.h5", "keras-h5"), ("lstm.h5", "keras-h5"),
    ] {
      #expect(try AllFormats.format(of: MappedFile(path: path(name)))?.name == format)
    }
    #expect(AllFormats.format(named: "a.keras")?.name == "keras")
    #expect(AllFormats.format(named: "a.weights.h5")?.name == "keras-h5")
    #expect(AllFormats.format(named: "a.h5") == nil)
  }

  @Test("A .keras archive, a weights file and a legacy .h5 of one model are equal")
  func threeFormsOfOneModel() throws {
    let conversions = try ["lstm.keras", "lstm.weights.h5", "lstm.h5"].map { try read(path($0)) }
    #expect(Set(conversions.map(\.checkpoint.weightsDigest)).count == 1)
    #expect(conversions[0].notes.isEmpty && conversions[2].notes.isEmpty)
    #expect(
      conversions[1].notes.map(\.description) == [
        "/: assumed, since the file has weights alone: lstm (LSTM of tanh and sigmoid), softmax",
        "optimizer: not preserved: the file has its numbers, but not its rule and settings",
      ])
    let (first, last) = (conversions[0].checkpoint, conversions[2].checkpoint)
    try expectEqual(first.optimizer, last.optimizer)
    let layer = try #require(first.architecture.layers.first)
    #expect(layer.cell == .lstm && layer.bias == .single && layer.hiddenSize == 4)
  }

  @Test("Optimizers of Keras are read with their hyperparameters and formulas")
  func optimizers() throws {
    let adam = try #require(try read(path("lstm.keras")).checkpoint.optimizer)
    #expect(adam.kind == .adam && adam.step == 3)
    #expect(Set(adam.slots.keys) == [.firstMoment, .secondMoment, .largestSecondMoment])
    let group = adam.groups[0]
    #expect(group.clip == .parameterNorm(0.05) && group.epsilonPosition == .uncorrected)
    #expect(group.weightDecayKind == .decoupled && group[.weightDecay] == 0.1)
    #expect(group[.learningRate] == Double(Float(0.01)) && group[.amsgrad] == 1)
    let rmsprop = try #require(try read(path("gru.keras")).checkpoint.optimizer)
    #expect(Set(rmsprop.slots.keys) == [.secondMoment, .momentum, .firstMoment])
    #expect(rmsprop.groups[0].epsilonPosition == .inside)
    #expect(rmsprop.groups[0][.alpha] == 0.8 && rmsprop.groups[0][.learningRateInBuffer] == 1)
    let sgd = try read(path("rnn.keras"))
    #expect(sgd.checkpoint.optimizer?.groups[0].clip == .globalNorm(0.3))
    #expect(
      sgd.notes.map(\.description) == [
        "optimizer: approximate: the norm of all gradients is taken with 10^-6 more than Keras takes"
      ])
  }

  @Test("Variants of Keras layers are read from archives and legacy files")
  func layerVariants() throws {
    let before = try read(path("gru-before.keras")).checkpoint.architecture
    #expect(before.input == .oneHot && before.embeddingSize == 11)
    #expect(before.layers.map(\.reset) == [.before] && before.layers.map(\.bias) == [.single])
    #expect(before.layers[0].gateActivation == .hardSigmoid(alpha: 1.0 / 6, beta: 0.5))
    let rnn = try read(path("rnn.keras")).checkpoint.architecture
    #expect(rnn.layers.map(\.activation) == [.relu, .tanh])
    #expect(rnn.layers.map(\.bias) == [.none, .single] && !rnn.hasOutputBias)
    let narrow = try read(path("narrow.keras")).checkpoint
    #expect(narrow.parameters[.embeddingWeight]?.dtype == .bfloat16)
    #expect(narrow.parameters[.outputWeight]?.dtype == .float16)
    let hard = try read(path("keras2-hard.h5")).checkpoint.architecture
    #expect(hard.layers.allSatisfy { $0.gateActivation == .hardSigmoid(alpha: 0.2, beta: 0.5) })
    #expect(hard.layers.map(\.reset) == [.after, .before])
    #expect(
      try read(path("keras2-cudnn-lstm.h5")).checkpoint.architecture.layers[0].bias == .double)
  }

  @Test("Dropout is noted as not preserved")
  func dropoutNotes() throws {
    #expect(
      try notes("keras2-hard.h5") == [
        "lstm_1: not preserved: dropout 0.25", "dropout_1: not preserved: dropout 0.5",
        "gru_1: not preserved: dropout 0.25",
      ])
  }

  /// Keras adds the adaptation to the weights in an archive; in a legacy file it is apart.
  @Test("LoRA is noted where it is merged into the weights, and refused where it is not")
  func lowRankAdaptations() throws {
    #expect(
      try notes("lora.keras") == [
        "embedding_8: not preserved: lora_rank 1: the weights have the adaptation in them, and are trained "
          + "whole from here on",
        "dense_11: not preserved: lora_rank 2: the weights have the adaptation in them, and are trained "
          + "whole from here on",
      ])
    let error = #expect(throws: InterchangeError.self) { try read(path("refused-lora.h5")) }
    #expect(error?.place.hasSuffix("/embedding_8/lora_embeddings_a") == true)
    #expect(error?.found == "two matrices of rank 1 apart from them")
    #expect(error?.fix.contains("model.save(\"model.keras\")") == true)
    #expect(
      refusal("lstm.keras") {
        $0 = $0.replacingOccurrences(of: "\"units\": 11", with: "\"units\": 11, \"lora_rank\": 0")
      } == "read")
  }
}
