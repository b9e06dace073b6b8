// swift-format-ignore-file: AlwaysUseLowerCamelCase
// A map to complete, with the likely roles of a file's tensors.

import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// A JSON object for `--map` with the roles that names and shapes suggest for the tensors of a
/// file.
///
/// The roles are guesses; conversions use them only if the user passes the map.
struct MapSkeleton {
  private let tensors: [NamedTensor]
  private var roles: [(role: String, name: String)] = []
  private var used: Set<String> = []
  private var cells: Set<Cell> = []
  /// The columns of the first layer's input weight.
  private var inputSize: Int?
  private let copies: [String]
  private static let mostTensors = 400

  /// Guesses the roles of tensors.
  init(_ model: NamedTensors) {
    tensors = model.tensors.count > Self.mostTensors ? [] : model.tensors
    copies = model.copies.sorted()
    let modules = RecurrentModule.all(in: model)
    if modules.isEmpty { guessLayers() } else { takeModules(modules, model) }
    if let adaptive = try? AdaptiveNames(in: model) {
      take(adaptive)
    } else {
      guessEmbeddingAndOutput()
    }
  }

  /// The JSON object, one member per line.
  var json: String {
    var members = roles.map { "\(quoted($0.role)): \(quoted($0.name))" }
    // A map states one order, that of the only cell with gates.
    let gated = cells.subtracting([.rnn])
    if gated.count == 1, let order = gated.first.flatMap(GateOrder.usual) {
      members.append("\(quoted(NameMap.Key.gates)): \(quoted(order.letters))")
    }
    members += copies.map { "\(quoted($0)): null" }
    let rest = tensors.filter { !used.contains($0.fileName) }
    if !rest.isEmpty {
      let lines = rest.map { "\(quoted($0.fileName)): \(quoted($0.tensor.shape.description))" }
      members.append(
        "\(quoted(NameMap.Key.unassigned)): {\n    \(lines.joined(separator: ",\n    "))\n  }")
    }
    return "{\n  \(members.joined(separator: ",\n  "))\n}"
  }

  private mutating func assign(_ role: String, _ tensor: NamedTensor?) {
    roles.append((role, tensor?.fileName ?? NameMap.blank))
    if let tensor { used.insert(tensor.fileName) }
  }

  // MARK: - Recurrent layers

  private mutating func takeModules(_ modules: [RecurrentModule], _ model: NamedTensors) {
    let layers = modules.prefix(20).flatMap { (try? $0.layers(in: model)) ?? [] }
    for (index, layer) in layers.enumerated() {
      for parameter in LayerParameter.torchNames {
        guard let tensor = layer.tensors[parameter] else { continue }
        assign("rnn.\(parameter.rawValue)_l\(index)", tensor)
      }
    }
    inputSize = layers.first?.tensors[.weightIH]?.tensor.shape.dimensions.last
    cells = Set(
      layers.compactMap { $0.tensors[.weightHR] == nil ? Self.cell($0.tensors[.weightHH]) : .lstm })
  }

  private static func cell(_ weightHH: NamedTensor?) -> Cell? {
    guard let sizes = weightHH?.tensor.shape.dimensions, sizes.count == 2, sizes[1] > 0 else {
      return nil
    }
    return Cell.usual.first { $0.gateCount * sizes[1] == sizes[0] }
  }

  /// Assigns matrices of G*H rows and H columns to recurrent weights, and others with as many rows
  /// to their input weights.
  private mutating func guessLayers() {
    let matrices = tensors.filter { $0.tensor.shape.rank == 2 }
    var layer = 0
    for weight in matrices where !used.contains(weight.fileName) {
      guard let found = Self.cell(weight), found != .rnn else { continue }
      let rows = weight.tensor.shape.dimensions[0]
      let mates = matrices.filter {
        $0.tensor.shape.dimensions[0] == rows && $0.fileName != weight.fileName
          && !used.contains($0.fileName)
      }
      guard let input = mates.first else { continue }
      cells.insert(found)
      assign("rnn.weight_ih_l\(layer)", input)
      assign("rnn.weight_hh_l\(layer)", weight)
      let biases = tensors.filter {
        $0.tensor.shape == [rows] && !used.contains($0.fileName)
      }
      if biases.count == 1 || (biases.count > 1 && mates.count > 1) && biases.count <= mates.count {
        assign("rnn.bias_l\(layer)", biases[0])
      } else if biases.count > 1 {
        assign("rnn.bias_ih_l\(layer)", biases[0])
        assign("rnn.bias_hh_l\(layer)", biases[1])
      }
      layer += 1
    }
    guard layer == 0 else { return }
    for parameter in [LayerParameter.weightIH, .weightHH, .biasIH, .biasHH] {
      assign("rnn.\(parameter.rawValue)_l0", nil)
    }
  }

