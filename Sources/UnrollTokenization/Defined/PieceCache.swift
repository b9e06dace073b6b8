// A cache of the tokens of pieces of text: most words of a text occur again.

import Synchronization

/// The tokens of pieces that were seen.
///
/// A class because all copies of an encoder share it; results do not depend on it.
final class PieceCache: Sendable {
  private struct State {
    var pieces = TokenTable()
    /// The start of each piece's tokens in `tokens`, and the end of the last ones.
    var starts = [0]
    var tokens: [Piece] = []
  }

  /// The maximum number of cached pieces, and the maximum size of one.
  private static let limit = (count: 100_000, size: 64)
  private let state = Mutex(State())

  /// Calls `body` with each token of some parts of a text, from the cache or from `encode`.
  func forEachToken(
    of text: UnsafeRawBufferPointer, _ parts: [Range<Int>],
    encode: (UnsafeRawBufferPointer) -> [Piece], _ body: (Piece, _ partStart: Int) -> Void
  ) {
    state.withLock { state in
      for part in parts {
        let piece = UnsafeRawBufferPointer(rebasing: text[part])
        if piece.count <= Self.limit.size, let index = state.pieces.index(of: piece) {
          for token in state.starts[index]..<state.starts[index + 1] {
            body(state.tokens[token], part.lowerBound)
          }
          continue
        }
        let tokens = encode(piece)
        if piece.count <= Self.limit.size, state.pieces.count < Self.limit.count {
          _ = state.pieces.insert(piece)
          state.tokens += tokens
          state.starts.append(state.tokens.count)
        }
        for token in tokens { body(token, part.lowerBound) }
      }
    }
  }
}

/// A token and its end in its piece of text; the id is `EncodedLine.noToken` for unknown text.
struct Piece: Sendable, Hashable {
  var id: Int32
  var end: Int
}
