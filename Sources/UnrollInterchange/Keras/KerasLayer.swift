// One layer of a configuration: what it computes, or why it cannot be converted.

import UnrollFormat
import UnrollTokenization

/// What a layer with numbers of its own computes.
enum KerasLayer {
  /// Rows of a matrix.
  case embedding
  case recurrent(KerasCell)
  /// A linear layer.
  case dense
  /// An embedding as the output: the product with its matrix, or with one of its own.
  case reversed(isTied: Bool)
}

/// A recurrent layer without its sizes.
struct KerasCell {
  /// The kind of the cell.
  let cell: Cell
  /// Whether its numbers are in the order of cuDNN.
  var isCuDNN = false
  var activation = Activation.tanh
  var gates = GateActivation.sigmoid
  /// How a GRU applies its reset gate; `nil` where shapes must tell.
  var reset: GRUReset?

  /// The classes of recurrent layers.
  static let classes: [String: KerasCell] = [
    "LSTM": KerasCell(cell: .lstm), "GRU": KerasCell(cell: .gru),
    "SimpleRNN": KerasCell(cell: .rnn),
    "CuDNNLSTM": KerasCell(cell: .lstm, isCuDNN: true),
    "CuDNNGRU": KerasCell(cell: .gru, isCuDNN: true, reset: .after),
  ]
}

extension JSONValue {
  /// The class of an object of a configuration: its plain name if it is Keras's own, else with where it
  /// comes from; `nil` if there is none.
  ///
  /// A user's class may have the name of one of Keras's.
  var kerasClass: String? {
    guard let name = self["class_name"]?.text else { return nil }
    if let registered = self["registered_name"]?.text, registered != name { return registered }
    guard let module = self["module"]?.text else { return name }
    let isKerass = ["keras", "tf_keras", "tensorflow"].contains {
      module == $0 || module.hasPrefix($0 + ".")
    }
    return isKerass ? name : "\(module).\(name)"
  }
}

/// An entry of a configuration's list of layers.
struct KerasLayerEntry {
  /// The class, such as `LSTM`.
  let className: String
  /// The name that its user gave it.
  let name: String
  /// The settings.
  let settings: JSONValue

  /// Reads an entry; `nil` if it is none.
  init?(_ value: JSONValue) {
    guard let className = value.kerasClass, let settings = value["config"] else { return nil }
    self.className = className
    self.settings = settings
    name = settings["name"]?.text ?? value["name"]?.text ?? className
  }

  /// The entry of the layer that a TimeDistributed applies to each step; itself for any other.
  var inner: KerasLayerEntry {
    guard className == "TimeDistributed" else { return self }
    return settings["layer"].flatMap(KerasLayerEntry.init) ?? self
  }

  /// A flag that is set.
  func isSet(_ name: String) -> Bool { settings[name]?.bool == true }

  /// The name of a function; `linear` where there is none.
  func function(_ name: String) -> String {
    guard let value = settings[name] else { return "linear" }
    return value.text ?? value["class_name"]?.text.map { "\($0) \(value["config"]?.text ?? "")" }
      ?? "another"
  }
}
