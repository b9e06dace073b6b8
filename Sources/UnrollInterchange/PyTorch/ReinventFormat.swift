// Priors of REINVENT: a dictionary with a network of its own names, and tokens of SMILES.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// The dictionary of a prior of REINVENT 4; `PyTorchFormat` reads it, and those of REINVENT 2 and 3.
///
/// A SMILES text begins with `^` and ends with `$`, whose id is 0, since REINVENT also pads with it.
public enum ReinventFormat: PyTorchDialect {
  /// The name in reports.
  public static let name = "reinvent"
  /// The extension of priors.
  public static let fileExtensions = ["prior"]

  private static let (start, end) = ("^", "$")
  /// REINVENT's own default.
  private static let longestSequence = 256

  /// The tokens of SMILES, before those of lines are known: the longest one with which a text goes on.
  static let tokenizer = Tokenizer(
    kind: .greedy, sentenceStart: .none, appendsEndOfSentence: false)

  /// Takes `^` and `$` for the tokens of lines, unless the vocabulary lacks one.
  static func findLineTokens(in checkpoint: inout Checkpoint) {
    guard let start = checkpoint.vocabulary.id(of: start),
      let end = checkpoint.vocabulary.id(of: end)
    else { return }
    checkpoint.vocabulary.beginningOfSentenceID = start
    checkpoint.vocabulary.endOfSentenceID = end
    checkpoint.tokenizer.sentenceStart = .bos
    checkpoint.tokenizer.appendsEndOfSentence = true
  }

  /// Returns notes on everything but weights and tokens, and on settings that no checkpoint has.
  ///
  /// - Throws: `InterchangeError` for layers that REINVENT does not have, other types than f32, and
  ///   tokens other than those of SMILES.
  public static func exportNotes(for checkpoint: Checkpoint) throws -> [Note] {
    try check(checkpoint)
    // Tokens and those of lines are in the file, and its tokenizer is REINVENT's own.
    let isGreedy = checkpoint.tokenizer.kind == .greedy
    let kept = [Layout.vocabulary] + (isGreedy ? [Layout.tokenizer] : [])
    let notes = try PyTorchFormat.exportNotes(for: checkpoint, naming: .reinvent).filter {
      !kept.contains($0.place)
    }
    return notes + [
      Note(
        place: Layout.model,
        message: "assumed: REINVENT's own max_sequence_length of \(longestSequence)")
    ]
  }

  private static func check(_ checkpoint: Checkpoint) throws {
    _ = try StateDictionary(checkpoint, naming: .reinvent)
    let vocabulary = checkpoint.vocabulary
    func error(_ place: String, _ expected: String, _ found: String, _ fix: String) -> Error {
      InterchangeError(
        file: "the checkpoint", place: place, expected: expected, found: found, fix: fix)
    }
    let types = Set(checkpoint.parameters.paths.compactMap { checkpoint.parameters[$0]?.dtype })
    guard types == [.float32] else {
      throw error(
        Layout.model, "weights of f32, which REINVENT computes in",
        list(types.map(\.rawValue).sorted()), "`--dtype f32` rounds them")
    }
    let tokens = vocabulary.indices.compactMap { String(validating: vocabulary[$0], as: UTF8.self) }
    guard vocabulary.id(of: start) != nil, vocabulary.id(of: end) == 0,
      tokens.count == vocabulary.count, Set(tokens).count == tokens.count
    else {
      throw error(
        Layout.vocabulary, "tokens of UTF-8, among them \(start), and \(end) with the id 0",
        vocabulary.id(of: end).map { "\(end) with the id \($0)" } ?? "no \(end)",
        "`--to pytorch` writes models of other tokens")
    }
  }

  /// Writes the dictionary that `Model.create_from_dict` of REINVENT 4 opens.
  ///
  /// Its tokenizer and its metadata are objects, which REINVENT does without.
  ///
  /// - Throws: The errors of `exportNotes`; `FileError` if the file cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    try check(checkpoint)
    let state = try StateDictionary(checkpoint, naming: .reinvent)
    let (architecture, vocabulary) = (checkpoint.architecture, checkpoint.vocabulary)
    guard let layer = architecture.layers.first, let beginning = vocabulary.id(of: start) else {
      return
    }
    var writer = PickleWriter()
    writer.dictionary { writer in
      writer.string("model_type")
      writer.string("Reinvent")
      writer.string("version")
      writer.int(1)
      writer.string("vocabulary")
      writer.dictionary { writer in
        writer.string("tokens")
        writer.dictionary { writer in
          for id in vocabulary.indices {
            writer.string(vocabulary.text(of: id))
            writer.int(id)
          }
        }
        for (name, id) in [("pad_token", 0), ("bos_token", beginning), ("eos_token", 0)] {
          writer.string(name)
          writer.int(id)
        }
        writer.string("unk_token")
        writer.put(.none)
      }
      writer.string("max_sequence_length")
      writer.int(longestSequence)
      writer.string("network")
      state.write(to: &writer)
      writer.string("network_params")
      writer.dictionary { writer in
        writer.string("dropout")
        writer.double(0)
        writer.string("layer_size")
        writer.int(layer.hiddenSize)
        writer.string("num_layers")
        writer.int(architecture.layers.count)
        writer.string("cell_type")
        writer.string(layer.cell.rawValue)
        writer.string("embedding_layer_size")
        writer.int(architecture.embeddingSize)
        writer.string("layer_normalization")
        writer.put(.newfalse)
      }
    }
    writer.put(.stop)
    try PyTorchFormat.write(pickle: writer.bytes, state.storages, to: path, progress: progress)
  }

  /// Compares the tokens of the file.
  ///
  /// - Throws: `InterchangeError` if they differ.
  public static func check(
    _ written: Checkpoint, isReadAs read: Checkpoint, path: String
  ) throws {
    let back = try PyTorchFormat.read(MappedFile(path: path), options: ReadingOptions())
    guard back.checkpoint.vocabulary.tokenBytes == written.vocabulary.tokenBytes,
      back.checkpoint.vocabulary.tokenOffsets == written.vocabulary.tokenOffsets
    else {
      throw InterchangeError(
        file: path, place: "vocabulary", expected: "the tokens that were written",
        found: "others when the file is read back",
        fix: "`--to pytorch` writes the weights alone")
    }
  }
}

extension TorchModel {
  /// `true` if the file is a prior of REINVENT 2, 3 or 4.
  var isReinvent: Bool {
    let keys = Set(
      (file.graph.entries(file.graph.root) ?? []).compactMap { file.graph.string($0.key) })
    return keys.isSuperset(of: ["network", "vocabulary", "max_sequence_length"])
  }
}
