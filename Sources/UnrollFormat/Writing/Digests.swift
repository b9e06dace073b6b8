// Digests: of a tensor's bytes, of the weights, of all content.

import Crypto
import Foundation
import UnrollHDF5
import UnrollTensors

/// The description of one object of a file for digests: no data, no storage.
struct DigestEntry {
  /// The kind of the object at a path.
  enum Kind {
    case group
    /// The digest of the bytes is among the attributes.
    case dataset(dtype: String, shape: [Int])
    case hardLink(to: String)
  }

  let path: String
  let kind: Kind
  let attributes: [String: AttributeValue]
}

package enum Digest {
  /// Returns the SHA-256 of bytes in lower-case hexadecimal.
  package static func sha256(_ bytes: UnsafeRawBufferPointer) -> String {
    var hash = SHA256()
    hash.update(bufferPointer: bytes)
    return hexadecimal(hash.finalize())
  }

  /// Returns the SHA-256 of a tensor's bytes, computed once for a part of a file.
  static func sha256(of tensor: Tensor) -> String {
    guard case .mapped(let file, let range) = tensor.storage else {
      return tensor.withUnsafeBytes { sha256($0) }
    }
    if let digest = file.digests.withLock({ $0[range] }) { return digest }
    let digest = tensor.withUnsafeBytes { sha256($0) }
    file.digests.withLock { $0[range] = digest }
    return digest
  }

  /// Returns the SHA-256s of the bytes of tensors, several computed at once.
  static func sha256(of tensors: [Tensor]) -> [String] { concurrentMap(tensors, sha256(of:)) }

  /// Returns the digest of the function that the model computes: tensors of `/model`, and the attributes that
  /// shape it.
  static func weights(_ entries: [DigestEntry]) -> String {
    let model = entries.filter { entry in
      if case .hardLink = entry.kind { return false }
      return entry.path == Layout.model || entry.path.hasPrefix(Layout.model + "/")
    }
    return digest(ofLines: model.flatMap { lines($0) })
  }

  /// Returns the digest of all content: tensors, links and attributes, but not how they are stored.
  static func content(_ entries: [DigestEntry]) -> String {
    digest(ofLines: entries.flatMap { lines($0) })
  }

  /// Returns the lines of one object, as `spec/FORMAT.md` has them.
  private static func lines(_ entry: DigestEntry) -> [String] {
    var lines: [String] = []
    switch entry.kind {
    case .group: break
    case .hardLink(let target): lines.append("\(entry.path)\tlink\t\(target)")
    case .dataset(let dtype, let shape):
      var digest = "-"
      if case .text(let text)? = entry.attributes[AttributeName.digest] { digest = text }
      let dimensions = shape.map(String.init).joined(separator: ",")
      lines.append("\(entry.path)\t\(dtype)\t\(dimensions)\t\(digest)")
    }
    for (name, value) in entry.attributes where !uncovered.contains(name) {
      guard let text = canonical(value) else { continue }
      lines.append("\(entry.path)\t@\(name)\t\(text)")
    }
    return lines
  }

  /// The attributes that no digest covers as lines of their own.
  private static let uncovered: Set<String> = [
    AttributeName.complete, AttributeName.contentDigest, AttributeName.digest,
  ]

  /// Returns a value as text without tabs and newlines, different for different values.
  private static func canonical(_ value: AttributeValue) -> String? {
    switch value {
    case .text(let text): "s:" + escaped(text)
    case .texts(let texts): "a:" + texts.map { escaped($0) }.joined(separator: "\\0")
    case .integer(let integer): "i:\(integer)"
    case .number(let number): "f:" + hexadecimal(number.bitPattern)
    case .other: nil
    }
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private static func digest(ofLines lines: [String]) -> String {
    var hash = SHA256()
    for line in lines.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
      hash.update(data: Array((line + "\n").utf8))
    }
    return hexadecimal(hash.finalize())
  }

  private static func hexadecimal(_ bits: UInt64) -> String {
    let text = String(bits, radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
  }

  private static func hexadecimal(_ digest: SHA256.Digest) -> String {
    let digits = Array("0123456789abcdef")
    return String(digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }
}

extension Contents {
  /// The entries of the file's objects for the digests.
  var digestEntries: [DigestEntry] {
    inventory.objects.compactMap { object in
      switch object.kind {
      case .group:
        DigestEntry(path: object.path, kind: .group, attributes: object.attributes)
      case .dataset(let dataset):
        DigestEntry(
          path: object.path,
          kind: .dataset(
            dtype: dataset.datatype.description, shape: dataset.shape?.dimensions ?? []),
          attributes: object.attributes)
      case .hardLink(let target):
        DigestEntry(path: object.path, kind: .hardLink(to: target), attributes: [:])
      default: nil
      }
    }
  }
}

/// Returns the SHA-256 of a file's bytes in lower-case hexadecimal.
public func digest(of file: MappedFile) -> String {
  withExtendedLifetime(file) { Digest.sha256(file.bytes) }
}

/// Returns the SHA-256 of a text's UTF-8, in hexadecimal.
package func digest(ofText text: String) -> String {
  Array(text.utf8).withUnsafeBytes { Digest.sha256($0) }
}

extension ProvenanceEntry {
  /// Returns a line of `inputs`: the digest of a file's bytes and the file's name.
  public static func input(_ file: MappedFile) -> String {
    input(digest: UnrollFormat.digest(of: file), path: file.path)
  }

  /// Returns a line of `inputs` for a file whose digest is known.
  public static func input(digest: String, path: String) -> String {
    "\(digest) \(URL(filePath: path).lastPathComponent)"
  }
}
