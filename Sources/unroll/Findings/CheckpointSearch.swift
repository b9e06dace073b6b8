// The files that arguments name: files as they are, folders with all checkpoints below them.

import Foundation
import UnrollTensors

/// The files that arguments name, in order.
struct CheckpointSearch {
  /// The files: those named, and `*.h5` and `*.hdf5` below the folders, by name.
  private(set) var files: [String] = []
  /// The folders without such files.
  private(set) var emptyFolders: [String] = []
  /// The folders that could not be read.
  private(set) var failures: [FileError] = []

  /// Looks at arguments; a named link to a folder is followed, one inside a folder is not.
  init(_ arguments: [String]) {
    for argument in arguments {
      guard mode(argument, stat) == S_IFDIR else {
        files.append(argument)
        continue
      }
      let (fileCount, failureCount) = (files.count, failures.count)
      walk(argument)
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
      } else if name.hasSuffix(".h5") || name.hasSuffix(".hdf5") {
        // A file that is being written, `.NAME.PID.partial`, has another ending.
        files.append(path)
      }
    }
  }
}

/// What kind of file is at a path; `nil` if there is none.
private func mode(
  _ path: String, _ examine: (UnsafePointer<CChar>, UnsafeMutablePointer<stat>) -> Int32
) -> mode_t? {
  var status = stat()
  return examine(path, &status) == 0 ? status.st_mode & S_IFMT : nil
}
