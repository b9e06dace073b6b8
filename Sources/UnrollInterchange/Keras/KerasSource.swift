// The part of an opened file on which the rules for Keras's layers depend.

import UnrollFormat
import UnrollTensors

/// A file with variables of Keras: Keras's own, or a checkpoint of TensorFlow.
protocol KerasSource: Sendable {
  /// The generation of Keras, 1, 2 or 3, on which some functions depend.
  var generation: Int { get }
  /// The token lists of the file, by the groups of their layers.
  var assets: [String: String] { get }
  /// The location of the configuration, for messages.
  var placeOfConfiguration: String { get }
  /// Advice if the configuration does not fit the variables.
  var fixOfConfiguration: String { get }
  /// Advice if the file is damaged.
  var saveAgain: String { get }
  /// The number of bytes of all variables, which bounds the memory of reordered copies.
  var byteCount: Int { get }

  /// Returns an error about a location in the file or the configuration.
  func error(
    _ place: String, expected: String, found: String, fix: String
  ) -> InterchangeError
}

extension KerasSource {
  /// Returns an error with the advice to save the model again.
  func error(_ place: String, expected: String, found: String) -> InterchangeError {
    error(place, expected: expected, found: found, fix: saveAgain)
  }
}
