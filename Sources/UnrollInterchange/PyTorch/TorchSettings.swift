// Settings beside a model that change its function without a tensor.

import UnrollFormat
import UnrollTensors

/// A statement of a file, and its location there.
struct Stated<Value: Hashable & Sendable>: Hashable, Sendable {
  let place: String
  let value: Value
}

/// The values beside a model that `--ignore` names or that change what it computes.
struct TorchSettings {
  /// The maximum number of visited values.
  private static let mostValues = 10_000

  /// The activations of vanilla RNN cells.
  private(set) var activations: [Stated<Activation>] = []
  /// The locations of settings that tie the output to the embedding.
  private(set) var ties: [String] = []
  /// The paths of `--ignore` that are values beside the model.
  private(set) var ignored: Set<String> = []

  /// Searches a value beside a model.
  ///
  /// - Parameters:
  ///   - value: The value.
  ///   - name: Its key.
  ///   - path: The keys that lead to it, in the form of `--ignore`.
  ///   - file: The file.
  ///   - leftOut: The paths that the caller leaves out.
  /// - Throws: `InterchangeError` naming a setting by which the model computes something else.
  mutating func take(
    _ value: PickleReference, named name: String, path: String, in file: TorchFile,
    ignoring leftOut: Set<String>
  ) throws {
    var left = Self.mostValues
    var pending = [(name: name, path: path, value: value, depth: 0)]
    while let next = pending.popLast() {
      left -= 1
      guard left > 0 else { return }
      if leftOut.contains(next.path) {
        ignored.insert(next.path)
        continue
      }
      if let value = SettingValue(next.value, in: file.graph) {
        if let meaning = ModelSetting.meaning(of: next.name, value) {
          throw file.error(
            next.path, expected: "a language model of embedding, recurrent layers and output",
            found: "\(meaning) (\(next.name) is \(value))",
            fix: "it cannot be converted; if the setting is of something else, `--ignore "
              + "\(next.path)` leaves it out")
        }
        if let activation = ModelSetting.activation(of: next.name, value) {
          activations.append(Stated(place: next.path, value: activation))
        }
        if ModelSetting.isTie(next.name, value) { ties.append(next.path) }
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
}

extension SettingValue {
  /// A value of a pickle; `nil` for one that sets nothing by itself.
  fileprivate init?(_ value: PickleReference, in graph: PickleGraph) {
    switch graph[value].value {
    case .bool(let flag): self = .bool(flag)
    case .int(let number): self = .number(Double(number))
    case .float(let number): self = .number(number)
    case .string(let text): self = .text(text)
    default: return nil
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
