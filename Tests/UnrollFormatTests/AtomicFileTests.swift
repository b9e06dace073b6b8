// Temporary files: whose they are, who may remove them, and what the file has that comes of them.

import Foundation
import TestSupport
import Testing
import UnrollTensors

@testable import UnrollFormat

@Suite("Atomic writes") struct AtomicFileTests {
  private func names(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
  }

  private func put(_ text: String, _ path: String) throws {
    try Data(text.utf8).write(to: URL(filePath: path))
  }

  private func text(_ path: String) throws -> String {
    try String(contentsOfFile: path, encoding: .utf8)
  }

  private func mode(_ path: String) throws -> Int {
    var status = stat()
    guard lstat(path, &status) == 0 else { throw FileError("examine", path: path) }
    return Int(status.st_mode & 0o7777)
  }

  /// Writes a text as a whole file.
  private func save(_ text: String, _ path: String, replacing: Bool = true) throws {
    let file = try AtomicFile(path, replacing: replacing)
    try put(in: file, text)
    try file.commit()
  }

  private func put(in file: borrowing AtomicFile, _ text: String) throws {
    let handle = try FileHandle(forWritingTo: URL(filePath: file.temporaryPath))
    try handle.write(contentsOf: Data(text.utf8))
    try handle.close()
  }

  @Test("Temporary files of dead processes are removed, and files of other names stay")
  func leftoversOfDeadProcesses() throws {
    try withTemporaryFolder { folder in
      let own = getpid()
      for name in [".a.h5.1.partial", ".a.h5.\(own).partial", ".a.h5.99999999-12.partial"] {
        try put("left", "\(folder)/\(name)")
      }
      // None of these is the name of a temporary file of a.h5.
      let others = [
        ".a.h5.partial", ".a.h5..partial", ".a.h5.1-.partial", ".a.h5.1-2-3.partial",
        ".a.h5.x.partial", ".a.h5.1.partial2", ".b.h5.1.partial", "a.h5.1.partial",
        ".a.h5.2.h5.1.partial",
      ]
      for name in others { try put("other", "\(folder)/\(name)") }
      try save("new", "\(folder)/a.h5")
      #expect(try names(folder) == (others + ["a.h5"]).sorted())
    }
  }

  @Test("Temporary files of running writers stay, and the last commit wins")
  func runningWriters() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      let first = try AtomicFile(path, replacing: true)
      let second = try AtomicFile(path, replacing: true)
      let own = getpid()
      #expect(try names(folder) == [".a.h5.\(own)-1.partial", ".a.h5.\(own).partial"])
      try put(in: first, "first")
      // Readers and writers that open and close the file do not lose its lock.
      try put(in: second, "second")
      let third = try AtomicFile(path, replacing: false)
      #expect(try names(folder).count == 3)
      try second.commit()
      #expect(try text(path) == "second")
      try first.commit()
      #expect(try text(path) == "first")
      #expect(throws: FileError("write", path: path, code: EEXIST)) { try third.commit() }
      third.discard()
      #expect(try text(path) == "first")
      #expect(try names(folder) == ["a.h5"])
    }
  }

  @Test("Links, pipes and folders planted under temporary names are not followed")
  func plantedFiles() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      try put("precious", "\(folder)/precious")
      let planted = (1...4).map { ".a.h5.\($0).partial" }
      symlink("precious", "\(folder)/\(planted[0])")
      mkfifo("\(folder)/\(planted[1])", 0o600)
      mkdir("\(folder)/\(planted[2])", 0o700)
      symlink("nowhere", "\(folder)/\(planted[3])")
      // A link under the name that would come next is not written through either.
      symlink("precious", "\(folder)/.a.h5.\(getpid()).partial")
      try save("new", path)
      #expect(try text("\(folder)/precious") == "precious")
      #expect(
        try names(folder)
          == (planted + [".a.h5.\(getpid()).partial", "a.h5", "precious"]).sorted())
    }
  }

  @Test("A temporary file that was removed or replaced is not committed")
  func exchangedTemporaryFile() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      try put("old", path)
      let file = try AtomicFile(path, replacing: true)
      let temporary = file.temporaryPath
      unlink(temporary)
      #expect(throws: FileError("find its temporary file \(temporary)", path: path, code: ENOENT)) {
        try file.commit()
      }
      try put("another", temporary)
      #expect(throws: FileError.self) { try file.commit() }
      file.discard()
      #expect(try text(path) == "old")
    }
  }

  @Test("A replaced file keeps its permissions", arguments: [0o600, 0o640, 0o664, 0o444])
  func keptPermissions(bits: Int) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      try put("old", path)
      chmod(path, mode_t(bits))
      let file = try AtomicFile(path, replacing: true)
      #expect(try mode(file.temporaryPath) == 0o600)
      try put(in: file, "new")
      try file.commit()
      #expect(try mode(path) == bits)
      #expect(try text(path) == "new")
    }
  }

  @Test("A new file has the permissions of the umask")
  func permissionsOfUmask() throws {
    try withTemporaryFolder { folder in
      // The umask belongs to the process, and other tests run beside: compare instead of setting it.
      let plain = open("\(folder)/plain", O_WRONLY | O_CREAT, 0o666)
      close(plain)
      try save("new", "\(folder)/a.h5", replacing: false)
      #expect(try mode("\(folder)/a.h5") == mode("\(folder)/plain"))
    }
  }

  @Test(
    "A replaced file keeps its owner, and temporary files of other users stay",
    .enabled(if: geteuid() == 0, "only root may give files away"))
  func keptOwner() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      try put("old", path)
      chown(path, 4321, 1234)
      try put("left", "\(folder)/.a.h5.1.partial")
      chown("\(folder)/.a.h5.1.partial", 4321, 1234)
      try save("new", path)
      var status = stat()
      #expect(lstat(path, &status) == 0)
      #expect(status.st_uid == 4321 && status.st_gid == 1234)
      // A file of another user is for that user to remove.
      #expect(try names(folder) == [".a.h5.1.partial", "a.h5"])
    }
  }

  @Test("A symbolic link is not replaced", arguments: ["file", "nowhere", "."])
  func symbolicLinks(target: String) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      try put("old", "\(folder)/file")
      symlink(target, path)
      #expect(throws: FileError("write", path: path, code: EEXIST)) {
        try save("new", path, replacing: false)
      }
      #expect(throws: FileError("replace a symbolic link", path: path, code: EINVAL)) {
        try save("new", path)
      }
      #expect(try names(folder) == ["a.h5", "file"])
      #expect(try text("\(folder)/file") == "old")
    }
  }

  @Test("Temporary names of long file names are shortened between characters")
  func longestNames() throws {
    try withTemporaryFolder { folder in
      for name in [String(repeating: "x", count: 255), String(repeating: "日", count: 85)] {
        let file = try AtomicFile("\(folder)/\(name)", replacing: false)
        let temporary = URL(filePath: file.temporaryPath).lastPathComponent
        #expect(temporary.utf8.count <= 255 && temporary.hasSuffix(".\(getpid()).partial"))
        #expect(temporary.dropFirst().first == name.first)
        try file.commit()
        #expect(try names(folder) == [name])
        unlink("\(folder)/\(name)")
      }
      let path = "\(folder)/" + String(repeating: "x", count: 256)
      #expect(throws: FileError("write", path: path, code: ENAMETOOLONG)) {
        try save("new", path)
      }
    }
  }
}
