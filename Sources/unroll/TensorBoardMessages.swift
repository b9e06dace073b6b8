// Messages of Protocol Buffers that TensorBoard reads.

import Foundation
import UnrollNeural
import UnrollSerialization

extension WireWriter {
  /// Adds a `HistogramProto` (`tensorflow/core/framework/summary.proto`).
  mutating func add(_ field: Int, _ histogram: NumberHistogram) {
    add(field) { message in
      message.add(1, histogram.range.lowerBound)
      message.add(2, histogram.range.upperBound)
      message.add(3, Double(histogram.counts.reduce(0, +)))
      message.add(4, histogram.sum)
      message.add(5, histogram.sumOfSquares)
      message.add(6, packed: histogram.upperBounds)
      message.add(7, packed: histogram.counts.map(Double.init))
    }
  }

  /// Adds a value of a summary for the text dashboard: a tensor of one string, in Markdown.
  mutating func addValue(text: String, tag: String) {
    add(1) { value in
      value.addPlugin("text", tag: tag)
      value.add(8) { tensor in
        tensor.add(1, 7)  // DT_STRING
        tensor.add(2) { _ in }  // no dimensions
        tensor.add(8, text)
      }
    }
  }

  /// Adds a value of a summary for the dashboard of hyperparameters: an `HParamsPluginData` with one field
  /// (`tensorboard/plugins/hparams/plugin_data.proto`).
  mutating func addValue(
    hyperparameters field: Int, tag: String, _ fill: @escaping (inout WireWriter) -> Void
  ) {
    add(1) { value in
      value.addPlugin("hparams", tag: "_hparams_/\(tag)") { $0.add(field, fill) }
    }
  }

  /// Adds the fields of a `SessionStartInfo` with the settings of a training.
  mutating func addSessionStart(_ settings: [(name: String, value: String)]) {
    for (name, text) in settings {
      add(1) { entry in
        entry.add(1, name)
        entry.add(2) { value in
          if let number = Double(text), number.isFinite {
            value.add(2, number)
          } else {
            value.add(3, text)
          }
        }
      }
    }
    add(5, Date().timeIntervalSince1970)
  }

  /// Adds the tag of a summary's value, and the plugin that shows it with the plugin's own message.
  private mutating func addPlugin(
    _ name: String, tag: String, _ content: ((inout WireWriter) -> Void)? = nil
  ) {
    add(1, tag)
    add(9) { metadata in
      metadata.add(1) { data in
        data.add(1, name)
        if let content { data.add(2, content) }
      }
      metadata.add(4, 2)  // DATA_CLASS_TENSOR
    }
  }
}
