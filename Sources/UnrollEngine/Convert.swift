// From a foreign file to a checkpoint with its history.

import Foundation
import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

/// Where the vocabulary of a model comes from whose file has none.
public enum VocabularySource: Sendable {
  /// Nowhere: the file has one.
  case file
  /// The texts of a corpus folder; see `Vocabulary.init(corpus:progress:)`.
  case corpus(String)
  /// A list of tokens; see `Vocabulary.init(listedIn:)`.
  case list(String)

  /// What it is called in the history of a model.
  fileprivate var name: String {
    switch self {
    case .file: "file"
    case .corpus: "corpus"
    case .list: "list"
    }
  }

  /// The files that it reads.
  public var paths: [String] {
    switch self {
    case .file: []
    case .corpus(let folder): Vocabulary.corpusParts.map { "\(folder)/\($0)" }
    case .list(let path): [path]
    }
  }

  fileprivate func vocabulary(progress: (Int) -> Void) throws -> Vocabulary? {
    switch self {
    case .file: nil
    case .corpus(let folder): try Vocabulary(corpus: folder, progress: progress)
    case .list(let path): try Vocabulary(listedIn: path)
    }
  }
}

/// Converts a model of a foreign format.
///
/// - Parameters:
///   - path: The model.
///   - source: Where its vocabulary comes from.
///   - nonlinearity: The activation of plain recurrent cells, where the file does not name it.
///   - progress: Called with the number of bytes of text read since the last call.
/// - Returns: The checkpoint with this step in its history, and what could not be carried.
/// - Throws: `FileError`, `TextError` or `InterchangeError` if something cannot be read or fitted.
public func convert(
  _ path: String, vocabulary source: VocabularySource, nonlinearity: Activation? = nil,
  progress: (Int) -> Void = { _ in }
) throws -> Conversion {
  let file = try MappedFile(path: path)
  guard let format = AllFormats.format(of: file) else {
    let isHDF5 = file.copy(0..<8) == [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]
    throw InterchangeError(
      file: path, place: "",
      expected:
        "a model of one of the formats \(AllFormats.all.map { $0.name }.joined(separator: ", "))",
      found: isHDF5 ? "an HDF5 file" : "content of another kind",
      fix: isHDF5
        ? "an Unroll checkpoint needs no conversion: try `unroll inspect`"
        : "give the model file itself, not an archive of it or a text")
  }
  let options = ReadingOptions(
    vocabulary: try source.vocabulary(progress: progress), nonlinearity: nonlinearity)
  var conversion = try format.read(file, options: options)
  var arguments = ["format=\(format.name)", "vocabulary=\(source.name)"]
  if let nonlinearity { arguments.append("nonlinearity=\(nonlinearity.rawValue)") }
  let inputs = try [file] + source.paths.map { try MappedFile(path: $0) }
  conversion.checkpoint.provenance.append(
    ProvenanceEntry(
      operation: "convert", tool: UnrollVersion.producer,
      arguments: arguments.joined(separator: "\n"),
      inputs: inputs.map { "\(digest(of: $0)) \(name(of: $0))" }.joined(separator: "\n")))
  return conversion
}

/// The last component of a file's path.
private func name(of file: MappedFile) -> String {
  URL(filePath: file.path).lastPathComponent
}
