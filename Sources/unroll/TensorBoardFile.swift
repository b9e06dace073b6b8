// Event files of TensorBoard: records of protocol buffers with checksums.

import Foundation
import UnrollNeural
import UnrollSerialization
import UnrollTensors

/// A file of numbers and histograms by step, and of the settings of a training.
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
    try write { $0.add(3, "brain.Event:2") }
  }

  /// Writes the values of a step.
  ///
  /// - Parameters:
  ///   - scalars: The values by name.
  ///   - step: The step.
  /// - Throws: `FileError` if they cannot be written.
  func write(_ scalars: [(name: String, value: Double)], step: Int) throws {
    try write(scalars, step: step) { $0.add(2, Float($1)) }
  }

  /// Writes the histograms of a step.
  ///
  /// - Parameters:
  ///   - histograms: The histograms by name.
  ///   - step: The step.
  /// - Throws: `FileError` if they cannot be written.
  func write(_ histograms: [(name: String, value: NumberHistogram)], step: Int) throws {
    try write(histograms, step: step) { $0.add(5, $1) }
  }

  /// Writes a summary of named values.
  private func write<Value>(
    _ values: [(name: String, value: Value)], step: Int,
    _ add: (inout WireWriter, Value) -> Void
  ) throws {
    try write { event in
      event.add(2, step)
      event.add(5) { summary in
        for (name, value) in values {
          summary.add(1) { part in
            part.add(1, name)
            add(&part, value)
          }
        }
      }
    }
  }

  /// Writes the settings as a table, and for the dashboard of hyperparameters.
  ///
  /// - Parameter settings: Their names and values; numbers become numbers.
  /// - Throws: `FileError` if they cannot be written.
  func write(settings: [(name: String, value: String)]) throws {
    let rows = settings.map { "| \($0.name) | \($0.value.replacing(scalar: "|", with: "\\|")) |" }
    let table = (["| setting | value |", "|---|---|"] + rows).joined(separator: "\n")
    try write { event in
      event.add(5) { summary in
        summary.addValue(text: table, tag: "settings/text_summary")
        summary.addValue(hyperparameters: 3, tag: "session_start_info") {
          $0.addSessionStart(settings)
        }
      }
    }
  }

  /// Writes a text of a step.
  ///
  /// - Parameters:
  ///   - text: The text.
  ///   - tag: Its name.
  ///   - step: The step.
  /// - Throws: `FileError` if it cannot be written.
  func write(text: String, tag: String, step: Int) throws {
    try write { event in
      event.add(2, step)
      event.add(5) { $0.addValue(text: text, tag: "\(tag)/text_summary") }
    }
  }

  /// Writes that the training ended without an error.
  ///
  /// - Throws: `FileError` if it cannot be written.
  func writeEnd() throws {
    try write { event in
      event.add(5) { summary in
        summary.addValue(hyperparameters: 4, tag: "session_end_info") { end in
          end.add(1, 1)  // STATUS_SUCCESS
          end.add(2, Date().timeIntervalSince1970)
        }
      }
    }
  }

  /// Marks a restart after a step: TensorBoard drops later steps of the folder's other files.
  ///
  /// - Parameter step: The last valid step.
  /// - Throws: `FileError` if it cannot be written.
  func restart(afterStep step: Int) throws {
    try write { event in
      event.add(2, step + 1)
      event.add(7) { $0.add(1, 1) }  // SessionLog.START
    }
  }

  private func write(_ fill: (inout WireWriter) -> Void) throws {
    var event = WireWriter()
    event.add(1, Date().timeIntervalSince1970)
    fill(&event)
    let bytes = event.bytes
    let length = littleEndian(UInt64(bytes.count))
    try file.write(
      length + littleEndian(maskedChecksum(length)) + bytes + littleEndian(maskedChecksum(bytes)))
  }
}
