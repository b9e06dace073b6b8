// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Probabilities of words with the boundaries that end them, against PyTorch in double precision.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTokenization

@testable import UnrollEngine

@Suite("Probabilities of words with their boundaries") struct WordBoundaryTests {
  /// Surprisals in nats of the words of each line, by boundary.
  typealias Lines = [[String: [Double?]]]

  struct Reference: Decodable {
    struct Model: Decodable {
      let file: String
      let eos: String
      /// By line convention (`eos`, `none`) and words (`own`, `given`).
      let surprisals: [String: [String: Lines]]
    }
    let lines: [String]
    let words: [String]
    let models: [String: Model]
  }

  private static func reference() throws -> Reference {
    try JSONDecoder().decode(
      Reference.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("boundaries/references.json"))))
  }

  private func model(
    _ kind: String, _ reference: Reference.Model, endsLines: Bool
  ) throws -> LanguageModel {
    var options = ConversionOptions()
    options.tokenizer = .definition(Fixtures.path("boundaries/\(reference.file)"))
    var checkpoint = try convert(
      Fixtures.path("boundaries/\(kind).safetensors"), options: options
    ).checkpoint
    let end = try #require(checkpoint.vocabulary.id(of: reference.eos))
    checkpoint.vocabulary.endOfSentenceID = end
    checkpoint.tokenizer.appendsEndOfSentence = endsLines
    checkpoint.tokenizer.sentenceStart = endsLines ? .eos : .none
    checkpoint.tokenizer.probe = nil
    return try LanguageModel(checkpoint, path: kind)
  }

  private func words(
    _ model: LanguageModel, _ reference: Reference, _ settings: ScoreSettings, given: Bool
  ) throws -> [[WordScore]] {
    try withTemporaryFolder { folder in
      func write(_ lines: [String], _ name: String) throws -> String {
        try Data(lines.map { $0 + "\n" }.joined().utf8).write(
          to: URL(filePath: "\(folder)/\(name)"))
        return "\(folder)/\(name)"
      }
      var settings = settings
      let endsLines = model.encoder.endOfSentenceID != nil
      // A model that keeps the ends of lines as text would read them.
      if given { settings.segmentation = try write(reference.words, "words.txt") }
      var scores: [[WordScore]] = []
      if endsLines {
        try model.score(text: try write(reference.lines, "text.txt"), settings) { line, _ in
          scores.append(line.words)
        }
      } else {
        for (line, own) in zip(reference.lines, reference.words) {
          let path = "\(folder)/line.txt"
          try Data(line.utf8).write(to: URL(filePath: path))
          if given { settings.segmentation = try write([own], "own.txt") }
          try model.score(text: path, settings) { line, _ in scores.append(line.words) }
        }
      }
      return scores
    }
  }

  @Test(
    "Words of subword models have the probability that PyTorch's distributions give them",
    arguments: ["bpe", "sentencepiece", "wordpiece"], [true, false])
  func subwordsAgreeWithPyTorch(kind: String, endsLines: Bool) throws {
    let reference = try Self.reference()
    let expected = try #require(reference.models[kind])
    let model = try model(kind, expected, endsLines: endsLines)
    let convention = try #require(expected.surprisals[endsLines ? "eos" : "none"])
    for given in [false, true] {
      let lines = try #require(convention[given ? "given" : "own"])
      for boundary in WordBoundary.allCases {
        var settings = ScoreSettings()
        settings.boundary = boundary
        let scores = try words(model, reference, settings, given: given)
        #expect(scores.count == lines.count)
        for (line, (words, expected)) in zip(scores, lines).enumerated() {
          let values = try #require(expected[boundary.rawValue])
          #expect(words.count == values.count)
          for (index, (word, value)) in zip(words, values).enumerated() {
            let place: Comment = "\(kind) \(boundary) line \(line) word \(index) \(word.word)"
            guard let value else {
              #expect(word.surprisal == nil, place)
              continue
            }
            let surprisal = try #require(word.surprisal, place)
            #expect(abs(surprisal - value) < 1e-4 * max(1, value / 10), place)
          }
        }
      }
    }
  }

  @Test(
    "Surprisals of the words of a line add up to that of its tokens and its end",
    arguments: ["bpe", "sentencepiece", "wordpiece"])
  func wordsTelescope(kind: String) throws {
    let reference = try Self.reference()
    let model = try model(kind, #require(reference.models[kind]), endsLines: true)
    let line = "poor citizens, the"
    let score = try model.score(sentence: line)
    let words = score.words.compactMap(\.surprisal).reduce(0, +)
    let tokens = -(score.tokens.dropLast().compactMap(\.logProbability).reduce(0, +))
    let boundaries = model.wordBoundaries
    var figures = PredictionFigures()
    figures.subset = boundaries.ids
    let ids = try model.encoder.encode(
      TextLine(bytes: Array(line.utf8), terminatorCount: 1, number: 1), path: ""
    ).ids
    let totals = try model.predictions(ofSentences: [ids], figures)[0].totals
    let start = boundaries.endsWord(before: ids[0]) ? totals[0] : 0
    #expect(abs(words - (tokens + start - (totals.last ?? 0))) < 1e-4)
  }

  @Test("The line about the accounted citizens has 7.81, 4.88 and 18.55 bits")
  func charactersWithASpace() throws {
    var options = ConversionOptions(vocabulary: .corpus(Fixtures.path("characters")))
    options.tokenizer = .kind(.character, space: "_")
    let checkpoint = try convert(Fixtures.path("characters/model.pt"), options: options).checkpoint
    let model = try LanguageModel(checkpoint, path: "")
    func bits(_ boundary: WordBoundary) throws -> [String] {
      try model.score(sentence: "We are accounted", boundary: boundary).words.map {
        String(format: "%.2f", ($0.surprisal ?? 0) / log(2))
      }
    }
    #expect(try bits(.after) == ["7.81", "4.88", "18.55"])
    #expect(try bits(.before) == ["6.05", "6.60", "18.33"])
    // By hand: characters, then the space or the end of the line.
    let score = try model.score(sentence: "We are")
    let space = try #require(model.encoder.vocabulary.id(of: "_"))
    let end = try #require(model.encoder.vocabulary.endOfSentenceID)
    var state = model.network.zeroState(columns: 1)
    let ids = try model.encoder.ids(ofLines: Array("We are".utf8))
    let inputs = [Int32(end)] + ids.dropLast()
    let rows = try model.network.logDistributions(inputs: inputs, state: &state)
    let V = model.vocabularySize
    func total(_ row: Int) -> Double {
      log(exp(Double(rows[row * V + space])) + exp(Double(rows[row * V + end])))
    }
    func characters(_ range: Range<Int>) -> Double {
      range.reduce(0) { $0 + (score.tokens[$1].logProbability ?? 0) }
    }
    let we = -(characters(0..<2) + total(2))
    let are = -(characters(3..<6) + total(6))
    #expect(abs(try #require(score.words[0].surprisal) - we) < 1e-5)
    #expect(abs(try #require(score.words[1].surprisal) - are) < 1e-5)
    #expect(score.words[1].entropy == score.tokens[3].entropy)
  }

  @Test("A carried state gives words the same boundaries as one line of text")
  func carriedLinesAgree() throws {
    var options = ConversionOptions(vocabulary: .corpus(Fixtures.path("characters")))
    options.tokenizer = .kind(.character, space: "_")
    var checkpoint = try convert(Fixtures.path("characters/model.pt"), options: options).checkpoint
    checkpoint.tokenizer.appendsEndOfSentence = false
    checkpoint.tokenizer.sentenceStart = .none
    checkpoint.tokenizer.probe = nil
    let model = try LanguageModel(checkpoint, path: "")
    // Neither text has a line end inside, so the last word of each needs a prediction after it.
    let whole = try model.score(sentence: "We are")
    try withTemporaryFolder { folder in
      try Data("We are".utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      var settings = ScoreSettings()
      settings.carriesState = true
      var words: [WordScore] = []
      try model.score(text: "\(folder)/text.txt", settings) { line, _ in words += line.words }
      // The same up to the rounding of products of other sizes.
      let surprisal = try #require(words[1].surprisal)
      #expect(abs(surprisal - (try #require(whole.words[1].surprisal))) < 1e-5)
      #expect(words[0].surprisal == nil && whole.words[0].surprisal == nil)
    }
  }

  @Test("Words of a word model have the same surprisal with every boundary")
  func wholeWordsHaveNoBoundary() throws {
    let model = try LanguageModel(.small(), path: "small")
    #expect(model.wordBoundaries.marking == .words)
    let scores = try WordBoundary.allCases.map {
      try model.score(sentence: "the cat sat", boundary: $0).words.map(\.surprisal)
    }
    #expect(scores[0] == scores[1] && scores[0] == scores[2])
  }

  @Test(
    "Each tokenizer marks word boundaries in its own way",
    arguments: [
      ("gpt2.json", WordBoundaries.Marking.prefixes), ("llama2.json", .prefixes),
      ("llama3.json", .prefixes), ("roberta.json", .prefixes), ("unigram.json", .prefixes),
      ("sp-bpe.model", .prefixes), ("sp-unigram.model", .prefixes), ("sp-bytes.model", .prefixes),
      ("sp-suffix.model", .separators), ("bert.json", .continuations),
      ("classic.json", .suffixes),
    ])
  func markings(name: String, marking: WordBoundaries.Marking) throws {
    let (tokenizer, vocabulary) = try definedTokens(Fixtures.path("tokenizers/\(name)"))
    let encoder = try Encoder(vocabulary: vocabulary, tokenizer: tokenizer, path: name)
    #expect(encoder.wordBoundaries.marking == marking)
  }
}
