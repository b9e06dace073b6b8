// Writing and reading: the same content back, the same bytes twice, and whole files or none.

import Foundation
import TestSupport
import Testing
import UnrollTensors

@testable import UnrollFormat

@Suite("Writing and reading") struct WritingTests {
  @Test(
    "A checkpoint comes back with all of its parts",
    arguments: [Cell.lstm, .gru, .rnn], [false, true])
  func roundTrip(cell: Cell, tied: Bool) throws {
    let checkpoint = Checkpoint.small(cell: cell, tied: tied, hidden: tied ? [7, 5] : [7, 6])
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      try checkpoint.write(to: path)
      let read = try Checkpoint(contentsOf: path)
      #expect(read.architecture == checkpoint.architecture)
      #expect(read.parameters.paths == checkpoint.parameters.paths)
      for parameter in read.parameters.paths {
        #expect(
          read.parameters[parameter]?.floats() == checkpoint.parameters[parameter]?.floats())
      }
      #expect(read.vocabulary.tokenBytes == checkpoint.vocabulary.tokenBytes)
      #expect(read.vocabulary.tokenOffsets == checkpoint.vocabulary.tokenOffsets)
      #expect(read.vocabulary.unknownID == 10 && read.vocabulary.endOfSentenceID == 3)
      #expect(read.tokenizer == checkpoint.tokenizer)
      #expect(read.provenance.map(\.arguments) == ["a=1\nb=2"])
    }
  }

  @Test("A file begins with the attribute format, and names its gate order and specification")
  func introduction() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      try Checkpoint.small().write(to: path)
      let start = try Data(contentsOf: URL(filePath: path)).prefix(64 + 1024 + 32)
      let name = try #require(start.range(of: Data("format\0".utf8)))
      #expect(start[name.upperBound...].prefix(40).range(of: Data("unroll".utf8)) != nil)
      let contents = try Examination(of: path, upTo: .header).contents
      #expect(contents.text("/", "gate_order") == "lstm: i f g o; gru: r z n")
      #expect(contents.text("/", "specification")?.contains("spec/FORMAT.md") == true)
    }
  }

  @Test("Tensors are mapped, aligned to 64 bytes")
  func mappedTensors() throws {
    try withTemporaryFolder { folder in
      try Checkpoint.small().write(to: "\(folder)/a.h5")
      let read = try Checkpoint(contentsOf: "\(folder)/a.h5")
      for path in read.parameters.paths {
        let tensor = try #require(read.parameters[path])
        guard case .mapped(_, let range) = tensor.storage else {
          Issue.record("\(path) was copied")
          continue
        }
        #expect(range.lowerBound % 64 == 0)
      }
    }
  }

  @Test("Numbers of every float type keep their bytes", arguments: DType.allCases.filter(\.isFloat))
  func floatTypes(dtype: DType) throws {
    var checkpoint = Checkpoint.small()
    var generator = SeededGenerator(seed: 5)
    let bytes = (0..<11 * dtype.size).map { _ in UInt8.random(in: 0...255, using: &generator) }
    checkpoint.parameters[.outputBias] = Tensor(shape: [11], dtype: dtype, storage: .owned(bytes))
    try withTemporaryFolder { folder in
      try checkpoint.write(to: "\(folder)/a.h5")
      let read = try Checkpoint(contentsOf: "\(folder)/a.h5").parameters[.outputBias]
      #expect(read?.dtype == dtype)
      #expect(read?.withUnsafeBytes { Array($0) } == bytes)
    }
  }

  @Test("Equal checkpoints give equal files")
  func equalFiles() throws {
    try withTemporaryFolder { folder in
      try Checkpoint.small(tied: true, hidden: [5]).write(to: "\(folder)/a.h5")
      try Checkpoint.small(tied: true, hidden: [5]).write(to: "\(folder)/b.h5")
      let read = try Checkpoint(contentsOf: "\(folder)/a.h5")
      try read.write(to: "\(folder)/c.h5")
      let first = try Data(contentsOf: URL(filePath: "\(folder)/a.h5"))
      #expect(try Data(contentsOf: URL(filePath: "\(folder)/b.h5")) == first)
      // The same content again, but for the last step's digest, which is the same too.
      #expect(try Data(contentsOf: URL(filePath: "\(folder)/c.h5")) == first)
    }
  }

  @Test("Other weights change the weights and content digests")
  func digestsOfWeights() throws {
    func digests(_ seed: UInt64) -> [String] {
      let outline = Checkpoint.small(seed: seed).outline()
      let root = outline.objects["/"]?.attributes
      return ["weights_digest", "content_digest"].compactMap { root?[$0]?.printed }
    }
    #expect(digests(1) == digests(1))
    #expect(digests(1).count == 2)
    #expect(digests(1)[0] != digests(2)[0] && digests(1)[1] != digests(2)[1])
  }

  @Test("Provenance does not change the weights digest")
  func digestWithoutProvenance() throws {
    var checkpoint = Checkpoint.small()
    let before = checkpoint.outline().objects["/"]?.attributes["weights_digest"]
    checkpoint.provenance[0].tool = "another"
    let after = checkpoint.outline().objects["/"]?.attributes["weights_digest"]
    #expect(before != nil && before == after)
  }

  @Test("An existing file is replaced only on request")
  func existingFile() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      try Data("precious".utf8).write(to: URL(filePath: path))
      #expect(throws: FileError("write", path: path, code: EEXIST)) {
        try Checkpoint.small().write(to: path)
      }
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
      try Checkpoint.small().write(to: path, replacing: true)
      _ = try Checkpoint(contentsOf: path)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a.h5"])
    }
  }

  @Test("A checkpoint never replaces a folder")
  func folderAsOutput() throws {
    try withTemporaryFolder { folder throws in
      #expect(
        throws: FileError("replace what is no regular file", path: folder, code: EINVAL)
      ) {
        try Checkpoint.small().write(to: folder, replacing: true)
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
    }
  }

  @Test("A missing folder is named in the error")
  func missingFolder() {
    #expect(
      throws: FileError("create a file in /no/such", path: "/no/such/a.h5", code: ENOENT)
    ) {
      try Checkpoint.small().write(to: "/no/such/a.h5")
    }
  }
}
