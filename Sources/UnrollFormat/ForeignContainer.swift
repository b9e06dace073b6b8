// An HDF5 file of another program: what is in it, and its numbers where they lie.

import UnrollHDF5
import UnrollTensors

/// The objects of another program's HDF5 file; its numbers stay where the file is.
///
/// No link but a hard one leads anywhere, and only numbers in one run of bytes inside the file are read:
/// a value of this type is as inert as its inventory.
package struct ForeignContainer: Sendable {
  /// The bytes of the file.
  package let image: ByteStorage
  /// The objects by path.
  private let objects: [String: InventoryObject]
  /// The names of each group's members, in order.
  private let members: [String: [String]]

  /// Makes the inventory of a file.
  ///
  /// - Parameters:
  ///   - image: The bytes of the file.
  ///   - name: What errors call it.
  ///   - reader: Runs libhdf5.
  /// - Throws: `ContainerFailure` if libhdf5 does not get through the file, `FileError` if it cannot be
  ///   run.
  package init(_ image: ByteStorage, name: String, reader: ContainerReader) throws {
    let inventory: Inventory
    do throws(ContainerFailure) {
      inventory = try reader.foreignInventory(image, name)
    } catch {
      if let error = error.fileError(path: name) { throw error }
      throw error
    }
    guard inventory.stoppedAt == nil else {
      throw ContainerFailure.refused("it has more objects, depth or text than a model")
    }
    self.image = image
    objects = Dictionary(inventory.objects.map { ($0.path, $0) }) { first, _ in first }
    var members: [String: [String]] = [:]
    for object in inventory.objects where object.path != Layout.root {
      guard let slash = object.path.lastIndex(of: "/") else { continue }
      let group = slash == object.path.startIndex ? Layout.root : String(object.path[..<slash])
      members[group, default: []].append(String(object.path[object.path.index(after: slash)...]))
    }
    self.members = members
  }

  /// The object that a path leads to, through at most one hard link.
  private func object(_ path: String) -> InventoryObject? {
    guard let object = objects[path] else { return nil }
    if case .hardLink(let target) = object.kind { return objects[target] }
    return object
  }

  private func dataset(_ path: String) -> DatasetDescription? {
    if case .dataset(let dataset)? = object(path)?.kind { return dataset }
    return nil
  }

  /// Whether something has a path.
  package func exists(_ path: String) -> Bool { objects[path] != nil }

  /// The names of a group's members, in order.
  package func members(of group: String) -> [String] { members[group] ?? [] }

  /// A text attribute.
  package func text(_ path: String, _ name: String) -> String? {
    if case .text(let text)? = object(path)?.attributes[name] { return text }
    return nil
  }

  /// An attribute of several texts; of none, if there is an array of anything else.
  package func texts(_ path: String, _ name: String) -> [String]? {
    switch object(path)?.attributes[name] {
    case .texts(let texts): texts
    case .text(let text): [text]
    case .other: []
    default: nil
    }
  }

  /// Whether there is a dataset at a path.
  package func isDataset(_ path: String) -> Bool { dataset(path) != nil }

  /// The numbers of a dataset; `nil` for a type that the format does not have, and where they are not in
  /// one run of bytes inside the file.
  package func tensor(_ path: String) -> Tensor? {
    guard let dataset = dataset(path), let shape = dataset.shape, dataset.layout == .contiguous,
      case .element(let dtype) = dataset.datatype, let count = shape.byteCount(of: dtype),
      let offset = dataset.offset.flatMap({ Int(exactly: $0) }), offset <= image.count,
      count <= image.count - offset
    else { return nil }
    return Tensor(shape: shape, dtype: dtype, storage: image[offset..<offset + count])
  }

  /// What is at a path, for messages.
  package func description(of path: String) -> String {
    switch object(path)?.kind {
    case .group: "a group"
    case .dataset(let dataset):
      switch dataset.layout {
      case .contiguous where tensor(path) != nil:
        "\(dataset.datatype) of shape \(dataset.shape?.description ?? "none")"
      case .contiguous:
        "\(dataset.datatype) of shape \(dataset.shape?.description ?? "none") that is not in the file"
      default: "\(dataset.layout.rawValue) data"
      }
    case .hardLink, .softLink, .externalLink, .userDefinedLink: "a link"
    case .namedDatatype: "a datatype"
    case .unreadable(let reason): "what libhdf5 cannot read (\(reason))"
    case nil: "nothing"
    }
  }
}

// MARK: - Writing

extension ForeignContainer {
  /// Writes datasets into a file that exists, in the order of their paths.
  ///
  /// - Parameters:
  ///   - datasets: The tensors and their paths; the groups of these are made.
  ///   - path: The file; what it holds is lost.
  ///   - progress: Called with the number of bytes written since the last call.
  /// - Throws: `HDF5Error` if the file cannot be written.
  package static func write(
    _ datasets: [(path: String, tensor: Tensor)], to path: String, progress: (Int) -> Void
  ) throws {
    let writer = try FileWriter(creating: path)
    try writer.reserve(sizeBound(of: datasets))
    try write(datasets, to: writer, progress: progress)
    try writer.close()
  }

  /// No fewer bytes than a file will have: data, and a generous share of metadata an object.
  private static func sizeBound(of datasets: [(path: String, tensor: Tensor)]) -> Int {
    datasets.reduce(16 * 1024) { $0 + $1.tensor.storage.count + 16 * 1024 }
  }

  private static func write(
    _ datasets: [(path: String, tensor: Tensor)], to writer: borrowing FileWriter,
    progress: (Int) -> Void
  ) throws {
    var groups: Set<String> = []
    for (path, tensor) in datasets {
      let parts = path.split(separator: "/").dropLast()
      for end in parts.indices {
        let group = "/" + parts[...end].joined(separator: "/")
        if groups.insert(group).inserted { try writer.createGroup(group) }
      }
      try tensor.withUnsafeBytes {
        try writer.createDataset(
          path, element: tensor.dtype, dimensions: tensor.shape.dimensions, bytes: $0)
      }
      progress(tensor.storage.count)
    }
  }

  /// Writes datasets into a file without a name, which the system removes when nothing uses it any more.
  ///
  /// - Parameters:
  ///   - datasets: The tensors and their paths.
  ///   - path: A file in whose folder there is room.
  ///   - progress: Called with the number of bytes written since the last call.
  /// - Returns: The bytes of the file.
  /// - Throws: `FileError` or `HDF5Error` if it cannot be written.
  package static func image(
    of datasets: [(path: String, tensor: Tensor)], beside path: String, progress: (Int) -> Void
  ) throws -> MappedFile {
    let scratch = try ScratchFile(beside: path)
    let writer = try FileWriter(creating: scratch.path)
    try writer.reserve(sizeBound(of: datasets))
    scratch.removeName()
    try write(datasets, to: writer, progress: progress)
    try writer.close()
    return try scratch.map()
  }
}
