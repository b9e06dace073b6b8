// The parameters whose sums, optimizer state and updates are divided among ranks.

import CUnrollKernels
import UnrollFormat

/// The parameters of which each rank owns slices.
///
/// Their gradients are summed by the owners, which keep the optimizer state of their slices, update them, and send the new
/// numbers to the others. The remaining parameters may have gradients of rows: every rank updates them as a whole.
public struct OwnedParameters: Sendable {
  /// The ranks and their slices.
  let plan: ReductionPlan
  /// The rank that owns the slices here.
  let rank: Int
  private let paths: Set<ParameterPath>

  /// Divides the parameters of a model.
  ///
  /// - Parameters:
  ///   - plan: The ranks.
  ///   - rank: This rank.
  ///   - architecture: The model's architecture.
  ///   - isSampled: `true` if the softmax is sampled: the gradient of the output weight may be rows.
  public init(
    _ plan: ReductionPlan, rank: Int, of architecture: Architecture, isSampled: Bool
  ) {
    self.plan = plan
    self.rank = rank
    var paths = Set(architecture.parameters.map(\.path))
    if !architecture.isTied || isSampled { paths.remove(.embeddingWeight) }
    if isSampled { paths.remove(.outputWeight) }
    self.paths = paths
  }

  /// `true` if ranks own slices of a parameter.
  public func contains(_ path: ParameterPath) -> Bool { paths.contains(path) }

  /// Returns the bytes of the sums of squares that all ranks together gather for a parameter.
  ///
  /// - Parameters:
  ///   - path: The parameter.
  ///   - count: The number of its numbers.
  /// - Returns: The bytes, 0 for a parameter that ranks do not own.
  public func bytesOfSquares(_ path: ParameterPath, count: Int) -> Int {
    guard contains(path) else { return 0 }
    return ReductionPlan.pieces(count).count * Int(UNROLL_SUM_PARTS) * MemoryLayout<Double>.stride
  }

  /// Returns the slices of this rank in an array of `count` numbers, in order.
  func slices(count: Int) -> [Range<Int>] {
    ReductionPlan.pieces(count).map { piece in
      let slice = plan.slice(of: rank, count: piece.count)
      return piece.lowerBound + slice.lowerBound..<piece.lowerBound + slice.upperBound
    }
  }

  /// Returns the numbers of this rank's slices, one after the other.
  func slices(of numbers: [Float]) -> [Float] {
    slices(count: numbers.count).flatMap { numbers[$0] }
  }

  /// Gathers the slices of all ranks.
  ///
  /// - Parameters:
  ///   - own: This rank's slices, one after the other.
  ///   - count: The number of all numbers.
  ///   - root: The only rank that needs the result; `nil` for all.
  ///   - group: The ranks.
  /// - Returns: All numbers; none at ranks that do not need them.
  /// - Throws: An error if the connection fails.
  func gathered(
    _ own: [Float], count: Int, at root: Int?, over group: any RankGroup
  ) throws -> [Float] {
    let isWanted = root == nil || root == rank
    var all = [Float](repeating: 0, count: isWanted ? count : 0)
    var next = 0
    for piece in ReductionPlan.pieces(count) {
      let sizes = (0..<plan.ranks).map {
        plan.slice(of: $0, count: piece.count).count * MemoryLayout<Float>.stride
      }
      let part = own[next..<next + sizes[rank] / MemoryLayout<Float>.stride]
      next = part.endIndex
      try part.withUnsafeBytes { part in
        try all.withUnsafeMutableBytes { all in
          let place = piece.lowerBound * MemoryLayout<Float>.stride
          let room = UnsafeMutableRawBufferPointer(
            rebasing: all[isWanted ? place..<place + sizes.reduce(0, +) : 0..<0])
          guard let root else { return try group.gather(part, into: room, counts: sizes) }
          let none = Array(repeating: 0, count: plan.ranks)
          var sent = none
          sent[root] = sizes[rank]
          try group.exchange(part, counts: sent, into: room, counts: isWanted ? sizes : none)
        }
      }
    }
    return all
  }

