// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The communication of ranks in a step, and the time of a step by other numbers of ranks.

/// The measurements of a step that ranks share, and predictions for other numbers of ranks.
public struct RankEstimate: Sendable, Hashable {
  /// The number of ranks that were measured.
  public var ranks: Int
  /// The number of their hosts.
  public var hosts: Int
  /// The seconds of a step without communication, on its slowest rank: T of the formula.
  public var computation: Double
  /// The seconds of a step's communication, without waiting for the slowest rank.
  public var communication: Double
  /// The bytes that a rank sends in a step; the largest of all ranks.
  public var sentBytes: Double
  /// The bits that a rank sends in a second, while all send pieces of gradients.
  public var bandwidth: Double
  /// The largest peak memory of a rank's process, in bytes.
  public var memory: Int
  /// The number of predictions of a step.
  public var predictions: Double
  /// The parameters that are exchanged in a step.
  public var traffic: StepTraffic

  /// The share of the communication in the time of a step.
  public var communicationShare: Double {
    let seconds = computation + communication
    return seconds > 0 ? communication / seconds : 0
  }

  /// The seconds of a step's communication beyond those of its bytes at the measured bandwidth.
  ///
  /// They are latency, and interruptions by other programs; predictions leave them out.
  public var unpredicted: Double {
    max(0, communication - 8 * traffic.bytes(ranks: ranks) / bandwidth)
  }

  /// `true` if no network was measured: all ranks are on one host.
  public var isOfSharedMemory: Bool { hosts == 1 }

  /// A step by a number of ranks, each with the streams of a measured one.
  public struct Prediction: Sendable, Hashable {
    /// The number of ranks, R.
    public var ranks: Int
    /// The number of predictions of a step.
    public var predictions: Double
    /// The seconds of a step.
    public var seconds: Double
    /// The share of computation in these seconds.
    public var efficiency: Double
    /// The number of predictions in a second.
    public var speed: Double { seconds > 0 ? predictions / seconds : 0 }
  }

  /// The predictions for 2, 4, 8, ..., 1,024 ranks and for the number that was measured.
  public var predicted: [Prediction] {
    Self.predictedRanks(and: ranks).map(prediction(ranks:))
  }

  /// Returns 2, 4, 8, ..., 1,024 and a number, in order.
  static func predictedRanks(and measured: Int) -> [Int] {
    Set((1...10).map { 1 << $0 } + [measured]).sorted()
  }

  /// Returns the prediction T + bytes / bandwidth for R ranks.
  ///
  /// The bandwidth is one that was measured, not the nominal one of a link: nothing is taken off.
  func prediction(ranks R: Int) -> Prediction {
    let seconds = computation + 8 * traffic.bytes(ranks: R) / bandwidth
    return Prediction(
      ranks: R, predictions: predictions * Double(R) / Double(ranks), seconds: seconds,
      efficiency: seconds > 0 ? computation / seconds : 1)
  }
}

/// The parameters whose gradients ranks exchange in a step.
public struct StepTraffic: Sendable, Hashable {
  /// The bytes of the parameters that are exchanged as a whole: D of the formula.
  public var denseBytes: Int
  /// The bytes of the sums of squares behind the norm of the gradient.
  var squareBytes = 0
  /// Matrices of which only the rows of tokens in a step are exchanged.
  var tables: [Table] = []
  /// The number of different tokens in a step, by the number of ranks.
  var tokens: [Int: Int] = [:]

  /// A matrix with a row for each token.
  struct Table: Sendable, Hashable {
    /// The bytes of a row and its number.
    var rowBytes: Int
    /// The number of rows, V.
    var rows: Int
    /// The number of rows that each step has besides those of its tokens.
    var drawn = 0
  }

  /// Returns the bytes that one of R ranks sends: all but its own part of each gradient to the owners of the parts, and
  /// its part of the sums to all others.
  func bytes(ranks R: Int) -> Double {
    let own = tokens[1] ?? 0
    let all = tokens[R] ?? own
    let rows = tables.reduce(0) { sum, table in
      sum + table.rowBytes
        * (min(table.rows, own + table.drawn) + min(table.rows, all + table.drawn))
    }
    return Double(2 * denseBytes + squareBytes + rows) * Double(R - 1) / Double(R)
  }
}
