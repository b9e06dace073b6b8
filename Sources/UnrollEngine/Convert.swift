// From a file of any readable format to a checkpoint in memory, with its history.

import Foundation
import UnrollFormat
import UnrollHDF5
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

/// Where the vocabulary of a model comes from whose file has none.
public enum VocabularySource: Sendable {
  /// Nowhere: the file has one.
  case file
  /// The texts of a corpus folder, in an order or, without one, as they first appear unless a list of tokens
  /// in the folder says otherwise.
  case corpus(String, order: VocabularyOrder? = nil)
  /// A list of tokens; see `Vocabulary.init(contentsOf:format:)`.
  case list(String, VocabularyFormat? = nil)

  /// What it is called in the history of a model.
  fileprivate var name: String {
    switch self {
    case .file: "file"
    case .corpus(_, let order): "corpus" + (order.map { " order=\($0.rawValue)" } ?? "")
    case .list: "list"
    }
  }

  /// The files that it reads.
  public var paths: [String] {
    switch self {
    case .file: []
    case .corpus(let folder, _): Vocabulary.corpusParts.map { "\(folder)/\($0)" }
    case .list(let path, _): [path]
    }
  }
}

/// The form that a converted model takes.
public enum ConversionTarget: Sendable {
  /// An Unroll checkpoint.
  case checkpoint
  /// A file of a foreign format.
  case foreign(any ForeignFormat.Type)

  /// The names of all targets.
  public static var names: [String] { ["unroll"] + AllFormats.written.map { $0.name } }

  /// The target of a name, or `nil` if there is none.
  public init?(named name: String) {
    if name == "unroll" {
      self = .checkpoint
    } else if let format = AllFormats.written.first(where: { $0.name == name }) {
      self = .foreign(format)
    } else {
      return nil
    }
  }

  /// The extension of its files, without a dot.
  public var fileExtension: String {
    switch self {
    case .checkpoint: "unroll.h5"
    case .foreign(let format): format.fileExtensions.first ?? format.name
    }
  }

  /// The target of a file by its name's extension: a checkpoint unless it is that of another format.
  public init(output path: String) {
    self = AllFormats.format(named: path).map { .foreign($0) } ?? .checkpoint
  }
}

/// What a conversion is told beside the file.
public struct ConversionOptions: Sendable {
  /// The form that the model will take.
  public var target: ConversionTarget
  /// Where the vocabulary comes from.
  public var vocabulary: VocabularySource
  /// The activation of plain recurrent cells, where the file does not name it.
  public var nonlinearity: Activation?
  /// The function of the gates of recurrent layers, where the file does not name it.
  public var gateActivation: GateActivation?
  /// How text becomes tokens.
  public var tokenizer = TokenizerSource.kind(.whitespace, space: nil)
  /// Whether a tokenizer of another program's file ends each line with its end-of-sentence token.
  public var appendsEndOfSentence = false
  /// The tokens that begin and end sentences, and the one for unknown text, where they are named.
  public var special = SpecialTokens()
  /// The file that says which tensor is which, where names and shapes do not; see `NameMap`.
  ///
  /// For a checkpoint it says how the file of another format names its tensors.
  public var names: String?
  /// Names in the file of what is left out by hand, or the groups in front of them.
  public var ignored: Set<String> = []
  /// The path of the model inside a file that holds several, such as `ema.state_dict`.
  public var root: String?
  /// The file of a model's configuration: of Keras, for a file of weights alone, or of safetensors, for
  /// which `config.json` beside the file is taken if none is given.
  public var configuration: String?
  /// A text that the model should know, to check the conversion by; the corpus if there is none.
  public var checkText: String?
  /// The type that weights are rounded to; `nil` leaves them as they are.
  public var dtype: DType?

  /// Creates options.
  public init(
    target: ConversionTarget = .checkpoint, vocabulary: VocabularySource = .file,
    nonlinearity: Activation? = nil
  ) {
    self.target = target
    self.vocabulary = vocabulary
    self.nonlinearity = nonlinearity
  }
}

