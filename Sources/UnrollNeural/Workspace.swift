// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Memory that a window needs while it is computed, kept for the next window.

/// The scratch buffers of one running window; each only grows.
struct Workspace: Sendable {
  /// `[T*B, D]` the input of the layer at work: embeddings, or the hidden states from below.
  var below: [Float] = []
  /// `[T*B, H]` the hidden states of the layer at work.
  var hidden: [Float] = []
  /// `[T*B, G*H]` the gates of the layer at work.
  var gates: [Float] = []
  /// `[B, 3H]` the recurrent part of a GRU's gates.
  var recurrent: [Float] = []
  /// `[128, width]` the logits of one block of rows and one panel of the vocabulary.
  var logits: [Float] = []
}

extension [Float] {
  /// Makes room for at least a number of elements and passes their address.
  mutating func withScratch<Result>(
    _ count: Int, _ body: (UnsafeMutablePointer<Float>) throws -> Result
  ) rethrows -> Result {
    if self.count < count || isEmpty {
      // The old memory goes before the new comes.
      self = []
      self = Array(repeating: 0, count: Swift.max(count, 1))
    }
    return try withUnsafeMutableBufferPointer { try body($0.start) }
  }
}

extension UnsafeBufferPointer {
  /// The address of the first element, where there is one.
  var start: UnsafePointer<Element> {
    guard let baseAddress else { preconditionFailure("an empty buffer has no address") }
    return baseAddress
  }
}

extension UnsafeMutableBufferPointer {
  /// The address of the first element, where there is one.
  var start: UnsafeMutablePointer<Element> {
    guard let baseAddress else { preconditionFailure("an empty buffer has no address") }
    return baseAddress
  }
}
