// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The results of a training window that are kept until its backward pass is done.

/// The memory of one window; each buffer only grows.
struct WindowMemory {
  /// `[T*B, D]` the embeddings of the inputs.
  var embedded: [Float] = []
  /// The results of each layer.
  var tapes: [LayerTape]
  /// `[T*B, H]` each layer's hidden states after dropout, as the next layer or the output reads them; empty for
  /// a layer without dropout.
  var dropped: [[Float]]
  /// The gradients of the hidden states of the current layer, `[T*B, H]`.
  var dHidden: [Float] = []
  /// The gradients of its input, `[T*B, D]`.
  var dInput: [Float] = []

  init(layers: Int) {
    tapes = Array(repeating: LayerTape(), count: layers)
    dropped = Array(repeating: [], count: layers)
  }

  /// Returns the hidden states of a layer as the layer above, or the output, reads them.
  func output(ofLayer index: Int) -> [Float] {
    dropped[index].isEmpty ? tapes[index].hidden : dropped[index]
  }

  /// Applies dropout to the hidden states of a layer, for the next layer or the output.
  mutating func drop(_ dropout: Regularizer.Dropout?, layer: Int, T: Int, B: Int, H: Int) {
    guard let dropout else {
      dropped[layer] = []
      return
    }
    let hidden = tapes[layer].hidden
    dropped[layer].withScratch(T * B * H) { dropout.apply(hidden, into: $0, T: T, B: B, N: H) }
  }

  /// Passes the input of a layer, which is the output of the one below or the embeddings, and the
  /// layer's tape.
  ///
  /// - Parameters:
  ///   - index: The layer.
  ///   - count: The numbers of its input.
  ///   - body: Receives the input's address and the tape.
  /// - Returns: The result of the closure.
  /// - Throws: Rethrows the errors of the closure.
  mutating func withInput<Result>(
    ofLayer index: Int, count: Int,
    _ body: (UnsafePointer<Float>, inout LayerTape) throws -> Result
  ) rethrows -> Result {
    let input = index == 0 ? embedded : output(ofLayer: index - 1)
    precondition(input.count >= count, "the layer below left too little")
    return try input.withUnsafeBufferPointer { try body($0.start, &tapes[index]) }
  }

  /// Passes the buffers of a layer's backward pass; afterwards `dHidden` holds the gradients of the input that
  /// the closure computed.
  ///
  /// - Parameters:
  ///   - index: The layer.
  ///   - input: The numbers of its input, T*B*D.
  ///   - hidden: The numbers of its hidden states, T*B*H.
  ///   - body: Receives the addresses of the input, of the gradients of the hidden states and of
  ///     those of the input, and the tape.
  /// - Returns: The result of the closure.
  /// - Throws: Rethrows the errors of the closure.
  mutating func withGradients<Result>(
    ofLayer index: Int, input: Int, hidden: Int,
    _ body: (
      UnsafePointer<Float>, inout LayerTape, UnsafeMutablePointer<Float>,
      UnsafeMutablePointer<Float>
    ) throws -> Result
  ) rethrows -> Result {
    var (dHidden, dInput) = (self.dHidden, self.dInput)
    (self.dHidden, self.dInput) = ([], [])
    // The input of this layer is the hidden state of the layer below.
    defer { (self.dHidden, self.dInput) = (dInput, dHidden) }
    return try dHidden.withScratch(hidden) { dHidden in
      try dInput.withScratch(input) { dInput in
        try withInput(ofLayer: index, count: input) { input, tape in
          try body(input, &tape, dHidden, dInput)
        }
      }
    }
  }
}
