// The targets that the fuzzers run on their bytes; the tests run the same on the committed corpora.

import Foundation
import UnrollFormat
import UnrollHDF5
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

/// A part of the code that reads what others wrote.
enum FuzzTarget: String, CaseIterable, Sendable {
  /// The bytes are the pickle of an otherwise valid file of `torch.save`.
  case pickle
  /// The bytes are a ZIP archive, or a list of tokens packed by gzip.
  case zip
  /// The bytes are a whole file of `torch.save`.
  case torch
  /// The bytes are a file of safetensors, one of GGUF, or NumPy arrays in an archive or a pickle.
  case arrays
  /// The bytes are a file of GGUF.
  case gguf
  /// The bytes are a file of `torch.save` from before PyTorch 1.6.
  case legacy
  /// The bytes are a pickle of NumPy arrays, or of tokens.
  case numbers
  /// The bytes are a graph of ONNX.
  case graph
  /// The bytes are a file of Lua's Torch.
  case lua
  /// The bytes are the model.json of a TensorFlow.js model, beside the weights of one.
  case manifest
  /// The bytes are the lengths of an index and of a graph (u16), both, and a shard: a checkpoint of TensorFlow.
  case bundle
  /// The bytes are the length of a graph (u16), the graph, and what Keras notes: a SavedModel with the variables of a fixture.
  case saved
  /// The bytes are choices that change a valid checkpoint and its inventory.
  case inventory
  /// The bytes are the inventory that a child process answers, which read a foreign file.
  case answer

  /// Reads bytes and says in one line what came of it.
  ///
  /// - Parameters:
  ///   - bytes: The input.
  ///   - path: A file that may be written.
  /// - Returns: The refusal, or how much was read.
  /// - Throws: Every error that no reader may throw: any error except a refusal.
  func outcome(of bytes: [UInt8], at path: String) throws -> String {
    do {
      switch self {
      case .pickle:
        try Self.writeArchive(pickle: bytes, to: path)
        return try Self.readTorch(path)
      case .zip:
        try Data(bytes).write(to: URL(filePath: path))
        return try Self.readArchive(path)
      case .torch, .legacy:
        try Data(bytes).write(to: URL(filePath: path))
        return try Self.readTorch(path)
      case .arrays:
        try Data(bytes).write(to: URL(filePath: path))
        return try Self.readArrays(path)
      case .gguf:
        try Data(bytes).write(to: URL(filePath: path))
        return try Self.summary(
          of: GGUFFormat.read(MappedFile(path: path), options: Self.options))
      case .numbers:
        try Data(bytes).write(to: URL(filePath: path))
        return try Self.readNumbers(path)
      case .graph:
        try Data(bytes).write(to: URL(filePath: path))
        let file = try MappedFile(path: path)
        guard ONNXFormat.recognizes(file) else { return "unrecognized" }
        return try Self.summary(of: ONNXFormat.read(file, options: Self.options))
      case .lua:
        try Data(bytes).write(to: URL(filePath: path))
        return try Self.summary(
          of: Torch7Format.read(MappedFile(path: path), options: ReadingOptions()))
      case .manifest:
        try Data(bytes).write(to: URL(filePath: path))
        return try Self.readManifest(path)
      case .bundle: return try Self.readBundle(bytes, path)
      case .saved: return try Self.readSavedModel(bytes, path)
      case .inventory:
        return try FuzzedCheckpoint(bytes).outcome(at: path)
      case .answer:
        return Inventory(encoded: bytes[...]).map { "read: \($0.objects.count) objects" }
          ?? "refused"
      }
    } catch let error as InterchangeError {
      return Self.firstLine(of: "\(error)", path)
    } catch is FileError {
      return "no such file"
    } catch let error as TextError {
      return Self.firstLine(of: "\(error)", path)
    }
  }

