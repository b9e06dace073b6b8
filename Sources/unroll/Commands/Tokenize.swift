// `unroll tokenize`: applies a model's tokenizer to a text.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollInterchange
import UnrollReport
import UnrollTensors
import UnrollTokenization

struct Tokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the tokens of a text: ids, pieces, unknown ones.",
    usage: "unroll tokenize <model> <text> [<options>]",
    discussion: """
      `unroll tokenize poet.unroll.h5 text.txt`

      The tokenizer is that of a checkpoint, or with --tokenizer that of a tokenizer.json, merges.txt, SentencePiece model \
      or Keras Tokenizer. The result is TSV: line, token, id, piece, oov; totals follow on standard error. `unroll \
      tokenize poet.unroll.h5 --export tokenizer.json` writes the tokenizer.
      """)

  @Argument(
    help: "The checkpoint, unless there is --tokenizer; and the text, - for standard input.")
  var files: [String]

  @Option(
    help: ArgumentHelp("Tokenizer file, instead of a model.", valueName: "file"))
  var tokenizer: String?

  @Option(
    help: ArgumentHelp("The tokens of --tokenizer merges.txt, a JSON file.", valueName: "file"))
  var vocabulary: String?

  @OptionGroup var unknownText: UnknownTextOptions

  @Flag(help: "Print only the totals.")
  var summary = false

  @Flag(help: "Print JSON: an object a line of the text, or with --summary one.")
  var json = false

  @Option(
    help: ArgumentHelp(
      "Write the model's tokenizer and end, without a text.", valueName: "file"))
  var export: String?

  @Option(
    help: ArgumentHelp(
      "With --export also write the list of the tokens, which a merges.txt needs.",
      valueName: "file"))
  var writeVocabulary: String?

  @OptionGroup(title: "Page and figure") var shown: ReportOptions

  @Flag(help: "Replace the files of --export, --report and --plot if they exist.")
  var force = false

  func validate() throws {
    if let export {
      guard tokenizer == nil, vocabulary == nil, !summary, !json, !shown.isGiven, files.count == 1
      else {
        throw ValidationError("With --export give only a model.")
      }
      guard writeVocabulary.map({ !OutputOptions.isSameFile($0, export) }) ?? true else {
        throw ValidationError("--write-vocabulary and --export need different names.")
      }
      return
    }
    guard writeVocabulary == nil, !force || shown.isGiven else {
      throw ValidationError(
        "--write-vocabulary goes with --export, and --force with it, --report and --plot.")
    }
    guard files.count == (tokenizer == nil ? 2 : 1) else {
      throw ValidationError(
        tokenizer == nil ? "Give a model and a text." : "With --tokenizer give only a text.")
    }
  }

  func run() throws {
    if let export { return try run(exporting: export) }
    let inputs = files + [tokenizer, vocabulary].compactMap { $0 }
    try shown.check(inputs: inputs, replacing: force, json: json)
    var encoder = try encoder()
    if unknownText.leavesOut { try encoder.leaveOutUnknown(path: tokenizer ?? files[0]) }
    let text = files[files.count - 1]
    warnOfLineEnds(inText: text, encoder) { "convert the model with \($0) none" }
    var reader = try LineReader(path: text, for: encoder.tokenizer)
    var totals = Totals()
    var progress = Progress()
    var page = shown.isGiven ? TokensPage(encoder.vocabulary) : nil
    let printsTokens = !summary && !shown.printsFigure
    if printsTokens && !json { Output.result("line\ttoken\tid\tpiece\toov") }
    while let line = try reader.next() {
      let encoded = try encoder.encode(line, path: text)
      totals.add(encoded, of: line)
      if printsTokens { try print(encoded, line.number, encoder.vocabulary) }
      try page?.add(encoded, of: line) {
        try Output.encoded(Line(encoded, line.number, encoder.vocabulary), isPretty: false)
      }
      progress.report { _ in
        let share = reader.fraction.map { String(printf: ", %.0f %%", 100 * $0) } ?? ""
        return "\(Output.grouped(line.number)) lines\(share)"
      }
    }
    progress.finish()
    switch (summary, json) {
    case (true, true): try Output.json(totals)
    case (true, false) where shown.printsFigure: break
    case (true, false): for row in totals.rows { Output.result(row) }
    case (false, _):
      // The totals follow the tokens if both go to one terminal.
      try Output.finish()
      Output.note(totals.sentence)
    }
    unknownText.note(totals.leftOut)
    if let page { try write(page, totals) }
  }

  /// Writes the page and the figure.
  private func write(_ page: TokensPage, _ totals: Totals) throws {
    let text = files[files.count - 1]
    try shown.write(
      {
        let source = tokenizer ?? files[0]
        var document = Document(
          title: "Tokens of \(text == "-" ? "standard input" : text)",
          lead: "The text as the tokenizer of \(printable(source)) cuts it.",
          files: tokenizer == nil ? ["model": source] : ["tokenizer": source], texts: [text])
        try page.fill(
          &document, totals: totals.facts, summary: summary ? try Output.encoded(totals) : nil)
        return document
      }, figure: page.histogram, replacing: force)
  }

  private func encoder() throws -> Encoder {
    guard let tokenizer else {
      return try LanguageModel.encoder(of: try checkpoint(), path: files[0])
    }
    let list = try vocabulary.map {
      try Vocabulary(contentsOf: $0)
    }
    let (defined, tokens) = try definedTokens(tokenizer, list)
    return try Encoder(vocabulary: tokens, tokenizer: defined, path: tokenizer)
  }

  private func checkpoint() throws -> Checkpoint {
    try Progress.during("opening \(files[0])") {
      try Checkpoint(contentsOf: files[0], reader: .inChild)
    }
  }

  /// Writes the tokenizer of a model; if it has two files, both or neither.
  private func run(exporting path: String) throws {
    for output in [path, writeVocabulary].compactMap({ $0 }) {
      try OutputOptions.check(output, inputs: files, replacing: force)
    }
    let checkpoint = try checkpoint()
    let definition = checkpoint.tokenizer.definition
    let list = try (writeVocabulary ?? (definition == nil ? path : nil)).map {
      (path: $0, list: try VocabularyList(checkpoint.vocabulary, path: $0))
    }
    let write = { if let definition { try definition.write(to: path, replacing: force) } }
    if let list {
      try list.list.write(to: list.path, replacing: force, after: write)
    } else {
      try write()
    }
    // A name that is the form's own says enough.
    let form = definition.map(\.format).flatMap { path.hasSuffix($0) ? nil : ": \($0)" }
    Output.note("wrote \(printable(path))\(form ?? "")")
    if let writeVocabulary { Output.note("wrote \(printable(writeVocabulary))") }
  }

  private func print(_ encoded: EncodedLine, _ line: Int, _ vocabulary: Vocabulary) throws {
    let tokens = Line(encoded, line, vocabulary)
    if json { return try Output.jsonLine(tokens) }
    for (index, id) in tokens.ids.enumerated() {
      Output.result(
        "\(line)\t\(index + 1)\t\(id)\t\(printable(tokens.pieces[index]))\t\(tokens.oov[index])")
    }
  }
}

