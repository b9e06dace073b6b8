// `unroll convert`: from a foreign format to a checkpoint.

import ArgumentParser
import UnrollEngine
import UnrollFormat
import UnrollInterchange
import UnrollTokenization

struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Convert a model to a checkpoint.",
    discussion: """
      Reads PyTorch files (state_dict or whole module) without running anything in them. Such a file \
      has no vocabulary: give the corpus folder that it was trained on, or a list of its tokens.
      """)

  @Argument(help: "The model to convert.")
  var model: String

  @OptionGroup var target: OutputOptions

  @Option(
    help: ArgumentHelp(
      "The folder with train.txt, valid.txt and test.txt that gives the vocabulary: tokens in order of first appearance, <eos> at the end of each line.",
      valueName: "folder"))
  var corpus: String?

  @Option(
    help: ArgumentHelp(
      "A list of the tokens, one a line in the order of their ids.", valueName: "file"))
  var vocabulary: String?

  @Option(help: "The activation of a plain RNN, which a state_dict does not tell: tanh or relu.")
  var nonlinearity: Activation?

  func validate() throws {
    guard corpus == nil || vocabulary == nil else {
      throw ValidationError("Give --corpus or --vocabulary, not both.")
    }
  }

  func run() throws {
    let source: VocabularySource =
      corpus.map { .corpus($0) } ?? vocabulary.map { .list($0) } ?? .file
    try target.check(inputs: [model] + source.paths)
    var progress = Progress()
    var byteCount = 0
    let conversion = try UnrollEngine.convert(
      model, vocabulary: source, nonlinearity: nonlinearity
    ) { bytes in
      byteCount += bytes
      progress.report { _ in "reading the corpus: \(byteCount >> 20) MB" }
    }
    progress.finish()
    for note in conversion.notes { Output.note("note: \(note)") }
    try target.write(conversion.checkpoint)
  }
}

extension Activation: ExpressibleByArgument {}
