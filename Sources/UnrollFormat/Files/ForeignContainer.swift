// An HDF5 file of another program: its objects, and its numbers in place.

import UnrollHDF5
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
  private var objects: [String: InventoryObject]
  /// The names of each group's members, in order.
  private var members: [String: [String]]
  /// The name of the file in errors.
  private let name: String
  /// Runs libhdf5.
  private let reader: ForeignReader
  /// The decoded numbers of datasets, by path.
  private var decoded: [String: ByteStorage] = [:]

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
    for object in inventory.objects where object.path != Layout.root {
      guard let slash = object.path.lastIndex(of: "/") else { continue }
      let group = slash == object.path.startIndex ? Layout.root : String(object.path[..<slash])
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
    guard path != Layout.root, let slash = path.lastIndex(of: "/") else { return }
    let group = slash == path.startIndex ? Layout.root : String(path[..<slash])
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

  private func dataset(_ path: String) -> DatasetDescription? {
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
    let direct = (first == Layout.root ? "" : first) + path[slash...]
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

// MARK: - Decoding

extension ForeignContainer {
  /// The largest chunk that is decoded, in bytes.
  private static let maximumChunkSize = 256 << 20

  /// The number of bytes of all numbers: the file and the decoded data.
  package var byteCount: Int { decoded.values.reduce(image.count) { $0 + $1.count } }

  /// The most bytes that all chunked data may decode to: 16 times the file plus 32 MiB, as in a checkpoint.
  private var decodingBound: Int {
    let (multiple, isHuge) = image.count.multipliedReportingOverflow(by: 16)
    return isHuge ? .max : max(multiple, multiple &+ (32 << 20))
  }

  /// Decodes the numbers in chunks and in headers, as much as is safe to.
  ///
  /// - Throws: `ContainerFailure` if libhdf5 does not get through them; `FileError` if it cannot be run,
  ///   or there is no room for them.
  package mutating func decode() throws {
    let orders = decodingOrders()
    guard let end = orders.map({ $0.offset + $0.byteCount }).max() else { return }
    let scratch = try ScratchFile(byteCount: end)
    try Self.naming(name) { () throws(ContainerFailure) in
      try reader.decode(orders, image, name, scratch.descriptor)
    }
    let file = try scratch.map()
    for order in orders {
      guard let bytes = ByteStorage(file, offset: order.offset, count: order.byteCount) else {
        throw ContainerFailure.undecodable(
          object: order.path, reason: "its decoded data ends early")
      }
      decoded[order.path] = bytes
    }
  }

  /// Returns the decoding orders, each at a multiple of 64 bytes of the output, sorted by path.
  private func decodingOrders() -> [DecodingOrder] {
    var (orders, end, left): ([DecodingOrder], Int, Int) = ([], 0, decodingBound)
    for path in objects.keys.sorted() {
      guard case .dataset(let dataset)? = objects[path]?.kind,
        let order = order(for: dataset, at: path, offset: end)
      else { continue }
      let cost = max(order.byteCount, order.chunkSize)
      guard cost <= left else { continue }
      left -= cost
      end = (end + order.byteCount + Layout.alignment - 1) / Layout.alignment * Layout.alignment
      orders.append(order)
    }
    return orders
  }

  /// Returns the decoding order of a dataset, in runs of rows as high as a chunk; `nil` if it need not or
  /// cannot be decoded.
  private func order(
    for dataset: DatasetDescription, at path: String, offset: Int
  ) -> DecodingOrder? {
    guard dataset.layout != .contiguous, obstacle(to: dataset) == nil,
      let element = dataset.element, let shape = dataset.shape, shape.rank > 0,
      let count = shape.byteCount(of: element), count > 0,
      let chunk = dataset.chunks?.dimensions ?? dataset.dimensions,
      let rows = chunk.first.flatMap({ Int(exactly: $0) }),
      let chunkSize = dataset.chunkSize
    else { return nil }
    var order = DecodingOrder(
      path: path, element: element, dimensions: shape.dimensions,
      rowsPerChunk: min(rows, shape.dimensions[0]), offset: offset)
    order.chunkSize = max(order.chunkSize, chunkSize)
    order.chunkCount = max(order.chunkCount, dataset.gridCount ?? 0)
    return order.chunkSize <= Self.maximumChunkSize ? order : nil
  }

  /// Returns why the numbers of a dataset cannot be read, if the reason is their storage.
  private func obstacle(to dataset: DatasetDescription, at path: String) -> String? {
    guard dataset.element != nil, tensor(path) == nil else { return nil }
    if let obstacle = obstacle(to: dataset) { return obstacle }
    return "too large for a file of \(image.count) bytes"
  }

  private func obstacle(to dataset: DatasetDescription) -> String? {
    if dataset.externalFileCount > 0 { return "in another file" }
    switch dataset.layout {
    case .contiguous: return dataset.offset == nil ? "without data" : "that is not in the file"
    case .compact: return nil
    case .chunked: return obstacle(toChunksOf: dataset)
    case .virtual: return "in other datasets"
    case .unknown: return "in an unknown layout"
    }
  }

  private func obstacle(toFiltersOf dataset: DatasetDescription) -> String? {
    dataset.filters.first { !(1...3).contains($0) }.map { filter in
      let name =
        Self.filterNames[filter].map { "the filter \($0) (\(filter))" } ?? "filter \(filter)"
      return "through \(name); known are deflate, shuffle and fletcher32"
    }
  }

  /// Filters that files are met with, by their registered numbers.
  private static let filterNames = [
    4: "szip", 5: "nbit", 6: "scaleoffset", 305: "lzo", 307: "bzip2", 32000: "lzf", 32001: "blosc",
    32004: "lz4", 32008: "bitshuffle", 32013: "zfp", 32015: "zstd", 32017: "sz", 32026: "blosc2",
  ]

  /// Returns advice for removing the filter that makes a dataset unreadable; `nil` if there is none.
  package func remedy(for path: String) -> String? {
    guard let filter = dataset(path)?.filters.first(where: { !(1...3).contains($0) }) else {
      return nil
    }
    let command = "`h5repack -f NONE OLD.h5 NEW.h5`"
    switch filter {
    case 4...6: return "take the filter away: \(command)"
    // No plugin of h5repack has this one.
    case 32000:
      return
        "take the filter away with h5py: `python -c \"import h5py; a, b = h5py.File('OLD.h5'), "
        + "h5py.File('NEW.h5', 'w'); copy = lambda n, o: (b.create_dataset(n, data=o[()]) if hasattr(o, "
        + "'shape') else b.require_group(n)).attrs.update(o.attrs); copy('/', a); a.visititems(copy)\"`"
    default:
      return
        "take the filter away: \(command), with HDF5_PLUGIN_PATH set to the folder of the filter's "
        + "plugin, without which h5repack leaves the data out (PyPI's hdf5plugin has most of them)"
    }
  }

  private func obstacle(toChunksOf dataset: DatasetDescription) -> String? {
    if let obstacle = obstacle(toFiltersOf: dataset) { return obstacle }
    guard let size = dataset.chunkSize, let count = dataset.gridCount else {
      return "in chunks of no size"
    }
    if size > Self.maximumChunkSize { return "in chunks of \(size) bytes" }
    // A chunk that is stored has an entry of an index, and something in it.
    return count > 1000 + image.count / 64
      ? "in \(count) chunks, too many for a file of \(image.count) bytes" : nil
  }

  /// Runs libhdf5 and reports errors of the machine as such.
  fileprivate static func naming<Value>(
    _ name: String, _ body: () throws(ContainerFailure) -> Value
  ) throws -> Value {
    do throws(ContainerFailure) {
      return try body()
    } catch {
      if let error = error.fileError(path: name) { throw error }
      throw error
    }
  }
}

extension DatasetDescription {
  /// The size of a chunk in bytes; of all data, where there are no chunks; `nil` if it has none.
  fileprivate var chunkSize: Int? {
    guard let element, let chunk = chunks?.dimensions ?? dimensions,
      chunk.count == dimensions?.count
    else { return nil }
    return Self.product(chunk, from: element.size)
  }

  /// The number of chunks, 1 without chunks; `nil` if ranks differ, a chunk is empty, or the number is too
  /// large.
  fileprivate var gridCount: Int? {
    guard let chunk = chunks?.dimensions else { return 1 }
    guard let dimensions, chunk.count == dimensions.count, !chunk.contains(0) else { return nil }
    return Self.product(zip(dimensions, chunk).map { $0 / $1 + ($0 % $1 == 0 ? 0 : 1) }, from: 1)
  }

  private static func product(_ numbers: [UInt64], from first: Int) -> Int? {
    var product = first
    for number in numbers {
      guard let number = Int(exactly: number) else { return nil }
      let (next, overflow) = product.multipliedReportingOverflow(by: number)
      guard !overflow else { return nil }
      product = next
    }
    return product
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
