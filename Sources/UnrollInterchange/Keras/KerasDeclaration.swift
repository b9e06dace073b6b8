// The declaration of a layer's variables in a configuration.

import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// The declaration of a layer's variables; `nil` for unspecified properties.
struct KerasDeclaration {
  /// The class, such as `LSTM`.
  let className: String
  /// The width of the output: `units`, or `output_dim` of an Embedding.
  let units: Int?
  /// The number of rows of an Embedding.
  let inputDimension: Int?
  /// `true` if there is a bias.
  let usesBias: Bool?
  /// The rank of the two matrices whose product is trained instead of the weights (LoRA).
  let adaptationRank: Int?
  /// The type of the variables.
  let dtype: DType?

  /// Reads the declaration of an entry.
  ///
  /// - Parameters:
  ///   - entry: The entry.
  ///   - error: Creates an error from an expectation and a finding.
  /// - Throws: The error of `error`, for settings that Keras refuses.
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
  /// The name of the dtype policy of the layer.
  var policy: String? { settings["dtype"]?["config"]?["name"]?.text ?? settings["dtype"]?.text }
}

extension DType {
  /// The name of Keras's policy for the type; `nil` for types that are not used for weights.
  var kerasName: String? {
    switch self {
    case .float16: "float16"
    case .bfloat16: "bfloat16"
    case .float32: "float32"
    case .float64: "float64"
    default: nil
    }
  }

  /// Creates the type of variables under a policy; `nil` if it is not a floating-point type, or not
  /// a policy.
  fileprivate init?(ofKerasPolicy name: String) {
    let isMixed = ["mixed_float16", "mixed_bfloat16"].contains(name)
    guard let type = isMixed ? .float32 : DType.allCases.first(where: { $0.kerasName == name })
    else { return nil }
    self = type
  }
}

extension JSONValue {
  /// The value for messages, shortened.
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
