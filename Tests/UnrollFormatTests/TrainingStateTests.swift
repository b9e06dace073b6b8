// A training that is stopped and resumed: every bit of its state comes back.

import Foundation
import TestSupport
import Testing
import UnrollTensors

@testable import UnrollFormat

@Suite("Stored training state") struct TrainingStateTests {
  @Test(
    "Training state with SGD comes back bit for bit",
    arguments: [Cell.lstm, .gru, .rnn], [false, true])
  func roundTripOfSGD(cell: Cell, tied: Bool) throws {
    for (momentum, groupCount) in [(0.9, 1), (0.0, 2)] {
      let checkpoint = Checkpoint.small(cell: cell, tied: tied, hidden: tied ? [7, 5] : [7, 6])
        .inTraining(momentum: momentum, groupCount: groupCount)
      let read = try writtenAndRead(checkpoint)
      let (optimizer, wanted) = (try #require(read.optimizer), try #require(checkpoint.optimizer))
      #expect(optimizer.kind == .sgd && optimizer.step == 12)
      #expect(optimizer.groups == wanted.groups)
      #expect(optimizer.groups.count == groupCount && optimizer.groups[0].clip == .globalNorm(0.25))
      #expect(optimizer.slots.keys.sorted() == (momentum > 0 ? [.momentum] : []))
      let (slot, wantedSlot) = (optimizer.slots[.momentum], wanted.slots[.momentum])
      #expect(slot?.paths == (momentum > 0 ? read.parameters.paths : nil))
      for path in slot?.paths ?? [] {
        #expect(bytes(slot?[path]) == bytes(wantedSlot?[path]), "\(path)")
      }
      try expectEqual(try #require(read.training), try #require(checkpoint.training))
      #expect(read.provenance.map(\.outcome) == checkpoint.provenance.map(\.outcome))
      #expect(read.provenance.last?.outcome == "step 12, validation nll 4.5 nats a token")
    }
  }

  @Test("Every optimizer comes back with its slots bit for bit", arguments: OptimizerKind.allCases)
  func roundTripOfOptimizers(kind: OptimizerKind) throws {
    let checkpoint = Checkpoint.small().inTraining(kind: kind)
    let read = try writtenAndRead(checkpoint)
    let (optimizer, wanted) = (try #require(read.optimizer), try #require(checkpoint.optimizer))
    #expect(optimizer.kind == kind && optimizer.groups == wanted.groups)
    #expect(Set(optimizer.slots.keys) == Set(kind.slots))
    for (slot, tree) in optimizer.slots {
      #expect(tree.paths == read.parameters.paths)
      for path in tree.paths { #expect(bytes(tree[path]) == bytes(wanted.slots[slot]?[path])) }
    }
  }

  @Test("A parameter group keeps clipping, freezing, averaging and epsilon variants")
  func variantsOfGroups() throws {
    var checkpoint = Checkpoint.small().inTraining(kind: .asgd, groupCount: 2)
    checkpoint.optimizer?.groups[0].averaging = .init(eta: 0.1 + 0.2, mu: 1 / 3.0)
    checkpoint.optimizer?.groups[0].clip = .parameterNorm(1)
    checkpoint.optimizer?.groups[1].clip = .value(5)
    checkpoint.optimizer?.groups[1].isFrozen = true
    checkpoint.optimizer?.groups[1].weightDecayKind = .decoupled
    #expect(try writtenAndRead(checkpoint).optimizer?.groups == checkpoint.optimizer?.groups)
    var adam = Checkpoint.small().inTraining(kind: .adam)
    adam.optimizer?.groups[0].epsilonPosition = .uncorrected
    #expect(try writtenAndRead(adam).optimizer?.groups[0].epsilonPosition == .uncorrected)
  }

  private func expectEqual(_ state: TrainingState, _ wanted: TrainingState) throws {
    #expect(state.step == 12 && state.epoch == 1 && state.tokensSeen == wanted.tokensSeen)
    #expect(state.maximumEpochs == 6 && state.maximumSteps == 1 << 40)
    #expect(state.inexactReason == nil && state.schedule == wanted.schedule)
    #expect(state.evaluatesAverages && state.averageAfter == 5 && state.data.windowKind == .random)
    #expect(state.regularization == wanted.regularization && state.regularization.count == 2)
    #expect(
      state.seed == .max && state.evaluationsWithoutImprovement == 1 && state.accumulation == 3)
    #expect(state.shards == 3)
    #expect(state.unfreezeEvery == 2 && state.data == wanted.data)
    #expect(state.data.totalNLL.bitPattern == (0.1 + 0.2).bitPattern)
    #expect(state.hidden.count == 2 && wanted.hidden.count == 2)
    for (own, other) in zip(state.hidden, wanted.hidden) {
      #expect(own[.h]?.shape == other[.h]?.shape && bytes(own[.h]) == bytes(other[.h]))
      #expect(bytes(own[.c]) == bytes(other[.c]))
    }
    #expect(state.history.map(\.bits) == wanted.history.map(\.bits))
    #expect(state.history.count == 3 && state.history[0].trainNLL.isNaN)
    #expect(state.best == wanted.best && state.best?.step == 10)
  }

  @Test("Absent limits, history, best checkpoint and clipping stay absent")
  func absentParts() throws {
    var checkpoint = Checkpoint.small().inTraining(momentum: 0)
    checkpoint.training?.maximumEpochs = nil
    checkpoint.training?.maximumSteps = nil
    checkpoint.training?.history = []
    checkpoint.training?.best = nil
    checkpoint.training?.inexactReason = "the momentum of the source is not known"
    checkpoint.optimizer?.groups[0].clip = nil
    let read = try writtenAndRead(checkpoint)
    let training = try #require(read.training)
    #expect(training.maximumEpochs == nil && training.maximumSteps == nil)
    #expect(training.history.isEmpty && training.best == nil)
    #expect(training.inexactReason == "the momentum of the source is not known")
    #expect(read.optimizer?.groups.map(\.clip) == [nil])
    let model = try writtenAndRead(.small())
    #expect(model.optimizer == nil && model.training == nil)
  }

  @Test("Counts up to 2^62 in a training state come back")
  func largeCounts() throws {
    var checkpoint = Checkpoint.small().inTraining()
    let large = 1 << 62
    checkpoint.optimizer?.step = large
    checkpoint.training?.step = large
    checkpoint.training?.tokensSeen = large
    checkpoint.training?.data.tokens = large
    checkpoint.training?.data.cursor = large / 3 - 1
    checkpoint.training?.best?.step = large
    checkpoint.training?.history[2].step = large
    let training = try #require(try writtenAndRead(checkpoint).training)
    #expect(training.step == large && training.tokensSeen == large)
    #expect(training.data.tokens == large && training.data.cursor == large / 3 - 1)
    #expect(training.best?.step == large && training.history[2].step == large)
  }

  @Test("Equal training states give equal files")
  func equalStates() throws {
    try withTemporaryFolder { folder in
      let checkpoint = Checkpoint.small(tied: true, hidden: [5]).inTraining(groupCount: 2)
      try checkpoint.write(to: "\(folder)/a.h5")
      try Checkpoint(contentsOf: "\(folder)/a.h5").write(to: "\(folder)/b.h5")
      let first = try Data(contentsOf: URL(filePath: "\(folder)/a.h5"))
      #expect(try Data(contentsOf: URL(filePath: "\(folder)/b.h5")) == first)
    }
  }

  @Test("Training state changes the content digest, but not the weights digest")
  func digestsOfTraining() throws {
    func digests(_ checkpoint: Checkpoint) -> [String?] {
      let root = checkpoint.outline().objects["/"]?.attributes
      return ["weights_digest", "content_digest"].map { root?[$0]?.printed }
    }
    let (without, with) = (Checkpoint.small(), Checkpoint.small().inTraining())
    #expect(digests(without)[0] != nil && digests(without)[0] == digests(with)[0])
    #expect(digests(with)[0] == with.weightsDigest)
    var other = with
    other.training?.data.totalNLL = 0.3
    #expect(digests(with)[1] != digests(other)[1])
    var slots = with
    slots.optimizer?.slots[.momentum]?[.outputBias] = with.parameters[.outputBias]
    #expect(digests(with)[1] != digests(slots)[1])
  }

  @Test("Optimizer slots and hidden states are mapped, aligned to 64 bytes")
  func mappedSlots() throws {
    let read = try writtenAndRead(Checkpoint.small().inTraining())
    let slot = try #require(read.optimizer?.slots[.momentum])
    let hidden = try #require(read.training?.hidden)
    let tensors =
      slot.paths.compactMap { slot[$0] } + hidden.flatMap { [$0[.h], $0[.c]].compactMap { $0 } }
    #expect(tensors.count == 11 + 4)
    for tensor in tensors {
      guard case .mapped(_, let range) = tensor.storage else {
        Issue.record("a tensor was copied")
        continue
      }
      #expect(range.lowerBound % 64 == 0)
    }
  }

  private func writtenAndRead(_ checkpoint: Checkpoint) throws -> Checkpoint {
    try withTemporaryFolder { folder in
      try checkpoint.write(to: "\(folder)/a.h5")
      #expect(try Examination(of: "\(folder)/a.h5", upTo: .bytes).findings.map(\.description) == [])
      return try Checkpoint(contentsOf: "\(folder)/a.h5")
    }
  }

  private func bytes(_ tensor: Tensor?) -> [UInt8]? { tensor?.withUnsafeBytes { Array($0) } }
}

extension TrainingRecord {
  /// The numbers as they are stored.
  fileprivate var bits: [UInt64] {
    [UInt64(step)] + [epoch, learningRate, trainNLL, validNLL].map(\.bitPattern)
  }
}
