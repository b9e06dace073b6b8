// Folders that hold a single model.

import Foundation
import UnrollTensors

/// A folder that is one model for other programs, and that Unroll reads as a file.
enum UnpackedModel {
  /// The records of a `.keras` archive.
  case keras
  /// A folder with `saved_model.pb`.
  case savedModel

  /// Examines a folder; `nil` if it is not such a model.
  init?(folder: String) {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    if names.contains("saved_model.pb") {
      self = .savedModel
    } else if Set(names).isSuperset(of: ["config.json", "model.weights.h5", "metadata.json"]) {
      self = .keras
    } else {
      return nil
    }
  }

  /// Returns the refusal of the folder.
  func refusal(_ folder: String) -> Refusal {
    let found =
      switch self {
      case .keras:
        "the folder of one that was unpacked\n  fix: pack it again, in that folder: "
          + "`zip -0 ../packed.keras metadata.json config.json model.weights.h5`"
      case .savedModel:
        "a SavedModel of TensorFlow\n  fix: load it with TensorFlow's Keras and save the model in one "
          + "file: `model.save(\"model.keras\")`"
      }
    return Refusal("\(printable(folder)): expected a file of a model; found \(found)")
  }
}
