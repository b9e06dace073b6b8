// Notes on settings of a configuration that concern training alone, or texts of fixed length.

import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

extension KerasConfiguration {
  /// Notes settings that concern training alone.
  mutating func noteTraining(of entry: KerasLayerEntry) {
    func lose(_ what: String) {
      notes.append(Note(place: entry.name, message: "not preserved: \(what)"))
    }
    if entry.className == "ActivityRegularization" { lose(entry.className) }
    let setting = KerasKinds.harmless[entry.className].flatMap { $0 }
    let isDropout =
      entry.className.hasSuffix("Dropout") || entry.className.hasPrefix("SpatialDropout")
    let rates = [
      (
        setting == nil || isDropout ? "dropout" : entry.className,
        entry.settings[setting ?? "dropout"]?.number
      ),
      ("recurrent_dropout", entry.settings["recurrent_dropout"]?.number),
    ]
    for case (let name, let rate?) in rates where rate != 0 { lose("\(name) \(rate)") }
    for (key, value) in entry.settings.members ?? [] {
      let key = String(decoding: key, as: UTF8.self)
      guard key.hasSuffix("_regularizer") || key.hasSuffix("_constraint"),
        entry.settings[key] != nil
      else { continue }
      lose("\(key) \(value["class_name"]?.text ?? "")")
    }
    if let policy = entry.policy, policy.hasPrefix("mixed_") {
      notes.append(
        Note(
          place: entry.name,
          message:
            "not preserved: it computes in \(policy.dropFirst("mixed_".count)); the weights are "
            + "of float32"))
    }
  }

  /// Notes that a model was made for texts of fixed length.
  mutating func noteWindow(of value: JSONValue) {
    let settings = value["config"]
    let items = settings?.array ?? settings?["layers"]?.array ?? []
    let first = items.prefix(3).compactMap { $0["config"] }
    guard !first.contains(where: { $0["stateful"]?.bool == true }) else { return }
    let lengths = first.compactMap { settings -> Int? in
      let shape = (settings["batch_shape"] ?? settings["batch_input_shape"])?.array ?? []
      return shape.count > 1
        ? shape[1].int : (settings["input_length"] ?? settings["output_sequence_length"])?.int
    }
    // Length 1 belongs to inputs of raw text, not of ids.
    guard let length = lengths.first(where: { $0 > 1 }) else { return }
    window = StatedWindow(
      length: length, readsPadding: !first.contains { $0["mask_zero"]?.bool == true })
    notes.append(
      Note(
        place: file.placeOfConfiguration,
        message:
          "assumed: texts of any length, read from their start; the model was made for windows of "
          + "\(length) tokens, each read from a state of zeros and, if it is shorter, padded "
          + "(pad_sequences); `--context \(length) --pad TOKEN` of evaluate (with --protocol window), "
          + "score and generate gives Keras's own predictions, with --pad none if mask_zero is set")
    )
  }
}

extension JSONValue {
  /// `true` if the value is a model with a list of layers.
  var hasLayers: Bool {
    let list = self["config"]?.array ?? self["config"]?["layers"]?.array ?? []
    return !list.isEmpty && list.allSatisfy { $0["class_name"] != nil && $0["config"] != nil }
  }
}

extension KerasLayerEntry {
  /// The quantization of the layer's weights, if any.
  var quantization: String? {
    if let mode = settings["quantization_mode"]?.text { return mode }
    // For example int8_from_float32.
    if let mode = policy?.firstMatch(of: /^(.+)_from_/) { return String(mode.1) }
    guard let policy = settings["dtype"], policy["class_name"]?.text?.contains("Quantized") == true
    else { return nil }
    return policy["config"]?["mode"]?.text ?? "fewer bits"
  }
}

extension GateActivation {
  /// Returns the `hard_sigmoid` of a generation of Keras, 2 or 3.
  static func hardSigmoid(ofKeras generation: Int) -> GateActivation {
    .hardSigmoid(alpha: generation >= 3 ? 1.0 / 6 : 0.2, beta: 0.5)
  }
}
