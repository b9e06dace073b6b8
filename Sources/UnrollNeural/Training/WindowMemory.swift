// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The results of a training window that are kept until its backward pass is done.

/// The memory of one window.
struct WindowMemory {
  /// `[T*B, D]` the embeddings of the inputs.
  let embedded = ScratchBuffer<Float>()
  /// The results of each layer.
  let tapes: [LayerTape]
  /// `[T*B, H]` each layer's hidden states after dropout, as the next layer or the output reads them; `nil` for a
  /// layer without dropout.
  private var dropped: [ScratchBuffer<Float>?]
  /// The gradients of the hidden states of the current layer, `[T*B, H]`.
  var dHidden = ScratchBuffer<Float>()
  /// The gradients of its input, `[T*B, D]`.
  private(set) var dInput = ScratchBuffer<Float>()
  /// The gradients of its cell states, `[T*B, H]`, if they are requested.
  let dCells = ScratchBuffer<Float>()

  init(layers: Int) {
    tapes = (0..<layers).map { _ in LayerTape() }
    dropped = Array(repeating: nil, count: layers)
  }

  /// Returns the hidden states of a layer as the layer above, or the output, reads them.
  func output(ofLayer index: Int) -> UnsafePointer<Float> {
    UnsafePointer((dropped[index] ?? tapes[index].hidden).start)
  }

  /// Returns the input of a layer: the output of the one below, or the embeddings.
  func input(ofLayer index: Int) -> UnsafePointer<Float> {
    index == 0 ? UnsafePointer(embedded.start) : output(ofLayer: index - 1)
  }

  /// Applies dropout to the hidden states of a layer, for the next layer or the output.
  mutating func drop(_ dropout: Regularizer.Dropout?, layer: Int, T: Int, B: Int, H: Int) {
    guard let dropout else {
      dropped[layer] = nil
      return
    }
    let buffer = dropped[layer] ?? ScratchBuffer()
    dropped[layer] = buffer
    dropout.apply(
      tapes[layer].hidden.start, into: buffer.room(for: T * B * H), T: T, B: B, N: H)
  }

  /// Goes on to the layer below, whose hidden states are the input of this one.
  mutating func descend() { swap(&dHidden, &dInput) }
}
