// Models in the layout of char-rnn and torch-rnn: log-probabilities by their equations.

import TestSupport
import Testing
import UnrollFormat
import UnrollInterchange
import UnrollTensors

@Suite struct Torch7ReferenceTests {
  @Test(
    "Models of char-rnn and torch-rnn have the log-probabilities of their equations",
    arguments: [
      "torch-rnn-lstm", "torch-rnn-bytes", "torch-rnn-bare", "char-rnn-lstm", "char-rnn-narrow",
      "char-rnn-gru", "char-rnn-rnn-32",
    ])
  func logProbabilitiesAreThoseOfTheEquations(name: String) throws {
    let file = try MappedFile(path: Fixtures.path("torch7/\(name).t7"))
    let checkpoint = try Torch7Format.read(file, options: ReadingOptions()).checkpoint
    // Both in double precision; the weights of the files are exact.
    try References("torch7").expect(checkpoint, toBe: name, within: 1e-12)
  }
}
