// Rule O003.

import UnrollHDF5
import UnrollTensors

extension Rule {
  /// A tensor of a slot MUST be of floats and have the shape of its parameter.
  static let slotsFitTheirParameters = Rule(
    id: "O003", level: .error,
    summary: "A tensor of a slot MUST be of floats and have the shape of its parameter.",
    why: "State of another shape would move the wrong numbers.",
    example: """
      `/model/output/bias` has the shape [11], and its state below `/optimizer/state/momentum` \
      [12].
      """,
    fix: Fix.trainAgain
  ) { contents in
    guard let architecture = contents.architecture else { return [] }
    return OptimizerSlot.allCases.flatMap { slot in
      architecture.parameters.compactMap { path, shape in
        let place = Layout.slot(slot, path)
        guard let found = contents.dataset(place), found.shape != shape || !found.holdsFloats
        else { return nil }
        return Violation(
          object: place, expected: "floats of shape \(shape)", found: found.summary)
      }
    }
  }
}

extension DatasetDescription {
  private var element: DType? {
    if case .element(let element) = datatype { return element }
    return nil
  }

  fileprivate var holdsFloats: Bool { element?.isFloat ?? false }

  /// Type and shape, for a message.
  var summary: String { "\(datatype) of shape \(shape?.description ?? "unknown")" }
}
