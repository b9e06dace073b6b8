// An HDF5 file of another program: its objects, and its numbers in place.

import UnrollTensors

/// The objects of another program's HDF5 file; its numbers stay where the file is.
///
/// No link leads out of the file: hard links lead to its objects, and soft links as the inventory has them,
/// as hard ones. Numbers in one run of bytes inside the file are read where they
/// are; what is in chunks or in a header is decoded into a file of its own by whoever runs libhdf5. A
/// value of this type is as inert as its inventory.
package struct ForeignContainer: Sendable {
  /// The bytes of the file.
  package let image: ByteStorage
  /// The objects by path.
  private(set) var objects: [String: InventoryObject]
  /// The names of each group's members, in order.
  private var members: [String: [String]]
  /// The name of the file in errors.
  let name: String
  /// Runs libhdf5.
  let reader: ForeignReader
  /// The decoded numbers of datasets, by path.
  var decoded: [String: ByteStorage] = [:]

  /// Makes the inventory of a file.
  ///
  /// - Parameters:
  ///   - image: The bytes of the file.
  ///   - name: The name of the file in errors.
  ///   - reader: Runs libhdf5.
  /// - Throws: `ContainerFailure` if libhdf5 does not get through the file, `FileError` if it cannot be
  ///   run.
  package init(_ image: ByteStorage, name: String, reader: ContainerReader) throws {
    let inventory = try Self.naming(name) { () throws(ContainerFailure) in
      try reader.foreign.inventory(image, name)
    }
    guard inventory.stoppedAt == nil else {
      throw ContainerFailure.refused("it has more objects, depth or text than a model")
    }
    self.image = image
    self.name = name
    self.reader = reader.foreign
    objects = Dictionary(inventory.objects.map { ($0.path, $0) }) { first, _ in first }
    var members: [String: [String]] = [:]
    for object in inventory.objects where object.path != Inventory.root {
      guard let slash = object.path.lastIndex(of: "/") else { continue }
      let group = slash == object.path.startIndex ? Inventory.root : String(object.path[..<slash])
      members[group, default: []].append(String(object.path[object.path.index(after: slash)...]))
    }
    self.members = members
  }

  /// Makes a container of numbers that another format holds, as if they were in one HDF5 file.
  ///
  /// - Parameters:
  ///   - tensors: The datasets; the first of one path stays.
  ///   - attributes: Attributes of groups, by the path of the group.
  ///   - name: The name of the file in errors.
  package init(
    _ tensors: [(path: String, tensor: Tensor)],
    attributes: [String: [String: AttributeValue]], name: String
  ) {
    image = .owned([])
    self.name = name
    reader = .refusing
    objects = [:]
    members = [:]
    for (path, tensor) in tensors where objects[path] == nil {
      addGroups(above: path)
      objects[path] = InventoryObject(
        path: path,
        kind: .dataset(
          DatasetDescription(
            datatype: .element(tensor.dtype), dimensions: tensor.shape.dimensions.map(UInt64.init),
            layout: .contiguous, offset: nil, storageSize: UInt64(tensor.storage.count),
            externalFileCount: 0, filters: [])), linkCount: 1)
      decoded[path] = tensor.storage
    }
    for (path, values) in attributes {
      addGroups(above: path)
      let group = InventoryObject(path: path, kind: .group, linkCount: 1)
      objects[path, default: group].attributes = values
    }
  }

  /// Adds a path to the members of its group, and the groups above it.
  private mutating func addGroups(above path: String) {
    guard path != Inventory.root, let slash = path.lastIndex(of: "/") else { return }
    let group = slash == path.startIndex ? Inventory.root : String(path[..<slash])
    let name = String(path[path.index(after: slash)...])
    if members[group]?.contains(name) != true { members[group, default: []].append(name) }
    guard objects[group] == nil else { return }
    objects[group] = InventoryObject(path: group, kind: .group, linkCount: 1)
    addGroups(above: group)
  }

  /// Adds the objects of another file to those of this one, as parts of one.
  ///
  /// Groups of one path become one; of datasets of one path the first stays.
  package mutating func add(_ other: ForeignContainer) {
    for (path, object) in other.objects {
      if case .dataset(let dataset) = object.kind, objects[path] == nil,
        let count = dataset.shape.flatMap({ shape in dataset.element.flatMap(shape.byteCount) })
      {
        decoded[path] = other.decoded[path] ?? other.place(of: dataset, count)
      }
      objects[path, default: object].attributes.merge(object.attributes) { first, _ in first }
    }
    for (group, names) in other.members {
      members[group] = Set(names).union(members[group] ?? []).sorted()
    }
  }

  /// Returns the object that a path leads to, through at most one link for each of its parts.
  private func object(_ path: String) -> InventoryObject? { objects[firstPath(path)] }

  func dataset(_ path: String) -> DatasetDescription? {
    if case .dataset(let dataset)? = object(path)?.kind { return dataset }
    return nil
  }

  /// `true` if the file has an object of this path.
  package func exists(_ path: String) -> Bool { objects[firstPath(path)] != nil }

  /// Returns the names of a group's members, in order.
  package func members(of group: String) -> [String] { members[firstPath(group)] ?? [] }

  /// The paths of all datasets, each once, in order.
  package var datasets: [String] {
    objects.values.compactMap { object in
      if case .dataset = object.kind { return object.path }
      return nil
    }.sorted()
  }

  /// Returns the attributes of an object by name; none where there is no object.
  package func attributes(_ path: String) -> [String: AttributeValue] {
    object(path)?.attributes ?? [:]
  }

  /// Returns a text attribute.
  package func text(_ path: String, _ name: String) -> String? {
    if case .text(let text)? = object(path)?.attributes[name] { return text }
    return nil
  }

  /// Returns an attribute of several texts; of none, if there is an array of anything else.
  package func texts(_ path: String, _ name: String) -> [String]? {
    switch object(path)?.attributes[name] {
    case .texts(let texts): texts
    case .text(let text): [text]
    case .other: []
    default: nil
    }
  }

  /// `true` if there is a dataset at a path.
  package func isDataset(_ path: String) -> Bool { dataset(path) != nil }

  /// Returns the numbers of a dataset; `nil` for a type that the format does not have, and where they are
  /// neither in one run of bytes inside the file nor decoded.
  package func tensor(_ path: String) -> Tensor? {
    guard let dataset = dataset(path), let shape = dataset.shape, let dtype = dataset.element,
      let count = shape.byteCount(of: dtype),
      let storage = decoded[firstPath(path)] ?? place(of: dataset, count)
    else { return nil }
    let isSwapped = dataset.datatype == .bigEndian(dtype)
    return Tensor(
      shape: shape, dtype: dtype, storage: isSwapped ? storage.swapped(by: dtype.size) : storage)
  }

  /// Returns the bytes of a contiguous dataset; `nil` if they do not lie inside the file.
  private func place(of dataset: DatasetDescription, _ count: Int) -> ByteStorage? {
    guard dataset.layout == .contiguous, let offset = dataset.offset.flatMap({ Int(exactly: $0) }),
      offset <= image.count, count <= image.count - offset
    else { return nil }
    return image[offset..<offset + count]
  }

  /// Returns the path under which an object was met first; a part of the path may be a link, too.
  package func firstPath(_ path: String) -> String {
    if let object = objects[path] {
      if case .hardLink(let target) = object.kind { return target }
      return path
    }
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return path }
    let group = String(path[..<slash])
    let first = firstPath(group)
    if first == group { return path }
    let direct = (first == Inventory.root ? "" : first) + path[slash...]
    if case .hardLink(let target)? = objects[direct]?.kind { return target }
    return direct
  }

  /// Returns the texts of a one-dimensional dataset of strings; `nil` if it is none.
  ///
  /// - Throws: `ContainerFailure` if libhdf5 does not get through them, or they are no UTF-8; `FileError`
  ///   if it cannot be run.
  package func texts(_ path: String) throws -> [String]? {
    guard let dataset = dataset(path), dataset.datatype.isString,
      let dimensions = dataset.dimensions, dimensions.count == 1
    else { return nil }
    if let obstacle = obstacle(toFiltersOf: dataset) {
      throw ContainerFailure.undecodable(object: path, reason: obstacle)
    }
    // A text of variable length has a reference of 16 bytes; deflated, any other has one at least.
    let leastSize = dataset.datatype == .variableLengthString ? 16 : 1
    guard dimensions[0] <= 1000 + image.count / leastSize else {
      throw ContainerFailure.undecodable(
        object: path, reason: "more texts, \(dimensions[0]), than the file has room for")
    }
    let bytes = try Self.naming(name) { () throws(ContainerFailure) in
      try reader.texts(firstPath(path), image, name)
    }
    var texts: [String] = []
    for part in bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast() {
      guard let text = String(validating: part, as: UTF8.self) else {
        throw ContainerFailure.undecodable(object: path, reason: "text \(texts.count) is no UTF-8")
      }
      texts.append(text)
    }
    guard texts.count == dimensions[0] else {
      throw ContainerFailure.undecodable(object: path, reason: "\(texts.count) texts were read")
    }
    return texts
  }

  /// Returns a description of the object at a path, for messages.
  package func description(of path: String) -> String {
    switch object(path)?.kind {
    case .group: "a group"
    case .dataset(let dataset):
      "\(dataset.datatype) of shape \(dataset.shape?.description ?? "none")"
        + (obstacle(to: dataset, at: path).map { ", \($0)" } ?? "")
    case .hardLink, .softLink, .externalLink, .userDefinedLink: "a link"
    case .namedDatatype: "a datatype"
    case .unreadable(let reason): "what libhdf5 cannot read (\(reason))"
    case nil: "nothing"
    }
  }
}

extension ByteStorage {
  /// Returns the bytes of each element in the other order.
  fileprivate func swapped(by size: Int) -> ByteStorage {
    withUnsafeBytes { source in
      var bytes = [UInt8](source)
      for start in stride(from: 0, to: bytes.count - size + 1, by: size) {
        bytes[start..<start + size].reverse()
      }
      return .owned(bytes)
    }
  }
}
