// The same model in another file: stored in another way, or with another card.

import UnrollHDF5
import UnrollTensors

extension Examination {
  /// The storage profile of the file; `live` unless most bytes are in chunks.
  public var profile: StorageProfile {
    let sizes = contents.datasets.map { ($0.dataset.layout == .chunked, $0.dataset.storageSize) }
    let chunked = sizes.reduce(0.0) { $0 + ($1.0 ? Double($1.1) : 0) }
    return chunked * 2 > sizes.reduce(0.0) { $0 + Double($1.1) } ? .archive : .live
  }

  /// Writes the file's content in a storage profile: every object, attribute and number as it is.
  ///
  /// - Parameters:
  ///   - path: The file to be.
  ///   - profile: The storage profile.
  ///   - replacing: `true` to replace an existing file.
  /// - Throws: `InvalidCheckpoint` if this file breaks a rule of level error or the new one would;
  ///   `FileError` or `HDF5Error` if the new one cannot be written.
  public func repack(to path: String, profile: StorageProfile, replacing: Bool = false) throws {
    try outline().writeChecked(to: path, replacing: replacing, profile: profile)
  }

  /// Writes the file's content with changes to its card, and an entry for that in its history.
  ///
  /// The weights and their digest stay as they are, and so does the storage profile.
  ///
  /// - Parameters:
  ///   - path: The file to be.
  ///   - tool: The program that edits, such as `unroll 0.1.0`.
  ///   - replacing: `true` to replace an existing file.
  ///   - change: Changes the card; it is empty where the file has none.
  /// - Throws: The errors of `repack`.
  public func edit(
    to path: String, tool: String = UnrollVersion.producer, replacing: Bool = false,
    _ change: (inout Card) -> Void
  ) throws {
    var outline = try outline()
    let old = contents.card ?? Card()
    var card = old
    change(&card)
    for path in [Layout.card, Layout.readme] { outline.objects[path] = nil }
    if card != Card() { card.add(to: &outline) }
    let changes = card.changes(from: old).joined(separator: "\n")
    outline.addHistory("edit", arguments: changes, of: contents, tool: tool)
    outline.sealContent()
    try outline.writeChecked(to: path, replacing: replacing, profile: profile)
  }

  private func outline() throws -> Outline {
    guard worstLevel != .error else { throw InvalidCheckpoint(findings: findings) }
    return try decodedOutline()
  }

  /// Returns the content as it is to be written again.
  func decodedOutline() throws -> Outline {
    var outline = Outline(objects: try decodedContents().outlineObjects())
    // A writer sets it last.
    outline.objects[Layout.root]?.attributes[AttributeName.complete] = nil
    return outline
  }
}

extension Outline {
  /// Adds an entry for a change of a file to the history of the model.
  mutating func addHistory(
    _ operation: String, arguments: String, of contents: Contents, tool: String
  ) {
    let name = contents.path.split(separator: "/").last.map(String.init) ?? contents.path
    if objects[Layout.provenance] == nil { addGroup(Layout.provenance) }
    let entries = objects.keys.filter { $0.hasPrefix(Layout.provenance + "/") }
    addGroup(
      Layout.provenanceEntry(entries.count),
      [
        AttributeName.operation: .text(operation),
        AttributeName.tool: .text(tool),
        AttributeName.arguments: .text(arguments),
        AttributeName.inputs: .text("\(digest(of: contents.file)) \(name)"),
        AttributeName.weightsDigest: .text(weightsDigest),
      ])
  }
}

extension Card {
  /// Returns the fields that differ from another card, one `field=texts` each.
  fileprivate func changes(from old: Card) -> [String] {
    let fields = CardField.allCases.filter { self.fields[$0] != old.fields[$0] }.map {
      "\($0.rawValue)=\((self.fields[$0] ?? []).joined(separator: "; "))"
    }
    return fields + (readme == old.readme ? [] : ["readme=\(readme == nil ? "" : "new")"])
  }
}
