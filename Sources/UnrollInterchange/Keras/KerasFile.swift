// An opened Keras file: its configuration, if any, and the HDF5 container of its variables.

import UnrollFormat
import UnrollHDF5
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// A `.keras` archive, or an HDF5 file of a model or of weights alone.
struct KerasFile: KerasSource {
  /// The records of an archive.
  enum Record {
    static let metadata = "metadata.json"
    static let configuration = "config.json"
    static let weights = "model.weights.h5"
    /// Tokens and tokenizer that Unroll adds; Keras ignores the record.
    static let kept = "unroll.json"
  }

  /// Datasets that Unroll adds to HDF5 files of weights; Keras ignores them.
  enum KeptDataset {
    static let metadata = "/unroll"
    static let configuration = "/unroll_config"
  }

  /// The path, for messages.
  let path: String
  /// The container of the variables.
  let container: ForeignContainer
  /// The configuration of the model; `nil` in files of weights alone.
  private(set) var configuration: JSONValue?
  /// The compilation settings; `nil` if the model was not compiled.
  let compilation: JSONValue?
  /// The version of Keras that wrote the file.
  private(set) var version: String?
  /// The tokens and the tokenizer as JSON, in files that Unroll wrote.
  let kept: String?
  /// The prefix of paths inside the container.
  private let prefix: String
  /// The configuration file, if the caller gave one.
  private var pathOfConfiguration: String?

  static let saveAgain = "save the model again: `model.save(\"model.keras\")`"
  var saveAgain: String { Self.saveAgain }
  var byteCount: Int { container.byteCount }

  /// The token lists of an archive, by the groups of their layers below that of all layers.
  let assets: [String: String]

  /// The generation of Keras, 1, 2 or 3, on which some functions depend.
  var generation: Int { version?.first.flatMap(\.wholeNumberValue) ?? 3 }

