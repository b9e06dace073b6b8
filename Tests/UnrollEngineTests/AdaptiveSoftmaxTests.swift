// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Adaptive softmax: converted, computed, trained and written, against PyTorch and fairseq.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine
@testable import UnrollInterchange
@testable import UnrollNeural

/// The files of `fixtures/adaptive`, made by `scripts/make/adaptive-fixtures`.
@Suite("Adaptive softmax") struct AdaptiveSoftmaxTests {
  private struct Numbers: Decodable {
    let ids: [Int32]
    let logprobs: [String: [Double]]
    let entropies: [String: [Double]]
    let distributions: [[Double]]
    let losses: [Double]
    let gradients: [String: [Double]]
  }

  private static let programs = ["model.pt", "fairseq.pt"]
  /// Tails of the small model of the tests, whose head has 4 of 11 tokens.
  static let smallTails = [
    OutputTail(size: 4, projectionSize: 3), OutputTail(size: 3, projectionSize: 2),
  ]

  private let numbers: Numbers

  init() throws {
    numbers = try JSONDecoder().decode(
      Numbers.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("adaptive/references.json"))))
  }

  private func model(_ name: String) throws -> Checkpoint {
    try convertFixture("adaptive/\(name)", tokens: 40).checkpoint
  }

  @Test("A model has the log-probabilities of its program", arguments: programs)
  func logProbabilitiesAreTheirs(name: String) throws {
    let conversion = try convertFixture("adaptive/\(name)", tokens: 40)
    let checkpoint = conversion.checkpoint
    #expect(
      checkpoint.architecture.tails == [
        OutputTail(size: 13, projectionSize: 8), OutputTail(size: 15, projectionSize: 4),
      ])
    try expectLogProbabilities(
      of: checkpoint, numbers.ids.map { Int($0) }, try #require(numbers.logprobs[name]),
      within: 1e-12, name)
    #expect(
      conversion.notes.contains { $0.message.contains("adaptive softmax with the cutoffs 12, 25") })
  }

  @Test("Log-probabilities, entropies, guesses, ranks and totals are those of the distribution")
  func distribution() throws {
    let checkpoint = try model("model.pt")
    let network = try RecurrentModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
    let (inputs, targets) = (Array(numbers.ids.dropLast()), Array(numbers.ids.dropFirst()))
    let subset: [Int32] = [0, 11, 12, 24, 25, 39]
    var state = network.zeroState(columns: 1)
    let found = try network.predictions(
      ofTargets: targets, inputs: inputs, withEntropies: true, totalling: subset, guessing: 40,
      state: &state)
    state = network.zeroState(columns: 1)
    let plain = try network.logProbabilities(ofTargets: targets, inputs: inputs, state: &state)
    #expect(plain == found.logProbabilities, "requests change no bit")
    let entropies = try #require(numbers.entropies["model.pt"])
    for (row, expected) in numbers.distributions.enumerated() {
      let own = expected[Int(targets[row])]
      #expect(abs(Double(plain[row]) - own) < 4e-6)
      #expect(abs(found.entropies[row] - entropies[row]) < 4e-6)
      let total = log(subset.reduce(0) { $0 + exp(expected[Int($1)]) })
      #expect(abs(found.totals[row] - total) < 4e-6)
      let guesses = found.likeliest.guesses[row]
      #expect(Set(guesses.map(\.token)).count == 40)
      for (guess, sorted) in zip(guesses, expected.sorted(by: >)) {
        #expect(abs(Double(guess.logProbability) - sorted) < 4e-6)
        #expect(abs(Double(guess.logProbability) - expected[Int(guess.token)]) < 4e-6)
      }
      let likelier = expected.count { $0 > own + 4e-6 }
      let equal = expected.count { abs($0 - own) <= 4e-6 }
      #expect(likelier + 1...likelier + equal ~= found.likeliest.ranks[row])
    }
  }

  @Test("The log-probabilities of all tokens do not depend on the batch, and add up to 1")
  func wholeVocabulary() throws {
    let checkpoint = try model("model.pt")
    let network = try RecurrentModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
    let inputs = Array(numbers.ids.prefix(6))
    var state = network.zeroState(columns: 1)
    let all = try network.logDistributions(inputs: inputs, state: &state)
    state = network.zeroState(columns: 1)
    let oneByOne = try inputs.flatMap { try network.logDistributions(inputs: [$0], state: &state) }
    #expect(all == oneByOne)
    for (row, expected) in numbers.distributions.prefix(6).enumerated() {
      let found = all[row * 40..<(row + 1) * 40]
      #expect(abs(found.reduce(0.0) { $0 + exp(Double($1)) } - 1) < 1e-5)
      for (one, other) in zip(found, expected) { #expect(abs(Double(one) - other) < 4e-6) }
    }
  }

  @Test("Losses and gradients are PyTorch's, and those after steps of SGD")
  func gradients() throws {
    let checkpoint = try model("model.pt")
    let trainable = try TrainableModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
    let order = StateNaming.wordLanguageModel.names(of: checkpoint.architecture)
    var optimizer = Optimizer(.sgd, [.learningRate: 0.5], for: checkpoint.architecture)
    for (step, expected) in numbers.losses.enumerated() {
      var state = trainable.zeroState(columns: 2)
      let loss = try trainable.backpropagate(
        inputs: Array(numbers.ids.dropLast()), targets: Array(numbers.ids.dropFirst()),
        state: &state)
      #expect(abs(loss - expected) < 2e-6, "step \(step)")
      if step == 0 {
        for (path, name) in order where numbers.gradients[name] != nil {
          let gradient = trainable.gradients[path]
          var whole = [Float](
            repeating: 0, count: checkpoint.parameters[path]?.elementCount ?? 0)
          gradient?.add(to: &whole)
          let reference = try #require(numbers.gradients[name])
          #expect(whole.count == reference.count)
          let distance = zip(whole, reference).reduce(0) { $0 + pow(Double($1.0) - $1.1, 2) }
          let size = reference.reduce(0) { $0 + $1 * $1 }
          #expect(distance < 1e-10 * size, "\(path)")
        }
      }
      optimizer.step(trainable, gradientNorm: optimizer.gradientNorm(of: trainable))
    }
  }

  @Test("A window without a token of a tail leaves that tail a gradient of zeros")
  func unusedTail() throws {
    let checkpoint = Checkpoint.small(tails: Self.smallTails)
    let trainable = try TrainableModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
    var state = trainable.zeroState(columns: 1)
    for targets in [[1, 9, 5], [1, 2, 5]] as [[Int32]] {
      _ = try trainable.backpropagate(inputs: [0, 1, 2], targets: targets, state: &state)
      let sizes = (0...1).map { trainable.gradients[.tail($0, .weight)]?.sumOfSquares ?? -1 }
      #expect(sizes[0] > 0)
      #expect(targets.contains(9) ? sizes[1] > 0 : sizes[1] == 0)
    }
  }

  @Test(
    "A model is written for PyTorch and comes back bit for bit",
    arguments: ["model.pt", "model.safetensors", "model.npz"])
  func comesBack(name: String) throws {
    let checkpoint = try model("fairseq.pt")
    try withTemporaryFolder { folder in
      let path = "\(folder)/\(name)"
      let format = try #require(AllFormats.format(named: path))
      try format.export(checkpoint, to: path)
      let back = try format.read(
        MappedFile(path: path), options: ReadingOptions(vocabulary: checkpoint.vocabulary))
      #expect(back.checkpoint.weightsDigest == checkpoint.weightsDigest)
    }
  }

  @Test(
    "A format without an adaptive softmax refuses it by name",
    arguments: ["model.onnx", "model.keras", "model.awd.pt", "model.mlx.safetensors"])
  func othersRefuse(name: String) throws {
    try withTemporaryFolder { folder in
      let format = try #require(AllFormats.format(named: name))
      let error = #expect(throws: InterchangeError.self) {
        try format.export(.small(tails: Self.smallTails), to: "\(folder)/\(name)")
      }
      #expect(error?.found == "adaptive_softmax")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
  }

  @Test("A paused training goes on with the same bytes, and the trained model is the reference's")
  func trainingGoesOn() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small(tails: Self.smallTails))
      scene.settings.shards = 3
      var whole = try scene.begin()
      #expect(try scene.run(&whole, scene.files("whole")) == .finished)
      let paused = scene.files("paused")
      var first = try scene.begin()
      #expect(try scene.run(&first, paused, until: 7) == .paused)
      var second = try scene.resume(paused)
      #expect(try scene.run(&second, paused) == .finished)
      #expect(try TrainingScene.bytes(paused) == TrainingScene.bytes(scene.files("whole")))
      let trained = try Checkpoint(contentsOf: scene.files("whole").last)
      let losses = try #require(trained.training?.history.map(\.validNLL))
      #expect(losses.count > 1 && losses[losses.count - 1] < losses[0])
      let test = try #require(try SelfTest(of: trained))
      for (own, other) in zip(try replay(trained, test).logProbabilities, test.logProbabilities) {
        #expect(abs(own - other) < 2e-6)
      }
    }
  }

  /// Reads a file of zeros and returns the location and the finding of its refusal; `nil` if it is read.
  private func refusal(_ shapes: [String: [Int]]) throws -> String? {
    var offset = 0
    let members = shapes.sorted { $0.key < $1.key }.map { name, shape in
      let size = 4 * shape.reduce(1, *)
      defer { offset += size }
      return
        "\"\(name)\":{\"dtype\":\"F32\",\"shape\":\(shape),\"data_offsets\":[\(offset),\(offset + size)]}"
    }
    let header = Array("{\(members.joined(separator: ","))}".utf8)
    let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
    return try withTemporaryFolder { folder in
      let path = "\(folder)/model.safetensors"
      let bytes = length + header + [UInt8](repeating: 0, count: offset)
      try Data(bytes).write(to: URL(filePath: path))
      let words = Vocabulary(tokens: (0..<20).map { "token\($0)".utf8 }, unit: .word)
      do {
        _ = try SafetensorsFormat.read(
          MappedFile(path: path), options: ReadingOptions(vocabulary: words))
        return nil
      } catch let error as InterchangeError {
        #expect(mapSkeletonIsWritten(path))
        return "\(error.place): \(error.expected)"
      }
    }
  }

  private func mapSkeletonIsWritten(_ path: String) -> Bool {
    let options = ReadingOptions()
    guard let file = try? MappedFile(path: path) else { return false }
    return (try? mapSkeleton(of: file, as: SafetensorsFormat.self, options: options)) != nil
  }

  @Test("A layer with parts missing, twice or beside another output is refused by name")
  func incompleteLayers() throws {
    let shapes: [String: [Int]] = [
      "emb.weight": [20, 4], "rnn.weight_ih_l0": [32, 4], "rnn.weight_hh_l0": [32, 8],
      "rnn.bias_ih_l0": [32], "rnn.bias_hh_l0": [32], "out.head.weight": [7, 8],
      "out.tail.0.0.weight": [4, 8], "out.tail.0.1.weight": [9, 4], "out.tail.1.0.weight": [2, 8],
      "out.tail.1.1.weight": [6, 2],
    ]
    #expect(try refusal(shapes) == nil)
    func changed(_ change: (inout [String: [Int]]) -> Void) throws -> String? {
      var changed = shapes
      change(&changed)
      return try refusal(changed)
    }
    let part = "a part of the same adaptive softmax"
    #expect(
      try changed { $0["out.head.weight"] = nil }
        == "out.tail.0.0.weight: out.head.weight beside it, \(part)")
    #expect(
      try changed { $0["out.tail.0.0.weight"] = nil }
        == "out.tail.0.1.weight: out.tail.0.0.weight beside it, \(part)")
    #expect(
      try changed { $0["out.tail.1.1.weight"] = nil }
        == "out.tail.0.0.weight: out.tail.1.1.weight beside it, \(part)")
    #expect(try changed { $0["b.tail.0.0.weight"] = [4, 8] } == "header: one adaptive softmax")
    #expect(
      try changed { $0["fc.weight"] = [20, 8] } == "fc.weight: one output")
    #expect(
      try changed { $0["out.tail.1.1.weight"] = [5, 2] }?
        .hasPrefix("out.head.weight: one embedding [19, 4]") == true)
    #expect(
      try changed { $0["out.tail.1.1.weight"] = [6, 3] }?
        .hasPrefix("out.head.weight: a head [tokens + 2, H]") == true)
    // A tensor of such a name beside a linear output.
    let linear = shapes.filter { !$0.key.hasPrefix("out.") }
      .merging(["fc.weight": [20, 8], "x.tail.0.0.weight": [4, 8]]) { $1 }
    #expect(
      try refusal(linear) == "x.tail.0.0.weight: x.head.weight beside it, \(part)")
  }

  @Test("A shortlist and new words are refused, which would change the tails")
  func refusals() throws {
    let checkpoint = Checkpoint.small(tails: Self.smallTails)
    #expect(throws: NeuralError.self) {
      try RecurrentModel(
        architecture: checkpoint.architecture, parameters: checkpoint.parameters, shortlist: [1, 2])
    }
    try withTemporaryFolder { folder in
      let text = "\(folder)/text.txt"
      try "the new words\n".write(toFile: text, atomically: true, encoding: .utf8)
      let error = #expect(throws: EngineError.self) {
        try NewWords().apply(to: checkpoint, path: "model", text: text)
      }
      #expect(error?.found.contains("adaptive softmax") == true)
    }
  }
}