  /// Sums the squares of the gradients of parameters that ranks own.
  ///
  /// - Parameters:
  ///   - trained: The parameters that are trained.
  ///   - model: A model whose gradients are summed over the ranks.
  ///   - group: The ranks.
  /// - Returns: The sum of each parameter, the same on every rank.
  /// - Throws: An error if the connection fails.
  public func squares(
    _ trained: [ParameterPath], of model: TrainableModel, over group: any RankGroup
  ) throws -> [ParameterPath: Double] {
    let gradients = model.gradients
    let counts = trained.compactMap { path -> (path: ParameterPath, pieces: [Range<Int>])? in
      guard contains(path), let count = gradients[path]?.numbers.count else { return nil }
      return (path, ReductionPlan.pieces(count))
    }
    let parts = plan.parts(of: rank)
    var own: [Double] = []
    for (path, pieces) in counts {
      (gradients[path]?.numbers ?? []).withUnsafeBufferPointer { numbers in
        guard let numbers = numbers.baseAddress else { return }
        for piece in pieces {
          var sums = [Double](repeating: 0, count: parts.count)
          unroll_sum_squares_of_parts(
            numbers + piece.lowerBound + plan.slice(of: rank, count: piece.count).lowerBound,
            piece.count, parts.lowerBound, parts.count, &sums)
          own += sums
        }
      }
    }
    let all = try group.gather(own.withUnsafeBytes { Array($0) })
    var sums: [ParameterPath: Double] = [:]
    var piece = 0
    for (path, pieces) in counts {
      var sum = 0.0
      for _ in pieces {
        for (rank, message) in all.enumerated() {
          let count = plan.parts(of: rank).count
          message.withUnsafeBytes { bytes in
            for part in 0..<count {
              sum += bytes.loadUnaligned(
                fromByteOffset: (piece * count + part) * MemoryLayout<Double>.stride,
                as: Double.self)
            }
          }
        }
        piece += 1
      }
      sums[path] = sum
    }
    return sums
  }
}

extension ReductionPlan {
  /// Gathers the slices of all ranks in each one's place.
  ///
  /// - Parameters:
  ///   - numbers: An array; this rank's slices count. Out: the slices of all.
  ///   - group: The ranks.
  /// - Throws: An error if the connection fails.
  func gather(_ numbers: inout [Float], over group: any RankGroup) throws {
    try numbers.withUnsafeMutableBytes { bytes in
      let width = MemoryLayout<Float>.stride
      for piece in Self.pieces(bytes.count / width) {
        let all = UnsafeMutableRawBufferPointer(
          rebasing: bytes[piece.lowerBound * width..<piece.upperBound * width])
        let own = slice(of: group.rank, count: piece.count)
        try group.gather(
          UnsafeRawBufferPointer(rebasing: all[own.lowerBound * width..<own.upperBound * width]),
          into: all, counts: (0..<ranks).map { slice(of: $0, count: piece.count).count * width })
      }
    }
  }
}

extension ParameterTree<Gradient> {
  /// Gathers the slices of a whole gradient.
  mutating func gather(
    _ path: ParameterPath, _ plan: ReductionPlan, over group: any RankGroup
  ) throws {
    _ = try updateNumbers(path) { try plan.gather(&$0, over: group) }
  }
}

extension TrainableModel {
  /// Takes the numbers of the owners of parameters, after each has updated its slices.
  ///
  /// - Parameters:
  ///   - trained: The parameters that were updated.
  ///   - owned: The parameters of which ranks own slices.
  ///   - group: The ranks.
  /// - Throws: An error if the connection fails.
  public func gatherParameters(
    _ trained: [ParameterPath], owned: OwnedParameters, over group: any RankGroup
  ) throws {
    for path in trained where owned.contains(path) {
      try changeNumbers(path) { try owned.plan.gather(&$0, over: group) }
    }
  }

  /// Takes the gradients of the owners of parameters; without gradients it does nothing.
  ///
  /// - Parameters:
  ///   - trained: The parameters that have summed gradients.
  ///   - owned: The parameters of which ranks own slices.
  ///   - group: The ranks.
  /// - Throws: An error if the connection fails.
  public func gatherGradients(
    _ trained: [ParameterPath], owned: OwnedParameters, over group: any RankGroup
  ) throws {
    for path in trained where owned.contains(path) {
      try changeReplaced { try $0?.gather(path, owned.plan, over: group) }
    }
  }
}
