// Folders that hold a single model.

import Foundation
import UnrollTensors

/// The refusal of a folder that has the records of a `.keras` archive; `nil` for other folders.
///
/// - Parameter folder: The folder.
/// - Returns: The refusal.
func refusalOfUnpackedModel(_ folder: String) -> Refusal? {
  let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
  guard Set(names).isSuperset(of: ["config.json", "model.weights.h5", "metadata.json"]) else {
    return nil
  }
  return Refusal(
    "\(printable(folder)): expected a file of a model; found the folder of one that was unpacked\n"
      + "  fix: pack it again, in that folder: "
      + "`zip -0 ../packed.keras metadata.json config.json model.weights.h5`")
}
