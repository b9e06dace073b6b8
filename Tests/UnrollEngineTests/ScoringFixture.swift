// The models and the text of fixtures/scoring.

import Foundation
import TestSupport
import UnrollFormat
import UnrollTokenization

@testable import UnrollEngine

/// The models and the text that PyTorch's figures in `fixtures/scoring` are of.
enum ScoringFixture {
  static let text = Fixtures.path("scoring/text.txt")

  /// A model, `lstm` or `gru`.
  static func checkpoint(_ name: String) throws -> Checkpoint {
    var options = ConversionOptions()
    options.vocabulary = .list(Fixtures.path("scoring/tokens.tsv"))
    return try convert(Fixtures.path("scoring/\(name).pt"), options: options).checkpoint
  }

  static func model(_ name: String) throws -> LanguageModel {
    try LanguageModel(checkpoint(name), path: name)
  }

  static func decoded<Value: Decodable>(_ name: String, as _: Value.Type) throws -> Value {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(
      Value.self, from: Data(contentsOf: URL(filePath: Fixtures.path("scoring/\(name)"))))
  }
}
