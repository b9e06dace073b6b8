// swift-format-ignore-file: AlwaysUseLowerCamelCase
// A layer of a configuration: its computation, or the reason why it cannot be converted.

import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// The computation of a layer with variables.
enum KerasLayer {
  /// A lookup of rows of a matrix.
  case embedding
  case recurrent(KerasCell)
  /// A linear layer.
  case dense
  /// An embedding used as the output: the product with its matrix, or with a separate one.
  case reversed(isTied: Bool)
}

/// A recurrent layer without its sizes.
struct KerasCell {
  /// The kind of the cell.
  let cell: Cell
  /// `true` if the parameters are in cuDNN's order.
  var isCuDNN = false
  var activation = Activation.tanh
  var gates = GateActivation.sigmoid
  /// The position of a GRU's reset gate; `nil` if it must follow from shapes.
  var reset: GRUReset?

  /// The classes of recurrent layers.
  static let classes: [String: KerasCell] = [
    "LSTM": KerasCell(cell: .lstm), "GRU": KerasCell(cell: .gru),
    "SimpleRNN": KerasCell(cell: .rnn),
    "CuDNNLSTM": KerasCell(cell: .lstm, isCuDNN: true),
    "CuDNNGRU": KerasCell(cell: .gru, isCuDNN: true, reset: .after),
  ]
}

extension KerasCell {
  /// Tells a cell, with tanh and sigmoid, by the shapes of its variables: kernel, recurrent kernel and bias, if any;
  /// `nil` if they are those of none.
  ///
  /// - Parameters:
  ///   - shapes: The shapes; the first two are matrices.
  ///   - resetWithoutBias: The position of a GRU's reset gate where no bias shows it.
  init?(shapes: [Shape], resetWithoutBias: GRUReset) {
    guard let H = shapes[1].dimensions.first, H > 0, shapes[1].dimensions[1] % H == 0 else {
      return nil
    }
    let bias = shapes.count == 3 ? shapes[2].dimensions : []
    switch shapes[1].dimensions[1] / H {
    case 1: self.init(cell: .rnn)
    case 3:
      let isBefore =
        bias.isEmpty ? resetWithoutBias == .before : bias.count == 1 && bias != [6 * H]
      self.init(cell: .gru, isCuDNN: bias == [6 * H], reset: isBefore ? .before : .after)
    case 4: self.init(cell: .lstm, isCuDNN: bias == [8 * H])
    default: return nil
    }
  }
}

extension JSONValue {
  /// The class of an object of a configuration: its plain name for Keras's own classes, else with
  /// its module; `nil` if there is none.
  ///
  /// A user's class may have the name of a Keras class.
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
  /// The user's name of the layer.
  let name: String
  /// The settings.
  let settings: JSONValue

  /// Reads an entry; `nil` if the value is not an entry.
  init?(_ value: JSONValue) {
    guard let className = value.kerasClass, let settings = value["config"] else { return nil }
    self.className = className
    self.settings = settings
    name = settings["name"]?.text ?? value["name"]?.text ?? className
  }

  /// The entry of the layer that a TimeDistributed applies to each step; the entry itself for
  /// others.
  var inner: KerasLayerEntry {
    guard className == "TimeDistributed" else { return self }
    return settings["layer"].flatMap(KerasLayerEntry.init) ?? self
  }

  /// Returns `true` if a flag is set.
  func isSet(_ name: String) -> Bool { settings[name]?.bool == true }

  /// Returns the name of an activation; `linear` if there is none.
  func function(_ name: String) -> String {
    guard let value = settings[name] else { return "linear" }
    return value.text ?? value["class_name"]?.text.map { "\($0) \(value["config"]?.text ?? "")" }
      ?? "another"
  }
}
