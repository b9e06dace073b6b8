// Reads a file of any supported format into a checkpoint in memory, with its history.

import Foundation
import UnrollFormat
import UnrollHDF5
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

/// Reads a model of any format, to be written in another.
///
/// - Parameters:
///   - path: The model: an Unroll checkpoint or a file of a foreign format, detected by content.
///     The files config.json and tokenizer.json beside a safetensors file without Unroll's metadata
///     are read too.
///   - options: The form of the result, and information that the file lacks.
///   - reader: Runs libhdf5, by default in this process. See `ContainerReader.inProcess`.
///   - progress: Called with the number of bytes of text read since the last call.
/// - Returns: The checkpoint and what is not preserved in it. If the target is a checkpoint, this
///   step is added to the history.
/// - Throws: `FileError`, `TextError` or `InterchangeError` if something cannot be read or does not
///   fit; `InvalidCheckpoint` if a checkpoint breaks a rule.
public func convert(
  _ path: String, options: ConversionOptions,
  reader: ContainerReader = .inProcess, progress: (Int) -> Void = { _ in }
) throws -> Conversion {
  let location = try ModelLocation(path)
  let path = location.path
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
  let uncheckedList = options.uncheckedListNote
  let (options, notes) = try options.completed(beside: file, of: format)
  let tokens = try options.tokens(progress: progress)
  let readingOptions = try options.readingOptions(
    of: file, format, tokens: tokens, reader: reader)
  var conversion = try format.read(file, options: readingOptions)
  conversion.notes = location.notes + notes + tokens.notes + conversion.notes
  try options.special.apply(to: &conversion, path: path, isChoice: tokens.leavesLinesOpen)
  conversion.notes += conversion.checkpoint.nonFiniteNotes
  conversion.notes += [uncheckedList, try options.plausibilityWarning(conversion)].compactMap(
    \.self)
  try conversion.convertNumbers(to: options.dtype, path: path)
  // Files of other formats have no history.
  guard case .checkpoint = options.target else { return conversion }
  var arguments = ["format=\(format.name)", "vocabulary=\(options.vocabulary.name)"]
  if let nonlinearity = options.nonlinearity {
    arguments.append("nonlinearity=\(nonlinearity.rawValue)")
  }
  if let gates = options.gateActivation { arguments.append("gate_activation=\(gates.name)") }
  if let bias = options.forgetBias { arguments.append("forget_bias=\(bias)") }
  if options.names != nil { arguments.append("names=map") }
  // A name may contain line breaks, and each argument is one line.
  arguments += options.ignored.sorted().map { "ignored=\(excerpt($0))" }
  if let root = options.root { arguments.append("root=\(excerpt(root))") }
  if options.configuration != nil { arguments.append("configuration=file") }
  if let name = options.tokenizer.name { arguments.append("tokenizer=\(name)") }
  if options.appendsEndOfSentence { arguments.append("append_eos=1") }
  arguments += options.special.arguments
  if let dtype = options.dtype { arguments.append("dtype=\(dtype.rawValue)") }
  let paths =
    try format.companions(of: file) + options.vocabulary.paths + options.tokenizer.paths
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

extension ConversionOptions {
  /// Returns the options of a foreign format's reader.
  ///
  /// - Parameters:
  ///   - file: The file.
  ///   - format: Its format.
  ///   - tokens: The tokens of these options.
  ///   - reader: Runs libhdf5.
  /// - Returns: The options.
  /// - Throws: `InterchangeError` if the format does not support an option; the errors of reading
  ///   the files that the options name.
  func readingOptions(
    of file: MappedFile, _ format: any ForeignFormat.Type, tokens: KnownTokens,
    reader: ContainerReader
  ) throws -> ReadingOptions {
    let map = try names.map { try NameMap(contentsOf: $0) } ?? NameMap()
    guard map.isEmpty || format.hasNames else {
      throw InterchangeError(
        file: file.path, place: "",
        expected: "a format whose tensors have names, for a map of them",
        found: format.name, fix: "leave the map out")
    }
    var options = ReadingOptions(
      vocabulary: tokens.vocabulary, tokenizer: tokens.tokenizer, nonlinearity: nonlinearity,
      map: map)
    options.listBesideCorpus = tokens.beside
    options.reader = reader
    guard root == nil || format == PyTorchFormat.self else {
      throw InterchangeError(
        file: file.path, place: "", expected: "a file of PyTorch, for a model inside it",
        found: format.name, fix: "leave --root out")
    }
    guard
      gateActivation == nil || format == KerasHDF5Format.self || format == TensorFlowFormat.self
    else {
      throw InterchangeError(
        file: file.path, place: "",
        expected:
          "HDF5 weights of Keras or a checkpoint of TensorFlow, which do not name the function of the gates",
        found: format.name, fix: "leave --gate-activation out")
    }
    options.gateActivation = gateActivation
    guard forgetBias == nil || format == TensorFlowFormat.self else {
      throw InterchangeError(
        file: file.path, place: "",
        expected: "a checkpoint of TensorFlow 1, whose cells may add a forget bias",
        found: format.name, fix: "leave --forget-bias out")
    }
    options.forgetBias = forgetBias
    options.listBesideFile = listBesideFile
    options.requiresVocabulary = requiresVocabulary
    options.ignored = ignored
    options.root = root
    if let path = configuration {
      guard
        [
          KerasHDF5Format.name, KerasFormat.name, TensorFlowFormat.name, SafetensorsFormat.name,
          PyTorchFormat.name,
        ].contains(format.name)
      else {
        throw InterchangeError(
          file: file.path, place: "",
          expected: "weights of Keras, TensorFlow or safetensors, for a configuration beside them",
          found: format.name, fix: "leave --keras-config out")
      }
      options.configuration = try MappedFile(path: path)
    }
    return options
  }
}

/// Returns a map for the caller to complete and pass to `--map`.
///
/// - Parameters:
///   - path: The file.
///   - root: The path of the model inside a file that holds several.
///   - ignored: Names of tensors in the file to leave out.
/// - Returns: A JSON object.
/// - Throws: `FileError` or `InterchangeError` if the file cannot be read, or needs no map.
public func mapSkeleton(
  of path: String, root: String? = nil, ignoring ignored: Set<String> = []
) throws -> String {
  let file = try MappedFile(path: ModelLocation(path).path)
  var options = ReadingOptions()
  options.root = root
  options.ignored = ignored
  return try UnrollInterchange.mapSkeleton(
    of: file, as: foreignFormat(of: file, reader: .inProcess), options: options)
}

/// Returns the foreign format of a file, detected by content.
///
/// - Throws: `InterchangeError` if no format matches.
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

/// The supported inputs of `convert`, for messages.
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
        place: "/model", message: "weights rounded from \(from) to \(type.rawValue), as requested",
        isHarmless: true))
  }

  /// Adds the self-test and digests that later readers compare their results with.
  ///
  /// - Parameter files: Files to hash at the same time.
  /// - Returns: Their SHA-256s.
  /// - Throws: The errors of `SelfTest`.
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

extension Checkpoint {
  /// Warnings of parameters with NaN or infinity.
  fileprivate var nonFiniteNotes: [Note] {
    parameters.paths.compactMap { path in
      guard let summary = parameters[path].flatMap(NumberSummary.init),
        case let count = summary.nanCount + summary.infinityCount, count > 0
      else { return nil }
      return Note(
        place: path.description,
        message:
          "WARNING: NaN or infinite numbers (\(count)): what the model predicts from them is NaN, too"
      )
    }
  }
}
