// Files of fixtures/ that need a vocabulary.

import TestSupport
import Testing
import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

/// Reads a file of `fixtures/` of any format, with `token0`, `token1` and so on as its vocabulary.
///
/// - Parameters:
///   - path: The path below `fixtures/`.
///   - count: The number of tokens.
///   - change: Changes the options before the file is read.
/// - Returns: The conversion.
/// - Throws: `FileError` or `InterchangeError` if the file cannot be read.
func convertFixture(
  _ path: String, tokens count: Int = 11,
  _ change: (inout ReadingOptions) throws -> Void = { _ in }
) throws -> Conversion {
  var options = ReadingOptions(
    vocabulary: Vocabulary(tokens: (0..<count).map { "token\($0)".utf8 }, unit: .word))
  try change(&options)
  let file = try MappedFile(path: Fixtures.path(path))
  let format = try #require(AllFormats.format(of: file))
  return try format.read(file, options: options)
}
