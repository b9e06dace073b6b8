// Readers that answer something else than libhdf5 did.

import UnrollFormat
import UnrollHDF5

extension ContainerReader {
  /// Answers an inventory that was made before.
  static func answering(_ inventory: Inventory) -> ContainerReader {
    ContainerReader { _ in
      inventory
    } decode: { orders, path, descriptor throws(ContainerFailure) in
      try inProcess.decode(orders, path, descriptor)
    }
  }

  /// Answers libhdf5's inventory after a change to it.
  static func changing(
    _ change: @escaping @Sendable (inout Inventory) throws(ContainerFailure) -> Void
  ) -> ContainerReader {
    ContainerReader { path throws(ContainerFailure) in
      var inventory = try inProcess.inventory(path)
      try change(&inventory)
      return inventory
    } decode: { orders, path, descriptor throws(ContainerFailure) in
      try inProcess.decode(orders, path, descriptor)
    }
  }
}
