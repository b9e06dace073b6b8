// The ranks of a training agree after each part of their work, so that all go on or all end.

import UnrollNeural

/// An error of another rank, which ends the training on all.
public struct RankFailure: Error, Sendable, CustomStringConvertible {
  /// The rank.
  public let rank: Int
  /// The name of its host.
  public let host: String
  /// The error.
  public let message: String

  /// The rank, its host and the error.
  public var description: String { "rank \(rank) on \(host): \(message)" }
}

/// The ranks of a training, seen from one of them.
///
/// A class because a failure that the others know of must not be reported to them again.
final class TrainingCrew {
  let group: any RankGroup
  /// The name of the host of each rank.
  let hosts: [String]
  /// `true` after a failure that all ranks know of.
  private(set) var hasFailed = false
  /// `true` after the end of the training.
  private(set) var hasEnded = false

  /// The crew of a training without other ranks.
  init() {
    group = SoloGroup()
    hosts = [""]
  }

  /// Gathers the names of all hosts.
  ///
  /// - Parameters:
  ///   - group: The ranks.
  ///   - host: The name of this rank's host.
  /// - Throws: An error if the connection fails.
  init(_ group: any RankGroup, host: String) throws {
    self.group = group
    hosts = try group.gather(Array(host.utf8)).map { String(decoding: $0, as: UTF8.self) }
  }

  /// `true` if there are other ranks.
  var isShared: Bool { group.size > 1 }

  /// Exchanges the results of all ranks; one failure is a failure of all.
  ///
  /// - Parameter own: The result of this rank.
  /// - Returns: The results of all ranks.
  /// - Throws: The error of this rank, else `RankFailure` with the first one of another; an error if the
  ///   connection fails.
  func agree(_ own: Result<[UInt8], any Error>) throws -> [[UInt8]] {
    guard isShared else { return [try own.get()] }
    let message: [UInt8]
    switch own {
    case .success(let bytes): message = [0] + bytes
    case .failure(let error): message = [1] + Array("\(error)".utf8)
    }
    let all: [[UInt8]]
    do {
      all = try group.gather(message)
    } catch {
      // Nothing more can be sent.
      hasFailed = true
      throw error
    }
    guard let rank = all.firstIndex(where: { $0.first != 0 }) else {
      return all.map { Array($0.dropFirst()) }
    }
    hasFailed = true
    _ = try own.get()
    throw RankFailure(
      rank: rank, host: hosts[rank], message: String(decoding: all[rank].dropFirst(), as: UTF8.self)
    )
  }

  /// Agrees on facts that must be the same on every rank.
  ///
  /// - Parameter own: The facts of this rank, each a name, a tab and a value, or the error that kept it from them.
  /// - Throws: As `agree(_:)`; `RankFailure` with the first rank whose facts are not those of rank 0.
  func expectSame(_ own: Result<[String], any Error>) throws {
    let all = try agree(own.map { Array($0.joined(separator: "\0").utf8) }).map {
      String(decoding: $0, as: UTF8.self).split(separator: "\0").map(String.init)
    }
    for (rank, facts) in all.enumerated() {
      guard let (first, other) = zip(all[0], facts).first(where: { $0 != $1 }) else { continue }
      func value(_ fact: String) -> String { String(fact.drop { $0 != "\t" }.dropFirst()) }
      throw RankFailure(
        rank: rank, host: hosts[rank],
        message: "expected the \(first.prefix { $0 != "\t" }) of rank 0 on \(hosts[0]), "
          + "\(value(first)); found \(value(other))\n"
          + "  fix: give every rank the same program, files and options")
    }
  }

  /// Returns `true` if any rank wishes something, for each of some wishes.
  ///
  /// - Throws: As `agree(_:)`.
  func any(_ wishes: Result<[Bool], any Error>) throws -> [Bool] {
    let all = try agree(wishes.map { $0.map { $0 ? 1 : 0 } })
    return all[0].indices.map { index in all.contains { $0[index] == 1 } }
  }

  /// Runs a closure at all ranks, which wait for the slowest.
  ///
  /// - Parameter body: Receives a closure to call often, at each rank as often as it likes: it shows the other ranks that
  ///   this one works.
  /// - Returns: The result of this rank.
  /// - Throws: The errors of the closure; an error if the connection fails.
  func together<Value>(_ body: (_ isAlive: () throws -> Void) throws -> Value) throws -> Value {
    guard isShared else { return try body {} }
    let result = Result { try body { _ = try areWorking(true) } }
    while try areWorking(false) {}
    return try result.get()
  }

  /// Exchanges signs of life.
  ///
  /// - Parameter own: `true` if this rank still works.
  /// - Returns: `true` if any rank does.
  /// - Throws: An error if the connection fails.
  private func areWorking(_ own: Bool) throws -> Bool {
    var all = [UInt8](repeating: 0, count: group.size)
    try withUnsafeBytes(of: own) { own in
      try all.withUnsafeMutableBytes {
        try group.gather(own, into: $0, counts: Array(repeating: 1, count: group.size))
      }
    }
    return all.contains(1)
  }

  /// Agrees that the training ends here.
  ///
  /// - Throws: As `agree(_:)`.
  func end() throws {
    _ = try agree(.success([]))
    hasEnded = true
  }

  /// Tells the other ranks of a failure that they do not know of.
  func report(_ error: any Error) {
    guard isShared, !hasFailed else { return }
    _ = try? agree(.failure(error))
  }
}