/// Reads a model of any format, to be written in another.
///
/// - Parameters:
///   - path: The model: an Unroll checkpoint or a file of a foreign format, told by its content. What lies
///     beside safetensors without metadata of ours, config.json and tokenizer.json, is read too.
///   - options: What it will become, and what its file does not say.
///   - reader: Runs libhdf5; in this process unless told. See `ContainerReader.inProcess`.
///   - progress: Called with the number of bytes of text read since the last call.
/// - Returns: The checkpoint, with this step in its history if it is to become a file that has one, and
///   what could not be carried into it.
/// - Throws: `FileError`, `TextError` or `InterchangeError` if something cannot be read or fitted;
///   `InvalidCheckpoint` if a checkpoint breaks a rule.
public func convert(
  _ path: String, options: ConversionOptions,
  reader: ContainerReader = .inProcess, progress: (Int) -> Void = { _ in }
) throws -> Conversion {
  let file = try MappedFile(path: path)
  if let examination = try checkpointExamination(of: file, reader: reader) {
    var conversion = try readCheckpoint(examination, path, options: options)
    try conversion.convertNumbers(to: options.dtype, path: path)
    guard case .checkpoint = options.target, let dtype = options.dtype else { return conversion }
    let digests = try conversion.addProofs(whileHashing: [file])
    conversion.checkpoint.provenance.append(
      ProvenanceEntry(
        operation: "convert", tool: UnrollVersion.producer,
        arguments: "format=unroll\ndtype=\(dtype.rawValue)",
        inputs: ProvenanceEntry.input(digest: digests[0], path: path)))
    return conversion
  }
  let format = try foreignFormat(of: file, reader: reader)
  let (options, notes) = try options.completed(beside: file, of: format)
  let tokens = try options.tokens(progress: progress)
  let map = try options.names.map { try NameMap(contentsOf: $0) } ?? NameMap()
  guard map.isEmpty || format.hasNames else {
    throw InterchangeError(
      file: path, place: "", expected: "a format whose tensors have names, for a map of them",
      found: format.name, fix: "leave the map out")
  }
  var readingOptions = ReadingOptions(
    vocabulary: tokens.vocabulary, tokenizer: tokens.tokenizer, nonlinearity: options.nonlinearity,
    map: map)
  readingOptions.listBesideCorpus = tokens.beside
  readingOptions.reader = reader
  guard options.root == nil || format == PyTorchFormat.self else {
    throw InterchangeError(
      file: path, place: "", expected: "a file of PyTorch, for a model inside it",
      found: format.name, fix: "leave --root out")
  }
  guard options.gateActivation == nil || format == KerasHDF5Format.self else {
    throw InterchangeError(
      file: path, place: "",
      expected: "HDF5 weights of Keras, which do not name the function of the gates",
      found: format.name, fix: "leave --gate-activation out")
  }
  readingOptions.gateActivation = options.gateActivation
  guard options.ignored.isEmpty || format.hasLedger else {
    throw InterchangeError(
      file: path, place: "", expected: "a format of which names can be left out",
      found: format.name, fix: "leave --ignore out")
  }
  readingOptions.ignored = options.ignored
  readingOptions.root = options.root
  if let path = options.configuration {
    guard
      [KerasHDF5Format.name, KerasFormat.name, SafetensorsFormat.name, PyTorchFormat.name]
        .contains(format.name)
    else {
      throw InterchangeError(
        file: file.path, place: "",
        expected: "weights of Keras or safetensors, for a configuration beside them",
        found: format.name, fix: "leave --keras-config out")
    }
    readingOptions.configuration = try MappedFile(path: path)
  }
  var conversion = try format.read(file, options: readingOptions)
  conversion.notes = notes + tokens.notes + conversion.notes
  try options.special.apply(to: &conversion, path: path, isChoice: tokens.leavesLinesOpen)
  conversion.notes += try options.plausibilityWarning(conversion).map { [$0] } ?? []
  try conversion.convertNumbers(to: options.dtype, path: path)
  // Files of other formats have no history.
  guard case .checkpoint = options.target else { return conversion }
  var arguments = ["format=\(format.name)", "vocabulary=\(options.vocabulary.name)"]
  if let nonlinearity = options.nonlinearity {
    arguments.append("nonlinearity=\(nonlinearity.rawValue)")
  }
  if let gates = options.gateActivation { arguments.append("gate_activation=\(gates.name)") }
  if options.names != nil { arguments.append("names=map") }
  // A name may hold anything, a line is one argument.
  arguments += options.ignored.sorted().map { "ignored=\(excerpt($0))" }
  if let root = options.root { arguments.append("root=\(excerpt(root))") }
  if options.configuration != nil { arguments.append("configuration=file") }
  if let name = options.tokenizer.name { arguments.append("tokenizer=\(name)") }
  if options.appendsEndOfSentence { arguments.append("append_eos=1") }
  arguments += options.special.arguments
  if let dtype = options.dtype { arguments.append("dtype=\(dtype.rawValue)") }
  let paths =
    options.vocabulary.paths + options.tokenizer.paths
    + [options.names, options.configuration].compactMap { $0 }
  let inputs = try [file] + paths.map { try MappedFile(path: $0) }
  let digests = try conversion.addProofs(whileHashing: inputs)
  conversion.checkpoint.provenance.append(
    ProvenanceEntry(
      operation: "convert", tool: UnrollVersion.producer,
      arguments: arguments.joined(separator: "\n"),
      inputs: zip(digests, inputs).map { ProvenanceEntry.input(digest: $0, path: $1.path) }
        .joined(separator: "\n")))
  return conversion
}

