// Times the encoding of a text in memory on one thread: for Benchmarks/run-tokenizers.
//
// usage: TokenizerSpeed words|characters|DEFINITION TEXT
//        TokenizerSpeed learn TEXT SIZE DEFINITION
// Prints the best of five runs in MB/s and the number of tokens. A run of a definition starts with an
// empty cache. The second form learns BPE from the text, file and all, once: it prints the seconds and
// writes the definition.

import Foundation
import UnrollTokenization

/// The encoder of a kind, with the vocabulary of the text, or of a definition.
func encoder(_ name: String, _ text: String) throws -> Encoder {
  switch name {
  case "words", "characters":
    var training = VocabularyTraining(
      tokenizer: Tokenizer(kind: name == "words" ? .whitespace : .character))
    training.minimumCount = 2
    return try Encoder(
      vocabulary: Vocabulary(trainedOn: [text], by: training), tokenizer: training.tokenizer,
      path: text)
  default:
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: name)))
    let definition = try TokenizerDefinition(bytes)
    let (kind, vocabulary) = try definition.tokens()
    var tokenizer = Tokenizer(kind: kind, sentenceStart: .none, appendsEndOfSentence: false)
    tokenizer.definition = definition
    return try Encoder(vocabulary: vocabulary, tokenizer: tokenizer, path: name)
  }
}

if CommandLine.arguments[1] == "learn" {
  let (text, size) = (CommandLine.arguments[2], Int(CommandLine.arguments[3]) ?? 0)
  let start = ContinuousClock.now
  let definition = try TokenizerDefinition(
    trainedOn: [text], by: BytePairTraining(maximumSize: size))
  print(start.duration(to: .now) / .seconds(1))
  try Data(definition.bytes).write(to: URL(filePath: CommandLine.arguments[4]))
  exit(0)
}

let (name, text) = (CommandLine.arguments[1], CommandLine.arguments[2])
var best = 0.0
var tokens = 0
for _ in 0..<5 {
  let encoder = try encoder(name, text)
  var lines: [TextLine] = []
  var reader = try LineReader(path: text, for: encoder.tokenizer)
  while let line = try reader.next() { lines.append(line) }
  // The table of a vocabulary is made at the first look-up.
  _ = encoder.vocabulary.id(of: "the")
  let bytes = lines.reduce(0) { $0 + $1.bytes.count + $1.terminatorCount }
  let start = ContinuousClock.now
  tokens = 0
  for line in lines { tokens += try encoder.encode(line, path: text).ids.count }
  best = max(best, Double(bytes) / 1e6 / (start.duration(to: .now) / .seconds(1)))
}
print(best, tokens)