/// The tokens of a line as `--json` prints them.
private struct Line: Encodable {
  let line: Int
  let ids: [Int32]
  let pieces: [String]
  let oov: [Int]

  init(_ encoded: EncodedLine, _ line: Int, _ vocabulary: Vocabulary) {
    let unknown = Set(encoded.unknown)
    self.line = line
    ids = encoded.ids
    pieces = encoded.ids.map { vocabulary.text(of: Int($0)) }
    oov = encoded.ids.indices.map { unknown.contains($0) ? 1 : 0 }
  }
}

/// The counts of a text's tokens, words and bytes.
private struct Totals: Encodable {
  var lines = 0
  var tokens = 0
  var words = 0
  var bytes = 0
  var unknown = 0
  var leftOut = 0
  var tokensPerWord: Double? { words > 0 ? Double(tokens) / Double(words) : nil }

  private enum CodingKeys: CodingKey {
    case lines
    case tokens
    case words
    case bytes
    case unknown
    case leftOut
    case tokensPerWord
  }

  func encode(to encoder: any Swift.Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(lines, forKey: .lines)
    try container.encode(tokens, forKey: .tokens)
    try container.encode(words, forKey: .words)
    try container.encode(bytes, forKey: .bytes)
    try container.encode(unknown, forKey: .unknown)
    try container.encode(leftOut, forKey: .leftOut)
    try container.encodeIfPresent(tokensPerWord, forKey: .tokensPerWord)
  }

  mutating func add(_ encoded: EncodedLine, of line: TextLine) {
    lines += 1
    tokens += encoded.ids.count
    words += line.words.count
    bytes += line.bytes.count + line.terminatorCount
    unknown += encoded.unknownCount
    leftOut += encoded.leftOut.count
  }

  private var ratio: String { tokensPerWord.map { String(printf: "%.3f", $0) } ?? "-" }

  /// The figures with their names.
  var facts: [Document.Fact] {
    [
      ("lines", Output.grouped(lines)), ("tokens", Output.grouped(tokens)),
      ("words", Output.grouped(words)), ("bytes", Output.grouped(bytes)),
      ("unknown", Output.grouped(unknown)), ("tokens per word", ratio),
    ].map { Document.Fact($0, $1) }
  }

  var rows: [String] {
    facts.map { $0.name + String(repeating: " ", count: 17 - $0.name.count) + $0.value }
  }

  var sentence: String {
    "\(Output.grouped(tokens)) tokens, \(Output.grouped(words)) words, \(ratio) tokens a word, "
      + "\(Output.grouped(unknown)) unknown"
  }
}
