// Files beside weights in the layout of Hugging Face: config.json and tokenizer.json.

import Foundation
import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

extension ConversionOptions {
  /// Lists of tokens that may belong to a model, but are used only when requested.
  private static let lists = [
    "vocab.json", "vocab.txt", "itos.pkl", "tokenizer.model", "spiece.model", "merges.txt",
  ]

  /// Lists of tokens of char-rnn-tensorflow and word-rnn-tensorflow, and the kind of their tokens.
  private static let listsOfTensorFlow: [(name: String, kind: TokenizerKind)] = [
    ("chars_vocab.pkl", .character), ("words_vocab.pkl", .whitespace),
  ]

  /// Returns the options, completed with the files beside a safetensors file or a PyTorch .bin file
  /// that holds no metadata, or with the list of tokens beside a checkpoint of TensorFlow.
  ///
  /// Options that the caller sets take precedence.
  ///
  /// - Parameters:
  ///   - file: The file.
  ///   - format: Its format.
  /// - Returns: The options, and the files that were used.
  /// - Throws: `InterchangeError` if there is no tokenizer.json but a list of tokens that may or
  ///   may not belong to the model.
  func completed(
    beside file: MappedFile, of format: any ForeignFormat.Type
  ) throws -> (options: ConversionOptions, notes: [Note]) {
    if format == TensorFlowFormat.self { return completed(besideCheckpoint: file) }
    // The same library wrote `pytorch_model.bin` before it wrote safetensors.
    let isOlder = format == PyTorchFormat.self && file.path.hasSuffix(".bin")
    let isBare = try format == SafetensorsFormat.self && !SafetensorsFormat.holdsTokens(file)
    guard isOlder || isBare else { return (self, []) }
    func beside(_ name: String) -> String? { Self.file(name, beside: file) }
    var options = self
    options.configuration = configuration ?? beside("config.json")
    guard case .file = vocabulary, case .kind(.whitespace, nil) = tokenizer else {
      return (options, [])
    }
    if let path = beside("tokenizer.json") {
      options.tokenizer = .definition(path)
      let note = Note(
        place: "tokenizer.json", message: "gives the tokens: it lies beside the weights",
        isHarmless: true)
      return (options, [note])
    }
    let found = Self.lists.filter { beside($0) != nil }
    guard let list = found.first else { return (options, []) }
    let option =
      found.contains("merges.txt") && list == "vocab.json"
      ? "--tokenizer merges.txt --vocabulary vocab.json"
      : list.hasSuffix(".model") || list == "merges.txt"
        ? "--tokenizer \(list)" : "--vocabulary \(list)"
    guard requiresVocabulary else {
      let message = "may list the tokens: \(option) would read them"
      return (options, [Note(place: list, message: message, isHarmless: true)])
    }
    throw InterchangeError(
      file: file.path, place: "",
      expected:
        "its tokens: of the files beside it only tokenizer.json is used automatically",
      found: found.joined(separator: ", "),
      fix: "give \(option), with its folder, if that is the model's; or other tokens")
  }

  /// Returns the path of a file beside another, if there is one.
  private static func file(_ name: String, beside file: MappedFile) -> String? {
    let path = SplitPath(file.path).sibling(name)
    var isFolder: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
    return exists && !isFolder.boolValue ? path : nil
  }

  /// Returns the options with the one list of tokens beside a checkpoint of TensorFlow, if the caller gives none.
  private func completed(
    besideCheckpoint file: MappedFile
  ) -> (options: ConversionOptions, notes: [Note]) {
    guard case .file = vocabulary, case .kind(let kind, nil) = tokenizer else { return (self, []) }
    let found = Self.listsOfTensorFlow.compactMap { list in
      Self.file(list.name, beside: file).map { (path: $0, name: list.name, kind: list.kind) }
    }
    guard found.count == 1, let list = found.first, [.whitespace, list.kind].contains(kind) else {
      return (self, [])
    }
    var options = self
    options.vocabulary = .list(list.path)
    options.tokenizer = .kind(list.kind, space: nil)
    options.listBesideFile = list.name
    let note = Note(
      place: list.name,
      message: "gives the tokens, tokenizer \(list.kind.rawValue): it lies beside the checkpoint",
      isHarmless: true)
    return (options, [note])
  }
}
