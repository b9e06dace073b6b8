// The models that scripts/make/training-fixtures wrote, with PyTorch's losses and gradients.

import Foundation
import TestSupport
import UnrollFormat

@testable import UnrollNeural

/// A small model and PyTorch's losses and gradients in some windows with carried state.
struct TrainingFixture: Sendable {
  struct Window: Decodable, Sendable {
    let inputs: [Int32]  // [T, B]
    let targets: [Int32]  // [T, B]
    let loss: Double
    let gradients: [String: [Float]]
  }

  let description: FixtureModel
  let windows: [Window]

  static let names = [
    "gru-1-no-bias", "gru-2", "gru-3-tied", "lstm-1-large-vocabulary", "lstm-1-no-bias",
    "lstm-1-one-step", "lstm-2", "lstm-2-many-rows", "lstm-3-tied", "mingru-2", "qrnn-2",
    "qrnn-3-tied", "rnn-relu-3", "rnn-tanh-1-tied", "rnn-tanh-2",
  ]

  init(_ name: String) throws {
    (description, windows) = try readFixture("training/\(name).json")
  }

  func model() throws -> TrainableModel {
    try TrainableModel(architecture: description.architecture(), parameters: description.tree())
  }
}

extension TrainableModel {
  /// The gradients that the last window left, whole.
  var denseGradients: [ParameterPath: [Float]] {
    var dense: [ParameterPath: [Float]] = [:]
    for (path, shape) in architecture.parameters {
      switch gradients[path] {
      case .dense(let values): dense[path] = values
      case .rows(let rows):
        var values = [Float](repeating: 0, count: shape.elementCount ?? 0)
        rows.add(to: &values)
        dense[path] = values
      case nil: break
      }
    }
    return dense
  }
}

/// The norm of the difference over the norm of what is expected.
func relativeError(_ found: [Float]?, _ expected: [Double]) -> Double {
  guard let found, found.count == expected.count else { return .infinity }
  let difference = zip(found, expected).reduce(0) { $0 + pow(Double($1.0) - $1.1, 2) }
  let norm = expected.reduce(0) { $0 + $1 * $1 }
  // A gradient that is zero everywhere must be so here.
  return norm > 0 ? (difference / norm).squareRoot() : difference
}
