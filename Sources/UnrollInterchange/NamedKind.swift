// Kinds of files that are recognized but not supported, each with advice.

import Foundation
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// A kind of file that users may mistake for a supported model.
public struct NamedKind: Sendable {
  /// The kind in words.
  public let name: String
  /// The advice: a command or step that leads to a supported file; `FILE` stands for the file's
  /// name.
  public let fix: String
  /// `true` if a reader recognizes such files.
  private var looksReadable = false
  /// Returns `true` if a file is of the kind.
  private let recognizes: @Sendable (FileStart) -> Bool

  private init(
    name: String, fix: String, looksReadable: Bool = false,
    recognizes: @escaping @Sendable (FileStart) -> Bool
  ) {
    self.name = name
    self.fix = fix
    self.looksReadable = looksReadable
    self.recognizes = recognizes
  }

  /// The beginning of a file, its name, and the record names if it is a ZIP archive.
  private struct FileStart {
    let bytes: [UInt8]
    let name: String
    let records: Set<String>
    private let file: MappedFile

    init(_ file: MappedFile) {
      bytes = file.copy(0..<512)
      name = file.path.split(separator: "/").last.map(String.init) ?? file.path
      let isArchive = bytes.starts(with: [0x50, 0x4B, 0x03, 0x04])
      records = isArchive ? Set((try? ZipArchive(file))?.records.keys.map(Self.base) ?? []) : []
      self.file = file
    }

    /// The value of a JSON file of at most 64 MB.
    var json: JSONValue? {
      guard starts(with: "{"), file.count <= 64 << 20 else { return nil }
      return try? JSONValue(file.copy(0..<file.count))
    }

    private static func base(_ record: String) -> String {
      record.split(separator: "/", maxSplits: 1).last.map(String.init) ?? record
    }

    func starts(with text: String) -> Bool {
      let start = bytes.drop { [0x20, 0x09, 0x0A, 0x0D].contains($0) }.prefix(text.utf8.count)
      return String(decoding: start, as: UTF8.self).lowercased() == text.lowercased()
    }

    func has(_ text: String) -> Bool {
      String(decoding: bytes, as: UTF8.self).contains(text)
    }
  }

  /// All kinds, the most specific first.
  private static let all: [NamedKind] = [
    NamedKind(
      name: "a Git LFS pointer, which stands for a file that was not downloaded",
      fix: "fetch the file itself, in its repository: `git lfs pull`"
    ) { $0.starts(with: "version https://git-lfs.github.com/spec/") },
    NamedKind(
      name: "a web page", fix: "download the file itself: on a code host, the raw file"
    ) { $0.starts(with: "<!doctype html") || $0.starts(with: "<html") },
    NamedKind(name: "a gzip file", fix: "unpack it first: `gunzip -k FILE`") {
      $0.bytes.starts(with: [0x1F, 0x8B])
    },
    NamedKind(name: "a bzip2 file", fix: "unpack it first: `bunzip2 -k FILE`") {
      $0.starts(with: "BZh")
    },
    NamedKind(name: "an xz file", fix: "unpack it first: `unxz -k FILE`") {
      $0.bytes.starts(with: [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00])
    },
    NamedKind(name: "a Zstandard file", fix: "unpack it first: `unzstd FILE`") {
      $0.bytes.starts(with: [0x28, 0xB5, 0x2F, 0xFD])
    },
    NamedKind(
      name: "a tar archive", fix: "unpack it and give the model in it: `tar -xf FILE`"
    ) { $0.bytes.count > 262 && $0.bytes[257..<262].elementsEqual("ustar".utf8) },
    NamedKind(
      name: "a program that torch.export saved (.pt2)",
      fix: "save its weights: `torch.save(torch.export.load(\"FILE\").state_dict, \"new.pt\")`",
      looksReadable: true
    ) {
      $0.records.contains("archive_format")
        || $0.records.contains("serialized_exported_program.json")
    },
    NamedKind(
      name: "a part of a distributed checkpoint of PyTorch",
      fix: "put its folder into one file: "
        + "`python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER new.pt`",
      looksReadable: true
    ) { $0.name.hasSuffix(".distcp") || $0.has("torch.distributed.checkpoint") },
    NamedKind(
      name: "a part of a checkpoint of TensorFlow",
      fix: "give its index, NAME.index, beside which the other files lie"
    ) {
      $0.name.contains(".data-0") || $0.name.hasSuffix(".ckpt.meta")
        || ($0.name.hasSuffix(".meta") && ($0.name.contains("ckpt") || $0.bytes.first == 0x0A))
    },
    NamedKind(
      name: "a damaged index of a checkpoint of TensorFlow, or one that is cut off",
      fix: "copy it again, with all files of the checkpoint"
    ) { $0.name.hasSuffix(".index") && $0.bytes.starts(with: [0x00, 0x00]) },
    NamedKind(
      name: "a damaged graph of a SavedModel of TensorFlow",
      fix: "copy the folder of the SavedModel again"
    ) { $0.name == "saved_model.pb" },
    NamedKind(
      name: "something else than the name of a file of Torch7 says",
      fix:
        "copy it again; a checkpoint of char-rnn or torch-rnn is the file that its training wrote"
    ) { $0.name.hasSuffix(".t7") },
    NamedKind(
      name: "a model of brain.js, whose networks are not those of other programs",
      fix: "there is no conversion; keep the file"
    ) {
      $0.json?["type"]?.text.map {
        ["RNN", "LSTM", "GRU", "RNNTimeStep", "LSTMTimeStep"].contains($0)
      }
        == true && $0.json?["options"] != nil
    },
    NamedKind(
      name: "weights as lists of numbers in JSON",
      fix:
        "write them as arrays: `numpy.savez(\"weights.npz\", **{k: numpy.array(v, \"float32\") for k, v in "
        + "json.load(open(\"FILE\")).items()})`"
    ) { start in
      start.json?.members?.contains { String(decoding: $0.key, as: UTF8.self).contains("weight") }
        == true
    },
    NamedKind(
      name: "a ZIP archive of another kind", fix: "unpack it and give the model in it: `unzip FILE`"
    ) { $0.bytes.starts(with: [0x50, 0x4B, 0x03, 0x04]) },
  ]

  /// Refuses a file of one of the kinds.
  ///
  /// - Parameters:
  ///   - file: The file.
  ///   - onlyReadable: `true` to check only the kinds that a reader recognizes.
  /// - Throws: `InterchangeError` that names the kind and the advice.
  public static func refuse(_ file: MappedFile, onlyReadable: Bool = false) throws {
    let start = FileStart(file)
    let kinds = onlyReadable ? all.filter(\.looksReadable) : all
    guard let kind = kinds.first(where: { $0.recognizes(start) }) else { return }
    throw InterchangeError(
      file: file.path, place: "", expected: "the file of a model", found: kind.name,
      fix: kind.fix.replacing("FILE", with: start.name))
  }
}
