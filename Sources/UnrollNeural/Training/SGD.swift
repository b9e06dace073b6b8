// Stochastic gradient descent with momentum, weight decay and clipping by the global norm.

import CUnrollKernels
import UnrollFormat
import UnrollTensors

/// The rule of `torch.optim.SGD` after `clip_grad_norm_`: g is the gradient, scaled down where the
/// norm of all gradients exceeds the bound; `g += weightDecay * p`; `v = momentum * v + g`;
/// `p -= learningRate * v`.
public struct SGD: Sendable {
  /// What multiplies the velocity.
  public var learningRate: Double
  /// How much of the velocity stays, from 0 up to but not including 1.
  public let momentum: Double
  /// What of a parameter is added to its gradient.
  public let weightDecay: Double
  /// The global norm that gradients are clipped to, or `nil` where they are not.
  public let clipNorm: Double?
  /// The velocities, where there is momentum.
  private var velocities = ParameterTree<[Float]>()

  /// Creates an optimizer.
  ///
  /// - Parameters:
  ///   - learningRate: What multiplies the velocity.
  ///   - momentum: How much of the velocity stays.
  ///   - weightDecay: What of a parameter is added to its gradient.
  ///   - clipNorm: The global norm that gradients are clipped to, or `nil`.
  ///   - velocities: Those of a run that is resumed; zero for parameters that it lacks.
  ///   - architecture: The model's.
  public init(
    learningRate: Double, momentum: Double = 0, weightDecay: Double = 0, clipNorm: Double? = nil,
    velocities: ParameterTree<Tensor> = ParameterTree(), for architecture: Architecture
  ) {
    self.learningRate = learningRate
    self.momentum = momentum
    self.weightDecay = weightDecay
    self.clipNorm = clipNorm
    guard momentum > 0 else { return }
    for (path, shape) in architecture.parameters {
      self.velocities[path] =
        velocities[path]?.floats() ?? Array(repeating: 0, count: shape.elementCount ?? 0)
    }
  }

  /// The velocities as tensors of the parameters' shapes; none without momentum.
  public func tensors(for architecture: Architecture) -> ParameterTree<Tensor> {
    var tensors = ParameterTree<Tensor>()
    for (path, shape) in architecture.parameters {
      tensors[path] = velocities[path].map { Tensor($0, shape: shape) }
    }
    return tensors
  }

  /// Moves the parameters of a model against the gradients that its last window left.
  ///
  /// - Parameters:
  ///   - model: The model.
  ///   - norm: The norm of its gradients, `model.gradientNorm`.
  public mutating func step(_ model: TrainableModel, gradientNorm norm: Double) {
    var settings = unroll_sgd(
      learning_rate: Float(learningRate), momentum: Float(momentum),
      weight_decay: Float(weightDecay), scale: 1)
    if let clipNorm {
      // PyTorch's small number keeps a zero norm from dividing.
      settings.scale = Float(min(1, clipNorm / (norm + 1e-6)))
    }
    model.update { path, values, gradient in
      let updated: Void? = velocities.update(path) {
        $0.withUnsafeMutableBufferPointer { velocity in
          Self.step(&values, gradient, velocity: velocity.start, settings)
        }
      }
      if updated == nil { Self.step(&values, gradient, velocity: nil, settings) }
    }
  }

  private static func step(
    _ values: inout [Float], _ gradient: Gradient, velocity: UnsafeMutablePointer<Float>?,
    _ settings: unroll_sgd
  ) {
    values.withUnsafeMutableBufferPointer { values in
      switch gradient {
      case .dense(let numbers):
        unroll_sgd_step(values.start, numbers, velocity, values.count, settings)
      case .rows(let rows):
        step(values, rows, velocity: velocity, settings)
      }
    }
  }

  /// Moves a matrix some of whose rows have a gradient; the others have velocity and decay only.
  private static func step(
    _ values: UnsafeMutableBufferPointer<Float>, _ gradient: RowGradient,
    velocity: UnsafeMutablePointer<Float>?, _ settings: unroll_sgd
  ) {
    let width = gradient.width
    let othersMove = velocity != nil || settings.weight_decay != 0
    var next = 0
    func moveOthers(upTo row: Int) {
      guard othersMove, next < row else { return }
      unroll_sgd_step(
        values.start + next * width, nil, velocity.map { $0 + next * width }, (row - next) * width,
        settings)
    }
    gradient.values.withUnsafeBufferPointer { numbers in
      for (index, token) in gradient.tokens.enumerated() {
        let row = Int(token)
        moveOthers(upTo: row)
        unroll_sgd_step(
          values.start + row * width, numbers.start + index * width,
          velocity.map { $0 + row * width }, width, settings)
        next = row + 1
      }
    }
    moveOthers(upTo: values.count / width)
  }
}
