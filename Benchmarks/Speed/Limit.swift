// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The limit of the machine: the time of a model's matrix products alone, at the best rate found for each shape;
// for one token at a time also the time to read all weights once, if that is less.

import CUnrollKernels
import Foundation
import UnrollFormat

/// The limit of a kind of work.
struct Limit {
  let precision: Precision
  private var known: [[Int]: Double] = [:]

  init(_ precision: Precision) { self.precision = precision }

  /// The bytes of a number.
  private var size: Int { [.float32: 4, .bfloat16: 2][precision] ?? 1 }

  /// The seconds that the products of a model's window take at least.
  ///
  /// - Parameters:
  ///   - architecture: The model.
  ///   - T: The time steps.
  ///   - B: The columns.
  ///   - trains: `true` to include the backward pass: to the inputs and to the weights.
  mutating func seconds(of architecture: Architecture, T: Int, B: Int, trains: Bool) -> Double {
    var total = 0.0
    func product(_ M: Int, _ N: Int, _ K: Int) -> Double { best(M, N, K) }
    for layer in architecture.layers {
      let (D, H) = (layer.inputSize, layer.hiddenSize)
      let G = layer.cell.gateCount * H
      total += product(T * B, G, D) + Double(T) * product(B, G, H)
      guard trains else { continue }
      total += product(T * B, D, G) + product(G, D, T * B)
      total += Double(T - 1) * product(B, H, G) + product(G, H, T * B)
    }
    let (V, H) = (architecture.vocabularySize, architecture.topSize)
    total += product(T * B, V, H)
    if trains { total += product(T * B, H, V) + product(V, H, T * B) }
    return total
  }

  /// The best time of a product of [M, K] and [K, N], packed.
  private mutating func best(_ M: Int, _ N: Int, _ K: Int) -> Double {
    if let seconds = known[[M, N, K]] { return seconds }
    // Whole, or as rows and panels that stay in the cache.
    let seconds = [(M, N), (min(M, 128), min(N, 1024)), (M, min(N, 1024))].compactMap {
      time(M, N, K, rows: $0, width: $1)
    }.min()
    known[[M, N, K]] = seconds
    return seconds ?? .nan
  }

  private func time(_ M: Int, _ N: Int, _ K: Int, rows: Int, width: Int) -> Double? {
    var weight: OpaquePointer?
    let kind = [.float32: UNROLL_F32, .bfloat16: UNROLL_BF16][precision] ?? UNROLL_INT8
    guard unroll_packed_weight_create(N, K, false, width, false, kind, &weight) == UNROLL_OK,
      let weight
    else { return nil }
    defer { unroll_packed_weight_destroy(weight) }
    let scales = [Float](repeating: 1, count: M)
    let zeros = [Float](repeating: 0, count: max(width * K, M * K))
    var y = [Float](repeating: 0, count: rows * width)
    let panels = (N + width - 1) / width
    for panel in 0..<panels { _ = unroll_pack_panel(weight, panel, zeros, nil) }
    func multiply() {
      zeros.withUnsafeBytes { x in
        for panel in 0..<panels {
          for row in stride(from: 0, to: M, by: rows) {
            guard let start = x.baseAddress else { return }
            _ = unroll_product(
              weight, panel, start + row * K * size, scales, &y, min(rows, M - row))
          }
        }
      }
    }
    multiply()
    let count = max(1, min(50, 20_000_000_000 / (2 * M * N * K + 400_000_000)))
    return (0..<7).map { _ in elapsed { for _ in 0..<count { multiply() } } / Double(count) }.min()
  }

  /// The seconds to read all weights of a model once, from memory or from the cache that holds them.
  func secondsToRead(_ architecture: Architecture, threads: Int) -> Double {
    let weights = architecture.parameters.reduce(0) {
      $0 + ($1.path == .embeddingWeight && !architecture.isTied ? 0 : $1.shape.elementCount ?? 0)
    }
    let words = weights * size / 64
    let buffer = [SIMD8<UInt64>](repeating: SIMD8(repeating: 1), count: max(words, threads))
    return buffer.withUnsafeBufferPointer { buffer in
      nonisolated(unsafe) let buffer = buffer
      let times = (0..<20).map { _ in
        elapsed {
          DispatchQueue.concurrentPerform(iterations: threads) { thread in
            let first = buffer.count * thread / threads
            let count = buffer.count * (thread + 1) / threads - first
            var (a, b, c, d) = (SIMD8<UInt64>(), SIMD8<UInt64>(), SIMD8<UInt64>(), SIMD8<UInt64>())
            for index in stride(from: first, to: first + count / 4 * 4, by: 4) {
              a &+= buffer[index]
              b &+= buffer[index + 1]
              c &+= buffer[index + 2]
              d &+= buffer[index + 3]
            }
            precondition((a &+ b &+ c &+ d)[0] < .max)
          }
        }
      }
      return times.min() ?? .nan
    }
  }
}

/// The time that some work takes.
func elapsed(_ work: () throws -> Void) rethrows -> Double {
  let start = ContinuousClock.now
  try work()
  return start.duration(to: .now) / .seconds(1)
}
