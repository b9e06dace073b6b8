// Event files of TensorBoard: records of protocol buffers with checksums.

import Foundation
import UnrollTensors

/// A file of scalars by step.
///
/// A record is a length (u64), its checksum, an `Event`, and its checksum (`tensorflow/core/lib/io/record_writer.h`,
/// `tensorflow/core/util/event.proto`); all numbers are little-endian.
struct TensorBoardFile {
  private let file: OpenFile

  /// Creates a new file, which TensorBoard shows with the others of the folder.
  ///
  /// - Parameter folder: The folder; it is created if it does not exist.
  /// - Throws: `FileError` if the file cannot be created.
  init(folder: String) throws {
    try makeFolder(folder)
    // Names sort by time and are unique to the process.
    let seconds = Int(Date().timeIntervalSince1970)
    let path =
      "\(folder)/events.out.tfevents.\(seconds).\(ProcessInfo.processInfo.hostName).\(getpid())"
    file = try OpenFile(path, O_CREAT | O_EXCL)
    try write { $0.add(3, text: "brain.Event:2") }
  }

  /// Writes the values of a step.
  ///
  /// - Parameters:
  ///   - scalars: The values by name.
  ///   - step: The step.
  /// - Throws: `FileError` if they cannot be written.
  func write(_ scalars: [(name: String, value: Double)], step: Int) throws {
    try write { event in
      event.add(2, number: UInt64(step))
      var summary = Message()
      for (name, value) in scalars {
        var scalar = Message()
        scalar.add(1, text: name)
        scalar.add(2, float: Float(value))
        summary.add(1, message: scalar)
      }
      event.add(5, message: summary)
    }
  }

  /// Marks a restart after a step: TensorBoard drops later steps of the folder's other files.
  ///
  /// - Parameter step: The last valid step.
  /// - Throws: `FileError` if it cannot be written.
  func restart(afterStep step: Int) throws {
    try write { event in
      event.add(2, number: UInt64(step + 1))
      var log = Message()
      log.add(1, number: 1)  // SessionLog.START
      event.add(7, message: log)
    }
  }

  private func write(_ fill: (inout Message) -> Void) throws {
    var event = Message()
    event.add(1, double: Date().timeIntervalSince1970)
    fill(&event)
    let length = littleEndian(UInt64(event.bytes.count))
    let record =
      length + littleEndian(maskedChecksum(length)) + event.bytes
      + littleEndian(maskedChecksum(event.bytes))
    try file.write(record)
  }
}

/// A protocol buffer under construction.
private struct Message {
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

  mutating func add(_ field: UInt64, message: Message) { add(field, content: message.bytes) }
}

private func littleEndian(_ number: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: number.littleEndian, Array.init)
}
