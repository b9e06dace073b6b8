// Training checkpoints of PyTorch scripts: the state_dicts of model and optimizer, steps and
// tokens.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// Files of `torch.save({"model_state_dict": ..., "optimizer_state_dict": ...})`, write-only:
/// `PyTorchFormat` reads them.
public enum PyTorchTrainingFormat: PyTorchDialect {
  /// The name in reports.
  public static let name = "pytorch-training"
  /// The extensions that distinguish it from a plain state_dict.
  public static let fileExtensions = ["training.pt", "training.pth"]

  /// Returns notes on properties that a state_dict does not represent, except tokens, and on those
  /// that PyTorch's optimizers lack.
  ///
  /// - Throws: `InterchangeError` for a model without optimizer, and for formulas that PyTorch does
  ///   not support.
  public static func exportNotes(for checkpoint: Checkpoint) throws -> [Note] {
    let optimizer = try optimizer(of: checkpoint)
    _ = try TorchOptimizerDictionary(optimizer, order: order(of: checkpoint))
    var notes = try PyTorchFormat.exportNotes(for: checkpoint).filter { $0.lostPart == nil }
    func lose(_ what: String) {
      notes.append(Note(place: "/optimizer", message: "not preserved: \(what)"))
    }
    let clips = Set(optimizer.groups.compactMap { $0.clip?.description })
    if !clips.isEmpty { lose("gradients are clipped (\(list(clips.sorted())))") }
    let frozen = optimizer.groups.count { $0.isFrozen }
    if frozen > 0 { lose("\(frozen) of \(optimizer.groups.count) groups are frozen") }
    if optimizer.kind == .sgd { lose("the steps of the groups: PyTorch's SGD counts none") }
    return notes
  }

  /// Writes the dictionary: `model_state_dict`, `optimizer_state_dict`, `step`, `epoch`, and the
  /// tokens `itos`.
  ///
  /// - Throws: The errors of `exportNotes`; `FileError` if the file cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    let state = try StateDictionary(checkpoint)
    let optimizer = try optimizer(of: checkpoint)
    let dictionary = try TorchOptimizerDictionary(optimizer, order: order(of: checkpoint))
    var storages = state.storages
    var writer = PickleWriter()
    writer.dictionary {
      $0.string("model_state_dict")
      state.write(to: &$0)
      $0.string("optimizer_state_dict")
      dictionary.write(to: &$0, storages: &storages)
      $0.string("step")
      $0.int(optimizer.step)
      $0.string("epoch")
      $0.int(checkpoint.training?.epoch ?? 0)
      $0.string("itos")
      $0.list {
        for id in checkpoint.vocabulary.indices { $0.string(checkpoint.vocabulary.text(of: id)) }
      }
    }
    writer.put(.stop)
    try PyTorchFormat.write(pickle: writer.bytes, storages, to: path, progress: progress)
  }

  /// Refuses a file whose optimizer differs from the written one.
  ///
  /// - Throws: `InterchangeError` naming the difference.
  public static func check(
    _ written: Checkpoint, isReadAs read: Checkpoint, path: String
  ) throws {
    guard var first = written.optimizer else { return }
    // PyTorch's dictionary does not represent these settings.
    for index in first.groups.indices {
      (first.groups[index].clip, first.groups[index].isFrozen) = (nil, false)
      guard first.kind == .sgd else { continue }
      let hasState = first.groups[index].step > 0 && !first.groups[index].slots(of: .sgd).isEmpty
      first.groups[index].step = hasState ? 1 : 0
    }
    try first.check(
      isReadAs: read.optimizer, of: written.architecture, path: path, place: "optimizer_state_dict")
  }

  private static func optimizer(of checkpoint: Checkpoint) throws -> OptimizerState {
    guard let optimizer = checkpoint.optimizer else {
      throw InterchangeError(
        file: "the checkpoint", place: "/optimizer", expected: "the optimizer of a training",
        found: "none", fix: "give the .last file of a training; `--to pytorch` writes weights alone"
      )
    }
    return optimizer
  }

  /// Returns the parameters in the order of `model.parameters()`.
  private static func order(of checkpoint: Checkpoint) -> [ParameterPath] {
    checkpoint.architecture.parameters.map(\.path)
  }
}

extension TorchOptimizerDictionary {
  /// Writes `{"state": {...}, "param_groups": [...]}`.
  ///
  /// - Parameters:
  ///   - writer: The pickle writer.
  ///   - storages: The file's storages. Out: with those of the optimizer.
  fileprivate func write(to writer: inout PickleWriter, storages: inout [Tensor]) {
    writer.dictionary { writer in
      writer.string("state")
      writer.dictionary { writer in
        for entry in entries {
          writer.int(entry.parameter)
          writer.dictionary { writer in
            for (name, tensor) in entry.tensors {
              writer.string(name)
              writer.tensor(
                StateDictionary.Entry(
                  name: name, tensor: tensor, storageClass: tensor.dtype.torchStorage ?? "",
                  storage: storages.count))
              storages.append(tensor)
            }
          }
        }
      }
      writer.string("param_groups")
      writer.list { writer in
        for group in groups { group.write(to: &writer) }
      }
    }
  }
}

extension TorchOptimizerDictionary.Group {
  fileprivate func write(to writer: inout PickleWriter) {
    writer.dictionary { writer in
      for (name, value) in settings {
        writer.string(name)
        switch value {
        case .number(let number): writer.double(number)
        case .numbers(let numbers):
          for number in numbers { writer.double(number) }
          writer.put(.tuple2)
          writer.memoize()
        case .flag(let flag): writer.put(flag ? .newtrue : .newfalse)
        case .none: writer.put(.none)
        }
      }
      writer.string("params")
      writer.list { writer in
        for parameter in parameters { writer.int(parameter) }
      }
    }
  }
}
