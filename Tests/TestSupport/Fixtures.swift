// The locations of the tests' files.

import Foundation

/// The folders of the checkout that the tests run in.
public enum Fixtures {
  /// The checkout's top folder.
  public static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The path of a file under `fixtures/`.
  public static func path(_ name: String) -> String {
    root.appending(path: "fixtures").appending(path: name).path
  }
}

/// Calls a closure with a new empty folder, removed afterwards.
public func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory
    .appending(path: "unroll-test-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder.path)
}
