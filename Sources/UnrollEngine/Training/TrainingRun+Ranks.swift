// The beginning and the end of a training that several ranks share.

import UnrollFormat
import UnrollNeural
import UnrollTensors

extension TrainingRun {
  /// Shares the training with other ranks; each has begun or resumed it by itself.
  ///
  /// - Parameters:
  ///   - group: The ranks.
  ///   - host: The name of this rank's host.
  /// - Returns: Notes about differences that change no result.
  /// - Throws: `RankFailure` if a rank has another model, text, version or other settings; `EngineError` if there
  ///   are more ranks than shards; an error if the connection fails.
  public mutating func join(_ group: any Group, host: String) throws -> [String] {
    crew = try TrainingCrew(group, host: host)
    let own = facts.map { "\($0.name)\t\($0.value)" } + [Instructions.current]
    let all = try crew.agree(.success(Array(own.joined(separator: "\0").utf8))).map {
      String(decoding: $0, as: UTF8.self).split(separator: "\0").map(String.init)
    }
    for (rank, others) in all.enumerated() {
      guard let (first, other) = zip(all[0], others).dropLast().first(where: { $0 != $1 }) else {
        continue
      }
      func value(_ fact: String) -> String { String(fact.drop { $0 != "\t" }.dropFirst()) }
      throw RankFailure(
        rank: rank, host: crew.hosts[rank],
        message: "expected the \(first.prefix { $0 != "\t" }) of rank 0 on \(crew.hosts[0]), "
          + "\(value(first)); found \(value(other))\n"
          + "  fix: give every rank the same program, files and options")
    }
    guard state.shards >= group.size else {
      throw EngineError(
        path: "--shards \(state.shards)",
        expected: "a shard for each of \(group.size) ranks", found: "\(state.shards)",
        fix: state.step == 0 && state.history.isEmpty
          ? "start fewer ranks, or give --shards \(group.size) and a --batch-size of at least as many"
          : "start at most \(state.shards) ranks; or resume with --allow-changes --shards \(group.size)"
      )
    }
    return all.enumerated().compactMap { rank, others in
      guard let set = others.last, set != all[0].last else { return nil }
      return
        "rank \(rank) on \(crew.hosts[rank]) has the instructions \(set), rank 0 \(all[0].last ?? ""): "
        + "results are the same, and the slowest rank sets the pace"
    }
  }

  /// The facts that must be the same on every rank, each with its name.
  private var facts: [(name: String, value: String)] {
    let settings = settingLines.map { line in
      (name: "setting \(line.prefix { $0 != "=" })", value: line)
    }
    return [
      ("version", UnrollVersion.producer), ("training text", "sha256 \(train.digest)"),
      ("validation text", "sha256 \(valid.digest)"),
      ("tokens of the training text", "checksum \(columns.withUnsafeBytes(maskedChecksum))"),
      ("model", "weights_digest \(weights.weightsDigest)"),
      ("step", "\(state.step)"), ("number of settings", "\(settings.count)"),
    ] + settings
  }

  /// Ends the training on all ranks after an error that the others may not know of.
  ///
  /// - Parameter error: The error.
  public mutating func abandon(_ error: any Error) {
    guard crew.isShared, !isAbandoned else { return }
    isAbandoned = true
    crew.report(error)
    // Rank 0 saves the state of all streams.
    try? gatherCarried()
  }
}
