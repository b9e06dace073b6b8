// NumPy archives: the library's own in every form, what is written is read, and files that lie.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite("NumPy archives") struct NumPyTests {
  /// The output of scripts/make/numpy-fixtures.
  private struct References: Decodable {
    let headers: [String: String]
  }

  private let options = ReadingOptions(vocabulary: PyTorchFixtures.vocabulary(11))

  private func bytes(_ checkpoint: Checkpoint) -> [ParameterPath: [UInt8]] {
    Dictionary(
      uniqueKeysWithValues: checkpoint.parameters.paths.map { path in
        (path, checkpoint.parameters[path]?.withUnsafeBytes { Array($0) } ?? [])
      })
  }

  private func read(_ name: String, names: [String: String] = [:]) throws -> Conversion {
    var options = options
    options.map = NameMap(names: names)
    return try NumPyFormat.read(
      MappedFile(path: Fixtures.path("numpy/\(name)")), options: options)
  }

  private func refusal(_ name: String) -> String {
    do {
      _ = try read(name)
      return "read"
    } catch {
      return "\(error)".replacing(Fixtures.path("numpy") + "/", with: "")
    }
  }

  // MARK: - The library's files

  /// Stored and deflated, by rows and by columns, the lowest byte first and last, headers of each version.
  @Test(
    "An archive in every form of NumPy gives the numbers of the PyTorch file",
    arguments: [
      "lstm", "lstm-deflated", "lstm-fortran", "lstm-big-endian", "lstm-all-at-once",
      "lstm-version-2", "lstm-version-3",
    ])
  func formsOfOneModel(name: String) throws {
    let file = try MappedFile(path: Fixtures.path("numpy/\(name).npz"))
    #expect(NumPyFormat.recognizes(file) && AllFormats.format(of: file)?.name == "npz")
    let conversion = try read("\(name).npz")
    let expected = try PyTorchFormat.read(
      MappedFile(path: Fixtures.path("safetensors/lstm.pt")), options: options
    ).checkpoint
    #expect(conversion.checkpoint.architecture == expected.architecture)
    #expect(bytes(conversion.checkpoint) == bytes(expected))
    #expect(conversion.notes.count == 1)
  }

  @Test("Letters of tutorials are assumed as roles, and other arrays are noted")
  func lettersOfTutorials() throws {
    let plain = try read("rnn-tutorial.npz")
    #expect(plain.checkpoint.architecture.input == .oneHot)
    #expect(plain.checkpoint.architecture.layers.map(\.bias) == [.none])
    #expect(!plain.checkpoint.architecture.hasOutputBias)
    #expect(
      plain.notes.first?.message
        == "assumed from names: U is rnn.weight_ih_l0, W is rnn.weight_hh_l0, V is decoder.weight, tanh"
    )
    let biased = try read("min-char-rnn.npz")
    #expect(biased.checkpoint.architecture.layers.map(\.bias) == [.single])
    #expect(
      biased.notes.map(\.description).contains(
        "ix_to_char: not preserved: an array of Python objects (a pickle, which is never run)"))
    #expect(
      biased.notes.contains {
        $0.description == "vocab_size: not preserved: integers (int64) are no weights"
      })
  }

  @Test("Arrays under other letters are read with a map")
  func otherLetters() throws {
    let names = ["rnn.weight_ih_l0": "V", "rnn.weight_hh_l0": "U", "decoder.weight": "W"]
    var tanh = options
    (tanh.map, tanh.nonlinearity) = (NameMap(names: names), .tanh)
    let conversion = try NumPyFormat.read(
      MappedFile(path: Fixtures.path("numpy/refused-letters.npz")), options: tanh)
    let other = try read("rnn-tutorial.npz").checkpoint
    #expect(conversion.checkpoint.architecture == other.architecture)
    #expect(bytes(conversion.checkpoint) == bytes(other))
  }

  @Test("Archives without readable weights are refused by the array, with a fix")
  func unreadableArchives() {
    #expect(
      refusal("refused-letters.npz") == """
        refused-letters.npz: U, W, V: expected an input [H, V], a recurrent [H, H] and an output matrix \
        [V, H], found U [4, 4], W [11, 4], V [4, 11]
          fix: say which array is which with --map, as in `{"rnn.weight_ih_l0": "NAME", \
        "rnn.weight_hh_l0": ..., "decoder.weight": ...}`
        """)
    #expect(
      refusal("refused-objects.npz") == """
        refused-objects.npz: decoder.weight: expected an array of floating-point numbers, found Python \
        objects (a pickle, which is never run)
          fix: save it as numbers: `array.astype("float32")`
        """)
    #expect(
      refusal("refused-integers.npz") == """
        refused-integers.npz: decoder.bias: expected float16, float32 or float64, found int64
          fix: save it as numbers: `array.astype("float32")`
        """)
    #expect(
      refusal("refused-one-array.npy") == """
        refused-one-array.npy: expected an archive of arrays, found one array (.npy)
          fix: save all weights in one file with numpy.savez
        """)
  }

  // MARK: - Writing

  @Test(".npy headers equal those that NumPy writes, and are read back")
  func headersOfNumPy() throws {
    let references = try JSONDecoder().decode(
      References.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("numpy/references.json"))))
    #expect(references.headers.count == 18)
    for (name, expected) in references.headers {
      let parts = name.split(separator: " ", maxSplits: 1)
      let shape = parts[1].matches(of: /\d+/).compactMap { Int($0.output) }
      let header = NPYHeader.bytes(type: String(parts[0]), shape: shape)
      #expect(header.map { String(format: "%02x", $0) }.joined() == expected, "\(name)")
      let back = try NPYHeader(header)
      #expect(back.type == parts[0] && back.shape == shape && back.size == header.count)
    }
  }

  /// The records of an archive that NumPy wrote, byte for byte.
  @Test("Records of a written .npz equal NumPy's byte for byte, aligned to 64 bytes")
  func recordsOfNumPy() throws {
    let theirs = try ZipArchive(MappedFile(path: Fixtures.path("numpy/lstm.npz")))
    let checkpoint = try read("lstm.npz").checkpoint
    try withTemporaryFolder { folder in
      try NumPyFormat.export(checkpoint, to: "\(folder)/a.npz")
      let ours = try ZipArchive(MappedFile(path: "\(folder)/a.npz"))
      #expect(Set(ours.records.keys) == Set(theirs.records.keys).union(["unroll.npy"]))
      for (name, record) in theirs.records {
        let mine = try #require(ours.records[name])
        #expect(ours.file.copy(mine.data) == theirs.file.copy(record.data))
        // Numbers start at multiples of 64, since headers and records do.
        #expect(mine.data.lowerBound % 64 == 0)
      }
    }
  }

  @Test("bfloat16 weights are refused by NumPy with advice to give --dtype")
  func bfloat16Weights() throws {
    let checkpoint = PyTorchExportTests().checkpoint(.init(dtype: .bfloat16), seed: 5)
    let error = #expect(throws: InterchangeError.self) {
      try NumPyFormat.exportNotes(for: checkpoint)
    }
    #expect(error?.found == "bf16" && error?.fix.contains("--dtype f32") == true)
  }

  // MARK: - Files that lie

  private static let lies: [(header: String, expected: String)] = [
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "read"),
    ("{\"shape\": (2L,), 'fortran_order':True,'descr':'<f4'}  \n", "read"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "as many bytes as <f4 of shape"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", "a dimension"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,), }", "a dimension"),
    (
      "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 8), }",
      "as many bytes as <f4 of shape"
    ),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': 2}", "\"(\""),
    ("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", "True or False"),
    ("{'descr': '<f4', 'shape': (2,)}", "descr, fortran_order and shape"),
    ("{'descr': '<f4', 'descr': '<f4', 'shape': (2,)}", "each of descr"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", "each of descr"),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} + 1", "the end of the header"),
    ("{'descr': __import__('os'), 'fortran_order': False, 'shape': (2,)}", "\"'\""),
    ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", "numbers of one type"),
    ("{'descr': '=f4', 'fortran_order': False, 'shape': (2,)}", "a type of NumPy"),
    ("{'descr': '<f3', 'fortran_order': False, 'shape': (2,)}", "a type of NumPy"),
    ("{'descr': '", "the end of a text"), ("", "\"{\""), ("[]", "\"{\""),
  ]

  private func message(_ header: [UInt8]) throws -> String {
    try withTemporaryFolder { folder in
      let path = "\(folder)/x.npz"
      try Data().write(to: URL(filePath: path))
      var archive = try ZipWriter(emptying: path)
      try archive.add("a.npy", header: header, .floats([1, 2]))
      try archive.finish()
      do {
        _ = try NumPyFile(MappedFile(path: path))
        return "read"
      } catch let error as InterchangeError {
        #expect(error.place == "a")
        return error.expected
      }
    }
  }

  @Test("An inconsistent .npy header is refused by the array's name")
  func inconsistentHeaders() throws {
    let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
    for lie in Self.lies {
      let text = Array(lie.header.utf8)
      let found = try message(magic + [1, 0, UInt8(text.count), 0] + text)
      #expect(found.hasPrefix(lie.expected), "\(lie.header): \(found)")
    }
    #expect(try message([1, 2, 3]).hasPrefix("the signature"))
    #expect(try message(magic + [4, 0, 0, 0]) == "version 1.0, 2.0 or 3.0")
    #expect(try message(magic + [2, 0, 255, 255, 255, 255]).hasPrefix("a header of at most 10000"))
  }

  /// A changed byte of weights or tokens is found by its record's CRC-32.
  @Test(
    "A changed byte of a record is found by its CRC-32",
    arguments: ["encoder.weight.npy", "unroll.npy"])
  func damagedRecord(record: String) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.npz"
      try NumPyFormat.export(.small(), to: path)
      let place = try #require(ZipArchive(MappedFile(path: path)).records[record]).data.upperBound
      var bytes = try Array(Data(contentsOf: URL(filePath: path)))
      bytes[place - 9] ^= 1
      try Data(bytes).write(to: URL(filePath: path))
      let error = #expect(throws: InterchangeError.self) {
        try NumPyFormat.read(MappedFile(path: path), options: options)
      }
      #expect(error?.place == record && error?.expected.hasPrefix("CRC-32") == true)
      #expect(error?.fix.contains("numpy.savez") == true)
    }
  }

  /// Sizes are checked against the room, the compressed bytes and what comes out.
  @Test("A compressed record is not inflated beyond its stated size or the room")
  func bombs() throws {
    let file = try MappedFile(path: Fixtures.path("numpy/lstm-deflated.npz"))
    let archive = try ZipArchive(file)
    let record = try #require(archive.records.values.max { $0.size < $1.size })
    var room = record.size
    #expect(try archive.contents(of: record, room: &room).count == record.size)
    #expect(room == 0)
    room = record.size - 1
    #expect(throws: InterchangeError.self) { try archive.contents(of: record, room: &room) }
    for size in [record.size - 1, record.size + 1, record.data.count * 2000, Int.max] {
      let liar = ZipRecord(
        name: record.name, checksum: record.checksum, headerOffset: record.headerOffset,
        data: record.data, method: 8, size: size)
      room = .max
      #expect(throws: InterchangeError.self) { try archive.contents(of: liar, room: &room) }
    }
  }

  @Test("Damaged .npz files are refused or read, and never trap")
  func damagedFiles() throws {
    var generator = SeededGenerator(seed: 37)
    let folder = Fixtures.path("numpy")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      .filter { $0.hasSuffix(".npz") }.sorted()
    #expect(names.count == 12)
    var refused = 0
    try withTemporaryFolder { temporary in
      for name in names {
        let whole = try Array(Data(contentsOf: URL(filePath: "\(folder)/\(name)")))
        for _ in 0..<100 {
          let mutant = mutated(whole, &generator)
          try Data(mutant).write(to: URL(filePath: "\(temporary)/mutant"))
          let file = try MappedFile(path: "\(temporary)/mutant")
          _ = NumPyFormat.recognizes(file)
          do { _ = try NumPyFormat.read(file, options: options) } catch is InterchangeError {
            refused += 1
          }
        }
      }
    }
    #expect(refused > 100 * names.count / 2)
  }

  /// Changes bytes, mostly in the headers, without the CRC-32 that would hide it, or cuts the end off.
  private func mutated(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
    if Int.random(in: 0..<8, using: &generator) == 0 {
      return Array(bytes.prefix(Int.random(in: 0..<bytes.count, using: &generator)))
    }
    var mutant = bytes
    let directory = [0x50, 0x4B, 1, 2] as [UInt8]
    for place in mutant.indices.dropLast(46)
    where Bool.random(using: &generator) && mutant[place..<place + 4].elementsEqual(directory) {
      for offset in 16..<20 { mutant[place + offset] = 0 }
    }
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      let place = Int.random(in: 0..<mutant.count, using: &generator)
      mutant[place] =
        [0, 1, 0x27, 0x39, 0xFF, UInt8.random(in: 0...255, using: &generator)]
        .randomElement(using: &generator) ?? 0
    }
    return mutant
  }
}
