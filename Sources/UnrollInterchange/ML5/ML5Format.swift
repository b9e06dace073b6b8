// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Character models of ml5.js: TensorFlow's BasicLSTMCell as files of raw f32 with a manifest.

import Foundation
import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// A folder with `manifest.json`, which lists a file and a shape for each tensor, these files, and
/// `vocab.json`, the id of each character.
///
/// The kernel of a cell is `[D+H, 4H]`, input rows first, with the gates i, j, f, o, where j is the
/// candidate; there is one bias, and 1 is added to the forget gate's at run time. The forget bias
/// is declared, not added: `(b + 1) - 1` is not b in floating point.
public enum ML5Format: ForeignFormat {
  /// The name in reports.
  public static let name = "ml5"
  /// Empty: a model is a folder.
  public static let fileExtensions: [String] = []
  /// `false`: these models are only read.
  public static let isWritten = false

  private static let largestManifest = 1 << 20

  /// Returns `true` if a file is such a manifest.
  public static func recognizes(_ file: MappedFile) -> Bool {
    guard file.count > 2, file.count <= largestManifest, file.copy(0..<1) == [UInt8(ascii: "{")]
    else { return false }
    let text = String(decoding: file.copy(0..<file.count), as: UTF8.self)
    return text.contains("lstm_cell") && text.contains("softmax_w")
  }

  /// Converts a model.
  ///
  /// - Throws: `InterchangeError` if tensors are missing, misshapen or outside the folder, or if
  ///   there is not one character for each row.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    let folder = try ML5Folder(file)
    let embedding = try folder.tensor(ending: "embedding")
    let (V, D) = try folder.matrix(embedding, "the embedding, [V, D]")
    var ledger = try Ledger(folder.allNames, ignoring: options.ignored, of: file.path)
    ledger.use(embedding.name)
    var layers: [LayerArchitecture] = []
    var parameters = ParameterTree<Tensor>()
    parameters[.embeddingWeight] = embedding.tensor
    var width = D
    while let (kernel, bias) = try folder.cell(layers.count) {
      let index = layers.count
      ledger.use(kernel.name)
      ledger.use(bias.name)
      let H = bias.tensor.shape.elementCount.map { $0 / 4 } ?? 0
      try folder.check(bias, shape: [4 * H])
      try folder.check(kernel, shape: [width + H, 4 * H])
      parameters[.layer(index, .weightIH)] = kernel.tensor.rows(0..<width).transposed()
        .gates(from: .tensorFlow)
      parameters[.layer(index, .weightHH)] = kernel.tensor.rows(width..<width + H).transposed()
        .gates(from: .tensorFlow)
      parameters[.layer(index, .bias)] = bias.tensor.gates(from: .tensorFlow)
      var layer = LayerArchitecture(cell: .lstm, inputSize: width, hiddenSize: H, bias: .single)
      layer.forgetBias = 1
      layers.append(layer)
      width = H
    }
    guard !layers.isEmpty else {
      throw folder.error(
        "manifest.json",
        expected: "a kernel and a bias of cells from cell_0 on (names that end in "
          + "\(ML5Folder.cellNames(0).map(\.kernel).joined(separator: " or ")))",
        found: folder.names, fix: "only models of BasicLSTMCell, ml5's charRNN, are converted")
    }
    let (softmax, softmaxBias) = (
      try folder.tensor(ending: "softmax_w"), try folder.tensor(ending: "softmax_b")
    )
    try folder.check(softmax, shape: [width, V])
    try folder.check(softmaxBias, shape: [V])
    parameters[.outputWeight] = softmax.tensor.transposed()
    parameters[.outputBias] = softmaxBias.tensor
    let architecture = Architecture(
      vocabularySize: V, embeddingSize: D, layers: layers, isTied: false)
    ledger.use(softmax.name)
    ledger.use(softmaxBias.name)
    for name in ledger.left where folder.isOfTraining(name) {
      ledger.pass(
        name, noting: name == "Variable" ? nil : "not preserved: it is of the training alone")
    }
    let settlement = try ledger.settle(
      expected: "the embedding, cells and softmax of a character model",
      fix: "other models of ml5 are not converted")
    return Conversion(
      checkpoint: Checkpoint(
        architecture: architecture, parameters: parameters,
        vocabulary: try options.vocabulary ?? folder.characters(count: V),
        tokenizer: Tokenizer(
          kind: .character, sentenceStart: .none, appendsEndOfSentence: false), provenance: []),
      notes: [], settlement: settlement)
  }
}

/// The files of a model.
private struct ML5Folder {
  /// A tensor with its name in the manifest.
  struct Entry {
    let name: String
    let tensor: Tensor
  }

  static let whole = "give manifest.json inside the whole folder of the model"

  private let manifest: MappedFile
  private let entries: [Entry]

  var allNames: [String] { entries.map(\.name) }
  var names: String { list(allNames) }

  /// Returns the suffixes of the names that versions of TensorFlow 1 give to the kernel and the
  /// bias of a cell: before and from 1.2 on, and those of LSTMCell, which is equal without
  /// peepholes and projections.
  static func cellNames(_ index: Int) -> [(kernel: String, bias: String)] {
    [
      ("basic_lstm_cell/weights", "basic_lstm_cell/biases"),
      ("basic_lstm_cell/kernel", "basic_lstm_cell/bias"), ("lstm_cell/kernel", "lstm_cell/bias"),
    ].map { ("cell_\(index)/\($0)", "cell_\(index)/\($1)") }
  }