  // MARK: - Embedding and output

  /// Assigns the parts of an adaptive softmax, and the embedding by its number of rows.
  private mutating func take(_ adaptive: AdaptiveNames) {
    let embedding = tensors.first {
      $0.tensor.shape.rank == 2 && $0.tensor.shape.dimensions[0] == adaptive.vocabularySize
        && !used.contains($0.fileName)
    }
    assign("encoder.weight", embedding)
    assign("decoder.head.weight", adaptive.head)
    if let bias = tensors.first(where: { $0.name == adaptive.head.name.dropLast(6) + "bias" }) {
      assign("decoder.head.bias", bias)
    }
    for (index, tail) in adaptive.tails.enumerated() {
      assign("decoder.tail.\(index).0.weight", tail.projection)
      assign("decoder.tail.\(index).1.weight", tail.weight)
    }
  }

  private mutating func guessEmbeddingAndOutput() {
    let rest = tensors.filter { !used.contains($0.fileName) }
    let matrices = rest.filter { $0.tensor.shape.rank == 2 }
    let rows = matrices.map { $0.tensor.shape.dimensions[0] }
    let V = rows.max { first, second in
      (rows.count { $0 == first }, first) < (rows.count { $0 == second }, second)
    }
    let candidates = matrices.filter { $0.tensor.shape.dimensions[0] == V }
    // With one-hot input there is no embedding.
    let isOneHot =
      matrices.count == 1 && inputSize != nil && V == inputSize
      && matrices.first?.tensor.shape.dimensions.last != inputSize
    if !isOneHot { assign("encoder.weight", candidates.first) }
    // A single matrix may be both.
    assign(
      "decoder.weight",
      candidates.count > 1 ? candidates.last : matrices.count == 1 ? candidates.first : nil)
    if let bias = rest.first(where: { $0.tensor.shape.dimensions == [V ?? -1] }) {
      assign("decoder.bias", bias)
    }
  }
}

/// A format whose files are tensors with names.
protocol NamedFormat: ForeignFormat {
  /// Returns the tensors of a file under the names of `state_dict()`.
  ///
  /// - Throws: `InterchangeError` if the file is damaged, or a name of the options is missing.
  static func tensors(of file: MappedFile, options: ReadingOptions) throws -> NamedTensors
}

extension NamedFormat {
  /// `true`: tensors have names.
  public static var hasNames: Bool { true }
}

/// Returns a map to complete for `--map`, with the roles that the names and shapes of tensors
/// suggest.
///
/// - Parameters:
///   - file: The file.
///   - format: Its format.
///   - options: The names to ignore, and the path of the model in the file.
/// - Returns: A JSON object.
/// - Throws: `InterchangeError` if the file is damaged, or its tensors have no names.
public func mapSkeleton(
  of file: MappedFile, as format: any ForeignFormat.Type, options: ReadingOptions
) throws -> String {
  guard let format = format as? any NamedFormat.Type else {
    throw InterchangeError(
      file: file.path, place: "", expected: "a file of tensors with names, for a map of them",
      found: format.name, fix: "convert it without a map: its parts are told by what they compute")
  }
  return try format.tensors(of: file, options: options).skeleton
}

extension NamedTensors {
  /// The map to complete for this file.
  var skeleton: String { MapSkeleton(self).json }

  /// Returns an error about the roles of tensors that shows a map to complete.
  ///
  /// - Parameters:
  ///   - place: The location in the file; all tensors if it is `nil`.
  ///   - expected: The expectation for a language model.
  ///   - found: The finding.
  ///   - advice: Advice on the map, such as "say which tensor is which".
  /// - Returns: The error.
  func roleError(
    _ place: String? = nil, expected: String, found: String, advice: String
  ) -> InterchangeError {
    let skeleton = skeleton
    let isShort = skeleton.utf8.count <= Self.longestSkeleton
    return file.error(
      place ?? file.place, expected: expected, found: found,
      fix: "\(advice) with --map FILE; `unroll convert --print-map MODEL` writes "
        + (isShort ? "this map to complete (null ignores a tensor):" : "a map to complete")
    ).showing(isShort ? skeleton : "")
  }

  /// The maximum length in bytes of a map that an error shows.
  private static var longestSkeleton: Int { 4_000 }
}
