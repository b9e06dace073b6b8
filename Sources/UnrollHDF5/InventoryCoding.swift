// An inventory as bytes, for the way from one process to another.
//
// An integer has 8 bytes, little-endian; a text its size and its UTF-8; an array its count and its
// elements; one of several cases a byte and its parts. The bytes come from a process that read a foreign
// file, so they are as foreign as the file.

import UnrollTensors

extension Inventory {
  /// The inventory as bytes, to be read by `init(encoded:)` of the same version.
  public var encoded: [UInt8] {
    var writer = ByteWriter()
    writer.write(objects) { $0.write($1) }
    switch stoppedAt {
    case nil: writer.write(tag: 0)
    case .objects: writer.write(tag: 1)
    case .depth(let path): writer.write(tag: 2, path)
    case .attributes(let path): writer.write(tag: 3, path)
    case .text: writer.write(tag: 4)
    }
    return writer.bytes
  }

  /// Reads the bytes of an inventory; `nil` if they are anything else.
  ///
  /// Takes no more memory than an inventory of so many bytes needs, whatever they say.
  public init?(encoded bytes: ArraySlice<UInt8>) {
    var reader = ByteReader(bytes)
    do throws(Malformed) {
      objects = try reader.array(atMost: Inventory.maximumObjects) { reader throws(Malformed) in
        try reader.object()
      }
      switch try reader.tag() {
      case 0: stoppedAt = nil
      case 1: stoppedAt = .objects
      case 2: stoppedAt = .depth(try reader.text())
      case 3: stoppedAt = .attributes(try reader.text())
      case 4: stoppedAt = .text
      default: return nil
      }
    } catch {
      return nil
    }
    guard reader.isAtEnd else { return nil }
  }
}

/// The bytes are not what they should be.
private struct Malformed: Error {}

// MARK: - Writing

private struct ByteWriter {
  var bytes: [UInt8] = []

  mutating func write(tag: UInt8) { bytes.append(tag) }

  mutating func write(tag: UInt8, _ text: String) {
    write(tag: tag)
    write(text)
  }

  mutating func write(_ number: UInt64) {
    withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
  }

  mutating func write(_ number: Int) { write(UInt64(bitPattern: Int64(number))) }

  mutating func write(_ text: String) {
    write(text.utf8.count)
    bytes += text.utf8
  }

  mutating func write<Element>(
    _ elements: some Collection<Element>, _ write: (inout ByteWriter, Element) -> Void
  ) {
    self.write(elements.count)
    for element in elements { write(&self, element) }
  }

  mutating func write(_ object: InventoryObject) {
    write(object.path)
    switch object.kind {
    case .group: write(tag: 0)
    case .dataset(let dataset):
      write(tag: 1)
      write(dataset)
    case .hardLink(let target): write(tag: 2, target)
    case .softLink: write(tag: 3)
    case .externalLink: write(tag: 4)
    case .userDefinedLink: write(tag: 5)
    case .namedDatatype: write(tag: 6)
    case .unreadable(let reason): write(tag: 7, reason)
    }
    write(object.linkCount)
    write(object.attributes) { writer, attribute in
      writer.write(attribute.key)
      writer.write(attribute.value)
    }
  }

  mutating func write(_ value: AttributeValue) {
    switch value {
    case .text(let text): write(tag: 0, text)
    case .texts(let texts):
      write(tag: 1)
      write(texts) { $0.write($1) }
    case .integer(let integer):
      write(tag: 2)
      write(UInt64(bitPattern: integer))
    case .number(let number):
      write(tag: 3)
      write(number.bitPattern)
    case .other(let description): write(tag: 4, description)
    }
  }

  mutating func write(_ dataset: DatasetDescription) {
    switch dataset.datatype {
    case .element(let element): write(tag: 0, element.rawValue)
    case .other(let name): write(tag: 1, name)
    case .bigEndian(let element): write(tag: 2, element.rawValue)
    }
    write(optional: dataset.dimensions) { writer, dimensions in
      writer.write(dimensions) { $0.write($1) }
    }
    write(dataset.layout.rawValue)
    write(optional: dataset.offset) { $0.write($1) }
    write(dataset.storageSize)
    write(dataset.externalFileCount)
    write(dataset.filters) { $0.write($1) }
    write(optional: dataset.chunks) { writer, chunks in
      writer.write(chunks.dimensions) { $0.write($1) }
      writer.write(chunks.count)
    }
  }

