// Rule R003.

import UnrollHDF5
import UnrollTensors

extension Rule {
  /// `/training/hidden` MUST have one group for each layer, whose tensors fit the layer.
  static let carriedStateFitsTheModel = Rule(
    id: "R003", level: .error,
    summary: """
      `/training/hidden` MUST have one group for each layer, with `h`, with `c` exactly if the layer is an \
      LSTM or a QRNN, and with `x` exactly if it has `window` 2, all f32: `h` [`columns`, output size], `c` \
      [`columns`, `hidden_size`], `x` [`columns`, `input_size`].
      """,
    why: "The next window starts from the state that the last one left.",
    example: """
      `/training/data` has `columns` = 3, and `/training/hidden/01` no `c` though layer 01 is \
      an LSTM.
      """,
    fix: Fix.trainAgain
  ) { contents in
    guard contents.exists(Layout.training), let architecture = contents.architecture,
      let columns = contents.integer(Layout.trainingData, AttributeName.columns), columns > 0
    else { return [] }
    let groups = contents.members(of: Layout.trainingHidden)
    guard groups.count == architecture.layers.count else {
      return [
        violation(
          Layout.trainingHidden, "\(architecture.layers.count) groups, one for each layer",
          "\(groups.count)")
      ]
    }
    return architecture.layers.enumerated().flatMap { index, layer -> [Violation] in
      let group = Layout.hiddenState(index)
      return LayerStateName.allCases.compactMap { name in
        let width = layer.states.first { $0.name == name }?.width
        return contents.violation("\(group)/\(name.rawValue)", shape: width.map { [columns, $0] })
      }
    }
  }
}

extension Contents {
  /// Returns the violation of a state that must be f32 of a shape, or absent if the shape is `nil`.
  fileprivate func violation(_ path: String, shape: Shape?) -> Violation? {
    let found = dataset(path)
    guard let shape else {
      return found.map {
        UnrollFormat.violation(path, "nothing: the layer carries no such state", $0.summary)
      }
    }
    guard found?.shape != shape || found?.datatype != .element(.float32) else { return nil }
    return UnrollFormat.violation(path, "f32 of shape \(shape)", found?.summary ?? "nothing")
  }
}

private func violation(_ path: String, _ expected: String, _ found: String) -> Violation {
  Violation(object: path, expected: expected, found: found)
}
