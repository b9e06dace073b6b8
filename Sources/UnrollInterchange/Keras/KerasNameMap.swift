// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The map of `--map` for a Keras file: the datasets of the weights.

import UnrollFormat
import UnrollSerialization
import UnrollTokenization

/// The datasets of a file, assigned to weights by their names in a state_dict.
///
/// They are in Keras's order and orientation: a kernel is `[in, out]`, a bias covers both.
struct KerasNameMap {
  /// The dataset of the embedding, if there is one.
  private(set) var embedding: String?
  /// The kernel, the recurrent kernel and the bias, if any, of each recurrent layer.
  private(set) var layers: [[String]] = []
  /// The kernel of the output and its bias, if any; empty if the output is the embedding.
  private(set) var output: [String] = []

  /// Assigns the names.
  ///
  /// - Parameters:
  ///   - names: The paths of datasets by the names of a state_dict.
  ///   - refusal: Creates an error from a location, an expectation and a finding.
  /// - Throws: The error of `refusal`, if a name is unknown or missing.
  init(
    _ names: [String: String],
    refusal: (_ place: String, _ expected: String, _ found: String) -> InterchangeError
  ) throws {
    var recurrent: [Int: [String: String]] = [:]
    var weight: String?
    var bias: String?
    for (name, path) in names.sorted(by: { $0.key < $1.key }) {
      let last = name.split(separator: ".").suffix(2).joined(separator: ".")
      if let match = name.wholeMatch(
        of: /[a-z_]+(?:\.(\d{1,3}))?\.(weight_ih|weight_hh|bias|bias_ih)_l(\d{1,3})/)
      {
        let layer = (match.1.flatMap { Int($0) } ?? 0) + (Int(match.3) ?? 0)
        let role = match.2 == "bias_ih" ? "bias" : String(match.2)
        guard recurrent[layer, default: [:]].updateValue(path, forKey: role) == nil else {
          throw refusal(name, "each weight once", "one twice")
        }
      } else if ["encoder.weight", "embedding.weight"].contains(last) {
        embedding = path
      } else if last == "decoder.weight" {
        weight = path
      } else if last == "decoder.bias" {
        bias = path
      } else {
        throw refusal(
          name,
          "encoder.weight, rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_l0 (and l1, ...), "
            + "decoder.weight or decoder.bias", "another name")
      }
    }
    for index in 0..<recurrent.count {
      guard let layer = recurrent[index], let ih = layer["weight_ih"], let hh = layer["weight_hh"]
      else {
        throw refusal(
          "rnn.weight_ih_l\(index)", "both weights of each of the \(recurrent.count) layers",
          "one or none")
      }
      layers.append([ih, hh] + (layer["bias"].map { [$0] } ?? []))
    }
    guard !layers.isEmpty, let weight else {
      throw refusal("", "the weights of recurrent layers and of the output", "others alone")
    }
    output = [weight] + (bias.map { [$0] } ?? [])
  }

  /// Returns a map for the layers of a file, for the user to correct.
  static func skeleton(of layers: [KerasRoles.Candidate]) -> String {
    var members: [(String, String)] = []
    var number = 0
    for (index, layer) in layers.enumerated() {
      let places = layer.variables.map(\.place)
      switch layer.kind {
      case .recurrent:
        members += zip(["weight_ih", "weight_hh", "bias"], places).map {
          ("rnn.\($0)_l\(number)", $1)
        }
        number += 1
      case .matrix where index == 0, .reversible: members.append(("encoder.weight", places[0]))
      case .matrix, .dense:
        members += zip(["decoder.weight", "decoder.bias"], places).map { ($0, $1) }
      }
    }
    var seen: Set<String> = []
    let items = members.map { name, path in
      "\(quoted(seen.insert(name).inserted ? name : name + "?")): \(quoted(path))"
    }
    return "{\(items.joined(separator: ", "))}"
  }
}