  mutating func write<Value>(
    optional value: Value?, _ write: (inout ByteWriter, Value) -> Void
  ) {
    self.write(tag: value == nil ? 0 : 1)
    if let value { write(&self, value) }
  }
}

// MARK: - Reading

private struct ByteReader {
  /// The bytes that are not read yet.
  private var bytes: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

  var isAtEnd: Bool { bytes.isEmpty }

  /// Returns the next `count` bytes.
  private mutating func take(_ count: Int) throws(Malformed) -> ArraySlice<UInt8> {
    guard count >= 0, count <= bytes.count else { throw Malformed() }
    defer { bytes.removeFirst(count) }
    return bytes.prefix(count)
  }

  mutating func tag() throws(Malformed) -> UInt8 {
    guard let tag = try take(1).first else { throw Malformed() }
    return tag
  }

  mutating func unsigned() throws(Malformed) -> UInt64 {
    try take(8).withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
  }

  mutating func integer() throws(Malformed) -> Int {
    Int(Int64(bitPattern: try unsigned()))
  }

  mutating func text() throws(Malformed) -> String {
    let bytes = try take(try integer())
    guard let text = String(validating: bytes, as: UTF8.self) else { throw Malformed() }
    return text
  }

  /// Reads an array, in memory that grows with the bytes that are there, not with the count that they claim.
  mutating func array<Element>(
    atMost maximum: Int = .max, _ element: (inout ByteReader) throws(Malformed) -> Element
  ) throws(Malformed) -> [Element] {
    let count = try integer()
    // Each element has a byte.
    guard count >= 0, count <= maximum, count <= bytes.count else { throw Malformed() }
    var elements: [Element] = []
    for _ in 0..<count { elements.append(try element(&self)) }
    return elements
  }

  mutating func optional<Value>(
    _ value: (inout ByteReader) throws(Malformed) -> Value
  ) throws(Malformed) -> Value? {
    switch try tag() {
    case 0: return nil
    case 1: return try value(&self)
    default: throw Malformed()
    }
  }

  mutating func object() throws(Malformed) -> InventoryObject {
    let path = try text()
    let kind: InventoryObject.Kind
    switch try tag() {
    case 0: kind = .group
    case 1: kind = .dataset(try dataset())
    case 2: kind = .hardLink(to: try text())
    case 3: kind = .softLink
    case 4: kind = .externalLink
    case 5: kind = .userDefinedLink
    case 6: kind = .namedDatatype
    case 7: kind = .unreadable(try text())
    default: throw Malformed()
    }
    let linkCount = try integer()
    let attributes = try array { reader throws(Malformed) in
      (try reader.text(), try reader.value())
    }
    return InventoryObject(
      path: path, kind: kind, linkCount: linkCount,
      attributes: Dictionary(attributes) { first, _ in first })
  }

  mutating func value() throws(Malformed) -> AttributeValue {
    switch try tag() {
    case 0: return .text(try text())
    case 1: return .texts(try array { reader throws(Malformed) in try reader.text() })
    case 2: return .integer(Int64(bitPattern: try unsigned()))
    case 3: return .number(Double(bitPattern: try unsigned()))
    case 4: return .other(try text())
    default: throw Malformed()
    }
  }

  mutating func dataset() throws(Malformed) -> DatasetDescription {
    let datatype: Datatype
    switch try tag() {
    case 0: datatype = .element(try named())
    case 1: datatype = .other(try text())
    case 2: datatype = .bigEndian(try named())
    default: throw Malformed()
    }
    var dataset = DatasetDescription(
      datatype: datatype,
      dimensions: try optional { reader throws(Malformed) in try reader.numbers() },
      layout: try named(),
      offset: try optional { reader throws(Malformed) in try reader.unsigned() },
      storageSize: try unsigned(), externalFileCount: try integer(),
      filters: try array { reader throws(Malformed) in try reader.integer() })
    dataset.chunks = try optional { reader throws(Malformed) in
      ChunkGrid(dimensions: try reader.numbers(), count: try reader.unsigned())
    }
    return dataset
  }

  mutating func numbers() throws(Malformed) -> [UInt64] {
    try array { reader throws(Malformed) in try reader.unsigned() }
  }

  /// Returns a case by its name.
  mutating func named<Value: RawRepresentable<String>>() throws(Malformed) -> Value {
    guard let value = Value(rawValue: try text()) else { throw Malformed() }
    return value
  }
}
