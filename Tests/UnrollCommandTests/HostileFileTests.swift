// Every file of `fixtures/hostile` through the built tool: refused in time, with its rules, and quietly.

import Foundation
import TestSupport
import Testing

/// A hostile file and the rules of level error that it breaks.
struct HostileFile: Sendable, CustomTestStringConvertible {
  let name: String
  let rules: [String]

  init(_ name: String, _ rules: String...) { (self.name, self.rules) = (name, rules) }

  var fileName: String { name + ".h5" }
  /// `false` for files that nothing shows to be HDF5.
  var hasSignature: Bool { !["truncated-empty", "truncated-in-the-signature"].contains(name) }
  var testDescription: String { name }

  static let all = [
    HostileFile("attribute-name-with-escape", "X014"),
    HostileFile("attribute-of-33-kib", "X015"),
    HostileFile("attribute-of-a-named-datatype", "X006", "X016"),
    HostileFile("attribute-of-variable-length", "X006"),
    // libhdf5 itself refuses two attributes of one name.
    HostileFile("attribute-twice", "C008"),
    HostileFile("attributes-1001", "X021"),
    HostileFile("big-endian", "X006"),
    HostileFile("bomb-beyond-2-to-the-63", "X010"),
    // The next two are parts of a checkpoint only, which S001 says too.
    HostileFile("bomb-deflated", "S001", "S006"),
    HostileFile("bomb-in-chunks", "X010"),
    HostileFile("bomb-in-one-row", "S006"),
    HostileFile("bomb-of-4-terabytes", "X010"),
    HostileFile("bomb-of-zeros", "X011"),
    HostileFile("chunked-deflate", "S006"),
    HostileFile("compact", "S006"),
    HostileFile("complete-missing", "C005"),
    HostileFile("compound", "X006"),
    HostileFile("crash-cve-2018-13871", "X020"),
    HostileFile("crash-cve-2021-46244", "X020"),
    HostileFile("cycle", "X016"),
    HostileFile("deep", "X013"),
    HostileFile("external-link", "X001"),
    HostileFile("external-link-for-a-layer", "X001"),
    HostileFile("external-storage", "X004"),
    HostileFile("external-storage-absolute", "X004"),
    HostileFile("float-of-16-bytes", "X006"),
    HostileFile("float-of-3-bytes", "X006"),
    HostileFile("incomplete", "C005"),
    HostileFile("name-bidirectional", "X014"),
    HostileFile("name-dot", "X014"),
    HostileFile("name-empty", "X014"),
    HostileFile("name-not-utf-8", "X014"),
    HostileFile("name-of-300-bytes", "X014"),
    HostileFile("name-twice", "X001", "X014"),
    HostileFile("name-twice-hard", "X014"),
    HostileFile("name-with-a-line-separator", "X014"),
    HostileFile("name-with-a-slash", "X001", "X014"),
    HostileFile("name-with-escape", "X014"),
    HostileFile("name-with-newline", "X014"),
    HostileFile("named-datatype", "X006"),
    HostileFile("null-dataspace", "X010"),
    HostileFile("opaque", "X006"),
    HostileFile("open-for-writing", "C004"),
    HostileFile("reference", "X006"),
    HostileFile("root-in-the-superblock", "C008"),
    HostileFile("root-outside-the-file", "C008"),
    HostileFile("second-link", "X016"),
    HostileFile("soft-link", "X002"),
    HostileFile("soft-link-dangling", "X002"),
    HostileFile("strings-of-variable-length", "X006"),
    HostileFile("superblock-checksum", "C008"),
    HostileFile("truncated-before-the-end-of-the-superblock", "C004"),
    HostileFile("truncated-behind-the-signature", "C001"),
    HostileFile("truncated-behind-the-superblock", "C002"),
    HostileFile("truncated-by-one-byte", "C002"),
    HostileFile("truncated-empty", "C001"),
    HostileFile("truncated-in-the-middle", "C002"),
    HostileFile("truncated-in-the-signature", "C001"),
    HostileFile("truncated-in-the-superblock", "C004"),
    HostileFile("unknown-filter", "X007"),
    HostileFile("virtual-dataset", "X005"),
    HostileFile("virtual-dataset-unlimited", "X005"),
  ]

  /// The files that name other files; the files that they name lie beside them.
  static let reaching = all.filter {
    [
      "external-link", "external-storage", "name-twice", "name-with-a-slash", "virtual-dataset",
      "virtual-dataset-unlimited",
    ].contains($0.name)
  }
}

private let folder = Fixtures.path("hostile")

/// The names, sizes and times of the files in the folder.
private func listing() throws -> [String] {
  try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map { name in
    let attributes = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")
    return "\(name) \(attributes[.size] ?? "") \(attributes[.modificationDate] ?? "")"
  }
}

/// Expects that nothing but findings was said: no secret, no words of libhdf5, nothing for terminals.
private func expectQuiet(_ result: CommandResult, _ sourceLocation: SourceLocation) {
  let text = result.output + result.errors
  for word in ["UNROLL-SECRET", "root:", "HDF5-DIAG", "H5F", "Assertion", "core dumped"] {
    #expect(!text.contains(word), sourceLocation: sourceLocation)
  }
  #expect(
    !text.unicodeScalars.contains {
      $0 != "\n" && $0.properties.generalCategory == .control
        || [.format, .lineSeparator].contains($0.properties.generalCategory)
    }, sourceLocation: sourceLocation)
}

