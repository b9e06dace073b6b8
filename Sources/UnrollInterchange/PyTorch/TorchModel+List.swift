// The content of AWD-LSTM's training checkpoints beside the model: a criterion and an optimizer, as
// objects.

import UnrollTensors

extension TorchModel {
  /// Returns notes on the values beside the model in a list.
  ///
  /// - Throws: `InterchangeError` if their tensors are damaged.
  func notesOnList() throws -> [Note] {
    try listed.map { item in
      let isAverage = try holdsTheWeightsAsAverages(item)
      return Note(
        place: file.pickleRecord,
        message: "not preserved: \(file.graph.describe(item))"
          + (isAverage
            ? "; the weights are its averages, and those that its training goes on from are not in "
              + "the file: it cannot be resumed exactly" : ""))
    }
  }

  /// Returns `true` if the averages `ax` of an optimizer object are the model's own weights, as in
  /// AWD-LSTM: under ASGD it evaluates and saves with the averages in place.
  ///
  /// `mu`, one over the number of averaged steps, distinguishes averages from iterates: the first
  /// two averages equal the iterate.
  private func holdsTheWeightsAsAverages(_ optimizer: PickleReference) throws -> Bool {
    guard let state = file.graph.attribute("state", of: optimizer),
      let entries = file.graph.entries(state), !entries.isEmpty,
      entries.count <= 2 * named.tensors.count
    else { return false }
    // A weight and its copy with dropout are two parameters. Views may share their bytes: the
    // comparison is bounded by the size of the file.
    var room = file.file.count
    return try entries.allSatisfy { entry in
      guard let average = attribute("ax", in: entry.value),
        let share = try attribute("mu", in: entry.value).flatMap(number), share < 0.4,
        let weight = try file.tensor(at: entry.key, named: "a parameter"),
        let tensor = try file.tensor(at: average, named: "ax"), weight.shape == tensor.shape
      else { return false }
      var spent = room
      let first = try file.contents(of: weight, named: "a parameter", room: &spent)
      let second = try file.contents(of: tensor, named: "ax", room: &spent)
      room -= first.storage.count
      guard room >= 0 else { return false }
      return first.withUnsafeBytes { bytes in
        second.withUnsafeBytes { bytes.elementsEqual($0) }
      }
    }
  }

  private func attribute(_ name: String, in state: PickleReference) -> PickleReference? {
    file.graph.entries(state)?.last { file.graph.string($0.key) == name }?.value
  }

  /// Returns a Python number, or the value of a tensor without dimensions.
  private func number(_ value: PickleReference) throws -> Double? {
    if let number = file.graph.double(value) { return number }
    guard let tensor = try file.tensor(at: value, named: "mu"), tensor.span == 1 else { return nil }
    var room = 8
    return try file.contents(of: tensor, named: "mu", room: &room).floats()?.first.map(Double.init)
  }
}
