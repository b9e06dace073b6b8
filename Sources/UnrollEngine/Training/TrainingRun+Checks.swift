// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Checks before a training begins or resumes, and the division of its text into streams.

import Foundation
import UnrollFormat
import UnrollNeural
import UnrollTensors

extension TrainingRun {
  static func input(_ text: TrainingText) -> String {
    ProvenanceEntry.input(digest: text.digest, path: text.path)
  }

  static func check(_ text: TrainingText, digest: String, role: String) throws {
    guard text.digest != digest else { return }
    throw EngineError(
      path: text.path, expected: "the \(role) text that this training began with, sha256 \(digest)",
      found: "sha256 \(text.digest)",
      fix:
        "give the same text; or `unroll finetune LAST --resume --allow-changes` to go on with this one; or begin a "
        + "new training with another --output")
  }

  /// Refuses BPTT lengths that do not fit in memory, and dropout of weights that no layer has.
  static func check(
    _ data: TrainingData, _ architecture: Architecture, _ optimizer: Optimizer,
    _ regularization: [RegularizationTerm], memory: UInt64
  ) throws {
    if regularization.contains(where: { $0.site == .weightHH }),
      !architecture.layers.contains(where: \.cell.facts.hasRecurrentWeight)
    {
      throw EngineError(
        path: "--regularize weight_hh",
        expected: "a layer that multiplies its hidden state by a weight",
        found: Set(architecture.layers.map(\.cell.rawValue)).sorted().joined(separator: ", "),
        fix: "leave it out: the gates of these cells see their input alone")
    }
    let longest = data.windowKind == .random ? data.window + randomWindowMargin : data.window
    let T = min(longest, data.tokens / data.columns - 1)
    let bytes = TrainableModel.byteCount(
      of: architecture, window: T, columns: data.columns, slotCount: optimizer.slotCount,
      drops: regularization.contains { $0.kind.isDropout })
    guard let bytes, UInt64(bytes) <= memory else {
      let found = bytes.map { "\($0 >> 20) MiB" } ?? "more bytes than can be counted"
      throw EngineError(
        path: "BPTT length \(T) with batch size \(data.columns)",
        expected: "to need at most the \(memory >> 20) MiB of memory of this machine",
        found: found,
        fix:
          "give a smaller --bptt or a smaller --batch-size; a training to be resumed needs the memory "
          + "that it began with")
    }
  }

  /// Refuses a sampled softmax that draws as many tokens as there are, or of a model that has none to sample.
  static func checkSampledSoftmax(of state: TrainingState, _ architecture: Architecture) throws {
    guard let count = state.sampledSoftmax else { return }
    let V = architecture.vocabularySize
    guard architecture.tails.isEmpty, count < V else {
      throw EngineError(
        path: "--sampled-softmax \(count)",
        expected: architecture.tails.isEmpty
          ? "fewer draws than the vocabulary has tokens, \(V)" : "one softmax over all tokens",
        found: architecture.tails.isEmpty
          ? "\(count)" : "an adaptive softmax, which is fast by itself",
        fix: "leave --sampled-softmax out" + (architecture.tails.isEmpty ? ", or draw fewer" : ""))
    }
  }

  /// Refuses more shards than there are streams or sentences to deal to them.
  static func checkShards(of state: TrainingState) throws {
    let isBySentence = state.data.windowKind == .sentence
    let most = isBySentence ? state.accumulation : state.data.columns
    guard state.shards > most else { return }
    throw EngineError(
      path: "--shards \(state.shards)",
      expected: isBySentence
        ? "at most the \(most) sentences of a step, --gradient-accumulation"
        : "at most the \(most) streams of a batch, --batch-size",
      found: "\(state.shards)",
      fix: "give fewer --shards or start fewer processes, or a larger "
        + (isBySentence ? "--gradient-accumulation" : "--batch-size"))
  }

  /// Returns the ids of the training text, and its windows for training by sentence.
  ///
  /// - Throws: `EngineError` if there is nothing to predict.
  static func rows(
    _ data: TrainingData, train: TrainingText, valid: TrainingText, of checkpoint: Checkpoint
  ) throws -> (ids: [Int32], sentences: SentenceWindows?, valid: SentenceStream?) {
    guard data.windowKind == .sentence else {
      let B = data.columns
      guard train.ids.count / B > 1 else {
        throw EngineError(
          path: train.path, expected: "at least \(2 * B) tokens, two for each of \(B) streams",
          found: "\(train.ids.count)", fix: "give more text, or a smaller --batch-size")
      }
      return (train.ids, nil, nil)
    }
    guard data.columns == 1 else {
      throw EngineError(
        path: train.path, expected: "batch size 1, to train by sentence", found: "\(data.columns)",
        fix: "the state is damaged: leave --resume out to begin anew")
    }
    let encoder = try LanguageModel.encoder(of: checkpoint, path: train.path)
    let stream = try SentenceStream(train, encoder)
    return (
      stream.ids, SentenceWindows(stream, window: data.window), try SentenceStream(valid, encoder)
    )
  }
}
