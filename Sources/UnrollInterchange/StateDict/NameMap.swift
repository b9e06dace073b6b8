// A JSON file that assigns the tensors of a model file to roles.

import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// The roles of the tensors in a file, as given by `--map`.
///
/// A JSON object with one member for each tensor, `"rnn.weight_ih_l0": "NAME"`: the parameter, by
/// its name in a state_dict or its path in a checkpoint, and the tensor's name in the file. Further
/// members: `"NAME": null` ignores a tensor, `"gates": "ifog"` gives the order of gate blocks, and
/// `"tied": true` ties the output to the embedding.
public struct NameMap: Sendable, Hashable {
  /// The maximum size of the file.
  private static let largestFile = 1 << 24
  /// The members that are not names of tensors.
  enum Key {
    static let gates = "gates"
    static let tied = "tied"
    /// The key of a skeleton's list of tensors without a role.
    static let unassigned = "unassigned"
  }
  /// The placeholder in a skeleton for a name that the user has to fill in.
  static let blank = "?"

  /// The names in the file, by their names in a state_dict; embedding and output may have the same
  /// one.
  public private(set) var names: [String: String] = [:]
  /// The tensors of the file to leave out.
  public private(set) var ignored: Set<String> = []
  /// The order of gate blocks in the file; `nil` for PyTorch's.
  public private(set) var gates: GateOrder?
  /// `true` if the output shares the weight of the embedding.
  public private(set) var isTied = false
  /// The path of the map's file.
  public private(set) var path: String?

  /// Creates an empty map.
  public init() {}

  /// Creates a map of names.
  public init(names: [String: String]) { self.names = names }

  /// `true` if the map is empty.
  public var isEmpty: Bool { self == NameMap() }

  /// Reads a map.
  ///
  /// - Throws: `FileError` if the file cannot be read; `InterchangeError` if it is not a map.
  public init(contentsOf path: String) throws {
    let file = try MappedFile(path: path)
    guard file.count <= Self.largestFile,
      let members = try? JSONValue(file.copy(0..<file.count)).members, !members.isEmpty
    else { throw Self.error(path, "", "a JSON object of names", "something else") }
    for (key, value) in members {
      try add(String(decoding: key, as: UTF8.self), value, path: path)
    }
    self.path = path
    let counts = Dictionary(grouping: names, by: \.value).filter { $0.value.count > 1 }
    let tie: Set = ["encoder.weight", "decoder.weight"]
    if let (name, roles) = counts.first(where: { Set($0.value.map(\.key)) != tie }) {
      throw Self.error(
        path, name, "each tensor once; only encoder.weight and decoder.weight may share one",
        list(roles.map(\.key).sorted()))
    }
    if isTied, counts.isEmpty, names["decoder.weight"] != nil {
      throw Self.error(
        path, Key.tied, "no decoder.weight of its own beside \"tied\": true",
        names["decoder.weight"] ?? "")
    }
  }

  /// The map without ignored tensors: for a file that does not contain them.
  var ofUsedTensors: NameMap {
    var map = self
    map.ignored = []
    return map
  }

  private mutating func add(_ key: String, _ value: JSONValue, path: String) throws {
    switch key {
    case Key.gates:
      guard let order = value.text.flatMap(GateOrder.init) else {
        throw Self.error(
          path, key, "the letters i, f, g, o of an LSTM or r, z, n of a GRU in the file's order",
          value.text ?? "another value")
      }
      gates = order
    case Key.tied:
      guard case .bool(let value) = value else {
        throw Self.error(path, key, "true or false", "another value")
      }
      isTied = value
    case Key.unassigned:
      throw Self.error(
        path, key, "no such member: give each tensor in it a role, or null to ignore it",
        "the skeleton as it was written")
    default:
      if case .null = value {
        ignored.insert(key)
        return
      }
      guard let name = Self.stateName(key) else {
        throw Self.error(path, key, "a parameter of the format", "another path")
      }
      guard let fileName = value.text, fileName != Self.blank else {
        throw Self.error(
          path, key, "the name of a tensor, or null to ignore one", value.text ?? "another value")
      }
      guard names.updateValue(fileName, forKey: name) == nil else {
        throw Self.error(path, key, "each parameter once", "one twice")
      }
    }
  }

  private static func error(
    _ path: String, _ place: String, _ expected: String, _ found: String
  ) -> InterchangeError {
    InterchangeError(
      file: path, place: place, expected: expected, found: found,
      fix: "`unroll convert --print-map MODEL` writes a map to complete: "
        + "`{\"rnn.weight_ih_l0\": \"NAME IN THE FILE\"}`")
  }

  /// Returns the state_dict name of a checkpoint's path; state_dict names unchanged.
  private static func stateName(_ key: String) -> String? {
    guard key.hasPrefix("/") else { return key }
    switch key {
    case ParameterPath.embeddingWeight.description: return "encoder.weight"
    case ParameterPath.outputWeight.description: return "decoder.weight"
    case ParameterPath.outputBias.description: return "decoder.bias"
    default:
      let parts = key.split(separator: "/")
      if parts.count == 5, let tail = Int(parts[3]),
        let parameter = TailParameter(rawValue: String(parts[4])),
        key == ParameterPath.tail(tail, parameter).description
      {
        return "decoder.tail.\(tail).\(parameter == .projection ? 0 : 1).weight"
      }
      guard parts.count == 4, let layer = Int(parts[2]),
        let parameter = LayerParameter(rawValue: String(parts[3])),
        key == ParameterPath.layer(layer, parameter).description
      else { return nil }
      return "rnns.\(layer).\(parameter.rawValue)_l0"
    }
  }
}