  /// The path of a file under `fixtures/`; the fuzzers have no `TestSupport`.
  static func fixture(_ name: String) -> String {
    URL(filePath: #filePath).appending(path: "../../../fixtures/\(name)").standardized.path
  }

  private static func firstLine(of message: String, _ path: String) -> String {
    String(message.prefix { $0 != "\n" }).replacing(path, with: "input")
  }

  // MARK: - Torch files

  private static func readTorch(_ path: String) throws -> String {
    let file = try MappedFile(path: path)
    let isRecognized = PyTorchFormat.recognizes(file)
    let conversion = try PyTorchFormat.read(file, options: options)
    return "\(isRecognized ? "" : "unrecognized, ")\(summary(of: conversion))"
  }

  /// Options of a caller who has no list of tokens, so that those of the file are read.
  private static var options: ReadingOptions {
    var options = ReadingOptions(nonlinearity: .tanh)
    options.requiresVocabulary = false
    return options
  }

  private static func summary(of conversion: Conversion) -> String {
    let layers = conversion.checkpoint.architecture.layers.map(\.cell.rawValue)
    return "read: \(layers), \(conversion.notes.count) notes"
  }

  private static func readManifest(_ path: String) throws -> String {
    let shard = "group1-shard1of1.bin"
    let weights = try Data(contentsOf: URL(filePath: fixture("tfjs/keras2/\(shard)")))
    try weights.write(to: URL(filePath: SplitPath(path).sibling(shard)))
    let file = try MappedFile(path: path)
    guard TensorFlowJSFormat.recognizes(file) else { return "unrecognized" }
    return summary(of: try TensorFlowJSFormat.read(file, options: options))
  }

  private static func readArrays(_ path: String) throws -> String {
    let file = try MappedFile(path: path)
    let formats: [any ForeignFormat.Type] = [NumPyFormat.self, GGUFFormat.self]
    let format = formats.first { $0.recognizes(file) }
    return summary(of: try (format ?? SafetensorsFormat.self).read(file, options: options))
  }

  private static func readNumbers(_ path: String) throws -> String {
    let file = try MappedFile(path: path)
    guard NumPyFormat.recognizes(file) else {
      return "read: \(try Vocabulary(contentsOf: path, format: .pickle).count) tokens"
    }
    return summary(of: try NumPyFormat.read(file, options: options))
  }

  /// Reads a checkpoint of TensorFlow, of which no checksum hides what a fuzzer changes.
  private static func readBundle(_ bytes: [UInt8], _ path: String) throws -> String {
    guard bytes.count >= 4 else { return "too short" }
    func length(_ place: Int) -> Int { Int(bytes[place]) | Int(bytes[place + 1]) << 8 }
    let index = bytes[4...].prefix(length(0))
    let meta = bytes[index.endIndex...].prefix(length(2))
    try Data(index).write(to: URL(filePath: path + ".index"))
    try Data(bytes[meta.endIndex...]).write(to: URL(filePath: path + ".data-00000-of-00001"))
    var options = Self.options
    options.forgetBias = meta.isEmpty ? 1 : nil
    let graph = WireMessage(Array(meta)).flatMap(OperationGraph.init(ofMetaGraph:))
    let bundle = try TensorBundle(MappedFile(path: path + ".index"), isVerified: false)
    return summary(
      of: try TensorFlowFormat.conversion(of: bundle, graph: graph, nil, options))
  }

  /// Reads a SavedModel whose graph and notes are the fuzzer's.
  private static func readSavedModel(_ bytes: [UInt8], _ path: String) throws -> String {
    guard bytes.count >= 2 else { return "too short" }
    let graph = bytes[2...].prefix(Int(bytes[0]) | Int(bytes[1]) << 8)
    let folder = path + ".saved"
    try FileManager.default.createDirectory(
      atPath: "\(folder)/variables", withIntermediateDirectories: true)
    let archive = try ZipArchive(MappedFile(path: fixture("tensorflow/keras2.zip")))
    for name in ["variables.index", "variables.data-00000-of-00001"] {
      guard let record = archive.records["keras2-saved/variables/\(name)"] else { continue }
      var room = 1 << 16
      try archive.contents(of: record, room: &room).withUnsafeBytes {
        try Data($0).write(to: URL(filePath: "\(folder)/variables/\(name)"))
      }
    }
    try Data(graph).write(to: URL(filePath: "\(folder)/saved_model.pb"))
    try Data(bytes[graph.endIndex...]).write(to: URL(filePath: "\(folder)/keras_metadata.pb"))
    let file = try MappedFile(path: "\(folder)/saved_model.pb")
    guard TensorFlowFormat.recognizes(file) else { return "unrecognized" }
    return summary(of: try TensorFlowFormat.read(file, options: options))
  }

  private static func readArchive(_ path: String) throws -> String {
    let file = try MappedFile(path: path)
    if file.copy(0..<2) == [0x1F, 0x8B] {
      return "read: \(try Vocabulary(listedIn: path).count) tokens"
    }
    let archive = try ZipArchive(file)
    try archive.refuseCompressed()
    let records = archive.records.values.sorted { $0.name < $1.name }
    return "read: \(try records.filter(archive.verify).count) of \(records.count) records checked"
  }

  /// Writes a valid file with another pickle.
  private static func writeArchive(pickle: [UInt8], to path: String) throws {
    let file = try MappedFile(path: fixture("pytorch/lstm-state.pt"))
    let archive = try ZipArchive(file)
    try Data().write(to: URL(filePath: path))
    var writer = try ZipWriter(emptying: path)
    for record in archive.records.values.sorted(by: { $0.name < $1.name }) {
      let isPickle = record.name.hasSuffix("data.pkl")
      try writer.add(record.name, isPickle ? .owned(pickle) : archive.storage(of: record))
    }
    try writer.finish()
  }
}
