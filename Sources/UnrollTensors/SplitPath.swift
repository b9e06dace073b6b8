// The parts of a path.

/// A path, cut at its last slash.
package struct SplitPath: Hashable, Sendable {
  /// The folder: `a` of `a/b`, `/` of `/b`; empty for a name alone.
  package let folder: String
  /// The text after the last slash.
  package let name: String

  package init(_ path: String) {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else {
      folder = ""
      name = path
      return
    }
    name = String(path[path.utf8.index(after: slash)...])
    var before = path[..<slash]
    while before.utf8.last == UInt8(ascii: "/") { before.removeLast() }
    folder = before.isEmpty ? "/" : String(before)
  }

  /// The text after the last dot of the name; `nil` without one, and for a name that begins with it.
  package var `extension`: String? {
    guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return nil }
    return String(name[name.index(after: dot)...])
  }

  /// Returns the path of a file in the same folder.
  package func sibling(_ name: String) -> String {
    folder.isEmpty || folder == "/" ? folder + name : "\(folder)/\(name)"
  }
}
