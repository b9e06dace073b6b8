// The chunked datasets of a checkpoint, for decoding.

import UnrollHDF5
import UnrollTensors

extension Contents {
  /// Returns the decoding orders of the chunked datasets, each at a multiple of 64 bytes of the output.
  func decodingOrders(where isWanted: (String) -> Bool) -> [DecodingOrder] {
    var (orders, end): ([DecodingOrder], Int) = ([], 0)
    for (path, dataset) in datasets where dataset.layout == .chunked && isWanted(path) {
      guard let rows = dataset.rowsPerChunk, case .element(let element) = dataset.datatype,
        let shape = dataset.shape
      else { continue }
      let order = DecodingOrder(
        path: path, element: element, dimensions: shape.dimensions, rowsPerChunk: rows, offset: end)
      let (next, overflow) = end.addingReportingOverflow(order.byteCount)
      guard !overflow, next < Int.max - Layout.alignment else { return [] }
      orders.append(order)
      end = order.nextOffset
    }
    return orders
  }
}

extension DatasetDescription {
  /// The number of rows of a chunk; `nil` unless the chunks are made of whole rows and are small.
  var rowsPerChunk: Int? {
    guard let shape, let chunk = chunks?.dimensions, let declaredByteCount, declaredByteCount > 0,
      let rows = chunk.first.flatMap({ Int(exactly: $0) }), rows > 0,
      chunk.count == shape.rank, chunk.dropFirst().elementsEqual(dimensions?.dropFirst() ?? [])
    else { return nil }
    let rowSize = declaredByteCount / shape.dimensions[0]
    let (size, overflow) = rows.multipliedReportingOverflow(by: rowSize)
    return !overflow && size <= FileWriter.maximumChunkSize ? rows : nil
  }
}
