// The values of a file of Lua's Torch: tables, objects, tensors and their storages.

import UnrollTensors

/// A value of a file of Torch7.
enum Torch7Value: Sendable, Hashable {
  case null
  case number(Double)
  case boolean(Bool)
  case text([UInt8])
  /// A table, an object, a tensor or a storage, by its index among the nodes of the file.
  case node(Int)
  /// A function, which is skipped and never run.
  case function

  /// Creates a text, as keys are compared with.
  init(_ text: String) { self = .text(Array(text.utf8)) }

  /// A short description for messages.
  var description: String {
    switch self {
    case .null: "nil"
    case .number(let number): Int(exactly: number).map(String.init) ?? "\(number)"
    case .boolean(let flag): "\(flag)"
    case .text(let bytes): String(decoding: bytes.prefix(60), as: UTF8.self)
    case .node: "a table or an object"
    case .function: "a function"
    }
  }
}

/// A value that other values may share, or contain themselves.
struct Torch7Node: Sendable {
  /// The content of a node.
  enum Content: Sendable {
    /// A table, in `entries`.
    case table
    /// An object of a class that is written as a table.
    case object(body: Torch7Value)
    /// A view of a storage, which is `nil` for a tensor without elements; the offset counts from 0.
    case tensor(sizes: [Int], strides: [Int], offset: Int, storage: Torch7Value)
    /// Elements among the bytes of the binary form.
    case storage(element: TorchElement, bytes: Range<Int>)
  }

  /// The class, such as `nn.Linear`; empty for a table.
  var className = ""
  var content = Content.table
  var entries: [(key: Torch7Value, value: Torch7Value)] = []
}
