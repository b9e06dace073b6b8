// A SavedModel: a folder with a graph, the variables, and what Keras notes of its layers.

import Foundation
import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// The file `saved_model.pb` of a SavedModel, and the files of its folder.
struct SavedModel {
  static let fileName = "saved_model.pb"
  private static let metadataName = "keras_metadata.pb"
  /// The maximum number of operations of the graph and all functions.
  private static let mostOperations = 1 << 19

  /// The index of the variables.
  let index: String
  /// The lists of strings among the constants of the graph and of its functions, each with its operation's name.
  let texts: [(name: String, texts: [[UInt8]])]
  /// The configurations that Keras noted, by the path of the object, such as `root.layer-0`.
  let layers: [String: JSONValue]
  private let metaGraph: WireMessage

  /// Returns `true` if a file is a message with the two fields of a `SavedModel` alone.
  static func recognizes(_ file: MappedFile) -> Bool {
    guard file.copy(0..<3) == [0x08, 0x01, 0x12],
      let message = WireMessage(0..<file.count, of: .mapped(file, 0..<file.count))
    else { return false }
    return message.fields.allSatisfy { [1, 2].contains($0.number) }
  }

  /// Returns the path of Keras's notes beside a graph, if there are any.
  static func metadata(beside path: String) -> [String] {
    let path = SplitPath(path).sibling(metadataName)
    return FileManager.default.fileExists(atPath: path) ? [path] : []
  }

  /// Opens a model.
  ///
  /// - Throws: `InterchangeError` if a file is damaged, or there are several graphs.
  init(_ file: MappedFile) throws {
    func error(_ place: String, _ expected: String, _ found: String) -> InterchangeError {
      InterchangeError(
        file: file.path, place: place, expected: expected, found: found,
        fix: "copy the folder of the SavedModel again, or save the model again")
    }
    let message = WireMessage(0..<file.count, of: .mapped(file, 0..<file.count))
    let graphs = message?.ranges(2).compactMap { message?.message($0) } ?? []
    guard let metaGraph = graphs.first, graphs.count == 1 else {
      throw error("", "a SavedModel of one graph", "\(graphs.count) graphs")
    }
    let most = OperationGraph.mostNodes
    guard let graph = metaGraph.range(2).flatMap({ metaGraph.message($0, most: most) }) else {
      throw error("", "a graph of at most \(most) operations", "more, or none")
    }
    self.metaGraph = metaGraph
    index = SplitPath(file.path).sibling("variables/variables.index")
    var constants = Constants()
    var left = Self.mostOperations
    func add(_ operations: [Range<Int>], of message: WireMessage) throws {
      left -= operations.count
      guard left >= 0 else {
        throw error("", "at most \(Self.mostOperations) operations of functions", "more")
      }
      guard constants.add(operations.compactMap { message.message($0) }) else {
        throw error("", "strings of at most 16 MB", "more")
      }
    }
    try add(graph.ranges(1), of: graph)
    if let library = graph.range(2).flatMap({ graph.message($0) }) {
      for range in library.ranges(1) {
        guard let function = library.message(range, most: most) else { continue }
        try add(function.ranges(3), of: function)
      }
    }
    texts = constants.texts
    layers = try Self.metadata(beside: file.path).first.map(Self.layers(in:)) ?? [:]
  }

  /// The token for unknown text that a `StringLookup` puts before its vocabulary, and what may stand before it.
  private static let special = [[], ["[UNK]"], ["", "[UNK]"]]

  /// Returns the lists of strings that have a token for each row, with those that a `StringLookup` adds.
  func tokenLists(rows: Int) -> [TokenList] {
    texts.compactMap { name, texts in
      guard let special = Self.special.first(where: { $0.count + texts.count == rows }) else {
        return nil
      }
      return TokenSearch.list(
        special.map { Array($0.utf8) } + texts, name: "\(Self.fileName): the constant \(name)")
    }
  }

  /// The operations of the graph itself.
  var graph: OperationGraph? { OperationGraph(ofMetaGraph: metaGraph) }

  /// Reads the notes of Keras: a `SavedMetadata`
  /// (`keras/protobuf/saved_metadata.proto`).
  private static func layers(in path: String) throws -> [String: JSONValue] {
    let file = try MappedFile(path: path)
    let message = WireMessage(0..<file.count, of: .mapped(file, 0..<file.count))
    var layers: [String: JSONValue] = [:]
    for range in message?.ranges(1) ?? [] {
      guard let node = message?.message(range), let path = node.text(3) else {
        throw InterchangeError(
          file: file.path, place: "", expected: "what Keras notes of layers", found: "other bytes",
          fix: "copy the folder of the SavedModel again, or save the model again")
      }
      guard let text = node.text(5), node.text(4)?.hasPrefix("_tf_keras_") == true else { continue }
      layers[path] = try KerasFile.json(text, path, of: file)
    }
    return layers
  }
}

/// The constant lists of strings of a graph and its functions.
private struct Constants {
  private(set) var texts: [(name: String, texts: [[UInt8]])] = []
  /// The bytes that further lists may have.
  private var room = 16 << 20
  /// The weight of a list beside its bytes: it is compared with the others.
  private static let costOfList = 16 << 10

  /// Adds the lists among the operations of the graph, or of one function; `false` if there are too many.
  mutating func add(_ nodes: [WireMessage]) -> Bool {
    // The names of tensors that are saved and restored are no tokens.
    let ofSaver = Set(nodes.filter(Self.isOfSaver).flatMap { $0.texts(3) }.map(Self.name))
    for node in nodes where node.text(2) == "Const" && !ofSaver.contains(node.text(1) ?? "") {
      guard let list = OperationGraph.constant(of: node)?.texts, list.count > 1,
        !list.contains(where: Self.isKey), !texts.contains(where: { $0.texts == list })
      else { continue }
      room -= list.reduce(Self.costOfList) { $0 + $1.count }
      guard room >= 0 else { return false }
      texts.append((node.text(1) ?? "", list))
    }
    return true
  }

  /// Returns `true` for the name of a variable's tensor.
  private static func isKey(_ text: [UInt8]) -> Bool {
    String(decoding: text, as: UTF8.self).hasSuffix(TrackableGraph.suffix)
  }

  /// Returns `true` for an operation that saves or restores tensors by their names.
  private static func isOfSaver(_ node: WireMessage) -> Bool {
    ["SaveV2", "RestoreV2", "SaveSlices", "Save"].contains(node.text(2) ?? "")
  }

  /// Returns the name of the operation that gives a result, such as `Const:output:0`.
  private static func name(_ result: String) -> String {
    result.split(separator: ":", maxSplits: 1).first.map(String.init) ?? result
  }
}
