// The differences between two models.

import TestSupport
import Testing
import UnrollTensors
import UnrollTokenization

@testable import UnrollFormat

@Suite("Differences between models") struct DifferenceTests {
  @Test("A model does not differ from itself")
  func sameModel() {
    #expect(ModelDifference(.small(), .small()).isEmpty)
  }

  @Test("Tensors are compared bit for bit, with the largest and relative difference")
  func bitwiseComparison() throws {
    let a = Tensor([1, -2, 0, .nan, 4] as [Float], shape: [5])
    let b = Tensor([1, -2.5, -0.0, .nan, 4] as [Float], shape: [5])
    let same = TensorDifference(path: "/x", a, a)
    #expect(same.isEmpty && same.largest == 0)
    let other = TensorDifference(path: "/x", a, b)
    #expect(other.differing == 2 && other.largest == 0.5 && other.largestRelative == 0.2)
    let shape = TensorDifference(path: "/x", a, Tensor([1] as [Float], shape: [1]))
    #expect(shape.types == ["f32 [5]", "f32 [1]"] && shape.differing == nil && !shape.isEmpty)
    #expect(TensorDifference(path: "/x", a, nil).types == ["f32 [5]", nil])
    let infinite = TensorDifference(
      path: "/x", Tensor([1] as [Float], shape: [1]), Tensor([.nan] as [Float], shape: [1]))
    #expect(infinite.largest == .infinity)
  }

  @Test("The cosine of two tensors is that of their angle")
  func cosineOfAngle() throws {
    let a = Tensor([3, 4] as [Double])
    #expect(TensorDifference(path: "/x", a, Tensor([4, -3] as [Double])).cosine == 0)
    #expect(TensorDifference(path: "/x", a, Tensor([-6, -8] as [Double])).cosine == -1)
    #expect(TensorDifference(path: "/x", a, Tensor([0, 0] as [Double])).cosine == nil)
  }

  @Test("Equal numbers of another type are a difference")
  func otherType() {
    let a = Tensor([0.5, 2] as [Double])
    let difference = TensorDifference(path: "/x", a, Tensor([0.5, 2] as [Float], shape: [2]))
    #expect(difference.differing == 0 && !difference.isEmpty)
  }

  @Test("Differences of layers, tokens, provenance and card are named with both values")
  func namedDifferences() throws {
    let a = Checkpoint.small()
    var b = Checkpoint.small(hidden: [7])
    var words = (0..<a.vocabulary.count).map { Array(a.vocabulary[$0]) }
    words[1] = Array("dog".utf8)
    b.vocabulary = Vocabulary(tokens: words, unit: .subword)
    b.vocabulary.endOfSentenceID = 3
    b.provenance = []
    b.card = Card()
    b.card?.fields[.license] = ["MIT"]
    let difference = ModelDifference(a, b)
    func parts(_ list: [PartDifference]?) -> [String] {
      (list ?? []).map { "\($0.part): \($0.values[0] ?? "-") > \($0.values[1] ?? "-")" }
    }
    #expect(parts(difference.architecture) == ["layers: 2 > 1", "layer 1: lstm, 7 -> 6 > -"])
    #expect(
      parts(difference.tokens) == [
        "unit: word > subword", "unknown token: 10, \"<unk>\" > none", "token 1: cat > dog",
      ])
    #expect(
      parts(difference.metadata) == [
        "history 0: convert by test a=1; b=2 > -", "/provenance/000: inputs: 00 x > -",
        "card license: - > MIT",
      ])
    #expect(ModelDifference(a, b, areTokensKnown: false, isMetadataKnown: false).tokens == nil)
  }

  /// Differences of training, tokens and history are found without code of their own.
  @Test("Each difference of optimizer, training and vocabulary is named by its path")
  func everyDifference() throws {
    let base = Checkpoint.small().inTraining(kind: .adam)
    var others: [String: Checkpoint] = [:]
    func change(_ name: String, _ edit: (inout Checkpoint) -> Void) {
      var copy = base
      edit(&copy)
      others[name] = copy
    }
    change("/optimizer/groups/00: learning_rate") { $0.optimizer?.groups[0][.learningRate] = 2 }
    change("/optimizer/state/first_moment/model/output/bias") {
      $0.optimizer?.slots[.firstMoment]?[.outputBias] = $0.parameters[.outputBias]
    }
    change("/training/hidden/00/h") { checkpoint in
      if let c = checkpoint.training?.hidden[0][.c] { checkpoint.training?.hidden[0][.h] = c }
    }
    change("/training/data: cursor") { $0.training?.data.cursor = 35 }
    change("/training/schedule: factor") { $0.training?.schedule[.factor] = 3 }
    change("/training/regularization/00: rate") { $0.training?.regularization[0].rate = 0.25 }
    change("/training/history/valid_nll") { $0.training?.history[1].validNLL = 1 }
    change("/vocabulary/counts") {
      $0.vocabulary.counts = Array(repeating: 1, count: $0.vocabulary.count)
    }
    change("/provenance/000: outcome") { $0.provenance[0].outcome = "good" }
    for (name, other) in others {
      #expect(ModelDifference(base, other).metadata.map(\.part) == [name])
    }
    #expect(ModelDifference(base, base).isEmpty)
  }
}
