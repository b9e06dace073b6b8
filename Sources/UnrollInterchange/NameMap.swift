// A JSON file that says which tensor of a model file is which.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// The names of tensors in a file, by those that they stand for: what `--map` reads.
public struct NameMap: Sendable, Hashable {
  /// The largest file that is read.
  private static let largestFile = 1 << 24

  /// The names in the file, by those of a state_dict.
  public let names: [String: String]

  /// Reads a JSON object of texts, `{"rnn.weight_ih_l0": "NAME", ...}`.
  ///
  /// Its keys are names of a state_dict, or paths of a checkpoint such as `/model/layers/00/weight_ih`.
  ///
  /// - Throws: `FileError` if the file cannot be read; `InterchangeError` if it holds anything else.
  public init(contentsOf path: String) throws {
    let file = try MappedFile(path: path)
    func fail(_ place: String, _ expected: String, _ found: String) -> InterchangeError {
      InterchangeError(
        file: path, place: place, expected: expected, found: found,
        fix: "write it as in `{\"rnn.weight_ih_l0\": \"NAME IN THE FILE\"}`")
    }
    guard file.count <= Self.largestFile,
      let members = try? JSONValue(file.copy(0..<file.count)).members, !members.isEmpty
    else { throw fail("", "a JSON object of names", "something else") }
    var (names, used): ([String: String], Set<String>) = ([:], [])
    for (key, value) in members {
      let key = String(decoding: key, as: UTF8.self)
      guard let name = Self.stateName(key) else {
        throw fail(key, "a parameter of the format", "another path")
      }
      guard let fileName = value.text else { throw fail(key, "a name", "another value") }
      guard names.updateValue(fileName, forKey: name) == nil, used.insert(fileName).inserted else {
        throw fail(key, "each name once", "one twice")
      }
    }
    self.names = names
  }

  /// A path of a checkpoint as the name of a state_dict; names as they are.
  private static func stateName(_ key: String) -> String? {
    guard key.hasPrefix("/") else { return key }
    switch key {
    case ParameterPath.embeddingWeight.description: return "encoder.weight"
    case ParameterPath.outputWeight.description: return "decoder.weight"
    case ParameterPath.outputBias.description: return "decoder.bias"
    default:
      let parts = key.split(separator: "/")
      guard parts.count == 4, let layer = Int(parts[2]),
        let parameter = LayerParameter(rawValue: String(parts[3])),
        key == ParameterPath.layer(layer, parameter).description
      else { return nil }
      return "rnns.\(layer).\(parameter.rawValue)_l0"
    }
  }
}
