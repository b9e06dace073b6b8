// The training of a TensorFlow 1 checkpoint: values that optimizers keep, and numbers.

import UnrollFormat
import UnrollTensors

/// The variables of a checkpoint that belong to its training.
struct SessionTraining {
  /// The names of the values that optimizers keep, by the variable and the last part of the name, such as `Adam_1`.
  private(set) var slots: [String: [String: String]] = [:]
  /// Numbers without dimensions: counts of steps, learning rates, powers of Adam's betas.
  private(set) var numbers: [String] = []

  /// The names that classes of optimizers give; `_1` and so on stand behind further values.
  private static let classes = [
    "Adam", "RMSProp", "Momentum", "Adagrad", "Adadelta", "Ftrl", "AdaMax",
  ]
  /// The name of averages of variables, which no optimizer needs.
  private static let averages = "ExponentialMovingAverage"
  /// The most parts of a name between slashes.
  private static let mostParts = 64
  private static let ofNumbers: Set = ["global_step", "learning_rate", "lr", "step", "epoch"]

  /// Sorts the variables of a checkpoint.
  ///
  /// - Parameters:
  ///   - names: The names.
  ///   - bundle: The checkpoint.
  init(_ names: [String], of bundle: TensorBundle) {
    let known = Set(names)
    for name in names {
      guard let entry = bundle[name] else { continue }
      let parts = name.split(separator: "/").map(String.init)
      let last = parts.last ?? name
      if entry.shape.rank == 0, Self.isNumber(last, type: entry.type) {
        numbers.append(name)
        continue
      }
      guard Self.base(last) != nil, parts.count <= Self.mostParts else { continue }
      // The optimizer may have been made in a scope of its own: `train/embedding/Adam`.
      let variable = parts.indices.lazy.map { parts[$0..<(parts.count - 1)].joined(separator: "/") }
        .first { known.contains($0) && bundle[$0]?.shape == entry.shape }
      if let variable { slots[variable, default: [:]][last] = name }
    }
  }

  /// All names.
  var names: Set<String> { Set(numbers).union(slots.values.flatMap(\.values)) }

  /// Returns `true` if a number without dimensions is of the training by its name, or counts.
  private static func isNumber(_ last: String, type: Int) -> Bool {
    let isInteger = [3, 9].contains(type)
    return isInteger || last.hasPrefix("Variable") || last.hasSuffix("_power")
      || ofNumbers.contains(last)
  }

  /// Returns the class of a name such as `Adam_1`; `nil` for other names.
  private static func base(_ last: String) -> String? {
    (classes + [averages]).first { name in
      last == name
        || (last.hasPrefix(name + "_") && Int(last.dropFirst(name.count + 1)) != nil)
    }
  }

  /// Returns the names that are no part of the result, each group with the text of its note.
  ///
  /// - Parameter kept: The names that an optimizer needs.
  /// - Returns: The groups.
  func losses(besides kept: Set<String>) -> [(names: [String], note: String)] {
    var groups: [String: [String]] = [:]
    for (last, name) in slots.values.joined() where !kept.contains(name) {
      groups[Self.base(last) ?? last, default: []].append(name)
    }
    let values = groups.sorted { $0.key < $1.key }.map { base, names in
      (
        names: names.sorted(),
        note: base == Self.averages
          ? "not preserved: averages of the variables; the variables themselves are the model's"
          : "not preserved: what \(base) keeps of each variable"
      )
    }
    let numbers = numbers.filter { !kept.contains($0) }
    return values + [(numbers, "not preserved: numbers of the training alone")]
  }
}
