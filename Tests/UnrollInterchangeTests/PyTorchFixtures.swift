// Reading the PyTorch fixtures in tests.

import Foundation
import TestSupport
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

/// The files of `fixtures/pytorch`, made by `scripts/make/pytorch-fixtures`.
enum PyTorchFixtures {
  /// PyTorch's description of a tensor of a fixture.
  struct ExpectedTensor: Decodable {
    let dtype: String
    let shape: [Int]
    let sha256: String
  }

  /// The tensors by file and name.
  static func expectedTensors() throws -> [String: [String: ExpectedTensor]] {
    let data = try Data(contentsOf: URL(filePath: Fixtures.path("pytorch/tensors.json")))
    return try JSONDecoder().decode([String: [String: ExpectedTensor]].self, from: data)
  }

  static func path(_ name: String) -> String { Fixtures.path("pytorch/\(name)") }

  static func vocabulary(_ count: Int) -> Vocabulary {
    Vocabulary(tokens: (0..<count).map { "token\($0)".utf8 }, unit: .word)
  }

  /// Converts a fixture with a vocabulary of the right size.
  static func convert(
    _ name: String, vocabularySize: Int? = 11, nonlinearity: Activation? = nil
  ) throws -> Conversion {
    let options = ReadingOptions(
      vocabulary: vocabularySize.map(vocabulary), nonlinearity: nonlinearity)
    return try PyTorchFormat.read(MappedFile(path: path(name)), options: options)
  }

  /// The message of a refusal, without the folder of the fixtures.
  static func refusal(
    of name: String, vocabularySize: Int? = 11, nonlinearity: Activation? = nil
  ) throws -> String {
    do {
      _ = try convert(name, vocabularySize: vocabularySize, nonlinearity: nonlinearity)
      return "converted"
    } catch let error as InterchangeError {
      return error.description.replacingOccurrences(of: path("") + "/", with: "")
    }
  }
}
