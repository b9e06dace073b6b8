// The report of `--estimate`.

import Foundation
import UnrollEngine
import UnrollTensors

/// An estimate in its printed form.
struct EstimateReport: Encodable {
  private let predictions: Int
  private let seconds: Double
  private let tokensPerSecond: Double?
  /// The peak memory of the process so far, of all ranks the largest; the rest of the work needs no more.
  private let memoryBytes: Int
  private let measuredShare: Double
  private let ranks: RankEstimateReport?

  init(_ work: WorkEstimate, _ ranks: RankEstimate? = nil) {
    predictions = Int(min(work.predictions, 1e18))
    seconds = work.seconds
    tokensPerSecond = work.seconds > 0 ? work.predictions / work.seconds : nil
    measuredShare = work.share
    memoryBytes = ranks?.memory ?? Self.peakMemory
    self.ranks = ranks.map(RankEstimateReport.init)
  }

  /// The peak memory of this process in bytes.
  static var peakMemory: Int {
    #if os(Linux)
      // rusage also counts the program that started the process.
      let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
      let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
      let size = line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
      return (size ?? 0) << 10
    #else
      var usage = rusage()
      getrusage(RUSAGE_SELF, &usage)
      return usage.ru_maxrss
    #endif
  }

  /// Prints the estimate as a table, or as one JSON object.
  ///
  /// - Throws: `OutputTaken` if nobody reads it.
  func print(json: Bool) throws {
    guard !json else { return try Output.json(self) }
    let about = measuredShare < 1 ? "about " : ""
    Output.result("predictions     \(about)\(Output.grouped(predictions))")
    Output.result("time            \(Output.duration(seconds))")
    if let tokensPerSecond {
      Output.result("speed           \(Output.grouped(Int(tokensPerSecond))) tokens/s")
    }
    Output.result("memory          \(Output.grouped(memoryBytes >> 20)) MiB")
    Output.result(String(printf: "measured        %.1f %% of the work", 100 * measuredShare))
    ranks?.print()
  }
}
