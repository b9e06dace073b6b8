// The contents of a file for the rules and the reader: an inventory and the mapped bytes.

import UnrollHDF5
import UnrollTensors
import UnrollTokenization

/// A file as the rules see it.
public struct Contents: Sendable {
  /// The path of the file.
  public let path: String
  /// The bytes of the file.
  public let file: MappedFile
  /// The superblock, if the file starts with one.
  let superblock: Superblock?
  /// The objects, or none where there is no inventory.
  let inventory: Inventory
  /// Why there is no inventory, or no decoded data.
  private(set) var failure: ContainerFailure?
  /// The decoded bytes of datasets in chunks, by path.
  private(set) var decoded: [String: ByteStorage] = [:]
  /// Statistics of the numbers of the tensors, by path; none before `summarize`.
  private(set) var summaries: [String: NumberSummary] = [:]
  /// The log-probabilities that an engine computed for the self-test, `[N - 1]`; `nil` if none did.
  var replay: Replay?
  /// The objects by path.
  private let objects: [String: InventoryObject]
  /// The architecture that the attributes declare; `nil` where one is missing or not allowed.
  private(set) var architecture: Architecture?
  /// The vocabulary; `nil` where a part is missing or its offsets lead nowhere.
  private(set) var vocabulary: Vocabulary?

  /// Looks at the first bytes of a file only.
  init(container file: MappedFile) {
    self.init(file, inventory: Inventory(objects: []), failure: nil)
  }

  init(_ file: MappedFile, inventory: Inventory, failure: ContainerFailure?) {
    path = file.path
    self.file = file
    superblock = Superblock(file.copy(0..<Superblock.size))
    self.inventory = inventory
    self.failure = failure
    objects = Dictionary(inventory.objects.map { ($0.path, $0) }) { first, _ in first }
    architecture = readArchitecture()
    vocabulary = readVocabulary()
  }

  /// Decodes datasets in chunks that are not decoded yet.
  ///
  /// - Parameters:
  ///   - reader: Decodes the datasets.
  ///   - isWanted: Returns `true` for the path of a dataset that is to be decoded.
  /// - Throws: `FileError` if there is no room for the decoded bytes.
  mutating func decode(
    with reader: ContainerReader, where isWanted: (String) -> Bool
  ) throws(FileError) {
    let orders = decodingOrders { decoded[$0] == nil && isWanted($0) }
    guard !orders.isEmpty, failure == nil else { return }
    let scratch = try ScratchFile(byteCount: orders.reduce(0) { max($0, $1.offset + $1.byteCount) })
    do throws(ContainerFailure) {
      try reader.decode(orders, path, scratch.descriptor)
    } catch {
      if let error = error.fileError(path: path) { throw error }
      failure = error
      return
    }
    let file = try scratch.map()
    for order in orders {
      guard let bytes = ByteStorage(file, offset: order.offset, count: order.byteCount) else {
        failure = .undecodable(object: order.path, reason: "its decoded data ends early")
        return
      }
      decoded[order.path] = bytes
    }
    vocabulary = readVocabulary()
  }

  /// Looks at every number of the parameters, slots and carried state, for the rules of quality.
  mutating func summarize() {
    for (path, _) in datasets where Layout.isWeight(path) {
      summaries[path] = tensor(path).flatMap { NumberSummary($0) }
    }
  }

  /// The parameters that the model owns with statistics of their numbers, where those are finite.
  var finiteParameters: [(path: String, shape: Shape, summary: NumberSummary)] {
    (architecture?.parameters ?? []).compactMap { path, shape in
      guard let summary = summaries[path.description], summary.isFinite else { return nil }
      return (path.description, shape, summary)
    }
  }

  /// `true` if the file has an object of this path.
  func exists(_ path: String) -> Bool { objects[path] != nil }

  /// Returns the object that a path leads to, through at most one hard link.
  func object(_ path: String) -> InventoryObject? {
    guard let object = objects[path] else { return nil }
    if case .hardLink(let target) = object.kind { return objects[target] }
    return object
  }

  /// Returns the path that a second hard link shares its object with.
  func hardLinkTarget(of path: String) -> String? {
    if case .hardLink(let target)? = objects[path]?.kind { return target }
    return nil
  }

  /// Returns the dataset at a path.
  func dataset(_ path: String) -> DatasetDescription? {
    if case .dataset(let dataset)? = object(path)?.kind { return dataset }
    return nil
  }

  /// The datasets of the file, each once, under their first paths.
  var datasets: [(path: String, dataset: DatasetDescription)] {
    inventory.objects.compactMap { object in
      guard case .dataset(let dataset) = object.kind else { return nil }
      return (object.path, dataset)
    }
  }

  /// Returns the text of an attribute.
  func text(_ path: String, _ name: String) -> String? {
    if case .text(let text)? = object(path)?.attributes[name] { return text }
    return nil
  }

  /// Returns an integer attribute.
  func integer(_ path: String, _ name: String) -> Int? {
    if case .integer(let value)? = object(path)?.attributes[name] { return Int(exactly: value) }
    return nil
  }

  /// Returns the names of the members of a group, in order.
  func members(of group: String) -> [String] {
    let prefix = group == "/" ? "/" : group + "/"
    return inventory.objects.compactMap { object in
      guard object.path.hasPrefix(prefix), object.path != group else { return nil }
      let name = object.path.dropFirst(prefix.count)
      return name.contains("/") ? nil : String(name)
    }
  }

  /// Returns the tensor at a path, mapped from the file or decoded; `nil` if it has no valid type or location,
  /// or is not decoded.
  func tensor(_ path: String) -> Tensor? {
    guard let dataset = dataset(path), let shape = dataset.shape,
      case .element(let dtype) = dataset.datatype, let count = shape.byteCount(of: dtype),
      let storage = decoded[hardLinkTarget(of: path) ?? path] ?? dataset.place(in: file, count)
    else { return nil }
    return Tensor(shape: shape, dtype: dtype, storage: storage)
  }
}

extension Contents {
  /// Returns the objects of the file as they are to be written again, by path: the datasets as tensors of the
  /// mapped file, attributes as they are; links other than second hard links are not among them.
  func outlineObjects(where isWanted: (String) -> Bool = { _ in true }) -> [String: Outline.Object]
  {
    var objects: [String: Outline.Object] = [:]
    for object in inventory.objects where isWanted(object.path) {
      switch object.kind {
      case .group:
        objects[object.path] = Outline.Object(kind: .group, attributes: object.attributes)
      case .dataset:
        guard let tensor = tensor(object.path) else { continue }
        objects[object.path] = Outline.Object(
          kind: .dataset(tensor), attributes: object.attributes)
      case .hardLink(let target):
        objects[object.path] = Outline.Object(kind: .hardLink(to: target))
      default: continue
      }
    }
    return objects
  }
}

extension DatasetDescription {
  /// Returns the bytes of a contiguous dataset; `nil` if they do not lie inside the file.
  fileprivate func place(in file: MappedFile, _ count: Int) -> ByteStorage? {
    guard let offset = offset.flatMap({ Int(exactly: $0) }) else { return nil }
    return ByteStorage(file, offset: offset, count: count)
  }
}
