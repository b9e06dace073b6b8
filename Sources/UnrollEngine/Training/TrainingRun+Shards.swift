// swift-format-ignore-file: AlwaysUseLowerCamelCase
// One step of a training: its shards, dealt to the ranks.

import UnrollFormat
import UnrollNeural

/// The part of a step that one shard computes: streams of every window, or some of the windows.
private struct ShardWork {
  /// The rows of the windows, each with its index in the step.
  var windows: [(index: Int, rows: Range<Int>)]
  /// The streams of the batch.
  var columns: Range<Int>
}

extension TrainingRun {
  /// The order of the sums over shards, and their ranks.
  var plan: ReductionPlan { ReductionPlan(shards: state.shards, ranks: crew.group.size) }

  /// Runs the forward and backward pass of a step's windows, on all ranks.
  ///
  /// - Parameters:
  ///   - windows: The rows of the windows.
  ///   - predictions: The number of their predictions.
  ///   - next: In: the carried state. Out: the state after the step, of this rank's streams.
  /// - Returns: The mean loss of all predictions.
  /// - Throws: `Diverged` if the loss is not finite; `RankFailure` if another rank failed; `NeuralError` if
  ///   memory is short.
  func backpropagate(
    _ windows: [Range<Int>], predictions: Int, state next: inout RecurrentState
  ) throws -> Double {
    let plan = plan
    crew.group.begin(step: state.step + 1)
    let shards = works(windows)
    var sum = ShardSum(plan)
    let own = Result {
      var losses: [Double] = []
      for shard in plan.shards(of: crew.group.rank) {
        model.beginAccumulation(
          windows.count > 1 || (plan.shards > 1 && sentences != nil))
        losses.append(
          try backpropagate(shards[shard], predictions: predictions, state: &next))
        if plan.shards > 1 { sum.add(shard: shard, of: model) }
      }
      return losses
    }
    let losses = try agree(own, endsHere: endsHere(shards), state: &next)
    if plan.shards > 1 {
      try sum.reduce(
        optimizer.trained, owned: optimizer.owned, over: crew.group, into: model)
    }
    return losses.reduce(0, +)
  }

  /// Exchanges the losses of all shards and, in training by sentence, the state at the end of the step.
  private func agree(
    _ own: Result<[Double], any Error>, endsHere: Bool, state next: inout RecurrentState
  ) throws -> [Double] {
    guard crew.isShared else { return try own.get() }
    let state = sentences != nil && endsHere ? next.floats : []
    let all = try crew.agree(own.map { bytes($0) + bytes(state) })
    var losses: [Double] = []
    for (rank, message) in all.enumerated() {
      let count = plan.shards(of: rank).count
      losses += numbers(message.prefix(count * MemoryLayout<Double>.size), 0.0)
      let rest = message.dropFirst(count * MemoryLayout<Double>.size)
      if !rest.isEmpty { next.set(0..<1, numbers(rest, Float(0))) }
    }
    return losses
  }

  /// `true` if the last window of a step is one of this rank's.
  private func endsHere(_ shards: [ShardWork]) -> Bool {
    let last = shards.lastIndex { !$0.windows.isEmpty } ?? 0
    return plan.shards(of: crew.group.rank).contains(last)
  }

  /// Divides a step into shards.
  ///
  /// Sentences are dealt as a whole: the later parts of a long one belong to the shard of its first part.
  private func works(_ windows: [Range<Int>]) -> [ShardWork] {
    let indexed = windows.enumerated().map { (index: $0.offset, rows: $0.element) }
    let (plan, B) = (plan, state.data.columns)
    guard let sentences else {
      return (0..<plan.shards).map {
        ShardWork(windows: indexed, columns: plan.columns(ofShard: $0, of: B))
      }
    }
    func bound(_ shard: Int) -> Int {
      let first = windows.count * shard / plan.shards
      guard first > 0 else { return 0 }
      return (first..<windows.count).first { sentences.begins(windows[$0]) } ?? windows.count
    }
    return (0..<plan.shards).map {
      ShardWork(windows: Array(indexed[bound($0)..<bound($0 + 1)]), columns: 0..<1)
    }
  }