  /// Returns the kernel and the bias of a cell; `nil` if there is no such cell.
  func cell(_ index: Int) throws -> (kernel: Entry, bias: Entry)? {
    for (kernel, bias) in Self.cellNames(index) {
      if let kernel = find(ending: kernel) { return (kernel, try tensor(ending: bias)) }
    }
    return nil
  }

  /// Returns `true` if a tensor belongs to the optimizer, or is a step count or learning rate.
  func isOfTraining(_ name: String) -> Bool {
    let last = name.split(separator: "/").last.map(String.init) ?? ""
    let isNumber = entries.first { $0.name == name }?.tensor.shape.elementCount == 1
    return ["Adam", "Adam_1", "Momentum", "RMSProp", "RMSProp_1"].contains(last)
      || (isNumber
        && (last.hasPrefix("Variable") || last.hasSuffix("_power") || last == "global_step"
          || last == "learning_rate" || last == "lr"))
  }

  /// Opens the files of a manifest.
  init(_ manifest: MappedFile) throws {
    self.manifest = manifest
    guard let members = try? JSONValue(manifest.copy(0..<manifest.count)).members else {
      throw Self.error(manifest, "", expected: "a JSON object", found: "something else")
    }
    guard members.count <= 1000 else {
      throw Self.error(manifest, "", expected: "at most 1000 tensors", found: "\(members.count)")
    }
    entries = try members.map { key, value in
      let name = String(decoding: key, as: UTF8.self)
      let sizes = value["shape"]?.array?.map(\.int) ?? [nil]
      let dimensions = sizes.compactMap { $0 }
      guard let file = value["filename"]?.text, dimensions.count == sizes.count,
        dimensions.allSatisfy({ $0 >= 0 }), let count = Shape(dimensions).elementCount
      else {
        throw Self.error(manifest, name, expected: "a filename and a shape", found: "others")
      }
      return Entry(
        name: name, tensor: try Self.numbers(file, Shape(dimensions), count, name, manifest))
    }
  }

  private static func numbers(
    _ file: String, _ shape: Shape, _ count: Int, _ name: String, _ manifest: MappedFile
  ) throws -> Tensor {
    guard !file.isEmpty, !file.contains("/"), file != "..", file != "." else {
      throw error(
        manifest, name, expected: "a file in the model's folder", found: "\"\(file)\"")
    }
    let data = try MappedFile(path: SplitPath(manifest.path).sibling(file))
    guard count <= data.count / 4, data.count == 4 * count,
      let storage = ByteStorage(data, offset: 0, count: data.count),
      let tensor = Tensor(shape: shape, dtype: .float32, storage: storage)
    else {
      throw error(
        manifest, name, expected: "\(count) numbers of 4 bytes for shape \(shape)",
        found: "\(data.count) bytes in \(file)")
    }
    return tensor
  }

  func find(ending suffix: String) -> Entry? {
    entries.first { $0.name == suffix || $0.name.hasSuffix("/" + suffix) }
  }

  func tensor(ending suffix: String) throws -> Entry {
    guard let entry = find(ending: suffix) else {
      throw error("manifest.json", expected: "a tensor \(suffix)", found: names, fix: Self.whole)
    }
    return entry
  }

  func matrix(_ entry: Entry, _ what: String) throws -> (Int, Int) {
    let dimensions = entry.tensor.shape.dimensions
    guard dimensions.count == 2, !dimensions.contains(0) else {
      throw error(
        entry.name, expected: what, found: "shape \(entry.tensor.shape)", fix: Self.whole)
    }
    return (dimensions[0], dimensions[1])
  }

  func check(_ entry: Entry, shape: Shape) throws {
    guard entry.tensor.shape == shape, !shape.dimensions.contains(0) else {
      throw error(
        entry.name, expected: "shape \(shape)", found: "\(entry.tensor.shape)", fix: Self.whole)
    }
  }

  /// Returns the characters of `vocab.json`, one for each row.
  func characters(count: Int) throws -> Vocabulary {
    let file = try MappedFile(path: SplitPath(manifest.path).sibling("vocab.json"))
    guard file.count <= 1 << 24,
      let members = try? JSONValue(file.copy(0..<file.count)).members
    else {
      throw Self.error(file, "", expected: "a JSON object of characters and ids", found: "others")
    }
    var tokens = [[UInt8]?](repeating: nil, count: count)
    for (key, value) in members {
      guard let id = value.int, tokens.indices.contains(id), tokens[id] == nil, !key.isEmpty else {
        throw Self.error(
          file, "\"\(String(decoding: key, as: UTF8.self))\"",
          expected: "a character with an id of its own below \(count)",
          found: value.int.map { "\($0)" } ?? "no id")
      }
      tokens[id] = key
    }
    guard let missing = tokens.firstIndex(where: { $0 == nil }) else {
      return Vocabulary(tokens: tokens.compactMap { $0 }, unit: .character)
    }
    throw Self.error(
      file, "", expected: "a character for each of \(count) rows", found: "none for \(missing)",
      fix: "the list is damaged: give the characters with --vocabulary and --tokenizer character")
  }

  func error(_ place: String, expected: String, found: String, fix: String) -> InterchangeError {
    Self.error(manifest, place, expected: expected, found: found, fix: fix)
  }

  private static func error(
    _ file: MappedFile, _ place: String, expected: String, found: String, fix: String = whole
  ) -> InterchangeError {
    InterchangeError(file: file.path, place: place, expected: expected, found: found, fix: fix)
  }
}
