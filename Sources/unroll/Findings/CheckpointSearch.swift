// The files that arguments name: the files themselves, and all checkpoints below named folders.

import Foundation
import UnrollTensors

/// The files that arguments name, in order.
struct CheckpointSearch {
  /// The named files, and `*.h5` and `*.hdf5` below the folders, by name.
  private(set) var files: [String] = []
  /// The folders without such files.
  private(set) var emptyFolders: [String] = []
  /// The folders that could not be read.
  private(set) var failures: [FileError] = []
  /// A note for each folder with other kinds of files, which are not examined.
  private(set) var notes: [String] = []
  private var otherKinds: [String: Int] = [:]

  /// Searches the arguments; a named link to a folder is followed, a link inside a folder is not.
  init(_ arguments: [String]) {
    for argument in arguments {
      guard mode(argument, stat) == S_IFDIR else {
        files.append(argument)
        continue
      }
      let fileCount = files.count
      let failureCount = failures.count
      otherKinds = [:]
      walk(argument)
      if !otherKinds.isEmpty { notes.append(note(on: argument)) }
      if files.count == fileCount && failures.count == failureCount {
        emptyFolders.append(argument)
      }
    }
  }

  private mutating func walk(_ folder: String) {
    guard let stream = opendir(folder) else {
      failures.append(FileError("list", path: folder))
      return
    }
    closedir(stream)
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
      failures.append(FileError("list", path: folder, code: EIO))
      return
    }
    for name in names.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
      let path = folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
      if mode(path, lstat) == S_IFDIR {
        walk(path)
      } else if [".h5", ".hdf5"].contains(where: name.lowercased().hasSuffix) {
        // A file that is being written, `.NAME.PID.partial`, has another extension.
        files.append(path)
      } else if mode(path, lstat) == S_IFREG {
        otherKinds[Self.kind(of: name), default: 0] += 1
      }
    }
  }

  /// Returns the extension of a name, or another description of the file's kind.
  private static func kind(of name: String) -> String {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count > 1, let ending = parts.last, !ending.isEmpty,
      parts.first != "" || parts.count > 2
    else { return "without ending" }
    return ".\(ending)"
  }

  private func note(on folder: String) -> String {
    let count = otherKinds.values.reduce(0, +)
    let kinds = otherKinds.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    let shown = kinds.prefix(5).map { "\(Output.grouped($0.value)) \($0.key)" }
    let rest = kinds.count > 5 ? ", ..." : ""
    return "note: \(printable(folder)): \(Output.grouped(count)) "
      + "\(count == 1 ? "file" : "files") of other kinds not examined: "
      + printable(shown.joined(separator: ", ")) + rest
  }
}

/// Returns the kind of file at a path; `nil` if there is none.
private func mode(
  _ path: String, _ examine: (UnsafePointer<CChar>, UnsafeMutablePointer<stat>) -> Int32
) -> mode_t? {
  var status = stat()
  return examine(path, &status) == 0 ? status.st_mode & S_IFMT : nil
}