  /// Runs the forward and backward pass of a shard.
  ///
  /// - Returns: The shard's share of the mean loss.
  private func backpropagate(
    _ work: ShardWork, predictions: Int, state next: inout RecurrentState
  ) throws -> Double {
    let (B, own) = (state.data.columns, work.columns)
    var carried = own.count == B ? next : next.selecting(Array(own))
    var loss = 0.0
    for (index, window) in work.windows {
      if sentences?.begins(window) == true { carried = model.zeroState(columns: own.count) }
      let draw = UInt32(truncatingIfNeeded: state.step * state.accumulation + index)
      let share = Double(window.count * own.count) / Double(predictions)
      var regularizer = Regularizer(state.regularization, seed: state.seed ?? 0, draw: draw)
      regularizer.firstColumn = own.lowerBound
      regularizer.sampleCount = state.sampledSoftmax
      let mean = try model.backpropagate(
        inputs: tokens(window, own),
        targets: tokens(window.lowerBound + 1..<window.upperBound + 1, own),
        state: &carried, share: share, regularizer: regularizer)
      guard mean.isFinite else { throw diverged("loss") }
      loss += share * mean
    }
    if own.count == B { next = carried } else { next.set(own, carried.floats) }
    return loss
  }

  /// Returns the tokens of rows and streams, `[rows, streams]`.
  private func tokens(_ rows: Range<Int>, _ own: Range<Int>) -> [Int32] {
    rows.flatMap { row in
      own.map { stream in ids[(stream - firstStream) * self.rows + row] }
    }
  }

  /// Gathers the carried states of all streams, and at rank 0 the whole state of the optimizer, to be saved.
  ///
  /// - Throws: An error if the connection fails.
  mutating func gatherState() throws {
    guard crew.isShared else { return }
    try optimizer.gatherSlots(at: 0, of: source.architecture, over: crew.group)
    guard sentences == nil else { return }
    let (plan, B) = (plan, state.data.columns)
    func own(_ rank: Int) -> Range<Int> { plan.columns(ofRank: rank, of: B) }
    let mine = carried.selecting(Array(own(crew.group.rank))).floats
    for (rank, message) in try crew.group.gather(bytes(mine)).enumerated() {
      carried.set(own(rank), numbers(message, Float(0)))
    }
  }
}

extension RecurrentState {
  /// The numbers of all layers, one after the other.
  fileprivate var floats: [Float] {
    layers.flatMap { layer in LayerStateName.allCases.flatMap { layer[$0] } }
  }

  /// Takes the numbers of some streams, as `floats` has them.
  fileprivate mutating func set(_ streams: Range<Int>, _ floats: [Float]) {
    var place = 0
    func set(_ numbers: inout [Float]) {
      let width = numbers.count / max(columns, 1)
      let count = streams.count * width
      numbers.replaceSubrange(
        streams.lowerBound * width..<streams.upperBound * width, with: floats[place..<place + count]
      )
      place += count
    }
    for index in layers.indices {
      for name in LayerStateName.allCases { set(&layers[index][name]) }
    }
  }
}

/// Returns numbers as bytes, for a rank of the same kind of machine.
func bytes<Number: BitwiseCopyable>(_ numbers: [Number]) -> [UInt8] {
  numbers.withUnsafeBytes { Array($0) }
}

/// Returns the numbers of bytes.
func numbers<Number: BitwiseCopyable>(
  _ bytes: some Collection<UInt8>, _ zero: Number
) -> [Number] {
  var numbers = Array(repeating: zero, count: bytes.count / MemoryLayout<Number>.size)
  numbers.withUnsafeMutableBytes { $0.copyBytes(from: bytes) }
  return numbers
}
