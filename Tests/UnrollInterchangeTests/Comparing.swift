// Comparisons for tests of converters.

import Testing
import UnrollFormat

/// Expects two models to have the same parts and numbers, bit for bit.
func expectEqualWeights(_ a: Checkpoint, _ b: Checkpoint) {
  #expect(a.architecture == b.architecture)
  #expect(a.parameters.paths == b.parameters.paths)
  for path in a.parameters.paths {
    guard let first = a.parameters[path], let second = b.parameters[path] else { continue }
    #expect(first.dtype == second.dtype && first.shape == second.shape)
    #expect(
      first.withUnsafeBytes { bytes in second.withUnsafeBytes { bytes.elementsEqual($0) } })
  }
}
