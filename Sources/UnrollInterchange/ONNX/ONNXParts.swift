// The parts of a graph that is written: operations, constants, inputs and results.

import UnrollSerialization
import UnrollTensors

extension ONNXWriter {
  /// An operation.
  struct Node {
    enum Value {
      case int(Int)
      case ints([Int])
      case text(String)
      case floats([Float])
      case texts([String])
    }

    let operation: String
    let inputs: [String]
    let outputs: [String]
    var attributes: [(name: String, value: Value)] = []

    init(
      _ operation: String, _ inputs: [String], _ outputs: [String],
      _ attributes: [(String, Value)] = []
    ) {
      self.operation = operation
      self.inputs = inputs
      self.outputs = outputs
      self.attributes = attributes.map { (name: $0.0, value: $0.1) }
    }

    func write(_ message: inout WireWriter) {
      for input in inputs { message.add(1, input) }
      for output in outputs { message.add(2, output) }
      message.add(3, outputs.first ?? operation)
      message.add(4, operation)
      for (name, value) in attributes {
        message.add(5) { attribute in
          attribute.add(1, name)
          // The last field is the `AttributeType`.
          switch value {
          case .int(let number):
            attribute.add(3, number)
            attribute.add(20, 2)
          case .ints(let numbers):
            for number in numbers { attribute.add(8, number) }
            attribute.add(20, 7)
          case .text(let text):
            attribute.add(4, text)
            attribute.add(20, 3)
          case .floats(let numbers):
            for number in numbers { attribute.add(7, number) }
            attribute.add(20, 6)
          case .texts(let texts):
            for text in texts { attribute.add(9, text) }
            attribute.add(20, 8)
          }
        }
      }
    }
  }

  /// A constant.
  struct Initializer {
    let name: String
    let dimensions: [Int]
    let storages: [ByteStorage]
    /// `true` if the data are 64-bit sizes.
    var isShape = false

    init(name: String, dimensions: [Int], storages: [ByteStorage], isShape: Bool = false) {
      self.name = name
      self.dimensions = dimensions
      self.storages = storages
      self.isShape = isShape
    }

    /// Creates a list of sizes, or one size without an axis.
    init(_ name: String, sizes: [Int], isScalar: Bool = false) {
      let bytes = sizes.flatMap { withUnsafeBytes(of: Int64($0).littleEndian, Array.init) }
      self.init(
        name: name, dimensions: isScalar ? [] : [sizes.count], storages: [.owned(bytes)],
        isShape: true)
    }
  }

  /// Adds a value's name, type and sizes; a size may be symbolic.
  static func value(
    _ name: String, _ type: Int, _ sizes: [any Sendable], _ message: inout WireWriter
  ) {
    message.add(1, name)
    message.add(2) {
      $0.add(1) { tensor in
        tensor.add(1, type)
        tensor.add(2) { shape in
          for size in sizes {
            shape.add(1) { dimension in
              if let number = size as? Int { dimension.add(1, number) }
              if let name = size as? String { dimension.add(2, name) }
            }
          }
        }
      }
    }
  }
}
