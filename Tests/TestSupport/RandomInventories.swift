// Inventories as no file has them: what a reader that a hostile file took over could answer.

import UnrollHDF5
import UnrollTensors

extension SeededGenerator {
  /// One of a few values.
  public mutating func one<Value>(of values: [Value]) -> Value {
    values[Int.random(in: 0..<values.count, using: &self)]
  }

  /// A few of something.
  mutating func few<Value>(_ value: (inout SeededGenerator) -> Value) -> [Value] {
    (0..<Int.random(in: 0...3, using: &self)).map { _ in value(&self) }
  }

  /// A number near a bound of something, or a small one.
  mutating func size() -> UInt64 {
    let bounds: [UInt64] = [0, 1 << 16, 1 << 24, 1 << 31, 1 << 32, 1 << 62, 1 << 63, .max]
    let distance = UInt64.random(in: 0...12, using: &self)
    return Bool.random(using: &self) ? one(of: bounds) &+ distance : one(of: bounds) &- distance
  }

  /// The same as a signed number.
  mutating func integer() -> Int { Int(truncatingIfNeeded: size()) }

  /// A text that is a name, a path, empty, long, or not for terminals.
  mutating func text() -> String {
    one(of: [
      "", "/", "a", "00", "-1", "lstm", "unroll", "sgd", "word", "/model", "//", "/a/", "..",
      "a\0b", "\u{1B}[2J", "\u{FFFD}", "ü\u{301}", String(repeating: "x", count: 300),
    ])
  }

  /// A value of any kind.
  public mutating func attributeValue() -> AttributeValue {
    switch Int.random(in: 0..<5, using: &self) {
    case 0: .text(text())
    case 1: .texts(few { $0.text() })
    case 2: .integer(Int64(integer()))
    case 3: .number(one(of: [.nan, .infinity, -.infinity, 0, -0.0, 1e308, 0.5]))
    default: .other(one(of: ["larger than 32768 bytes", "float32", ""]))
    }
  }

  /// A dataset of any kind.
  mutating func dataset() -> DatasetDescription {
    var dataset = DatasetDescription(
      datatype: datatype(), dimensions: dimensions(), layout: layout(), offset: offset(),
      storageSize: size(), externalFileCount: one(of: [0, 0, 1, -1]),
      filters: few { $0.one(of: [1, 2, 3, 32_000, -1]) })
    if Bool.random(using: &self) { dataset.chunks = chunks() }
    return dataset
  }

  private mutating func datatype() -> Datatype {
    one(of: [
      .element(one(of: DType.allCases)), .bigEndian(one(of: DType.allCases)), .other(text()),
    ])
  }

  private mutating func dimensions() -> [UInt64]? {
    Bool.random(using: &self) ? few { $0.size() } : nil
  }

  private mutating func layout() -> StorageLayout {
    one(of: [.contiguous, .chunked, .compact, .virtual, .unknown])
  }

  private mutating func offset() -> UInt64? { Bool.random(using: &self) ? size() : nil }

  private mutating func chunks() -> ChunkGrid {
    ChunkGrid(dimensions: few { $0.size() }, count: size())
  }

  private mutating func kind(_ paths: [String]) -> InventoryObject.Kind {
    switch Int.random(in: 0..<8, using: &self) {
    case 0: .group
    case 1: .dataset(dataset())
    case 2: .hardLink(to: one(of: paths + [text()]))
    case 3: .softLink
    case 4: .externalLink
    case 5: .userDefinedLink
    case 6: .namedDatatype
    default: .unreadable(text())
    }
  }

  private mutating func limit(_ paths: [String]) -> Inventory.Limit? {
    one(of: [nil, .objects, .depth(one(of: paths)), .attributes(one(of: paths)), .text])
  }

  /// An inventory with nothing in common with a file.
  public mutating func inventory() -> Inventory {
    var paths = ["/"]
    for _ in 0..<Int.random(in: 0...8, using: &self) {
      let parent = one(of: paths)
      paths.append(parent == "/" ? "/\(text())" : "\(parent)/\(text())")
    }
    let objects = paths.map { path in
      InventoryObject(
        path: path, kind: kind(paths), linkCount: one(of: [0, 1, 2, integer()]),
        attributes: Dictionary(few { ($0.text(), $0.attributeValue()) }) { first, _ in first })
    }
    return Inventory(objects: objects, stoppedAt: limit(paths))
  }

  /// Changes one thing in an inventory.
  public mutating func change(_ inventory: inout Inventory) {
    let paths = inventory.objects.map(\.path)
    guard let index = inventory.objects.indices.randomElement(using: &self) else { return }
    switch Int.random(in: 0..<12, using: &self) {
    case 0: inventory.objects[index].kind = kind(paths)
    case 1: inventory.objects[index].path = one(of: paths + [text()])
    case 2: inventory.objects.remove(at: index)
    case 3: inventory.objects.append(inventory.objects[index])
    case 4: inventory.objects[index].linkCount = integer()
    case 5: inventory.stoppedAt = limit(paths)
    case 6, 7, 8: changeAttribute(&inventory, of: index)
    default: changeDataset(&inventory.objects[index])
    }
  }

  private mutating func changeAttribute(_ inventory: inout Inventory, of index: Int) {
    // Some are the names of another object: a layer then has the attributes of a tokenizer.
    let names = one(of: [inventory.objects[index], one(of: inventory.objects)]).attributes.keys
    let name = one(of: names.sorted() + [text()])
    inventory.objects[index].attributes[name] =
      Int.random(in: 0..<5, using: &self) == 0 ? nil : attributeValue()
  }

  private mutating func changeDataset(_ object: inout InventoryObject) {
    guard case .dataset(var dataset) = object.kind else { return }
    switch Int.random(in: 0..<9, using: &self) {
    case 0: dataset.datatype = datatype()
    case 1: dataset.dimensions = dimensions()
    case 2: dataset.dimensions = dataset.dimensions.map { $0.reversed() }
    case 3: dataset.layout = layout()
    case 4: dataset.offset = offset()
    case 5: dataset.offset = dataset.offset.map { $0 &+ one(of: [1, 64, .max]) }
    case 6: dataset.storageSize = size()
    case 7: dataset.filters = few { $0.one(of: [1, 2, 3]) }
    default: dataset.chunks = Bool.random(using: &self) ? chunks() : nil
    }
    object.kind = .dataset(dataset)
  }
}
