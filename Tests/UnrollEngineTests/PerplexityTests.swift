// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Perplexity: PyTorch's figures on a real model, and the protocols against definitions in plain loops.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollEngine
@testable import UnrollTokenization

/// PyTorch's figures for the characters model.
private struct Reference: Decodable {
  struct Figure: Decodable {
    let ppl: Double
    let predictions: Int
  }
  struct Sentences: Decodable {
    struct Line: Decodable {
      let line: String
      let logp: [Double]
    }
    let first: [Line]
  }
  let columns: Figure
  let sentence: Sentences
}

@Suite("Perplexity") struct PerplexityTests {
  /// The characters model, converted.
  private static func makePoet(_ precision: Precision = .float32) throws -> LanguageModel {
    try LanguageModel(
      convert(
        Fixtures.path("characters/model.pt"),
        options: ConversionOptions(vocabulary: .corpus(Fixtures.path("characters")))
      ).checkpoint, path: "model.pt", precision: precision)
  }

  private static let poet = Result { try makePoet() }

  private static let reference = Result {
    try JSONDecoder().decode(
      Reference.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("characters/reference.json"))))
  }

  @Test("The columns protocol gives the perplexity of word_language_model")
  func columnsOfPyTorch() throws {
    let expected = try Self.reference.get().columns
    let result = try Self.poet.get().perplexity(
      ofText: Fixtures.path("characters/test.txt"), protocol: .columns)
    #expect(result.predictions == expected.predictions)
    #expect(abs(result.perplexity / expected.ppl - 1) < 1e-6)
  }

  @Test(
    "bf16 and int8 change the perplexity by less than 0.1 %",
    arguments: [Precision.bfloat16, .int8])
  func precisions(precision: Precision) throws {
    let expected = try Self.reference.get().columns
    let result = try Self.makePoet(precision).perplexity(
      ofText: Fixtures.path("characters/test.txt"), protocol: .columns)
    let change = abs(result.perplexity / expected.ppl - 1)
    #expect(change > 0 && change < 1e-3, "\(result.perplexity), in f32 \(expected.ppl)")
  }

  @Test("Log-probabilities of sentences equal those of PyTorch")
  func sentencesOfPyTorch() throws {
    let poet = try Self.poet.get()
    for line in try Self.reference.get().sentence.first {
      let encoded = try poet.encoder.encode(
        TextLine(
          bytes: Array(line.line.split(separator: " ").dropLast().joined(separator: " ").utf8),
          terminatorCount: 1, number: 1),
        path: "")
      let logProbabilities = try poet.tokenLogProbabilities(ofSentence: encoded.ids)
      #expect(logProbabilities.count == line.logp.count)
      for (own, expected) in zip(logProbabilities, line.logp) {
        #expect(abs(Double(own) - expected) < 1e-5)
      }
    }
  }

  /// A text for the small model: words, an unknown one, an empty line, no end of line at the end.
  private static let text = "the cat sat on a mat\n\n日本 dog  unseen ü\nthe dog sat"

  private func perplexity(_ protocol: PerplexityProtocol, of text: String) throws -> Perplexity {
    try withTemporaryFolder { folder in
      let path = "\(folder)/text.txt"
      try Data(text.utf8).write(to: URL(filePath: path))
      return try LanguageModel(.small(), path: "small").perplexity(
        ofText: path, protocol: `protocol`,
        window: `protocol` == .window ? FixedWindow(length: 3, padding: 0) : nil)
    }
  }

  /// The ids of `text` by hand: `<eos>` is 3, `<unk>` is 10.
  private let ids: [Int32] = [0, 1, 2, 4, 5, 6, 3, 3, 8, 9, 10, 7, 3, 0, 9, 2, 3]

  @Test("The stream protocol predicts every token but the first")
  func streamProtocol() throws {
    let result = try perplexity(.stream, of: Self.text)
    let model = try LanguageModel(.small(), path: "small")
    var state = model.network.zeroState(columns: 1)
    let expected = try model.network.logProbabilities(
      ofTargets: Array(ids.dropFirst()), inputs: Array(ids.dropLast()), state: &state)
    #expect(result.tokens == 17 && result.predictions == 16)
    #expect(result.words == 12 && result.unknown == 1)
    #expect(result.bytes == Self.text.utf8.count - "the".utf8.count)
    #expect(result.totalNLL == -expected.reduce(0.0) { $0 + Double($1) })
  }

  @Test("The sentence protocol predicts every token of each line from a zero state")
  func sentenceProtocol() throws {
    let result = try perplexity(.sentence, of: Self.text)
    let model = try LanguageModel(.small(), path: "small")
    let lines: [[Int32]] = [[0, 1, 2, 4, 5, 6, 3], [3], [8, 9, 10, 7, 3], [0, 9, 2, 3]]
    var total = 0.0
    for line in lines {
      for (t, target) in line.enumerated() {
        // From the start of the line anew for each token: the state's definition, the slow way.
        var state = model.network.zeroState(columns: 1)
        let inputs = [3] + line[..<t]
        let targets = [Int32](repeating: -1, count: t) + [target]
        total -= Double(
          try model.network.logProbabilities(ofTargets: targets, inputs: inputs, state: &state)[t])
      }
    }
    #expect(result.tokens == 17 && result.predictions == 17)
    #expect(result.words == 13 && result.unknown == 1)
    #expect(result.bytes == Self.text.utf8.count)
    #expect(abs(result.totalNLL / total - 1) < 1e-12)
  }

  @Test("The columns protocol drops the tokens that do not fill a row of the batch")
  func columnsProtocol() throws {
    // 17 tokens 40 times: 680 tokens, n = 68 rows, two windows; and 7 tokens that no column has.
    let repeated =
      Array(repeating: Self.text, count: 40).joined(separator: "\n") + "\nthe cat sat on a mat\n"
    let all = Array(repeating: ids, count: 40).flatMap { $0 } + ids[..<7]
    let result = try perplexity(.columns, of: repeated)
    let n = all.count / 10
    let model = try LanguageModel(.small(), path: "small")
    var (total, words, unknown) = (0.0, 0, 0)
    for b in 0..<10 {
      let column = Array(all[b * n..<(b + 1) * n])
      var state = model.network.zeroState(columns: 1)
      let logProbabilities = try model.network.logProbabilities(
        ofTargets: Array(column.dropFirst()), inputs: Array(column.dropLast()), state: &state)
      total -= logProbabilities.reduce(0.0) { $0 + Double($1) }
      words += column.dropFirst().count { $0 != 3 }
      unknown += column.dropFirst().count { $0 == 10 }
    }
    #expect(result.tokens == all.count && result.predictions == 10 * (n - 1))
    #expect(result.words == words && result.unknown == unknown)
    #expect(abs(result.totalNLL / total - 1) < 1e-12)
  }

  @Test(
    "A text with nothing to predict is refused",
    arguments: [PerplexityProtocol.stream, .columns, .sentence])
  func emptyText(_ protocol: PerplexityProtocol) throws {
    let error = #expect(throws: TextError.self) { try perplexity(`protocol`, of: "") }
    #expect(error?.found == "0 token(s), none of which it predicts")
  }

  @Test("Figures of SRILM, KenLM and lm-eval follow the definitions of these programs")
  func figuresOfOtherPrograms() throws {
    // 13 words on 4 lines, "unseen" is unknown.
    func figures(_ protocol: PerplexityProtocol) throws -> [String: Double] {
      Dictionary(uniqueKeysWithValues: try perplexity(`protocol`, of: Self.text).figures)
    }
    let model = try LanguageModel(.small(), path: "small")
    let lines: [[Int32]] = [[0, 1, 2, 4, 5, 6, 3], [3], [8, 9, 10, 7, 3], [0, 9, 2, 3]]
    let logs = try model.predictions(ofSentences: lines).map {
      $0.logProbabilities.map(Double.init)
    }
    let total = logs.joined().reduce(0, +)
    let known = total - logs[2][2]
    let srilm = try figures(.srilm)
    // A blank line is no sentence.
    #expect(srilm["sentences"] == 3 && srilm["words"] == 13 && srilm["OOVs"] == 1)
    let said = known - logs[1][0]
    #expect(abs(try #require(srilm["logprob"]) - said / log(10)) < 1e-9)
    #expect(abs(try #require(srilm["ppl"]) - exp(-said / 15)) < 1e-9)
    #expect(abs(try #require(srilm["ppl1"]) - exp(-said / 12)) < 1e-9)
    let kenlm = try figures(.kenlm)
    #expect(kenlm["OOVs"] == 1 && kenlm["tokens"] == 17)
    #expect(abs(try #require(kenlm["perplexity including OOVs"]) - exp(-total / 17)) < 1e-9)
    #expect(abs(try #require(kenlm["perplexity excluding OOVs"]) - exp(-known / 16)) < 1e-9)
    // One document: the ends of words are those of re.split, the first token follows <eos>.
    var state = model.network.zeroState(columns: 1)
    let stream =
      -(try model.network.logProbabilities(
        ofTargets: ids, inputs: [3] + ids.dropLast(), state: &state)).reduce(0.0) {
        $0 + Double($1)
      }
    let harness = try figures(.lmEval)
    let bytes = Double(Self.text.utf8.count)
    #expect(abs(try #require(harness["word_perplexity"]) - exp(stream / 13)) < 1e-9)
    #expect(abs(try #require(harness["byte_perplexity"]) - exp(stream / bytes)) < 1e-9)
    #expect(abs(try #require(harness["bits_per_byte"]) - stream / bytes / log(2)) < 1e-9)
    let ended = try perplexity(.lmEval, of: " the cat\n")
    #expect(ended.predictions == 3 && ended.words + ended.emptyEnds == 4)
    #expect(try perplexity(.stream, of: Self.text).figures.isEmpty)
  }

  @Test(
    "White space before the end of a text changes no figure of KenLM and SRILM",
    arguments: [PerplexityProtocol.kenlm, .srilm, .sentence],
    ["the cat\non a ", "the cat\non a", "the cat \non a\t\n", "the cat\non a \t"])
  func whiteSpaceAtTheEnd(_ protocol: PerplexityProtocol, text: String) throws {
    let (found, expected) = try (
      perplexity(`protocol`, of: text), perplexity(`protocol`, of: "the cat\non a\n")
    )
    #expect(found.lineEndings == 2 && found.predictions == 6 && found.words == 4)
    #expect(found.totalNLL == expected.totalNLL)
    for (one, other) in zip(found.figures, expected.figures) {
      #expect(one.1 == other.1, "\(one)")
    }
    #expect(found.headline.value == expected.headline.value)
  }

  @Test("The word <unk> of a text counts as unknown, as in KenLM and SRILM")
  func literalUnknownWordsCount() throws {
    struct Expected: Decodable {
      let kenlm: [String: Double]
      let srilm: [String: Double]
    }
    let expected = try JSONDecoder().decode(
      Expected.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("kenlm/expected.json"))))
    // The model of single words as a network: no weights but the bias of the output.
    let lines = try String(
      contentsOf: URL(filePath: Fixtures.path("kenlm/unigrams.arpa")), encoding: .utf8
    ).split(separator: "\n").map { $0.split(separator: "\t") }
    var checkpoint = Checkpoint.small()
    for (path, shape) in checkpoint.architecture.parameters {
      checkpoint.parameters[path] = Tensor(
        [Float](repeating: 0, count: shape.elementCount ?? 0), shape: shape)
    }
    let bias = try checkpoint.vocabulary.indices.map { id in
      let word = checkpoint.vocabulary.text(of: id).replacingOccurrences(of: "<eos>", with: "</s>")
      let line = try #require(lines.first { $0.count == 3 && $0[1] == word })
      return try Float(#require(Double(line[0])) * log(10))
    }
    checkpoint.parameters[.outputBias] = Tensor(bias, shape: Shape([bias.count]))
    let model = try LanguageModel(checkpoint, path: "unigrams")
    for (`protocol`, figures) in [
      (PerplexityProtocol.kenlm, expected.kenlm), (.srilm, expected.srilm),
    ] {
      let result = try model.perplexity(
        ofText: Fixtures.path("kenlm/text.txt"), protocol: `protocol`)
      let found = Dictionary(uniqueKeysWithValues: result.figures)
      #expect(Set(found.keys) == Set(figures.keys))
      for (name, value) in figures {
        #expect(abs(try #require(found[name]) - value) < 1e-5 * abs(value), "\(name)")
      }
    }
    // Elsewhere it is the token that it is called after.
    let sentence = try model.perplexity(
      ofText: Fixtures.path("kenlm/text.txt"), protocol: .sentence)
    #expect(sentence.unknown == 1)
  }

  @Test("A byte-order mark is no word, and a text can be prepared before it is measured")
  func preparedTexts() throws {
    let model = try LanguageModel(.small(), path: "small")
    try withTemporaryFolder { folder in
      func measure(_ text: String, _ preparation: TextPreparation) throws -> Perplexity {
        try Data(text.utf8).write(to: URL(filePath: "\(folder)/text.txt"))
        return try model.perplexity(
          ofText: "\(folder)/text.txt", protocol: .sentence, preparation: preparation)
      }
      var preparation = TextPreparation()
      let plain = try measure("the cat ü\n", preparation)
      let marked = try measure("\u{FEFF}the cat ü\n", preparation)
      #expect(marked.unknown == 0 && marked.bytes == plain.bytes && marked.nll == plain.nll)
      #expect(try measure("The CAT u\u{308}\n", preparation).unknown == 3)
      preparation.isLowercased = true
      preparation.normalization = .nfc
      let prepared = try measure("\u{FEFF}The CAT u\u{308}\n", preparation)
      #expect(prepared.unknown == 0 && prepared.nll == plain.nll)
      #expect(plain.vocabularySize == 11)
    }
  }

  @Test("The interval is that of the perplexity under the protocol's own name")
  func headlineIntervals() throws {
    let text = Array(repeating: "the cat unseen\nsat on a mat\n", count: 300).joined()
    for `protocol` in PerplexityProtocol.allCases {
      let result = try perplexity(`protocol`, of: text)
      let interval = try #require(result.interval())
      let value = result.headline.value
      #expect(interval.low <= value && value <= interval.high, "\(`protocol`) \(value)")
      #expect(result.figures.isEmpty == (result.headline.name == "perplexity"))
    }
  }

  @Test("ppl and ppl1 equal what SRILM prints for the same counts and log-probability")
  func figuresOfSRILM() {
    // The output of SRILM: 1 sentences, 9 words, 1 OOVs, logprob= -20.406 ppl= 185.068 ppl1= 355.426.
    var result = Perplexity(.srilm)
    (result.lines, result.lineEndings, result.words, result.unknownWords) = (1, 1, 9, 1)
    result.total.add(Float(20.406 * log(10) + 3))
    result.unknownTotal.add(3)
    let figures = Dictionary(uniqueKeysWithValues: result.figures)
    // Its logarithm has three digits.
    #expect(abs((figures["ppl"] ?? 0) - 185.068) < 0.02)
    #expect(abs((figures["ppl1"] ?? 0) - 355.426) < 0.02)
  }

  /// A model of characters without one for the end of a line: no end is predicted, or none is known.
  @Test(
    "Line ends that a character model does not predict do not count in SRILM's ppl",
    arguments: [true, false])
  func unpredictedEndsOfCharacterLines(
    hasUnknown: Bool
  ) throws {
    var checkpoint = Checkpoint.small()
    checkpoint.vocabulary = Vocabulary(
      tokens: "abcdefghi".map { Array("\($0)".utf8) } + [[0x20], Array("<unk>".utf8)],
      unit: .character)
    if hasUnknown { checkpoint.vocabulary.unknownID = 10 }
    checkpoint.tokenizer = Tokenizer(
      kind: .character, sentenceStart: .none, appendsEndOfSentence: false)
    let model = try LanguageModel(checkpoint, path: "small")
    try withTemporaryFolder { folder in
      let path = "\(folder)/text.txt"
      try Data("ab cd\n\nef ghi\nb".utf8).write(to: URL(filePath: path))
      guard hasUnknown else {
        #expect(throws: (any Error).self) { try model.perplexity(ofText: path, protocol: .srilm) }
        return
      }
      let result = try model.perplexity(ofText: path, protocol: .srilm)
      #expect(result.lines == 3 && result.words == 4)
      #expect(result.lineEndings == 2 && result.unknownLineEndings == 2)
      let figures = Dictionary(uniqueKeysWithValues: result.figures)
      let known = -(result.totalNLL - result.unknownNLL)
      #expect(abs((figures["ppl"] ?? 0) - exp(-known / 4)) < 1e-12)
      #expect(figures["ppl"] == figures["ppl1"] && figures["sentences"] == 3)
    }
  }

  @Test(
    "Line ends that a word model does not predict do not count in SRILM's and KenLM's figures",
    arguments: [
      PerplexityProtocol.srilm, .kenlm,
    ])
  func unpredictedEndsOfLines(_ protocol: PerplexityProtocol) throws {
    var checkpoint = Checkpoint.small()
    checkpoint.vocabulary.endOfSentenceID = nil
    checkpoint.tokenizer = Tokenizer(
      kind: .whitespace, sentenceStart: .none, appendsEndOfSentence: false)
    let model = try LanguageModel(checkpoint, path: "small")
    try withTemporaryFolder { folder in
      let path = "\(folder)/text.txt"
      try Data("the cat sat\n\non a mat\nthe\n".utf8).write(to: URL(filePath: path))
      let result = try model.perplexity(ofText: path, protocol: `protocol`)
      // The first word of each line follows nothing.
      #expect(result.predictions == 4 && result.words == 4 && result.lineEndings == 0)
      #expect(abs(result.headline.value - exp(result.totalNLL / 4)) < 1e-12)
    }
  }

  @Test("A word of several tokens is unknown if one of its tokens is")
  func unknownWordsOfSeveralTokens() throws {
    var line = EncodedLine()
    // "ab cd e": a, ?, " c", d, " e", end.
    (line.ids, line.ends, line.unknown) = ([1, 0, 2, 3, 4, 5], [1, 2, 4, 5, 7, 8], [1])
    let tokens = line.tokens(
      of: TextLine(bytes: Array("ab cd e".utf8), terminatorCount: 1, number: 1))
    #expect(tokens.map(\.isOfUnknownWord) == [true, true, false, false, false, false])
    #expect(tokens.map(\.wordCount) == [0, 1, 0, 1, 1, 0])
    #expect(tokens.map(\.unknownWordCount) == [0, 1, 0, 0, 0, 0])
    #expect(tokens.map(\.isLineEnd) == [false, false, false, false, false, true])
  }

  @Test("The bootstrap interval is that of block means, however long the text")
  func bootstrapInterval() throws {
    var generator = SeededGenerator(seed: 5)
    // Means of n normal numbers: the interval is 1.96 standard errors wide on both sides.
    var (result, blocks) = (Perplexity(.sentence), 0)
    for count in 1...2000 {
      let normal = (0..<12).reduce(-6.0) { sum, _ in
        sum + Double.random(in: 0..<1, using: &generator)
      }
      result.total.add(Float(3 + normal))
      result.predictions += 1
      result.endBlock()
      blocks = count
    }
    let interval = try #require(result.interval())
    let error = 1.96 / Double(blocks).squareRoot()
    #expect(interval.blocks == 2000)
    #expect(abs(log(interval.low) - (result.nll - error)) < 0.1 * error)
    #expect(abs(log(interval.high) - (result.nll + error)) < 0.1 * error)
    #expect(result.interval()?.low == interval.low && result.interval(seed: 2)?.low != interval.low)
    #expect(result.interval(resamples: 0) == nil)
    // However long the text, the blocks stay few, and none is lost.
    for _ in 0..<40_000 {
      result.total.add(3)
      result.predictions += 1
      result.endBlock()
    }
    #expect((4096..<8192).contains(result.blocks.count))
    let later = try #require(result.interval())
    #expect(later.low < result.perplexity && result.perplexity < later.high)
  }

  @Test("Perplexity and bits per token, word and byte follow their definitions")
  func derivedFigures() {
    var result = Perplexity(.stream)
    result.predictions = 8
    result.words = 4
    result.bytes = 32
    result.total.add(12)
    #expect(abs(result.perplexity - exp(1.5)) < 1e-12)
    #expect(abs(result.bitsPerToken - 1.5 / log(2)) < 1e-12)
    #expect(abs((result.bitsPerWord ?? 0) - 3 / log(2)) < 1e-12)
    #expect(abs((result.bitsPerByte ?? 0) - 0.375 / log(2)) < 1e-12)
    result.words = 0
    result.bytes = 0
    #expect(result.bitsPerWord == nil && result.bitsPerByte == nil)
  }

  @Test("Weights of NaN refuse perplexity and scores")
  func weightsOfNaN() throws {
    var checkpoint = Checkpoint.small()
    var bias = [Float](repeating: 0, count: 11)
    bias[4] = .nan
    checkpoint.parameters[.outputBias] = Tensor(bias, shape: [11])
    let model = try LanguageModel(checkpoint, path: "small")
    try withTemporaryFolder { folder in
      let path = "\(folder)/text.txt"
      try Data("the cat\n".utf8).write(to: URL(filePath: path))
      #expect(throws: NotFinite.self) { try model.perplexity(ofText: path, protocol: .stream) }
      #expect(throws: NotFinite.self) { try model.score(text: path) { _, _ in } }
    }
  }

  @Test("Scores mark unknown words and give them no surprisal")
  func markedUnknownWords() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/text.txt"
      try Data("the cat unseen\n\n".utf8).write(to: URL(filePath: path))
      let model = try LanguageModel(.small(), path: "small")
      var scores: [SentenceScore] = []
      try model.score(text: path) { score, _ in scores.append(score) }
      #expect(scores.map(\.line) == [1, 2] && scores.map(\.tokens.count) == [4, 1])
      #expect(scores.map(\.unknownCount) == [1, 0])
      #expect(scores[0].words.map(\.word) == ["the", "cat", "unseen"])
      #expect(scores[0].words[2].surprisal == nil && scores[0].words[2].isUnknown)
      let logProbabilities = try model.tokenLogProbabilities(ofSentence: [0, 1, 10, 3])
      #expect(scores[0].words[1].surprisal == -Double(logProbabilities[1]))
      #expect(scores[0].logProbability == logProbabilities.reduce(0.0) { $0 + Double($1) })
    }
  }
}
