// The file that stands for a model of several files.

import Foundation
import UnrollTensors

/// The file to read for a path that names a model of several files.
///
/// A checkpoint of TensorFlow is named by its folder (also without the file `checkpoint`, if it is the only model
/// there), by the file `checkpoint` in it, by its index or by its
/// prefix, as `tf.train.Saver.restore` takes it; a SavedModel by its folder.
public struct ModelLocation: Sendable {
  /// The file to read.
  public let path: String
  /// Notes on the choice.
  public let notes: [Note]

  /// Finds the file for a path; most paths are their own.
  ///
  /// - Throws: `InterchangeError` if a file `checkpoint` names no file beside it, or a folder without one has several
  ///   checkpoints.
  public init(_ folder: String) throws {
    let path = Self.file(inFolder: folder) ?? folder
    let isState = SplitPath(path).name == SessionState.fileName
    if isState, let file = try? MappedFile(path: path), let state = try SessionState(file) {
      self.path = SplitPath(path).sibling(state.name + ".index")
      guard FileManager.default.fileExists(atPath: self.path) else {
        throw Self.missing(state.name, besides: path)
      }
      notes = [
        Note(
          place: SessionState.fileName, message: "names \(state.name), the checkpoint that is read",
          isHarmless: true)
      ]
      return
    }
    let exists = FileManager.default.fileExists(atPath: path)
    let isPrefix = !exists && FileManager.default.fileExists(atPath: path + ".index")
    self.path = isPrefix ? path + ".index" : path
    guard path != folder, let name = Self.checkpointName(path) else {
      if let refusal = Self.ambiguity(of: folder) { throw refusal }
      notes = []
      return
    }
    notes = [
      Note(
        place: name, message: "the only checkpoint of the folder, which has no file checkpoint",
        isHarmless: true)
    ]
  }

  /// Returns the name of a checkpoint by its index; `nil` for other files.
  private static func checkpointName(_ path: String) -> String? {
    let name = SplitPath(path).name
    return name.hasSuffix(".index") ? String(name.dropLast(".index".count)) : nil
  }

  /// Returns the error for a folder of several checkpoints that no file `checkpoint` tells apart.
  private static func ambiguity(of folder: String) -> InterchangeError? {
    let names = indices(inFolder: folder).compactMap(checkpointName)
    guard let last = names.last, names.count > 1, file(inFolder: folder) == nil else { return nil }
    return InterchangeError(
      file: folder, place: "", expected: "a file checkpoint, which names one of its checkpoints",
      found: list(names), fix: "give the one to convert, such as `\(folder)/\(last)`")
  }

  /// Returns the names of the indices of TensorFlow in a folder.
  private static func indices(inFolder path: String) -> [String] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return files.filter { name in
      name.hasSuffix(".index")
        && (try? MappedFile(path: "\(path)/\(name)")).map(TensorBundle.recognizes) == true
    }.sorted()
  }

  /// Endings of files that may be models, except for those of files beside a checkpoint.
  private static let otherEndings: Set = [
    "pt", "pth", "bin", "ckpt", "h5", "hdf5", "keras", "npz", "onnx", "safetensors", "gguf", "t7",
  ]

  /// Returns the only checkpoint of a folder that has no other model.
  private static func onlyCheckpoint(inFolder path: String) -> String? {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    let hasOthers = files.contains { name in
      SplitPath(name).extension.map { otherEndings.contains($0.lowercased()) } == true
    }
    let indices = indices(inFolder: path)
    return hasOthers || indices.count != 1 ? nil : indices.first.map { "\(path)/\($0)" }
  }

  /// Returns the error for a checkpoint that a file `checkpoint` names and that does not exist.
  private static func missing(_ name: String, besides path: String) -> InterchangeError {
    let folder = SplitPath(path).sibling("")
    let files =
      (try? FileManager.default.contentsOfDirectory(atPath: folder.isEmpty ? "." : folder)) ?? []
    let others = files.filter { $0.hasSuffix(".index") }.map { String($0.dropLast(".index".count)) }
    return InterchangeError(
      file: path, place: "", expected: "the checkpoint that it names, \(name)",
      found: others.isEmpty ? "no checkpoint" : "only \(list(others.sorted()))",
      fix: others.first.map { "give the one to convert, such as `\(folder)\($0)`" }
        ?? "copy all files of the checkpoint into the folder")
  }

  /// Returns the file of a folder that is one model; `nil` for other folders and for files.
  public static func file(inFolder path: String) -> String? {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue
    else { return nil }
    let named = [SavedModel.fileName, SessionState.fileName].map { "\(path)/\($0)" }.first {
      inside in
      var isFolder: ObjCBool = false
      return FileManager.default.fileExists(atPath: inside, isDirectory: &isFolder)
        && !isFolder.boolValue
    }
    return named ?? onlyCheckpoint(inFolder: path)
  }
}

/// The file `checkpoint`, in which TensorFlow notes the newest checkpoint of a folder.
struct SessionState {
  static let fileName = "checkpoint"
  /// The prefix of the checkpoint's files, in the same folder.
  let name: String

  private static let key = "model_checkpoint_path:"
  private static let largest = 1 << 20

  /// Reads the file; `nil` if it is another kind of file.
  ///
  /// - Throws: `InterchangeError` if it names no file beside it.
  init?(_ file: MappedFile) throws {
    guard file.count <= Self.largest else { return nil }
    let text = String(decoding: file.copy(0..<file.count), as: UTF8.self)
    guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(Self.key) }) else {
      return nil
    }
    let value = line.dropFirst(Self.key.count).drop { $0 == " " }
    // The folder may have moved since: the last part of the path is the name.
    let name = SplitPath(String(value.dropFirst().dropLast())).name
    guard value.count > 2, value.first == "\"", value.last == "\"", !name.contains("\\"),
      ![".", "..", ""].contains(name)
    else {
      throw InterchangeError(
        file: file.path, place: Self.key, expected: "the name of a checkpoint in quotes",
        found: String(value), fix: "give the index of the checkpoint, NAME.index, instead")
    }
    self.name = name
  }
}
