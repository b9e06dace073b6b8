// What a configuration says of a layer's variables, and what it cannot say.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// What a configuration says of a layer's variables; `nil` where it says nothing.
struct KerasDeclaration {
  /// The class, such as `LSTM`.
  let className: String
  /// The width of the output: `units`, or of an Embedding `output_dim`.
  let units: Int?
  /// The number of rows of an Embedding.
  let inputDimension: Int?
  /// Whether there is a bias.
  let usesBias: Bool?
  /// The rank of the two matrices whose product is trained in the place of the weights (LoRA).
  let adaptationRank: Int?
  /// The type of the variables.
  let dtype: DType?

  /// Takes what an entry says.
  ///
  /// - Parameters:
  ///   - entry: The entry.
  ///   - error: Makes an error of what was expected and found.
  /// - Throws: What `error` makes, for settings of which Keras makes no layer.
  init(
    _ entry: KerasLayerEntry, error: (_ expected: String, _ found: String) -> InterchangeError
  ) throws {
    func number(_ name: String, from smallest: Int) throws -> Int? {
      guard let value = entry.settings[name] else { return nil }
      guard let number = value.int, number >= smallest else {
        throw error("\(name) that is an integer from \(smallest) on", value.words)
      }
      return number
    }
    className = entry.className
    units = try number("units", from: 1) ?? number("output_dim", from: 1)
    inputDimension = try number("input_dim", from: 1)
    usesBias = entry.settings["use_bias"]?.bool
    let rank = try number("lora_rank", from: 0) ?? 0
    guard rank == 0 || ["Embedding", "Dense"].contains(className) else {
      throw error("lora_rank in layers that have it, Embedding and Dense", "a layer \(className)")
    }
    adaptationRank = rank == 0 ? nil : rank
    dtype = try entry.settings["dtype"].map { value in
      guard let type = entry.policy.flatMap(DType.init(ofKerasPolicy:)) else {
        throw error(
          "a dtype of floating point, such as float32", entry.policy ?? value.words)
      }
      return type
    }
  }
}

extension KerasLayerEntry {
  /// The name of the policy that says which types it has and computes in.
  var policy: String? { settings["dtype"]?["config"]?["name"]?.text ?? settings["dtype"]?.text }
}

extension DType {
  /// The name of Keras's policy for such numbers; `nil` for types that models are not made of.
  var kerasName: String? {
    switch self {
    case .float16: "float16"
    case .bfloat16: "bfloat16"
    case .float32: "float32"
    case .float64: "float64"
    default: nil
    }
  }

  /// The type of variables under a policy; `nil` if it is no floating point, or no policy.
  fileprivate init?(ofKerasPolicy name: String) {
    let isMixed = ["mixed_float16", "mixed_bfloat16"].contains(name)
    guard let type = isMixed ? .float32 : DType.allCases.first(where: { $0.kerasName == name })
    else { return nil }
    self = type
  }
}

extension JSONValue {
  /// The value for messages, if it is short.
  fileprivate var words: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .number(let value): int.map { "\($0)" } ?? "\(value)"
    case .string(let bytes): "\"\(String(decoding: bytes, as: UTF8.self))\""
    case .array: "a list"
    case .object: kerasClass.map { "an object of the class \($0)" } ?? "an object"
    }
  }
}
