// Damaged files: whatever the bytes, reading throws or returns.

import Foundation
import TestSupport
import Testing
import UnrollTensors

@testable import UnrollInterchange

/// SplitMix64, so that a failure can be repeated.
private struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

@Suite("Damaged PyTorch files") struct PyTorchMutationTests {
  private static let mutationsPerFile = 40
  /// Long to read by design; their own tests read them once.
  private static let slow = ["hostile-depth.pt", "hostile-modules.pt"]

  @Test("Damaged PyTorch files are refused or read, and never trap")
  func damagedFiles() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: PyTorchFixtures.path(""))
      .filter { $0.hasSuffix(".pt") && !Self.slow.contains($0) }.sorted()
    var refused = 0
    try withTemporaryFolder { folder in
      for (index, name) in names.enumerated() {
        var generator = SeededGenerator(state: UInt64(index))
        let bytes = try MappedFile(path: PyTorchFixtures.path(name)).copy(0..<Int.max)
        for _ in 0..<Self.mutationsPerFile {
          let mutant = mutated(bytes, &generator)
          let path = "\(folder)/mutant.pt"
          try Data(mutant).write(to: URL(filePath: path))
          refused += try isRefused(path) ? 1 : 0
        }
      }
    }
    #expect(refused > names.count * Self.mutationsPerFile / 2)
  }

  /// The tensors' CRC would hide most mutations of the pickle, so every second mutant has none.
  private func mutated(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
    var mutant = bytes
    if Bool.random(using: &generator) { removeChecksums(&mutant) }
    if Int.random(in: 0..<8, using: &generator) == 0 {
      return Array(mutant.prefix(Int.random(in: 0..<mutant.count, using: &generator)))
    }
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      let place = target(in: mutant, &generator)
      mutant[place] =
        [0, 1, 0x7F, 0x80, 0xFF, UInt8.random(in: 0...255, using: &generator)]
        .randomElement(using: &generator) ?? 0
    }
    return mutant
  }

  /// A byte of the pickle or of the directory, where the structure is.
  private func target(in bytes: [UInt8], _ generator: inout SeededGenerator) -> Int {
    let tail = min(bytes.count, 1200)
    return Bool.random(using: &generator)
      ? Int.random(in: 0..<min(bytes.count, 3000), using: &generator)
      : Int.random(in: bytes.count - tail..<bytes.count, using: &generator)
  }

  private func removeChecksums(_ bytes: inout [UInt8]) {
    for place in bytes.indices.dropLast(46)
    where bytes[place] == 0x50 && bytes[place + 1] == 0x4B && bytes[place + 2] == 1
      && bytes[place + 3] == 2
    {
      for offset in 16..<20 { bytes[place + offset] = 0 }
    }
  }

  private func isRefused(_ path: String) throws -> Bool {
    let file = try MappedFile(path: path)
    _ = PyTorchFormat.recognizes(file)
    let options = ReadingOptions(vocabulary: PyTorchFixtures.vocabulary(11), nonlinearity: .tanh)
    do {
      _ = try PyTorchFormat.read(file, options: options)
      return false
    } catch is InterchangeError {
      return true
    }
  }
}
