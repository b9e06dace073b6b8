// The settings of training scripts that change what a model computes without a parameter of their own.

import UnrollFormat

/// The value of a setting.
enum SettingValue: Sendable, CustomStringConvertible {
  case bool(Bool)
  case number(Double)
  case text(String)

  /// The value as Python prints it.
  var description: String {
    switch self {
    case .bool(let flag): flag ? "True" : "False"
    case .number(let number): Int(exactly: number).map(String.init) ?? "\(number)"
    case .text(let text): "\"\(text.prefix(60))\""
    }
  }

  /// `true` for a value that switches something on: also a number other than 0, and the name of a kind.
  fileprivate var isOn: Bool {
    switch self {
    case .bool(let flag): flag
    case .number(let number): number != 0
    case .text(let text):
      !["", "none", "null", "false", "no", "off", "0", "0.0"].contains(text.lowercased())
    }
  }

  /// The letters and digits of a text, in lower case.
  fileprivate var word: String? {
    if case .text(let text) = self { ModelSetting.normal(text) } else { nil }
  }
}

/// The meaning of settings beside a model, by the names that programs give them.
///
/// Names are compared without case, underscores and hyphens, and without a word such as `use` in front.
enum ModelSetting {
  private static let backward =
    "a backward language model, which predicts each token from those that follow it"
  private static let bothWays = "a model that reads in both directions"
  private static let normalized = "a normalization between the layers that has no parameters"
  private static let aroundLayers = "connections around the layers"
  private static let translating =
    "a network of REINVENT 4 with an encoder and a decoder"
  private static let attentive = "attention beside the recurrent layers"

  /// A setting by its names, and what the model computes where it is switched on.
  private static let switches: [(names: Set<String>, meaning: String)] = [
    (["backward", "backwardlm", "reverse", "reversed", "righttoleft"], backward),
    (
      [
        "layernorm", "layernormalization", "layernormalized", "batchnorm", "batchnormalization",
        "rmsnorm", "groupnorm", "instancenorm",
      ], normalized
    ),
    (
      [
        "residual", "residuals", "residualconnection", "residualconnections", "skip", "skips",
        "skipconnection", "skipconnections",
      ], aroundLayers
    ),
    (["bidirectional", "bidir", "bidirection", "birnn", "bilstm", "bigru"], bothWays),
    (["attention", "attn", "selfattention", "selfattn"], attentive),
  ]

  /// A setting that stands for one of several, by its name, its words, and what they say.
  private static let choices: [(name: String, words: Set<String>, meaning: String)] = [
    (
      "direction", ["backward", "backwards", "reverse", "reversed", "righttoleft", "rtl"], backward
    ),
    ("direction", ["bidirectional", "bidir", "both"], bothWays),
    ("norm", ["layer", "layernorm", "batch", "batchnorm", "rms", "rmsnorm"], normalized),
    ("normalization", ["layer", "layernorm", "batch", "batchnorm", "rms", "rmsnorm"], normalized),
    ("modeltype", ["libinvent", "linkinvent", "mol2mol", "pepinvent"], translating),
  ]
  private static let prefixes = ["use", "is", "with", "has", "enable", "apply", "add"]

  /// Lower-case letters and digits of a name.
  fileprivate static func normal(_ name: String) -> String {
    String(name.prefix(100).lowercased().filter { $0.isLetter || $0.isNumber })
  }

  /// Returns the computation that a setting adds to embedding, recurrent layers and output; `nil` if it
  /// changes nothing.
  static func meaning(of name: String, _ value: SettingValue) -> String? {
    let whole = normal(name)
    let names = [whole] + prefixes.filter(whole.hasPrefix).map { String(whole.dropFirst($0.count)) }
    if names.contains("forwardlm"), !value.isOn { return backward }
    if let choice = choices.first(where: { choice in
      choice.name == whole && value.word.map(choice.words.contains) == true
    }) {
      return choice.meaning
    }
    if whole == "numdirections", case .number(2) = value { return bothWays }
    guard value.isOn else { return nil }
    return switches.first { !$0.names.isDisjoint(with: names) }?.meaning
  }

  /// Returns `true` if a setting states that the output shares the embedding's weight.
  static func isTie(_ name: String, _ value: SettingValue) -> Bool {
    let names: Set = [
      "tied", "tieweights", "tieembeddings", "tiewordembeddings", "sharedecoderinputoutputembed",
    ]
    return value.isOn && names.contains(normal(name))
  }

  /// Returns the activation of vanilla RNN cells that a setting states.
  static func activation(of name: String, _ value: SettingValue) -> Activation? {
    guard let word = value.word else { return nil }
    switch normal(name) {
    case "nonlinearity": return Activation(ofRNN: word)
    case "model", "modeltype", "rnntype", "celltype", "cell":
      return ["rnntanh": Activation.tanh, "rnnrelu": .relu][word]
    default: return nil
    }
  }
}
