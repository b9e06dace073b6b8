// Options of `convert` for the tokens of the model.

import ArgumentParser
import UnrollEngine
import UnrollTokenization

/// The vocabulary, the tokenizer and the special tokens of a model that is converted.
struct SourceTokenOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Folder with train.txt, valid.txt and test.txt, whose tokens are the vocabulary.",
      valueName: "folder"))
  var corpus: String?

  @Option(
    help: ArgumentHelp(
      "Order of the ids of --corpus; first-seen if not given.",
      valueName: "order"))
  var vocabularyOrder: VocabularyOrder?

  @Option(
    help: ArgumentHelp(
      "File of tokens in the order of their ids: a list or table, JSON, NumPy array, pickle, fairseq's dict.txt or word vectors.",
      valueName: "file"))
  var vocabulary: String?

  @Option(
    help: ArgumentHelp(
      "Form of --vocabulary, whatever its name.",
      valueName: "form"))
  var vocabularyFormat: VocabularyFormat?

  @Option(
    help: ArgumentHelp(
      "How text becomes tokens: whitespace, character, byte, greedy (the longest token), or a file: tokenizer.json, merges.txt (with --vocabulary vocab.json), a SentencePiece model or a Keras Tokenizer.",
      valueName: "kind or file"))
  var tokenizer: String = TokenizerKind.whitespace.rawValue

  @Option(
    help: ArgumentHelp(
      "With --tokenizer character: the token for a space, in a corpus of characters with spaces between them.",
      valueName: "sign"))
  var space: String?

  @Flag(help: "With a --tokenizer file: each line ends with its end-of-sentence token.")
  var appendEos = false

  @Option(
    name: [.customLong("line-end"), .customLong("eos")],
    help: ArgumentHelp(
      "Token that ends each line, or none; without it that of the vocabulary.", valueName: "token"))
  var lineEnd: String?

  @Option(
    name: [.customLong("line-start"), .customLong("bos")],
    help: ArgumentHelp(
      "Token that starts each line, or none.",
      valueName: "token"))
  var lineStart: String?

  @Option(help: ArgumentHelp("Token for unknown text.", valueName: "token"))
  var unk: String?

  func validate() throws {
    guard corpus == nil || vocabulary == nil else {
      throw ValidationError("Give --corpus or --vocabulary, not both.")
    }
    guard vocabularyOrder == nil || corpus != nil else {
      throw ValidationError("--vocabulary-order goes with --corpus.")
    }
    guard space == nil || tokenizer == TokenizerKind.character.rawValue else {
      throw ValidationError(
        "--space goes with --tokenizer character, not with --tokenizer \(tokenizer).")
    }
    if let kind = TokenizerKind(rawValue: tokenizer) {
      guard !kind.isDefined else {
        throw ValidationError("--tokenizer \(kind.rawValue) needs its file: give that instead.")
      }
      guard !appendEos else {
        throw ValidationError("--append-eos goes with a --tokenizer file.")
      }
    }
  }

  /// The source of the vocabulary.
  var source: VocabularySource {
    corpus.map { .corpus($0, order: vocabularyOrder) }
      ?? vocabulary.map { .list($0, vocabularyFormat) } ?? .file
  }

  private var tokenizerSource: TokenizerSource { TokenizerSource(tokenizer, space: space) }

  /// The files to read.
  var paths: [String] { source.paths + tokenizerSource.paths }

  /// Sets these options, except for the source of the vocabulary.
  func apply(to options: inout ConversionOptions) {
    (options.tokenizer, options.appendsEndOfSentence) = (tokenizerSource, appendEos)
    options.special.end = lineEnd.map(LineToken.init)
    options.special.beginning = lineStart.map(LineToken.init)
    options.special.unknown = unk
  }

  /// The options as given, for the conversion of each model of a folder.
  var arguments: [String] {
    var options: [String] = []
    for case (let name, let value?) in [
      ("--corpus", corpus), ("--vocabulary", vocabulary),
      ("--vocabulary-format", vocabularyFormat?.rawValue), ("--tokenizer", tokenizer),
      ("--space", space), ("--line-end", lineEnd), ("--line-start", lineStart),
      ("--vocabulary-order", vocabularyOrder?.rawValue), ("--unk", unk),
    ] { options += [name, value] }
    return options + (appendEos ? ["--append-eos"] : [])
  }
}
