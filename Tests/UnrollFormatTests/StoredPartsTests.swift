// Whatever a file holds is compared: each stored attribute and dataset is changed, and the change is reported.

import TestSupport
import Testing
import UnrollHDF5
import UnrollTensors
import UnrollTokenization

@testable import UnrollFormat

@Suite("Comparison of every stored field") struct StoredPartsTests {
  /// Models that together have everything that a file can hold.
  private static func models() -> [Checkpoint] {
    var models = OptimizerKind.allCases.map { kind in
      Checkpoint.small().inTraining(kind: kind)
    }
    models += ScheduleKind.allCases.map { kind in
      var model = Checkpoint.small().inTraining()
      model.training?.schedule = LearningRateSchedule(kind, kind.defaults)
      model.training?.precision = .bfloat16
      model.training?.shards = 2
      model.training?.inexactReason = "a reason"
      return model
    }
    var full = Checkpoint.small(cell: .gru, tied: true, hidden: [7, 5])
    full.architecture.layers[0].gateActivation = .hardSigmoid(alpha: 0.2, beta: 0.5)
    full.architecture.layers[0].reset = .before
    full.vocabulary.beginningOfSentenceID = 2
    full.vocabulary.paddingID = 1
    full.vocabulary.kinds = full.vocabulary.indices.map { _ in .normal }
    full.vocabulary.counts = full.vocabulary.indices.map { UInt64($0) }
    full.vocabulary.scores = full.vocabulary.indices.map { Float($0) }
    full.tokenizer.space = "_"
    full.tokenizer.definition = TokenizerDefinition(format: "merges.txt", bytes: [1, 2])
    full.tokenizer.probe = TokenizerProbe(text: [3, 4], ids: [5, 6])
    full.card = Card()
    for field in CardField.allCases { full.card?.fields[field] = ["a"] }
    full.card?.readme = "readme"
    full.provenance.append(
      ProvenanceEntry(operation: "edit", tool: "test", arguments: "", inputs: "01 y"))
    full.provenance[0].outcome = "good"
    full.provenance[0].weightsDigest = "an older one"
    full.selfTest = SelfTest(
      tokenIDs: [1, 2], logProbabilities: [-1], producer: "test", arithmetic: "f64",
      tolerance: 1e-4, weightsDigest: full.weightsDigest)
    full.extensions.objects["/extensions/org.example.x"] = Outline.Object(kind: .group)
    full.extensions.objects["/extensions/org.example.x/numbers"] = Outline.Object(
      kind: .dataset(Tensor([7] as [UInt8])))
    models.append(full)
    var projected = Checkpoint.small(hidden: [7])
    projected.architecture.layers[0].forgetBias = 1
    projected.architecture.layers[0].projectionSize = 3
    models.append(projected)
    models.append(Checkpoint.small(cell: .qrnn).inTraining())
    var sampled = Checkpoint.small(tails: [OutputTail(size: 4, projectionSize: 3)]).inTraining()
    sampled.training?.sampledSoftmax = 5
    models.append(sampled)
    return models
  }

  private func changed(_ value: AttributeValue) -> AttributeValue {
    switch value {
    case .text(let text): .text(text + "x")
    case .texts(let texts): .texts(texts + ["x"])
    case .integer(let integer): .integer(integer &+ 1)
    case .number(let number): .number(number + 1)
    case .other(let name): .other(name + "x")
    }
  }

  private func changed(_ tensor: Tensor) throws -> Tensor {
    var bytes = tensor.withUnsafeBytes { Array($0) }
    let last = try #require(bytes.indices.last)
    bytes[last] ^= 1
    return try #require(
      Tensor(shape: tensor.shape, dtype: tensor.dtype, storage: Tensor(bytes).storage))
  }

  /// The parts of a file that say nothing about the model: they follow from the rest, or from the program.
  private static let notCompared: Set = [
    "/: format", "/: format_version", "/: specification", "/: gate_order", "/: producer",
    "/: weights_digest", "/: content_digest", "/: complete", "/: required_features",
    "/: optional_features",
  ]

  @Test("Each stored attribute and dataset that is changed is a difference")
  func storedFields() throws {
    var seen: Set<String> = []
    for model in Self.models() {
      let outline = model.outline()
      let original = StoredParts(model, outline)
      #expect(ModelDifference(original, original).isEmpty)
      for (path, object) in outline.inOrder {
        let schema = Layout.schema(of: path)?.path ?? path
        for (name, value) in object.attributes where name != AttributeName.digest {
          seen.insert("\(schema): \(name)")
          guard !Self.notCompared.contains("\(path): \(name)") else { continue }
          var other = outline
          other.objects[path]?.attributes[name] = changed(value)
          // The digest of the last step is that of the weights, which are compared.
          let difference = ModelDifference(original, StoredParts(model, other))
          #expect(!difference.isEmpty, "\(path): \(name)")
        }
        guard case .dataset(let tensor) = object.kind, tensor.elementCount > 0 else { continue }
        seen.insert(schema)
        var other = outline
        other.objects[path]?.kind = .dataset(try changed(tensor))
        other.sealDataset(path)
        #expect(!ModelDifference(original, StoredParts(model, other)).isEmpty, "\(path)")
        other = outline
        other.objects[path] = nil
        #expect(!ModelDifference(original, StoredParts(model, other)).isEmpty, "no \(path)")
      }
    }
    // A field of the format that no model here has is not shown to be compared.
    let stored = Set(
      Layout.objects.flatMap { schema in
        schema.attributes.filter { $0.name != AttributeName.digest }
          .map { "\(schema.path): \($0.name)" }
      })
    #expect(stored.subtracting(seen).subtracting(Self.notCompared).sorted() == [])
  }

  @Test("Two files that differ in the token that begins sentences differ")
  func beginningsOfSentences() {
    let a = Checkpoint.small()
    var b = a
    b.vocabulary.beginningOfSentenceID = 2
    let difference = ModelDifference(a, b)
    #expect(
      difference.tokens == [
        PartDifference(part: "bos token", values: ["3, \"<eos>\"", "2, \"sat\""])
      ])
    #expect(!difference.isEmpty)
  }
}
