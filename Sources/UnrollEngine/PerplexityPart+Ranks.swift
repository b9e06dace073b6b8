// The parts of a text that the ranks of a job measure.

import Foundation
import UnrollNeural

extension PerplexityPart {
  /// Gathers the parts of all ranks; one failure is a failure of all.
  ///
  /// - Parameters:
  ///   - own: The part of this rank, or the error that kept it from it.
  ///   - group: The ranks.
  ///   - host: The name of this rank's host.
  /// - Returns: The parts of all ranks, each with the name of its rank, for `merged`.
  /// - Throws: The error of this rank, else `RankFailure` with the first one of another; an error if the connection fails.
  public static func gathered(
    _ own: Result<PerplexityPart, any Error>, _ group: any RankGroup, host: String
  ) throws -> [(path: String, part: PerplexityPart)] {
    let crew = try TrainingCrew(group, host: host)
    let encoded = Result { Array(try JSONEncoder().encode(try own.get())) }
    return try crew.agree(encoded).enumerated().map { rank, bytes in
      let part = try JSONDecoder().decode(PerplexityPart.self, from: Data(bytes))
      return (path: "rank \(rank) on \(crew.hosts[rank])", part: part)
    }
  }
}
