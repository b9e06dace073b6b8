// Rule C001.

extension Rule {
  /// The file MUST start with the HDF5 signature.
  static let fileIsHDF5 = Rule(
    id: "C001", level: .error, cost: .container,
    summary: "The file MUST start with the HDF5 signature.",
    why: """
      Other formats, user blocks and damaged starts end here, before any parser sees the file.
      """,
    example: "The file starts with `GGUF` or, as a model that PyTorch saved, with `PK`.",
    fix:
      "convert the file with `unroll convert` if it is a model of another format, else copy or download it again"
  ) { contents in
    guard contents.superblock == nil else { return [] }
    let start = contents.file.copy(0..<8)
    return [
      Violation(
        object: "/", expected: "the HDF5 signature in the first 8 bytes",
        found: start.isEmpty ? "an empty file" : knownFormat(start) ?? "other bytes")
    ]
  }
}

/// Returns the name of the format that starts with these bytes, if it is a well-known one.
private func knownFormat(_ start: [UInt8]) -> String? {
  let signatures: [(bytes: [UInt8], name: String)] = [
    (Array("PK\u{03}\u{04}".utf8), "a zip archive (PyTorch, Keras or NumPy?)"),
    (Array("GGUF".utf8), "a GGUF file"),
    ([0x80, 0x02], "a pickle (PyTorch before 1.6?)"),
    ([0x80, 0x04], "a pickle"),
    ([0x1F, 0x8B], "a gzip file"),
    ([0x08], "a protocol buffer (ONNX?)"),
  ]
  if let known = signatures.first(where: { start.starts(with: $0.bytes) }) { return known.name }
  let isText = start.allSatisfy { $0 >= 0x20 && $0 != 0x7F || (0x09...0x0D).contains($0) }
  return isText ? "a text" : nil
}
