// The report of `--estimate` under an MPI launcher.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollTensors

/// Measurements of ranks in their printed form.
struct RankEstimateReport: Encodable {
  private let count: Int
  private let hosts: Int
  private let computationSeconds: Double
  private let communicationSeconds: Double
  private let communicationShare: Double
  private let sentBytes: Int
  private let denseBytes: Int
  private let bitsPerSecond: Double
  private let isSharedMemory: Bool
  private let predicted: [Row]

  /// A row of the table.
  private struct Row: Encodable {
    let ranks: Int
    let tokensPerStep: Int
    let secondsPerStep: Double
    let tokensPerSecond: Double
    let efficiency: Double

    init(_ prediction: RankEstimate.Prediction) {
      ranks = prediction.ranks
      tokensPerStep = Int(prediction.predictions.rounded())
      secondsPerStep = prediction.seconds
      tokensPerSecond = prediction.speed
      efficiency = prediction.efficiency
    }

    /// The cells of the printed table.
    var cells: [String] {
      [
        Output.grouped(ranks), Output.grouped(tokensPerStep),
        String(printf: "%.4f", secondsPerStep), Output.grouped(Int(tokensPerSecond)),
        String(printf: "%.1f %%", 100 * efficiency),
      ]
    }
  }

  init(_ estimate: RankEstimate) {
    count = estimate.ranks
    hosts = estimate.hosts
    computationSeconds = estimate.computation
    communicationSeconds = estimate.communication
    communicationShare = estimate.communicationShare
    sentBytes = Int(estimate.sentBytes.rounded())
    denseBytes = estimate.traffic.denseBytes
    bitsPerSecond = estimate.bandwidth
    isSharedMemory = estimate.isOfSharedMemory
    predicted = estimate.predicted.map(Row.init)
  }

  /// Prints the measurements and the table of predictions.
  func print() {
    Output.result("ranks           \(Output.grouped(count)) on \(counted(hosts, "host"))")
    let step = String(printf: "%.4f s", computationSeconds + communicationSeconds)
    let share = String(
      printf: "%.4f s or %.1f %% communication", communicationSeconds, 100 * communicationShare)
    Output.result("step            \(step), of which \(share)")
    Output.result("sent            \(Output.grouped(sentBytes)) bytes a step by each rank")
    let memory =
      isSharedMemory ? ", of shared memory: the predictions do not hold for a network" : ""
    Output.result("bandwidth       \(Output.grouped(Int(bitsPerSecond / 1e6))) Mb/s\(memory)")
    Output.result("\npredicted, with the same batch for each rank")
    let table =
      [["ranks", "tokens/step", "s/step", "tokens/s", "efficiency"]] + predicted.map(\.cells)
    let widths = table[0].indices.map { column in table.map { $0[column].count }.max() ?? 0 }
    for row in table {
      Output.result(
        zip(row, widths).map { String(repeating: " ", count: $1 - $0.count) + $0 }.joined(
          separator: "  "))
    }
  }
}

extension TrainingVerb {
  /// Measures a part of a training and prints the estimate of the whole.
  ///
  /// - Parameter run: The training; with other ranks, if there are any. It cannot be used afterwards.
  /// - Throws: The errors of the training; with other ranks `ExitCode`, when they are reported.
  func printEstimate(of run: inout TrainingRun) throws {
    guard Launcher.isShared else {
      let work = try Progress.during("measuring") { try run.estimate() }
      return try printEstimate(work, nil, of: run)
    }
    do {
      let (work, ranks) = try Progress.during("measuring") {
        try run.estimateOnRanks { EstimateReport.peakMemory }
      }
      try printEstimate(work, ranks, of: run)
      try Output.finish()
    } catch {
      run.abandon(error)
      // The ranks agree on errors, and rank 0 prints them; an error of the communication is each rank's own.
      if !Launcher.isQuiet || error is GroupError { Output.failure(error) }
      throw ExitCode(Ending.failure)
    }
  }

  private func printEstimate(
    _ work: WorkEstimate, _ ranks: RankEstimate?, of run: TrainingRun
  ) throws {
    if work.predictions == 0 {
      Output.note("note: nothing is left to do after step \(run.state.step)")
    }
    if let ranks, ranks.unpredicted > 0.1 * (ranks.computation + ranks.communication) {
      let seconds = String(printf: "%.4f s", ranks.unpredicted)
      Output.note(
        "note: \(seconds) of a step are latency, or the work of other programs: the predictions "
          + "leave them out")
    }
    try EstimateReport(work, ranks).print(json: json)
  }
}