/// A map for `--map` to complete for a model whose tensors have names.
///
/// - Parameters:
///   - path: The file.
///   - root: The path of the model inside a file that holds several.
///   - ignored: Names in the file of what is left out.
/// - Returns: A JSON object.
/// - Throws: `FileError` or `InterchangeError` if the file cannot be read, or needs no map.
public func mapSkeleton(
  of path: String, root: String? = nil, ignoring ignored: Set<String> = []
) throws -> String {
  let file = try MappedFile(path: path)
  var options = ReadingOptions()
  options.root = root
  options.ignored = ignored
  return try UnrollInterchange.mapSkeleton(
    of: file, as: foreignFormat(of: file, reader: .inProcess), options: options)
}

/// The foreign format of a file, by its content.
///
/// - Throws: `InterchangeError` if it is of none.
func foreignFormat(
  of file: MappedFile, reader: ContainerReader
) throws -> any ForeignFormat.Type {
  try NamedKind.refuse(file, onlyReadable: true)
  if let format = AllFormats.format(of: file, reader: reader) { return format }
  try NamedKind.refuse(file)
  throw InterchangeError(
    file: file.path, place: "", expected: supportedInputs,
    found: file.count == 0 ? "an empty file" : "content of another kind",
    fix: "give the model file itself, not an archive of it or a text")
}

/// What `convert` reads, for messages.
private var supportedInputs: String {
  let formats = AllFormats.all.filter { $0.isRead }.map { $0.name }.joined(separator: ", ")
  return "an Unroll checkpoint, or a model of a supported format (\(formats))"
}

