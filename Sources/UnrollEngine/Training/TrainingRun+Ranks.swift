// The beginning and the end of a training that several ranks share.

import UnrollFormat
import UnrollNeural
import UnrollTensors

extension TrainingRun {
  /// Shares a training with other ranks; each has begun or resumed it by itself.
  ///
  /// - Parameters:
  ///   - begun: The training, or the error that kept this rank from it.
  ///   - group: The ranks.
  ///   - host: The name of this rank's host.
  /// - Returns: The training, and notes about differences that change no result.
  /// - Throws: The error of this rank; `RankFailure` if another rank failed, or has another model, text, version or
  ///   other settings; `EngineError` if there are more ranks than shards; an error if the connection fails.
  public static func joining(
    _ begun: Result<TrainingRun, any Error>, _ group: any RankGroup, host: String
  ) throws -> (run: TrainingRun, notes: [String]) {
    let crew = try TrainingCrew(group, host: host)
    try crew.expectSame(begun.map(\.facts))
    var run = try begun.get()
    run.crew = crew
    try run.checkRanks()
    let sets = try crew.agree(.success(Array(Instructions.current.utf8)))
    let notes = run.notes(ofInstructions: sets.map { String(decoding: $0, as: UTF8.self) })
    if crew.isShared {
      run.optimizer.divide(
        OwnedParameters(
          run.plan, rank: group.rank, of: run.source.architecture,
          isSampled: run.state.sampledSoftmax != nil))
      run.keepOwnStreams()
    }
    return (run, notes)
  }

  /// Forgets the streams of other ranks.
  private mutating func keepOwnStreams() {
    guard sentences == nil else { return }
    let own = plan.columns(ofRank: crew.group.rank, of: state.data.columns)
    ids = Array(ids[own.lowerBound * rows..<own.upperBound * rows])
    firstStream = own.lowerBound
  }

  /// Refuses more ranks than shards.
  private func checkRanks() throws {
    let size = crew.group.size
    guard state.shards >= size else {
      throw EngineError(
        path: "--shards \(state.shards)",
        expected: "a shard for each of \(size) ranks", found: "\(state.shards)",
        fix: state.step == 0 && state.history.isEmpty
          ? "start fewer ranks, or give --shards \(size) and a --batch-size of at least as many"
          : "start at most \(state.shards) ranks; or resume with --allow-changes --shards \(size)"
      )
    }
  }

  /// Returns notes about ranks whose instruction set is not that of rank 0.
  private func notes(ofInstructions sets: [String]) -> [String] {
    sets.enumerated().filter { $1 != sets[0] }.map { rank, set in
      "rank \(rank) on \(crew.hosts[rank]) has the instructions \(set), rank 0 \(sets[0]): "
        + "results are the same, and the slowest rank sets the pace"
    }
  }

  /// The number of hosts of the ranks.
  public var hostCount: Int { Set(crew.hosts).count }

  /// The facts that must be the same on every rank, each after its name.
  private var facts: [String] {
    let settings = settingLines.map { "setting \($0.prefix { $0 != "=" })\t\($0)" }
    return [
      "version\t\(UnrollVersion.producer)", "training text\tsha256 \(train.digest)",
      "validation text\tsha256 \(valid.digest)",
      "tokens of the training text\tchecksum \(ids.withUnsafeBytes(maskedChecksum))",
      "model\tweights_digest \(weights.weightsDigest)", "step\t\(state.step)",
      "number of settings\t\(settings.count)",
    ] + settings
  }

  /// Ends the training on all ranks after an error that the others may not know of.
  ///
  /// - Parameter error: The error.
  public mutating func abandon(_ error: any Error) {
    guard crew.isShared, !isAbandoned else { return }
    isAbandoned = true
    guard !crew.hasEnded else { return }
    crew.report(error)
    // Rank 0 saves the state of all ranks.
    try? gatherState()
  }
}
