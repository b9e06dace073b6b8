// Remarks on outputs that depend on the order of the vocabulary.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

extension TrainingRun {
  /// Remarks on an adaptive or a sampled softmax: the approximation, and tokens that are not in the order of frequency.
  static func outputRemarks(
    _ state: TrainingState, _ source: Checkpoint, _ train: TrainingText
  ) -> [String] {
    let architecture = source.architecture
    if let count = state.sampledSoftmax {
      return [
        "the training loss is that of a sampled softmax with \(count) draws, an approximation; evaluations are exact"
      ] + orderRemark(of: max(1, architecture.vocabularySize / 10), source, train)
    }
    guard !architecture.tails.isEmpty else { return [] }
    return orderRemark(of: architecture.headSize, source, train)
  }

  /// Returns a remark if the first tokens of the vocabulary are not the frequent ones of the training text.
  private static func orderRemark(
    of first: Int, _ source: Checkpoint, _ train: TrainingText
  ) -> [String] {
    var counts = [Int](repeating: 0, count: source.architecture.vocabularySize)
    for id in train.ids { counts[Int(id)] += 1 }
    // Special tokens stand at the beginning of any list.
    let special = SpecialToken.allCases.compactMap { source.vocabulary[$0] }.filter { $0 < first }
    for id in special { counts[id] = 0 }
    let total = Double(max(1, train.ids.count))
    let found = Double(counts.prefix(first).reduce(0, +)) / total
    let best =
      Double(counts.sorted(by: >).prefix(first - special.count).reduce(0, +)) / total
    guard found < 0.95 * best else { return [] }
    return [
      String(
        printf:
          "the first %.0f tokens of the vocabulary are %.0f %% of the training text, "
          + "the most frequent ones %.0f %%: ",
        Double(first), 100 * found, 100 * best)
        + "with a vocabulary by frequency the training is faster and better"
    ]
  }
}
