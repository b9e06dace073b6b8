// Estimates a training that several ranks share.

import UnrollFormat
import UnrollNeural

extension TrainingRun {
  /// Estimates the time of the rest of a training that ranks share, and the time of a step by other numbers of ranks.
  ///
  /// Every rank calls it. The run cannot be used afterwards; nothing is written.
  ///
  /// - Parameters:
  ///   - length: The time to measure steps, and again to measure an evaluation; half of it for the bandwidth.
  ///   - pieceBytes: The bytes of a message that measures the bandwidth: the largest of a step.
  ///   - memory: Returns the peak memory of this process in bytes.
  /// - Returns: An estimate of the whole work, and the measurements of the ranks, the same on each; `nil` for one rank,
  ///   or if no step is left.
  /// - Throws: The errors of `advance(progress:)`.
  public mutating func estimateOnRanks(
    measuring length: Duration = .seconds(2), pieceBytes: Int = 16 << 20, memory: () -> Int
  ) throws -> (work: WorkEstimate, ranks: RankEstimate?) {
    guard crew.isShared else { return (try estimate(measuring: length), nil) }
    let timed = TimedGroup(crew.group)
    crew = try TrainingCrew(timed, host: crew.hosts[timed.rank])
    let (step, tokens) = (state.step, state.tokensSeen)
    let work = try estimate(measuring: length)
    timed.endStep()
    // The first step plans matrix products and allocates memory.
    let laps = Array(timed.laps.count > 1 ? timed.laps.dropFirst() : timed.laps[...])
    let measured = try measurements(of: laps, memory: memory())
    guard state.step > step else {
      try crew.end()
      return (work, nil)
    }
    let bandwidth = try crew.bandwidth(pieceBytes: pieceBytes, limit: length / 2)
    let predictions = Double(state.tokensSeen - tokens) / Double(state.step - step)
    let traffic = try traffic(predictions: predictions)
    try crew.end()
    let ranks = RankEstimate(
      ranks: timed.size, hosts: hostCount, computation: measured.computation,
      communication: measured.communication, sentBytes: measured.sentBytes, bandwidth: bandwidth,
      memory: measured.memory, predictions: predictions,
      traffic: traffic)
    return (work, ranks)
  }

  /// Returns the means over all steps: of the longest computation, the shortest communication and the most bytes of a
  /// rank; and the largest memory.
  private func measurements(
    of laps: [TimedGroup.Lap], memory: Int
  ) throws -> (computation: Double, communication: Double, sentBytes: Double, memory: Int) {
    let own = laps.flatMap { [$0.computation, $0.communication, Double($0.sentBytes)] }
    let all = try crew.agree(.success(bytes([Double(memory)] + own))).map { numbers($0, 0.0) }
    func mean(_ value: Int, of choose: ([Double]) -> Double?) -> Double {
      let chosen = laps.indices.map { lap in choose(all.map { $0[1 + 3 * lap + value] }) ?? 0 }
      return chosen.reduce(0, +) / Double(max(1, chosen.count))
    }
    return (
      mean(0) { $0.max() }, mean(1) { $0.min() }, mean(2) { $0.max() },
      Int(all.map { $0[0] }.max() ?? 0)
    )
  }

  /// Returns the seconds of an evaluation by all ranks, those of the slowest.
  mutating func secondsOfSharedEvaluation(measuring length: Duration) throws -> Double {
    model.releaseMemory()
    let own = Result {
      let seconds = try crew.together { isAlive in
        var probe = EvaluationProbe(length: length)
        do {
          _ = try measure {
            try probe.add($0)
            try isAlive()
          }
          return probe.whole.seconds
        } catch is EvaluationProbe.Enough {
          return probe.estimate?.seconds ?? 0
        }
      }
      return bytes([seconds])
    }
    return try crew.agree(own).map { numbers($0, 0.0)[0] }.max() ?? 0
  }

