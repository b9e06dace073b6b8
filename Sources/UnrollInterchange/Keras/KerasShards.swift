// Weights of Keras in several files, with a JSON index.

import Foundation
import UnrollFormat
import UnrollHDF5
import UnrollTensors
import UnrollTokenization

extension KerasFile {
  private static let largestList = 16 << 20
  private static let mostShards = 1000

  /// Returns `true` if a file is the index that `save_weights` with `max_shard_size` writes.
  static func isListOfShards(_ file: MappedFile) -> Bool {
    guard file.count > 2, file.count <= largestList, file.copy(0..<1) == [UInt8(ascii: "{")] else {
      return false
    }
    let text = String(decoding: file.copy(0..<file.count), as: UTF8.self)
    return text.contains("\"weight_map\"") && text.contains(".weights.h5\"")
  }

  /// Opens the files of an index, which are beside it, as one container.
  ///
  /// - Throws: `InterchangeError` if one is missing, damaged or elsewhere; `FileError` if one
  ///   cannot be read.
  init(shards list: MappedFile, reader: ContainerReader) throws {
    let value = try Self.json(
      String(decoding: list.copy(0..<list.count), as: UTF8.self), "weight_map", of: list)
    let names = Set(
      (value["weight_map"]?.members ?? []).flatMap { entry in
        (entry.value.array ?? [entry.value]).map { $0.text ?? "" }
      }
    ).sorted()
    guard let first = names.first, names.count <= Self.mostShards,
      names.allSatisfy({ !$0.isEmpty && !$0.contains("/") && $0.hasSuffix(".weights.h5") })
    else {
      throw InterchangeError(
        file: list.path, place: "weight_map",
        expected: "names of files in the same folder, \(Self.mostShards) at most",
        found: names.isEmpty ? "none" : "others", fix: Self.saveAgain)
    }
    func part(_ name: String) throws -> ForeignContainer {
      let file = try MappedFile(path: SplitPath(list.path).sibling(name))
      return try Self.container(
        .mapped(file, 0..<file.count), of: file, place: "", reader: reader)
    }
    var whole = try part(first)
    for name in names.dropFirst() { whole.add(try part(name)) }
    self.init(weights: whole, path: list.path)
  }
}