  /// The first three numbers of the version.
  var versionNumbers: [Int]? {
    guard let match = version?.firstMatch(of: /^(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?/) else {
      return nil
    }
    return [Int(match.1) ?? 0, Int(match.2) ?? 0, match.3.flatMap { Int($0) } ?? 0]
  }

  /// `true` if the configuration only names a subclass, whose code defines the layers.
  var isSubclassed: Bool {
    guard pathOfConfiguration == nil, let name = configuration?.kerasClass else { return false }
    return !KerasKinds.containers.contains(name) && configuration?.hasLayers != true
  }

  /// `true` if the caller gave the configuration, which may belong to another model.
  var isGivenConfiguration: Bool { pathOfConfiguration != nil }

  /// `true` if the configuration lists the layers.
  var hasLayers: Bool { configuration != nil && !isSubclassed }

  /// Advice on saving the layers; a subclass has no list of them.
  var saveWhole: String {
    isSubclassed
      ? "make a Sequential model of the same layers and give its JSON"
      : "save the whole model, "
        + "`model.save(\"model.keras\")`"
  }

  /// Returns an error about a location inside the container or the configuration.
  func error(
    _ place: String, expected: String, found: String, fix: String
  ) -> InterchangeError {
    let isInside = place.hasPrefix("/")
    return InterchangeError(
      file: path, place: isInside ? prefix + place : place, expected: expected, found: found,
      fix: fix)
  }

  /// Adopts the configuration that the caller gives, as written by `model.to_json()`.
  ///
  /// - Throws: `InterchangeError` if it is not JSON, or the file has a configuration of its own.
  mutating func take(_ given: MappedFile) throws {
    guard !hasLayers else {
      throw error(
        "", expected: "a file of weights alone, for a configuration beside it",
        found: "one with a configuration", fix: "leave --keras-config out")
    }
    guard given.count <= Self.largestText else {
      throw InterchangeError(
        file: given.path, place: "", expected: "JSON, as `model.to_json()` gives it",
        found: "\(given.count) bytes", fix: "write that text into the file")
    }
    guard !Self.isArchive(given) else {
      throw InterchangeError(
        file: given.path, place: "", expected: "JSON, as `model.to_json()` gives it",
        found: "an archive of Keras",
        fix: "convert it instead, if it is the same model; else give its config.json: "
          + "`unzip -p model.keras config.json > model.json`")
    }
    pathOfConfiguration = given.path
    let text = String(decoding: given.copy(0..<given.count), as: UTF8.self)
    configuration = try Self.json(text, "", of: given, fix: fixOfConfiguration)
    let value = configuration
    version = value?["keras_version"]?.text ?? version
  }

  /// The location of the configuration, for messages.
  var placeOfConfiguration: String {
    pathOfConfiguration ?? (prefix.isEmpty ? "model_config" : Record.configuration)
  }

  /// Advice if the configuration does not fit the variables.
  var fixOfConfiguration: String {
    pathOfConfiguration == nil
      ? "the configuration is not of these weights: " + Self.saveAgain
      : "give with --keras-config what `model.to_json()` says of the model that has these weights"
  }

  // MARK: - Archives

  /// Returns `true` if a file is an archive that begins with a Keras record.
  static func isArchive(_ file: MappedFile) -> Bool {
    guard let header = FixedHeader(file, at: 0, count: 30), header.u32(0) == 0x0403_4B50 else {
      return false
    }
    let name = String(decoding: file.copy(30..<30 + header.u16(26)), as: UTF8.self)
    return [Record.metadata, Record.configuration, Record.weights, "assets/"].contains(name)
  }

  /// Opens an archive.
  ///
  /// - Throws: `InterchangeError` if it is damaged or not Keras's; `FileError` if libhdf5 cannot be
  ///   run.
  init(archive file: MappedFile, reader: ContainerReader) throws {
    let archive = try Self.blamingKeras { try ZipArchive(file) }
    func record(_ name: String) throws -> ZipRecord {
      if let record = archive.records[name] { return record }
      throw InterchangeError(
        file: file.path, place: "", expected: "a record \(name)",
        found: list(archive.records.keys.sorted()),
        fix: archive.records["model.weights.json"] == nil
          ? Self.saveAgain : "save the model in one file, without max_shard_size")
    }
    func text(_ name: String) throws -> String? {
      try archive.records[name].map { try Self.text($0, of: archive) }
    }
    let whole = try Self.json(
      Self.text(record(Record.configuration), of: archive), Record.configuration, of: file)
    let bytes = try Self.contents(
      of: record(Record.weights), in: archive, room: max(64 << 20, 16 * file.count))
    container = try Self.container(bytes, of: file, place: Record.weights, reader: reader)
    self.configuration = whole
    compilation = whole["compile_config"]
    version = try text(Record.metadata).flatMap {
      try Self.json($0, Record.metadata, of: file)["keras_version"]?.text
    }
    kept = try text(Record.kept)
    assets = try Self.assets(of: archive)
    path = file.path
    prefix = Record.weights + ": "
  }

  /// Returns the token lists: `assets/layers/text_vectorization/vocabulary.txt`.
  private static func assets(of archive: ZipArchive) throws -> [String: String] {
    var assets: [String: String] = [:]
    for (name, record) in archive.records where name.hasSuffix("/vocabulary.txt") {
      for root in KerasVariables.layerGroups {
        let start = "assets\(root)/"
        guard name.hasPrefix(start) else { continue }
        let group = name.dropFirst(start.count).dropLast("/vocabulary.txt".count)
        assets[String(group)] = try text(record, of: archive)
      }
    }
    return assets
  }

  private static func text(_ record: ZipRecord, of archive: ZipArchive) throws -> String {
    guard record.size <= largestText else {
      throw InterchangeError(
        file: archive.file.path, place: record.name, expected: "at most \(largestText) bytes",
        found: "\(record.size)", fix: saveAgain)
    }
    return try contents(of: record, in: archive, room: largestText).withUnsafeBytes {
      String(decoding: $0, as: UTF8.self)
    }
  }

  /// Returns the bytes of a record, checked against its CRC-32.
  private static func contents(
    of record: ZipRecord, in archive: ZipArchive, room: Int
  ) throws -> ByteStorage {
    var room = room
    return try blamingKeras {
      // Deflated records are checked when they are inflated.
      if record.method == 0 { _ = try archive.verify(record) }
      return try archive.contents(of: record, room: &room)
    }
  }

  /// Rewrites errors about the archive, whose advice names PyTorch, the usual producer.
  private static func blamingKeras<Result>(_ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as InterchangeError {
      throw InterchangeError(
        file: error.file, place: error.place, expected: error.expected, found: error.found,
        fix: "the file is damaged or not Keras's; copy it again or " + saveAgain)
    }
  }

  private static let largestText = 64 << 20
  /// The maximum number of JSON values; a model with a few hundred layers has some ten thousand.
  private static let mostValues = 1_000_000

  static func json(
    _ text: String, _ place: String, of file: MappedFile, fix: String = saveAgain
  ) throws -> JSONValue {
    let bytes = Array(text.utf8)
    guard jsonStructureCount(bytes) <= mostValues, let value = try? JSONValue(bytes) else {
      throw InterchangeError(
        file: file.path, place: place, expected: "JSON, as Keras writes it",
        found: "something else", fix: fix)
    }
    return value
  }

  // MARK: - Other containers

  /// Creates a file from variables and a configuration that another container holds.
  ///
  /// - Parameters:
  ///   - container: The variables.
  ///   - configuration: The configuration of the model.
  ///   - compilation: The compilation settings, if there are any.
  ///   - version: The version of Keras whose defaults the configuration has.
  ///   - kept: The tokens and the tokenizer as JSON, in files that Unroll wrote.
  ///   - path: The path, for messages.
  init(
    container: ForeignContainer, configuration: JSONValue, compilation: JSONValue?,
    version: String?, kept: String?, path: String
  ) {
    self.container = container
    self.configuration = configuration
    self.compilation = compilation
    self.version = version
    self.kept = kept
    self.path = path
    assets = [:]
    prefix = ""
  }

  // MARK: - HDF5

  /// Creates a file from a container of weights alone.
  init(weights container: ForeignContainer, path: String) {
    self.container = container
    self.path = path
    configuration = nil
    compilation = nil
    version = nil
    kept = nil
    assets = [:]
    prefix = ""
  }

  /// Returns `true` if a file has the HDF5 signature, at offset 0 or after a user block of 512
  /// bytes, or 1024, and so on.
  static func isHDF5(_ file: MappedFile) -> Bool {
    var start = 0
    while start + Superblock.signature.count <= file.count {
      if file.copy(start..<start + Superblock.signature.count) == Superblock.signature {
        return true
      }
      start = max(512, 2 * start)
    }
    return false
  }

  /// Opens an HDF5 file.
  ///
  /// - Throws: `InterchangeError` if libhdf5 cannot read it, or its configuration is not JSON.
  init(hdf5 file: MappedFile, reader: ContainerReader) throws {
    let container = try Self.container(
      .mapped(file, 0..<file.count), of: file, place: "", reader: reader)
    func attribute(_ name: String) -> String? {
      container.text("/", name) ?? container.text(KerasVariables.legacyGroup, name)
    }
    func kept(_ path: String) -> String? {
      guard let tensor = container.tensor(path), tensor.dtype == .uint8 else { return nil }
      return tensor.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }
    configuration = try (attribute("model_config") ?? kept(KeptDataset.configuration)).map {
      try Self.json($0, "model_config", of: file)
    }
    compilation =
      try attribute("training_config").map { try Self.json($0, "training_config", of: file) }
      ?? configuration?["compile_config"]
    version = attribute("keras_version")
    self.kept = kept(KeptDataset.metadata)
    self.container = container
    assets = [:]
    path = file.path
    prefix = ""
  }

  static func container(
    _ image: ByteStorage, of file: MappedFile, place: String, reader: ContainerReader
  ) throws -> ForeignContainer {
    try .opened(
      image, of: file, place: place, expected: "an HDF5 file of Keras", fix: saveAgain,
      reader: reader)
  }
}