  /// Returns the parameters that are exchanged in a step.
  private func traffic(predictions: Double) throws -> StepTraffic {
    var traffic = StepTraffic(denseBytes: 0)
    let trained = Set(optimizer.trained)
    for (path, shape) in source.architecture.parameters where trained.contains(path) {
      let bytes = (shape.elementCount ?? 0) * MemoryLayout<Float>.size
      guard let drawn = rowsBesidesTokens(path) else {
        traffic.denseBytes += bytes
        traffic.squareBytes +=
          optimizer.owned?.bytesOfSquares(path, count: shape.elementCount ?? 0) ?? 0
        continue
      }
      traffic.tables.append(
        StepTraffic.Table(
          rowBytes: bytes / max(1, vocabularySize) + MemoryLayout<Int32>.size,
          rows: vocabularySize, drawn: drawn))
    }
    guard !traffic.tables.isEmpty else { return traffic }
    let sizes = RankEstimate.predictedRanks(and: crew.group.size) + [1]
    let own = sizes.map { ranks in
      differentTokens(among: Int((predictions * Double(ranks) / Double(crew.group.size)).rounded()))
    }
    // Each rank has only its own streams: those of rank 0 stand for all.
    let counts = numbers(try crew.agree(.success(bytes(own)))[0], 0)
    for (ranks, count) in zip(sizes, counts) { traffic.tokens[ranks] = count }
    return traffic
  }

  /// Returns the number of rows of a matrix that a step exchanges besides those of its tokens; `nil` if it exchanges the
  /// whole matrix.
  private func rowsBesidesTokens(_ path: ParameterPath) -> Int? {
    // Gradients of several windows are summed as a whole.
    guard state.accumulation == 1, sentences == nil, optimizer.owned?.contains(path) == false
    else { return nil }
    let isOutput = path == (source.architecture.isTied ? .embeddingWeight : .outputWeight)
    return isOutput ? state.sampledSoftmax : 0
  }

  /// Returns the number of different tokens among some that are spread over this rank's training text.
  private func differentTokens(among count: Int) -> Int {
    var isSeen = [Bool](repeating: false, count: vocabularySize)
    let count = min(count, ids.count)
    for index in 0..<count { isSeen[Int(ids[ids.count * index / count])] = true }
    return isSeen.count { $0 }
  }
}

extension TrainingCrew {
  /// Measures the bits that each rank sends in a second, while all exchange and gather pieces as in a step.
  ///
  /// - Parameters:
  ///   - pieceBytes: The bytes of a piece.
  ///   - limit: The time after which no further piece than the third is sent.
  /// - Returns: The median of the pieces, of the slowest rank.
  /// - Throws: An error if the connection fails.
  func bandwidth(pieceBytes: Int, limit: Duration) throws -> Double {
    let own = pieceBytes / group.size
    let sent = [UInt8](repeating: 1, count: own * group.size)
    // Memory that was written is in place.
    var received = [UInt8](repeating: 2, count: own * group.size)
    var seconds: [Double] = []
    try sent.withUnsafeBytes { sent in
      try received.withUnsafeMutableBytes { received in
        // The first message opens connections.
        try sendPiece(sent, into: received, own: min(own, 1 << 10))
        let start = ContinuousClock.now
        // Agreeing lets the ranks begin together. Slow links vary: three pieces have a median.
        while try !any(.success([seconds.count > 2 && start.duration(to: .now) > limit]))[0] {
          let begun = ContinuousClock.now
          try sendPiece(sent, into: received, own: own)
          seconds.append(begun.duration(to: .now) / .seconds(1))
        }
      }
    }
    let all = try agree(.success(bytes(seconds))).map { numbers($0, 0.0) }
    let slowest = seconds.indices.map { piece in all.map { $0[piece] }.max() ?? 0 }.sorted()
    return 8 * Double(2 * own * (group.size - 1)) / max(slowest[slowest.count / 2], 1e-9)
  }

  /// Exchanges a piece and gathers it, a part of `own` bytes for each rank.
  private func sendPiece(
    _ sent: UnsafeRawBufferPointer, into received: UnsafeMutableRawBufferPointer, own: Int
  ) throws {
    let counts = Array(repeating: own, count: group.size)
    let bytes = UnsafeRawBufferPointer(rebasing: sent[..<(own * group.size)])
    let arrived = UnsafeMutableRawBufferPointer(rebasing: received[..<(own * group.size)])
    try group.exchange(bytes, counts: counts, into: arrived, counts: counts)
    try group.gather(UnsafeRawBufferPointer(rebasing: sent[..<own]), into: arrived, counts: counts)
  }
}