extension Conversion {
  /// Rounds the weights to a type.
  ///
  /// - Throws: `InterchangeError` if a number is too large for it.
  fileprivate mutating func convertNumbers(to type: DType?, path file: String) throws {
    guard let type else { return }
    var narrowed: Set<DType> = []
    for path in checkpoint.parameters.paths {
      guard let tensor = checkpoint.parameters[path], tensor.dtype != type else { continue }
      do {
        checkpoint.parameters[path] = try tensor.converted(to: type)
      } catch {
        throw InterchangeError(
          file: file, place: path.description, expected: "numbers that \(type.rawValue) can hold",
          found: "\(error.value)", fix: "give --dtype bf16, or leave it out")
      }
      if tensor.dtype.size > type.size || [tensor.dtype, type] == [.bfloat16, .float16] {
        narrowed.insert(tensor.dtype)
      }
    }
    guard !narrowed.isEmpty else { return }
    let from = narrowed.map(\.rawValue).sorted().joined(separator: ", ")
    notes.append(
      Note(
        place: "/model", message: "weights rounded from \(from) to \(type.rawValue), as asked for",
        isHarmless: true))
  }

  /// Adds what every later reader can compare its own numbers and tokens with.
  ///
  /// - Parameter files: Files to hash at the same time.
  /// - Returns: Their SHA-256s.
  /// - Throws: What `SelfTest` throws.
  fileprivate mutating func addProofs(whileHashing files: [MappedFile]) throws -> [String] {
    checkpoint.tokenizer.probe = TokenizerProbe(of: checkpoint)
    var digests: [String] = []
    try forEachConcurrently(2) { part in
      if part == 0 {
        checkpoint.selfTest = try SelfTest(of: checkpoint)
      } else {
        digests = files.map { digest(of: $0) }
      }
    }
    guard checkpoint.selfTest == nil else { return digests }
    notes.append(
      Note(
        place: "/self_test",
        message: "none was made: the model gives log-probabilities that are not finite"))
    return digests
  }
}

// MARK: - Checkpoints

/// Whether a file looks like a model of any format that is read, by its content.
public func isModel(_ file: MappedFile) -> Bool {
  isHDF5(file) || AllFormats.format(of: file) != nil
}

func isHDF5(_ file: MappedFile) -> Bool {
  file.copy(0..<8) == [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]
}

/// What the rules find in a checkpoint, all of it, since all of it goes into another file; `nil` for
/// other files, of HDF5 too.
func checkpointExamination(
  of file: MappedFile, reader: ContainerReader
) throws -> Examination? {
  guard isHDF5(file) else { return nil }
  let examination = try Examination(of: file.path, upTo: .bytes, reader: reader)
  return examination.otherKind == nil ? examination : nil
}

/// Opens a checkpoint to be written in a foreign format.
private func readCheckpoint(
  _ examination: Examination, _ path: String, options: ConversionOptions
) throws -> Conversion {
  let checkpoint = try Checkpoint(examination)
  if case .checkpoint = options.target, options.dtype == nil {
    throw InterchangeError(
      file: path, place: "", expected: "a model of another format, or an output in one",
      found: "an Unroll checkpoint, to be written as one",
      fix:
        "nothing is to be converted: copy the file; or name the output as one of another format, "
        + "such as `-o model.pt`, or give --dtype")
  }
  let namesOutput = if case .foreign = options.target { true } else { false }
  guard case .file = options.vocabulary, options.nonlinearity == nil,
    options.names == nil || namesOutput, options.ignored.isEmpty, options.root == nil,
    options.gateActivation == nil,
    options.configuration == nil, options.special == SpecialTokens()
  else {
    throw InterchangeError(
      file: path, place: "", expected: "only the checkpoint and an output",
      found:
        "a corpus, a vocabulary, tokens, a nonlinearity, ignored names, a map or a configuration beside it",
      fix: "leave them out: a checkpoint holds all that")
  }
  let notes = examination.findings.map { finding in
    Note(
      place: finding.object,
      message: "\(finding.level.rawValue) \(finding.rule): expected "
        + "\(finding.expected); found \(finding.found)")
  }
  var conversion = Conversion(ownCheckpoint: checkpoint, notes: notes)
  conversion.outputNames = try options.names.map { try NameMap(contentsOf: $0) } ?? NameMap()
  return conversion
}
