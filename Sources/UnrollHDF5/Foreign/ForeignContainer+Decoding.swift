// Numbers of another program's HDF5 file that are in chunks or in headers.

import UnrollTensors

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
      end = order.nextOffset
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
  func obstacle(to dataset: DatasetDescription, at path: String) -> String? {
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

  func obstacle(toFiltersOf dataset: DatasetDescription) -> String? {
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
  static func naming<Value>(
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
