// Settings beside a model that change its function without a tensor.

import UnrollTensors

/// Settings of training scripts that change the function of a model without a parameter of their
/// own.
enum TorchSettings {
  /// The names of a setting, its value without effect, and the meaning of another value.
  private static let settings: [(names: [String], harmless: Bool, meaning: String, fix: String)] = [
    (
      ["is_forward_lm"], true,
      "a backward language model, which predicts each token from those that follow it",
      "convert the forward model"
    ),
    (
      ["layer_normalization", "layer_norm", "layernorm", "use_layer_norm", "batch_norm"], false,
      "a normalization between the layers that has no parameters", "it cannot be converted"
    ),
    (
      ["residual", "residuals", "use_residual", "skip_connections"], false,
      "connections around the layers", "it cannot be converted"
    ),
    (
      ["bidirectional", "is_bidirectional"], false, "a model that reads in both directions",
      "it cannot be converted"
    ),
    (
      ["attention", "use_attention"], false, "attention beside the recurrent layers",
      "it cannot be converted"
    ),
  ]
  /// The maximum number of visited values.
  private static let mostValues = 10_000

  /// Searches a value beside a model for such settings.
  ///
  /// - Parameters:
  ///   - value: The value.
  ///   - name: Its key.
  ///   - path: The keys that lead to it, in the form of `--ignore`.
  ///   - file: The file.
  /// - Throws: `InterchangeError` naming a setting that changes the model's function.
  static func check(
    _ value: PickleReference, named name: String, path: String, in file: TorchFile
  ) throws {
    var left = mostValues
    var pending = [(name: name, path: path, value: value, depth: 0)]
    while let next = pending.popLast() {
      left -= 1
      guard left > 0 else { return }
      if let isSet = flag(next.value, in: file.graph),
        let setting = settings.first(where: { $0.names.contains(next.name) }),
        isSet != setting.harmless
      {
        throw file.error(
          next.path, expected: "a language model of embedding, recurrent layers and output",
          found: "\(setting.meaning) (\(next.name) is \(isSet ? "True" : "False"))",
          fix:
            "\(setting.fix); if the setting is of something else, `--ignore \(path)` leaves it out")
      }
      guard next.depth < 3 else { continue }
      let state = file.graph[next.value].state
      let entries = file.graph.entries(next.value) ?? state.map { file.graph[$0].entries } ?? []
      guard entries.count <= 1_000 else { continue }
      for entry in entries {
        guard let key = file.graph.string(entry.key) else { continue }
        pending.append((key, "\(next.path).\(key)", entry.value, next.depth + 1))
      }
    }
  }

  private static func flag(_ value: PickleReference, in graph: PickleGraph) -> Bool? {
    switch graph[value].value {
    case .bool(let flag): flag
    case .int(let number) where number == 0 || number == 1: number == 1
    default: nil
    }
  }
}

/// The classes of the modules of a whole model.
enum TorchModuleClass {
  /// PyTorch classes whose parameters have a role, or that have no effect at evaluation.
  private static let known = [
    "torch.nn.modules.container.", "torch.nn.modules.dropout.", "torch.nn.modules.loss.",
    "torch.nn.modules.rnn.", "torch.nn.modules.sparse.Embedding", "torch.nn.modules.linear.Linear",
    "torch.nn.modules.linear.NonDynamicallyQuantizableLinear", "torch.nn.modules.linear.Identity",
    "torch.nn.modules.activation.LogSoftmax", "torch.nn.modules.activation.Softmax",
    "torch.nn.modules.module.Module", "torch.nn.parallel.", "torch.nn.backends.",
    "torch.nn.modules.adaptive.",
  ]

  /// Refuses a PyTorch module whose function no parameter shows.
  ///
  /// - Throws: `InterchangeError` naming the module.
  static func check(_ modules: [TorchModule], ledger: Ledger, file: any TensorContainer) throws {
    for module in modules where !ledger.isIgnored(module.path) {
      if module.className.contains("quantized") {
        throw quantised(module.path, module.className, file)
      }
      guard module.className.hasPrefix("torch.nn."), !module.path.isEmpty,
        !known.contains(where: module.className.hasPrefix)
      else { continue }
      throw file.error(
        module.path,
        expected: "modules of a language model of embedding, recurrent layers and output",
        found: "a \(module.className), which changes what the model computes",
        fix: "such a model cannot be converted; if the model does not use it, "
          + "`--ignore \(module.path)` leaves it out")
    }
  }

  /// Returns the error for a quantized model.
  static func quantised(
    _ place: String, _ className: String, _ file: any TensorContainer
  ) -> InterchangeError {
    file.error(
      place, expected: "weights in floating point",
      found: "a quantised model (\(className))",
      fix: "convert the model as it was before it was quantised: "
        + "`torch.save(model.state_dict(), \"new.pt\")` before `quantize_dynamic`")
  }
}
