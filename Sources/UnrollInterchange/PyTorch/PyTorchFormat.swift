// Reads recurrent language models from files of `torch.save`.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// Files of `torch.save` since 0.2: a state_dict, a whole module, or a dictionary that contains one
/// of these.
///
/// The pickle is parsed as data; names in it are never resolved to code.
public enum PyTorchFormat: NameWritingFormat {
  /// The name in reports.
  public static let name = "pytorch"
  /// A linear layer, or the head and the tails of an adaptive softmax.
  public static let outputs = OutputKind.allCases

  /// Returns `true` if a file was written by `torch.save` of any version, or is of a related
  /// format.
  public static func recognizes(_ file: MappedFile) -> Bool { TorchKind.recognizes(file) }

  static func tensors(of file: MappedFile, options: ReadingOptions) throws -> NamedTensors {
    try TorchModel(try TorchFile(file), options: options).named
  }

  /// Converts a language model: an embedding, recurrent layers, a linear output.
  ///
  /// - Throws: `InterchangeError` if the file is damaged, holds another kind of model, or needs
  ///   information that `options` does not give.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    let model = try TorchModel(try TorchFile(file), options: options)
    let isPrior = model.isReinvent && options.vocabulary == nil
    var options = options
    if isPrior, options.tokenizer == Tokenizer() { options.tokenizer = ReinventFormat.tokenizer }
    let given = try options.configuration.map { try ModelConfiguration($0) }
    var (conversion, language) = try model.named.conversion(
      nil, configuration: given, lists: model.lists, options: options)
    conversion.notes =
      model.notes + (given.map { [$0.note] } ?? []) + conversion.notes + (try model.notesOnList())
    if isPrior { ReinventFormat.findLineTokens(in: &conversion.checkpoint) }
    if let entry = model.optimizer, !language.hasStoredParameters {
      conversion.notes.append(
        Note(
          place: entry.name,
          message: "not preserved: the state of the optimizer is of parameters in another form"))
    } else if let entry = model.optimizer {
      let optimizer = try TorchOptimizer(
        entry, parameters: language.parameterOrder, architecture: language.architecture,
        file: model.file)
      conversion.checkpoint.optimizer = optimizer.state
      conversion.notes += optimizer.notes
    }
    return conversion
  }

  /// Returns the tensors of a tuple in the dictionary of a file, such as the hidden state of a
  /// training.
  ///
  /// - Throws: `InterchangeError` if the file is damaged or has no such entry.
  package static func tensors(_ file: MappedFile, named name: String) throws -> [Tensor] {
    let file = try TorchFile(file)
    let entries = file.graph.entries(file.graph.root) ?? []
    let value = entries.last { file.graph.string($0.key) == name }?.value
    guard let items = value.flatMap(file.graph.tuple) else {
      throw file.error(
        name, expected: "a tuple of tensors", found: value.map(file.graph.describe) ?? "nothing",
        fix: "give a file with such an entry")
    }
    var room = file.roomForCopies
    return try items.enumerated().compactMap { index, item in
      let name = "\(name).\(index)"
      return try file.tensor(at: item, named: name).map {
        try file.contents(of: $0, named: name, room: &room)
      }
    }
  }
}
