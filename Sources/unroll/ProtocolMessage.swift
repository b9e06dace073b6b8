// Messages of Protocol Buffers, as TensorBoard reads them.

import Foundation
import UnrollNeural
import UnrollTensors

/// A message of Protocol Buffers, under construction.
struct ProtocolMessage {
  private(set) var bytes: [UInt8] = []

  private mutating func add(_ number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  private mutating func add(_ field: UInt64, content: [UInt8]) {
    add(field << 3 | 2)
    add(UInt64(content.count))
    bytes += content
  }

  mutating func add(_ field: UInt64, number: UInt64) {
    add(field << 3)
    add(number)
  }

  mutating func add(_ field: UInt64, double: Double) {
    add(field << 3 | 1)
    bytes += littleEndian(double.bitPattern)
  }

  mutating func add(_ field: UInt64, float: Float) {
    add(field << 3 | 5)
    bytes += littleEndian(float.bitPattern)
  }

  mutating func add(_ field: UInt64, text: String) { add(field, content: Array(text.utf8)) }

  mutating func add(_ field: UInt64, packed numbers: [Double]) {
    add(field, content: numbers.flatMap { littleEndian($0.bitPattern) })
  }

  mutating func add(_ field: UInt64, message: ProtocolMessage) {
    add(field, content: message.bytes)
  }
}

/// Returns the bytes of a number.
func littleEndian(_ number: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: number.littleEndian, Array.init)
}

// MARK: Messages of TensorBoard

extension ProtocolMessage {
  /// A `HistogramProto` (`tensorflow/core/framework/summary.proto`).
  init(_ histogram: NumberHistogram) {
    add(1, double: histogram.range.lowerBound)
    add(2, double: histogram.range.upperBound)
    add(3, double: Double(histogram.counts.reduce(0, +)))
    add(4, double: histogram.sum)
    add(5, double: histogram.sumOfSquares)
    add(6, packed: histogram.upperBounds)
    add(7, packed: histogram.counts.map(Double.init))
  }

  /// Returns a value of a summary for the text dashboard: a tensor of one string, in Markdown.
  static func text(_ text: String, tag: String) -> ProtocolMessage {
    var tensor = ProtocolMessage()
    tensor.add(1, number: 7)  // DT_STRING
    tensor.add(2, message: ProtocolMessage())  // no dimensions
    tensor.add(8, text: text)
    var value = plugin("text", tag: tag, content: ProtocolMessage())
    value.add(8, message: tensor)
    return value
  }

  /// Returns a value of a summary for the dashboard of hyperparameters: an `HParamsPluginData` with one field
  /// (`tensorboard/plugins/hparams/plugin_data.proto`).
  static func hyperparameters(
    _ field: UInt64, _ message: ProtocolMessage, tag: String
  ) -> ProtocolMessage {
    var data = ProtocolMessage()
    data.add(field, message: message)
    return plugin("hparams", tag: "_hparams_/\(tag)", content: data)
  }

  /// Returns a `SessionStartInfo` with the settings of a training.
  static func sessionStart(_ settings: [(name: String, value: String)]) -> ProtocolMessage {
    var session = ProtocolMessage()
    for (name, text) in settings {
      var value = ProtocolMessage()
      if let number = Double(text), number.isFinite {
        value.add(2, double: number)
      } else {
        value.add(3, text: text)
      }
      var entry = ProtocolMessage()
      entry.add(1, text: name)
      entry.add(2, message: value)
      session.add(1, message: entry)
    }
    session.add(5, double: Date().timeIntervalSince1970)
    return session
  }

  /// Returns a value of a summary with the name of the plugin that shows it.
  private static func plugin(
    _ name: String, tag: String, content: ProtocolMessage
  ) -> ProtocolMessage {
    var data = ProtocolMessage()
    data.add(1, text: name)
    if !content.bytes.isEmpty { data.add(2, message: content) }
    var metadata = ProtocolMessage()
    metadata.add(1, message: data)
    metadata.add(4, number: 2)  // DATA_CLASS_TENSOR
    var value = ProtocolMessage()
    value.add(1, text: tag)
    value.add(9, message: metadata)
    return value
  }
}
