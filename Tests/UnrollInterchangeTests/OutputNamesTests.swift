// Files under the names of a map: the tensors of the source again, byte for byte.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite("Names of a map on output") struct OutputNamesTests {
  private static let tokens = Vocabulary(tokens: (0..<11).map { "token\($0)".utf8 }, unit: .word)
  private static let formats: [any ForeignFormat.Type] = [
    PyTorchFormat.self, SafetensorsFormat.self, NumPyFormat.self,
  ]

  private func map(_ json: String) throws -> NameMap {
    let path = NSTemporaryDirectory() + "unroll-names-\(UUID().uuidString).json"
    try Data(json.utf8).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try NameMap(contentsOf: path)
  }

  private func fixture(_ name: String) throws -> String {
    try String(contentsOfFile: Fixtures.path("roles/\(name)"), encoding: .utf8)
  }

  private func read(_ path: String, _ map: NameMap) throws -> Checkpoint {
    let file = try MappedFile(path: path)
    let format = try #require(AllFormats.format(of: file))
    let options = ReadingOptions(vocabulary: Self.tokens, map: map)
    return try format.read(file, options: options).checkpoint
  }

  /// The tensors of a file by its own names.
  private func tensors(_ path: String) throws -> [String: Tensor] {
    let file = try MappedFile(path: path)
    let format = try #require(AllFormats.format(of: file) as? any NamedFormat.Type)
    let named = try format.tensors(of: file, options: ReadingOptions())
    var room = named.file.roomForCopies
    var result: [String: Tensor] = [:]
    for tensor in named.tensors where tensor.fileName != StateMetadata.key {
      result[tensor.fileName] = try named.contents(of: tensor, room: &room)
    }
    return result
  }

  private func bytes(_ tensor: Tensor?) -> [UInt8]? { tensor?.withUnsafeBytes { Array($0) } }

  private func expectSource(_ name: String, _ map: NameMap) throws {
    let source = Fixtures.path("roles/\(name)")
    let checkpoint = try read(source, map)
    let expected = try tensors(source)
    for format in Self.formats {
      try withTemporaryFolder { folder in
        let path = "\(folder)/again.\(format.fileExtensions[0])"
        _ = try format.exportNotes(for: checkpoint, map: map)
        try format.export(checkpoint, to: path, map: map)
        let found = try tensors(path)
        #expect(found.keys.sorted() == expected.keys.sorted(), "\(path)")
        for (name, tensor) in expected {
          #expect(
            found[name]?.shape == tensor.shape && bytes(found[name]) == bytes(tensor), "\(name)")
        }
      }
    }
  }

  @Test(
    "A file with other names and another gate order comes back under these names, byte for byte")
  func namesAndGatesOfTheSource() throws {
    try expectSource("ifog-letters.pt", map(fixture("ifog-letters.json")))
  }

  @Test(
    "A file with one name for embedding and output comes back with this one name",
    arguments: [#""decoder.weight": "embed.weight""#, #""tied": true"#])
  func tiesOfTheSource(tie: String) throws {
    let names = try tensors(Fixtures.path("roles/functional-tie.pt")).keys
    let rnn = names.filter { $0.contains("_l") }.map { name in
      "\"rnn.\(name.split(separator: ".").last ?? "")\": \"\(name)\""
    }
    let json =
      #"{"encoder.weight": "embed.weight", "decoder.bias": "out_bias", "#
      + (rnn + [tie]).joined(separator: ", ") + "}"
    try expectSource("functional-tie.pt", map(json))
  }

  @Test("Paths of a checkpoint are roles on output as on input")
  func pathsAreRoles() throws {
    let json = """
      {"/model/embedding/weight": "emb", "/model/layers/00/weight_ih": "Wx", "gates": "ifog",
       "/model/layers/00/weight_hh": "Wh", "/model/layers/00/bias_ih": "b1",
       "/model/layers/00/bias_hh": "b2", "/model/output/weight": "Wy", "/model/output/bias": "by"}
      """
    try expectSource("ifog-letters.pt", map(json))
  }

  // MARK: - Models of our own

  private func model(
    _ cell: Cell, bias: LayerBias = .double, layers: Int = 1, isTied: Bool = false
  ) -> Checkpoint {
    PyTorchExportTests().checkpoint(
      PyTorchExportTests.Model(
        cell: cell, hidden: Array(repeating: 5, count: layers), isTied: isTied, bias: bias), seed: 3
    )
  }

  @Test("The blocks of a GRU are written in the order of the map")
  func gruBlocks() throws {
    let checkpoint = model(.gru, bias: .none)
    let names = try map(
      #"{"encoder.weight": "e", "rnn.weight_ih_l0": "x", "rnn.weight_hh_l0": "h", "gates": "nrz", "#
        + #""decoder.weight": "d", "decoder.bias": "c"}"#)
    try withTemporaryFolder { folder in
      try PyTorchFormat.export(checkpoint, to: "\(folder)/gru.pt", map: names)
      let ours = try #require(bytes(checkpoint.parameters[.layer(0, .weightHH)]))
      let block = ours.count / 3
      let (r, z, n) = (ours[..<block], ours[block..<2 * block], ours[(2 * block)...])
      #expect(bytes(try tensors("\(folder)/gru.pt")["h"]) == Array(n) + Array(r) + Array(z))
    }
  }

  @Test("A single bias is written under its name in the map, without a second one")
  func singleBias() throws {
    let checkpoint = model(.lstm, bias: .single)
    let names = try map(
      #"{"encoder.weight": "e", "rnn.weight_ih_l0": "x", "rnn.weight_hh_l0": "h", "rnn.bias_l0": "b", "#
        + #""decoder.weight": "d", "decoder.bias": "c"}"#)
    for format in Self.formats {
      try withTemporaryFolder { folder in
        let path = "\(folder)/single.\(format.fileExtensions[0])"
        try format.export(checkpoint, to: path, map: names)
        #expect(try tensors(path).keys.sorted() == ["b", "c", "d", "e", "h", "x"])
      }
    }
  }

  @Test("Two names of a tie are two entries with one storage, or are refused where there are none")
  func twoNamesOfATie() throws {
    let checkpoint = model(.lstm, bias: .none, isTied: true)
    let names = try map(
      #"{"encoder.weight": "e", "rnn.weight_ih_l0": "x", "rnn.weight_hh_l0": "h", "#
        + #""decoder.weight": "d", "decoder.bias": "c"}"#)
    try withTemporaryFolder { folder in
      for format in [PyTorchFormat.self, SafetensorsFormat.self] as [any ForeignFormat.Type] {
        let path = "\(folder)/tied.\(format.fileExtensions[0])"
        try format.export(checkpoint, to: path, map: names)
        #expect(try read(path, names).architecture.isTied)
      }
      let error = #expect(throws: InterchangeError.self) {
        try NumPyFormat.exportNotes(for: checkpoint, map: names)
      }
      #expect(error?.description.contains("a second name for the embedding's array") == true)
    }
  }

  @Test("Tensors that the map ignores are noted on export")
  func ignoredTensorsAreNoted() throws {
    let checkpoint = model(.lstm, bias: .none)
    let names = try map(
      #"{"encoder.weight": "e", "rnn.weight_ih_l0": "x", "rnn.weight_hh_l0": "h", "#
        + #""decoder.weight": "d", "decoder.bias": "c", "loss.weight": null}"#)
    #expect(
      try PyTorchFormat.exportNotes(for: checkpoint, map: names).contains {
        $0.place == "loss.weight"
      })
    try withTemporaryFolder { folder in
      try PyTorchFormat.export(checkpoint, to: "\(folder)/model.pt", map: names)
    }
  }

  // MARK: - Refusals

  private static let whole = [
    "encoder.weight": #""e""#, "rnn.weight_ih_l0": #""x""#, "rnn.weight_hh_l0": #""h""#,
    "rnn.bias_ih_l0": #""b1""#, "rnn.bias_hh_l0": #""b2""#, "decoder.weight": #""d""#,
    "decoder.bias": #""c""#,
  ]

  private func refusal(
    _ checkpoint: Checkpoint, as format: any ForeignFormat.Type = PyTorchFormat.self,
    _ change: (inout [String: String]) -> Void = { _ in }
  ) throws -> String {
    var members = Self.whole
    change(&members)
    let json = members.map { "\"\($0)\": \($1)" }.joined(separator: ", ")
    let names = try map("{\(json)}")
    let error = #expect(throws: InterchangeError.self) {
      try format.exportNotes(for: checkpoint, map: names)
    }
    return try #require(error).description
  }

  @Test("A map that leaves a parameter without a name is refused with the role")
  func parametersWithoutNames() throws {
    let lstm = model(.lstm)
    #expect(
      try refusal(lstm) { $0["rnn.bias_hh_l0"] = nil }.contains("none for rnn.bias_hh_l0"))
    #expect(
      try refusal(lstm) { $0["encoder.weight"] = nil }.contains("none for encoder.weight"))
    #expect(
      try refusal(model(.lstm, layers: 2)).contains("rnn.weight_ih_l1, rnn.weight_hh_l1"))
    let single = try refusal(model(.lstm, bias: .single))
    #expect(single.contains("none for rnn.bias_l0") && single.contains("without --map"))
  }

  @Test("A map with roles that the model does not have is refused with them")
  func otherRoles() throws {
    #expect(
      try refusal(model(.lstm, bias: .none)).contains("rnn.bias_hh_l0, rnn.bias_ih_l0"))
    #expect(
      try refusal(model(.lstm)) { $0["attention.weight"] = #""a""# }.contains("attention.weight"))
    #expect(
      try refusal(model(.lstm)) { $0["rnn.weight_hr_l0"] = #""p""# }.contains("rnn.weight_hr_l0"))
  }

  @Test("A tie of the map alone, or of the model alone, is refused")
  func otherTies() throws {
    #expect(
      try refusal(model(.lstm)) { $0["decoder.weight"] = #""e""# }.contains("one name for both"))
    #expect(
      try refusal(model(.lstm)) {
        $0["decoder.weight"] = nil
        $0["tied"] = "true"
      }.contains("\"tied\": true"))
    #expect(
      try refusal(model(.lstm, isTied: true)) { $0["decoder.weight"] = nil }
        .contains("shares the embedding's weight"))
  }

  @Test("Two roles under one name are refused")
  func oneNameForTwoRoles() throws {
    var names = Self.whole.mapValues { String($0.dropFirst().dropLast()) }
    names["rnn.bias_hh_l0"] = "b1"
    let checkpoint = model(.lstm)
    let error = #expect(throws: InterchangeError.self) {
      try PyTorchFormat.exportNotes(for: checkpoint, map: NameMap(names: names))
    }
    #expect(error?.description.contains("rnn.bias_hh_l0, rnn.bias_ih_l0") == true)
  }

  @Test("The gate order of another cell is refused")
  func otherGates() throws {
    #expect(
      try refusal(model(.lstm)) { $0["gates"] = #""rzn""# }.contains("the gates of lstm"))
  }

  @Test("Names that the container keeps for itself are refused")
  func reservedNames() throws {
    let lstm = model(.lstm)
    #expect(
      try refusal(lstm, as: SafetensorsFormat.self) { $0["encoder.weight"] = #""__metadata__""# }
        .contains("another name in the map"))
    #expect(
      try refusal(lstm, as: NumPyFormat.self) { $0["encoder.weight"] = #""unroll""# }
        .contains("another name in the map"))
    #expect(try refusal(lstm) { $0["encoder.weight"] = #""""# }.contains("a name for a tensor"))
  }

  @Test(
    "Formats without free tensor names refuse a map on output",
    arguments: AllFormats.written.map { $0.name })
  func otherFormats(name: String) throws {
    let format = try #require(AllFormats.written.first { $0.name == name })
    let writesNames = format.writesNames
    #expect(writesNames == ["pytorch", "safetensors", "npz"].contains(name))
    guard !writesNames else { return }
    let message = try refusal(model(.lstm), as: format)
    #expect(message.contains("found \(name)") && message.contains("pytorch, safetensors, npz"))
  }

  // MARK: - Names of PyTorch's modules

  /// Names of PyTorch's modules, in order, as members of a map.
  private func ownNames(_ checkpoint: Checkpoint, _ further: String) -> String {
    let naming = StateNaming.wordLanguageModel
    let paths = Set(checkpoint.architecture.parameters.map(\.path))
    let names = naming.names(of: checkpoint.architecture).filter { paths.contains($0.path) }
    return "{" + names.map { "\"\($0.name)\": \"\($0.name)\"" }.joined(separator: ", ")
      + ", \(further)}"
  }

  @Test(
    "A gate order under PyTorch's own names is in the metadata, and a state_dict warns of it",
    arguments: [(Cell.lstm, "ifog"), (.gru, "zrn")])
  func gatesUnderOwnNames(cell: Cell, letters: String) throws {
    let checkpoint = model(cell)
    let names = try map(ownNames(checkpoint, "\"gates\": \"\(letters)\""))
    for format in Self.formats {
      let notes = try format.exportNotes(for: checkpoint, map: names)
      #expect(
        notes.contains {
          !$0.isHarmless && $0.message.hasPrefix("gate blocks in the order \(letters)")
        })
    }
    for format in [SafetensorsFormat.self, NumPyFormat.self] as [any ForeignFormat.Type] {
      try withTemporaryFolder { folder in
        let path = "\(folder)/gates.\(format.fileExtensions[0])"
        try format.export(checkpoint, to: path, map: names)
        // Without the map the metadata tells, and with it both agree.
        for map in [NameMap(), names] {
          let back = try read(path, map)
          for path in checkpoint.parameters.paths {
            #expect(bytes(back.parameters[path]) == bytes(checkpoint.parameters[path]), "\(path)")
          }
        }
        let other = cell == .lstm ? "ifgo" : "rzn"
        let contradiction = try map(ownNames(checkpoint, "\"gates\": \"\(other)\""))
        let error = #expect(throws: InterchangeError.self) { try read(path, contradiction) }
        #expect(error?.description.contains("\(letters), as the metadata of the file says") == true)
      }
    }
  }

  @Test("A PyTorch name for another parameter gets a warning")
  func namesOfOtherParameters() throws {
    let checkpoint = model(.lstm, layers: 2)
    let json = ownNames(checkpoint, "\"tied\": false").replacing(
      /: "([^"]*)_l([01])"/, with: { ": \"\($0.output.1)_l\($0.output.2 == "0" ? "1" : "0")\"" })
    let notes = try PyTorchFormat.exportNotes(for: checkpoint, map: map(json))
    #expect(
      notes.contains {
        $0.place == "rnn.weight_hh_l0" && !$0.isHarmless
          && $0.message.hasPrefix(
            "the name of /model/layers/00/weight_hh stands for /model/layers/01")
      })
    let usual = try PyTorchFormat.exportNotes(
      for: checkpoint, map: map(ownNames(checkpoint, "\"tied\": false")))
    #expect(!usual.contains { $0.message.contains("stands for") })
  }

  // MARK: - Long names

  @Test("A name that no record of an archive can have is refused by its length")
  func longNames() throws {
    let lstm = model(.lstm)
    let longest = String(repeating: "n", count: 65_531)
    let message = try refusal(lstm, as: NumPyFormat.self) {
      $0["encoder.weight"] = "\"\(longest)n\""
    }
    #expect(message.contains("one of 65532 bytes"))
    for format in Self.formats {
      var members = Self.whole
      members["encoder.weight"] = "\"\(longest)\(format == NumPyFormat.self ? "" : "nn")\""
      let names = try map("{" + members.map { "\"\($0)\": \($1)" }.joined(separator: ", ") + "}")
      try withTemporaryFolder { folder in
        let path = "\(folder)/long.\(format.fileExtensions[0])"
        try format.export(lstm, to: path, map: names)
        #expect(try tensors(path).keys.contains { $0.utf8.count >= 65_531 })
      }
    }
    let parts = String(repeating: "n.", count: 100_000)
    #expect(try refusal(lstm) { $0["encoder.weight"] = "\"\(parts)w\"" }.contains("200 parts"))
  }

  // MARK: - Maps to complete

  @Test("The map of a stack of different cells states no gate order, and is accepted")
  func skeletonOfMixedCells() throws {
    var checkpoint = model(.lstm, layers: 2)
    checkpoint.architecture.layers[1].cell = .gru
    for parameter in [LayerParameter.weightIH, .weightHH, .biasIH, .biasHH] {
      let tensor = try #require(checkpoint.parameters[.layer(1, parameter)])
      let values = try #require(tensor.floats())
      let rows = values.count / 4 * 3
      checkpoint.parameters[.layer(1, parameter)] = Tensor(
        Array(values.prefix(rows)),
        shape: Shape([15] + tensor.shape.dimensions.dropFirst()))
    }
    try withTemporaryFolder { folder in
      let path = "\(folder)/mixed.pt"
      try PyTorchFormat.export(checkpoint, to: path)
      let text = try mapSkeleton(
        of: MappedFile(path: path), as: PyTorchFormat.self, options: ReadingOptions())
      #expect(!text.contains("gates"))
      #expect(try read(path, map(text)).architecture.layers.map(\.cell) == [.lstm, .gru])
    }
  }

  @Test("The printed map of a fixture is accepted and gives the same model")
  func skeletonsAreAccepted() throws {
    let folders = [
      "pytorch", "pickles", "roles", "statedict", "safetensors", "numpy", "gguf", "torch-modules",
    ]
    var (count, toComplete) = (0, [String]())
    for folder in folders {
      let names = try FileManager.default.contentsOfDirectory(atPath: Fixtures.path(folder))
        .sorted()
      for name in names {
        let file = try MappedFile(path: Fixtures.path("\(folder)/\(name)"))
        guard let format = AllFormats.format(of: file), format is any NamedFormat.Type else {
          continue
        }
        var options = ReadingOptions(vocabulary: Self.tokens, nonlinearity: nil)
        var plain = try? format.read(file, options: options)
        if plain == nil {
          options.nonlinearity = .tanh
          plain = try? format.read(file, options: options)
        }
        guard let plain, plain.checkpoint.architecture.vocabularySize == 11 else { continue }
        let text = try mapSkeleton(of: file, as: format, options: ReadingOptions())
        // Letters of textbooks have no roles that a map could guess.
        guard !text.contains("\"?\""), !text.contains("unassigned") else {
          toComplete.append("\(folder)/\(name)")
          continue
        }
        options.map = try map(text)
        let mapped = try format.read(file, options: options).checkpoint
        #expect(mapped.architecture == plain.checkpoint.architecture, "\(folder)/\(name) \(text)")
        for path in plain.checkpoint.parameters.paths {
          #expect(
            bytes(mapped.parameters[path]) == bytes(plain.checkpoint.parameters[path]),
            "\(folder)/\(name) \(path)")
        }
        count += 1
      }
    }
    #expect(count > 60)
    #expect(
      toComplete == ["roles/textbook.npz", "numpy/min-char-rnn.npz", "numpy/rnn-tutorial.npz"])
  }
}
