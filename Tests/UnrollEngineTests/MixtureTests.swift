// Interpolated models against KenLM and PyTorch.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTokenization

@testable import UnrollEngine

@Suite("Interpolated models (--with)") struct MixtureTests {
  private struct Reference: Decodable {
    struct Figures: Decodable {
      let nll: [Double]
      let mixedNll: Double
      let mixed: [Double]
    }
    struct Fit: Decodable {
      let firstLine: Int
      let weights: [Double]
      let nll: Double
    }
    /// By line the natural logarithms of KenLM.
    let ngrams: [[Double]]
    let sentence: Figures
    let stream: Figures
    let fitted: Fit
  }

  private static let reference = Result {
    try ScoringFixture.decoded("mixture.json", as: Reference.self)
  }
  private static let arpa = Fixtures.path("scoring/trigrams.arpa.gz")

  private static func lines() throws -> [String] {
    try String(contentsOfFile: ScoringFixture.text, encoding: .utf8).split(separator: "\n").map(
      String.init)
  }

  /// The lines of the n-gram model.
  private static func arpaLines() throws -> [String] {
    var reader = try LineReader(path: arpa)
    var lines: [String] = []
    while let line = try reader.next() { lines.append(String(decoding: line.bytes, as: UTF8.self)) }
    return lines
  }

  private func withFile<Result>(
    _ lines: [String], _ body: (String) throws -> Result
  ) throws -> Result {
    try withTemporaryFolder { folder in
      let path = "\(folder)/file"
      try Data(lines.map { $0 + "\n" }.joined().utf8).write(to: URL(filePath: path))
      return try body(path)
    }
  }

  private func mixture(_ weights: [Double]? = [0.5, 0.3, 0.2]) throws -> Mixture {
    let model = try ScoringFixture.model("lstm")
    return try Mixture(
      model,
      with: [
        .recurrent(ScoringFixture.model("gru")),
        Mixture.companion(NGramModel(contentsOf: Self.arpa), of: model),
      ], weights: weights)
  }

  @Test("Log-probabilities of an n-gram model equal KenLM's, from a gzip file and a plain one")
  func kenLM() throws {
    let model = try ScoringFixture.model("lstm")
    let expected = try Self.reference.get().ngrams
    let plain = try withFile(Self.arpaLines()) { path in
      #expect(try NGramModel.recognizes(path))
      return try NGramModel(contentsOf: path)
    }
    for ngrams in [plain, try NGramModel(contentsOf: Self.arpa)] {
      #expect(ngrams.order == 3 && ngrams.wordCount == 29)
      let scorer = try NGramScorer(ngrams, for: model.encoder)
      #expect(scorer.missingCount == 0)
      var count = 0
      for (index, line) in try Self.lines().enumerated() {
        let ids = try model.encoder.encode(
          TextLine(bytes: Array(line.utf8), terminatorCount: 1, number: 1), path: ""
        ).ids
        let found = scorer.tokenLogProbabilities(ofSentence: ids)
        #expect(found.count == expected[index].count)
        for (value, number) in zip(found, expected[index]) {
          #expect(abs(value - number) < 1e-5)
          count += 1
        }
      }
      #expect(count == 768)
    }
  }

  @Test(
    "A mixture has the perplexity of PyTorch's and KenLM's probabilities",
    arguments: [PerplexityProtocol.sentence, .stream])
  func perplexities(_ protocol: PerplexityProtocol) throws {
    let mixture = try mixture()
    let reference = try Self.reference.get()
    let expected = `protocol` == .stream ? reference.stream : reference.sentence
    let result = try mixture.model.perplexity(
      ofText: ScoringFixture.text, protocol: `protocol`, mixture: mixture)
    #expect(abs(result.nll / expected.mixedNll - 1) < 1e-6)
    #expect(result.mixture.map(\.weight) == [0.5, 0.3, 0.2])
    // Of each model alone, by a weight that leaves nothing to the others.
    for (index, nll) in expected.nll.enumerated() {
      var weights = [1e-13, 1e-13, 1e-13]
      weights[index] = 1 - 2e-13
      let alone = try self.mixture(weights)
      let found = try alone.model.perplexity(
        ofText: ScoringFixture.text, protocol: `protocol`, mixture: alone)
      #expect(abs(found.nll / nll - 1) < 1e-6, "\(index)")
    }
  }

  @Test("Words, pairs and hypotheses are scored by the mixture; it has no entropies")
  func scores() throws {
    let mixture = try mixture()
    let expected = try Self.reference.get().sentence.mixed
    var settings = ScoreSettings()
    settings.mixture = mixture
    var tokens: [TokenScore] = []
    var first: SentenceScore?
    try mixture.model.score(text: ScoringFixture.text, settings) { sentence, _ in
      first = first ?? sentence
      tokens += sentence.tokens
      #expect(sentence.words.allSatisfy { $0.entropy == nil })
    }
    #expect(tokens.count == 768 && tokens.allSatisfy { $0.entropy == nil })
    for (token, number) in zip(tokens, expected) {
      #expect(abs(try #require(token.logProbability) - number) < 3e-6)
    }
    let line = try Self.lines()[0]
    let alone = try #require(mixture.model.score(sentence: line).logProbability)
    #expect(first?.logProbability != alone)
    var pairSettings = PairSettings()
    pairSettings.mixture = mixture
    try withFile(["good\tbad", "\(line)\tthe"]) { path in
      try mixture.model.score(pairs: path, pairSettings) { score, _ in
        #expect(score.good == first?.logProbability)
      }
    }
    try withFile(["u\t-1\t\(line)"]) { path in
      try mixture.model.score(nbest: path, mixture: mixture) { scored, _ in
        #expect(scored.logProbability == first?.logProbability)
      }
    }
  }

  @Test("Fitted weights are those of expectation maximization")
  func weights() throws {
    let expected = try Self.reference.get().fitted
    let mixture = try mixture(nil)
    let equal = 1.0 / 3
    #expect(mixture.weights == [equal, equal, equal])
    let fit = try withFile(Array(Self.lines()[(expected.firstLine - 1)...])) { path in
      try mixture.fittedWeights(toText: path)
    }
    for (weight, number) in zip(fit.weights, expected.weights) {
      #expect(abs(weight - number) < 1e-3)
    }
    #expect(abs(fit.nll - expected.nll) < 1e-5)
    #expect(try mixture.with(fit).weights == fit.weights)
  }

  /// An n-gram model of single words, equally likely.
  private func unigrams(_ words: [String]) throws -> NGramModel {
    let lines = [#"\data\"#, "ngram 1=\(words.count)", "", #"\1-grams:"#]
    return try withFile(lines + words.map { "-2\t\($0)" } + ["", #"\end\"#]) {
      try NGramModel(contentsOf: $0)
    }
  }

  @Test("A token that the n-gram model lacks has no probability from it")
  func missingTokens() throws {
    let model = try ScoringFixture.model("lstm")
    let vocabulary = model.encoder.vocabulary
    let words = vocabulary.indices.map { vocabulary.text(of: $0) }
    let ngrams = try unigrams(words.filter { $0 != "gardens" } + ["<s>", "</s>"])
    let scorer = try NGramScorer(ngrams, for: model.encoder)
    #expect(scorer.missingCount == 1)
    let ids = ["the", "gardens", "a", "<eos>"].compactMap {
      vocabulary.id(of: $0).map { Int32($0) }
    }
    let found = scorer.tokenLogProbabilities(ofSentence: ids)
    #expect(found[1] == -.infinity)
    for index in [0, 2, 3] { #expect(abs(found[index] + 2 * log(10)) < 1e-6) }
    let mixture = try Mixture(model, with: [.ngram(scorer)], weights: [0.25, 0.75])
    let mixed = try mixture.predictions(ofSentences: [ids])[0].logProbabilities
    let own = try model.tokenLogProbabilities(ofSentence: ids)
    #expect(abs(Double(mixed[1]) - Double(own[1]) - log(0.25)) < 1e-6)
  }

  @Test("A mixture of a model with itself has the model's word probabilities, boundaries included")
  func boundaries() throws {
    var options = ConversionOptions()
    options.vocabulary = .corpus(Fixtures.path("characters"))
    options.tokenizer = .kind(.character, space: "_")
    let model = try LanguageModel(
      convert(Fixtures.path("characters/model.pt"), options: options).checkpoint, path: "characters"
    )
    var settings = ScoreSettings()
    settings.mixture = try Mixture(model, with: [.recurrent(model)])
    let alone = try model.score(sentence: "We are accounted")
    try withFile(["We are accounted"]) { path in
      try model.score(text: path, settings) { sentence, _ in
        for (word, own) in zip(sentence.words, alone.words) {
          let (mixed, single) = (try #require(word.surprisal), try #require(own.surprisal))
          #expect(abs(mixed - single) < 1e-5)
        }
        #expect(sentence.words.count == 3)
      }
    }
    let vocabulary = model.encoder.vocabulary
    let characters = vocabulary.indices.map { vocabulary.text(of: $0) }.filter {
      $0 != " " && $0 != "\n"
    }
    let ngrams = try unigrams(characters + ["</s>"])
    settings.mixture = try Mixture(model, with: [Mixture.companion(ngrams, of: model)])
    try withFile(["We are"]) { path in
      let error = #expect(throws: EngineError.self) {
        try model.score(text: path, settings) { _, _ in }
      }
      #expect(error?.fix == "give --boundary before or none")
    }
  }

  @Test("Other tokens, weights that are none, and unsupported protocols are refused")
  func refusals() throws {
    let model = try ScoringFixture.model("lstm")
    let other = try LanguageModel(.small(), path: "small")
    #expect(throws: EngineError.self) { try Mixture(model, with: [.recurrent(other)]) }
    for weights in [[0.5], [0.6, 0.6], [1, 0], [.nan, 0.5], [1.5, -0.5]] {
      #expect(throws: EngineError.self) {
        try Mixture(model, with: [.recurrent(model)], weights: weights)
      }
    }
    #expect(throws: EngineError.self) { try Mixture(model, with: []) }
    let ngrams = try NGramModel(contentsOf: Fixtures.path("kenlm/unigrams.arpa"))
    #expect(throws: EngineError.self) { try Mixture.companion(ngrams, of: model) }
    let mixture = try mixture()
    for name in [PerplexityProtocol.columns, .lmEval] {
      #expect(throws: EngineError.self) {
        try model.perplexity(ofText: ScoringFixture.text, protocol: name, mixture: mixture)
      }
    }
    var settings = ScoreSettings()
    settings.mixture = mixture
    settings.carriesState = true
    #expect(throws: EngineError.self) {
      try model.score(text: ScoringFixture.text, settings) { _, _ in }
    }
  }

  @Test(
    "A file that breaks the ARPA format is refused with the line",
    arguments: [
      ("ngram 1=3", 1, #"expected \data\; found ngram 1=3"#),
      (#"\data\|ngram 2=3"#, 2, "expected ngram 1= and a count"),
      (#"\data\||\1-grams:"#, 3, "expected counts of n-grams"),
      (#"\data\|ngram 1=2|\1-grams:|-1 a|\end\"#, 5, "expected a logarithm of at most 0, 1 word"),
      (#"\data\|ngram 1=1|\1-grams:|-1 a|-1 b|\end\"#, 5, #"expected \end\ after as many"#),
      (#"\data\|ngram 1=1|\1-grams:|0.5 a|\end\"#, 4, "expected a logarithm of at most 0"),
      (#"\data\|ngram 1=1|\1-grams:|x a|\end\"#, 4, "expected a logarithm of at most 0"),
      (#"\data\|ngram 1=1|\1-grams:|-1 a y|\end\"#, 4, "expected a backoff weight; found y"),
      (#"\data\|ngram 1=2|\1-grams:|-1 a|-1 a|\end\"#, 5, "expected each word once; found a"),
      (#"\data\|ngram 1=1|\1-grams:|-1 a"#, 4, #"found the end of the file"#),
      (
        #"\data\|ngram 1=1|ngram 2=1|\1-grams:|-1 a|\2-grams:|-1 a b|\end\"#, 7,
        "expected words that have a unigram; found b"
      ),
      (
        #"\data\|ngram 1=1|ngram 2=2|\1-grams:|-1 a|\2-grams:|-1 a a|-1 a a|\end\"#, 8,
        "expected each n-gram once; found a a"
      ),
      (
        #"\data\|ngram 1=1|ngram 2=0|ngram 3=1|\1-grams:|-1 a|\2-grams:|\3-grams:|-1 a a a|\end\"#,
        9,
        "expected n-grams whose first 2 words are an n-gram"
      ),
    ])
  func brokenFiles(content: String, line: Int, message: String) throws {
    let lines = content.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
    let error = #expect(throws: TextError.self) {
      try withFile(lines) { try NGramModel(contentsOf: $0) }
    }
    let description = error?.description ?? ""
    #expect(error?.line == line && description.contains(message), "\(description)")
  }
}
