// The results of producers' own programs for the fixtures.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@testable import UnrollNeural

/// The log-probabilities of a folder of fixtures, by the names of its files.
struct References: Decodable {
  /// The tokens.
  let ids: [Int]
  /// Of each token but the first.
  let logprobs: [String: [Double]]

  /// - Parameter folder: The folder under `fixtures/`.
  /// - Throws: The errors of reading the file.
  init(_ folder: String) throws {
    self = try JSONDecoder().decode(
      References.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("\(folder)/references.json"))))
  }

  /// Expects a model to give what its producer gave.
  func expect(_ checkpoint: Checkpoint, toBe name: String, within tolerance: Double) throws {
    try expectLogProbabilities(
      of: checkpoint, ids, #require(logprobs[name]), within: tolerance, name)
  }
}

/// Expects the log-probabilities that a producer gave, of a model in double precision.
func expectLogProbabilities(
  of checkpoint: Checkpoint, _ ids: [Int], _ expected: [Double], within tolerance: Double,
  _ name: String
) throws {
  let model = try ReferenceModel(
    architecture: checkpoint.architecture, parameters: checkpoint.parameters)
  let values = model.tokenLogProbabilities(of: ids)
  #expect(values.count == 16 && expected.count == 16)
  for (value, expected) in zip(values, expected) {
    #expect(abs(value - expected) < tolerance, "\(name)")
  }
}
