// A JSON file that says which tensor of a model file is which.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// The roles of the tensors in a file, as `--map` states them.
///
/// A JSON object with one member for each tensor, `"rnn.weight_ih_l0": "NAME"`: the parameter, by its name in
/// a state_dict or its path in a checkpoint, and the tensor's name in the file. Further members:
/// `"NAME": null` ignores a tensor, `"gates": "ifog"` states the order of the gate blocks, and
/// `"tied": true` that the output shares the weight of the embedding.
public struct NameMap: Sendable, Hashable {
  /// The largest file that is read.
  private static let largestFile = 1 << 24
  /// The members that are no names of tensors.
  enum Key {
    static let gates = "gates"
    static let tied = "tied"
    /// Where a skeleton lists the tensors that it found no role for.
    static let unassigned = "unassigned"
  }
  /// What stands in a skeleton for a name that the user has to fill in.
  static let blank = "?"

  /// The names in the file, by those of a state_dict; the embedding and the output may have the same.
  public private(set) var names: [String: String] = [:]
  /// The tensors of the file to leave out.
  public private(set) var ignored: Set<String> = []
  /// The order of the gate blocks in the file; `nil` for that of PyTorch.
  public private(set) var gates: GateOrder?
  /// `true` if the output shares the weight of the embedding.
  public private(set) var isTied = false
  /// The file that it was read from.
  public private(set) var path: String?

  /// Creates a map that says nothing.
  public init() {}

  /// Creates a map of names.
  public init(names: [String: String]) { self.names = names }

  /// `true` if the map says nothing.
  public var isEmpty: Bool { self == NameMap() }

  /// Reads a map.
  ///
  /// - Throws: `FileError` if the file cannot be read; `InterchangeError` if it holds anything else.
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

  /// The map without the tensors to leave out: for a file that does not have them.
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