@Suite("Hostile HDF5 files") struct HostileFileTests {
  @Test("Every hostile fixture is in the table of tests, and all together are small")
  func everyFixture() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      .filter { $0.hasSuffix(".h5") }
    let expected = HostileFile.all.map(\.fileName) + ["trailing-bytes.h5", "valid.unroll.h5"]
    #expect(names.sorted() == expected.sorted())
    let sizes = try names.map { try Data(contentsOf: URL(filePath: "\(folder)/\($0)")).count }
    #expect(sizes.reduce(0, +) < 600_000)
  }

  @Test(
    "inspect refuses a hostile file with its rules and prints nothing else",
    arguments: HostileFile.all.filter(\.hasSignature))
  func inspection(file: HostileFile) throws {
    let before = try listing()
    let result = try CommandRunner().run(["inspect", file.fileName], in: folder)
    #expect(result.exitCode == 2)
    #expect(result.output == "")
    #expect(CommandResult.rules(in: result.errors) == file.rules, "\(result.errors)")
    // Every line is that of a finding, or its fix.
    for line in result.errors.split(separator: "\n") {
      #expect(
        line.hasPrefix("unroll: \(file.fileName): /") || line.hasPrefix("\(file.fileName): /")
          || line.hasPrefix("  fix: "), "\(line)")
    }
    expectQuiet(result, #_sourceLocation)
    #expect(try listing() == before)
  }

  @Test(
    "inspect refuses a file without the signature of HDF5 as convert does",
    arguments: HostileFile.all.filter { !$0.hasSignature })
  func noCheckpoint(file: HostileFile) throws {
    let result = try CommandRunner().run(["inspect", file.fileName], in: folder)
    #expect(result.exitCode == 2 && result.output.isEmpty)
    #expect(
      result.errors.hasPrefix(
        "unroll: \(file.fileName): expected an Unroll checkpoint, or a model"),
      "\(result.errors)")
    expectQuiet(result, #_sourceLocation)
  }

  @Test("validate finds a hostile file invalid, with exactly its rules", arguments: HostileFile.all)
  func validation(file: HostileFile) throws {
    let result = try CommandRunner().run(["validate", file.fileName], in: folder)
    #expect(result.exitCode == 1)
    #expect(result.errors == "")
    #expect(CommandResult.rules(in: result.output) == file.rules, "\(result.output)")
    #expect(result.output.contains("\n\(file.fileName): invalid, "))
    expectQuiet(result, #_sourceLocation)
  }

  @Test("Trailing bytes are a note, and the file stays valid")
  func trailingBytes() throws {
    let runner = try CommandRunner()
    let inspected = try runner.run(["inspect", "trailing-bytes.h5"], in: folder)
    #expect(inspected.exitCode == 0)
    #expect(CommandResult.rules(in: inspected.errors, level: "note") == ["C003"])
    let validated = try runner.run(["validate", "trailing-bytes.h5"], in: folder)
    #expect(validated.exitCode == 0)
    #expect(CommandResult.rules(in: validated.output, level: "note") == ["C003"])
    #expect(validated.output.hasSuffix("trailing-bytes.h5: valid, 1 note\n"))
  }

  @Test("The valid file among the hostile ones has no findings")
  func validFile() throws {
    let result = try CommandRunner().run(["validate", "valid.unroll.h5"], in: folder)
    #expect(result.output == "valid.unroll.h5: valid, no findings\n")
    #expect(result.exitCode == 0 && result.errors == "")
  }

  /// Whoever opens a pipe without a writer waits for ever; none of the files that are named is opened.
  @Test("Files that a hostile file names are never opened", arguments: HostileFile.reaching)
  func namedFiles(file: HostileFile) throws {
    try withTemporaryFolder { temporary in
      try FileManager.default.copyItem(
        atPath: "\(folder)/\(file.fileName)", toPath: "\(temporary)/\(file.fileName)")
      for name in ["secret.txt", "secret.h5", "source.h5", "valid.unroll.h5"] {
        #expect(mkfifo("\(temporary)/\(name)", 0o600) == 0)
      }
      let result = try CommandRunner().run(["inspect", file.fileName], in: temporary)
      #expect(CommandResult.rules(in: result.errors) == file.rules, "\(result.errors)")
    }
  }

  /// The whole findings stand in `hostile.txt`; what libhdf5 says depends on its version.
  @Test("The findings on hostile files equal the snapshot")
  func snapshot() throws {
    let files = HostileFile.all.map(\.fileName).filter { !$0.hasPrefix("crash-") }
    let result = try CommandRunner().run(["validate"] + files, in: folder)
    #expect(result.exitCode == 1)
    let text = result.output.replacing(#/(its refusal: ).*/#) { "\($0.1)REASON" }
    expectSnapshot(text, "Tests/Snapshots/hostile.txt")
  }

  @Test("A file that crashes libhdf5 is reported by its signal, with a fix")
  func crashOfReader() throws {
    let result = try CommandRunner().run(["validate", "crash-cve-2021-46244.h5"], in: folder)
    #expect(
      result.output == """
        crash-cve-2021-46244.h5: /: error X020: expected metadata that libhdf5 reads within its \
        limits; found a reader that crashed: floating point exception
          fix: do not use the file: it is damaged or made to attack its readers; \
        `unroll explain X020` shows the rule
        crash-cve-2021-46244.h5: invalid, 1 error

        """)
  }
}
