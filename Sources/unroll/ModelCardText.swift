// The model card of a checkpoint as model hubs read it: Markdown with YAML front matter.

import UnrollFormat
import UnrollTensors

/// A model card in the form of the Hugging Face Hub.
///
/// The front matter holds fields of the file's card under the Hub's names; the page holds its description, the
/// structure, the digest and the history.
struct ModelCardText {
  /// The fields of the front matter, in order; values are texts or lists of texts.
  let fields: [(name: String, value: Value)]
  /// The page below the front matter.
  let page: String

  enum Value {
    case text(String)
    case list([String])
  }

  /// Creates the card.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - name: The file's name, for a model without a title and for the commands of the page.
  ///   - weightsDigest: The digest of its weights.
  init(_ checkpoint: Checkpoint, name: String, weightsDigest: String) {
    let card = checkpoint.card ?? Card()
    func texts(_ field: CardField) -> [String] { card.fields[field] ?? [] }
    let architecture = checkpoint.architecture
    let cells = Set(architecture.layers.map(\.cell.rawValue)).sorted()
    var fields: [(String, Value)] = [("library_name", .text("unroll"))]
    fields += Self.license(texts(.license).first)
    for (hub, own) in [("language", CardField.languages), ("datasets", .datasets)]
    where !texts(own).isEmpty {
      fields.append((hub, .list(texts(own))))
    }
    if let base = texts(.baseModel).first { fields.append(("base_model", .text(base))) }
    fields.append(("pipeline_tag", .text("text-generation")))
    fields.append(("tags", .list(["unroll", "language-model"] + cells)))
    self.fields = fields

    let title = texts(.title).first.flatMap { $0.isEmpty ? nil : $0 } ?? name
    var lines = ["# \(Self.escaped(title))", ""]
    if let readme = card.readme {
      // The description may begin with a title of its own.
      if readme.hasPrefix("# ") { lines = [] }
      lines += [readme.trimmedLines, ""]
    }
    if !texts(.authors).isEmpty {
      lines += ["Authors: \(texts(.authors).map(Self.escaped).joined(separator: ", "))", ""]
    }
    if let homepage = texts(.homepage).first { lines += ["See \(Self.escaped(homepage))", ""] }
    lines += ["## Model", "", "| | |", "|---|---|"]
    let layers = architecture.layers.map {
      "\($0.cell.rawValue) \($0.inputSize) -> \($0.outputSize)"
    }
    let unit = checkpoint.vocabulary.unit.rawValue
    for (key, value) in [
      ("layers", layers.joined(separator: ", ")),
      ("embedding", "\(architecture.embeddingSize)" + (architecture.isTied ? ", tied" : "")),
      ("vocabulary", "\(architecture.vocabularySize) tokens (\(unit))"),
      ("tokenizer", checkpoint.tokenizer.kind.rawValue),
      ("weights digest", "sha256 `\(weightsDigest)`"),
    ] {
      lines.append("| \(key) | \(value) |")
    }
    lines += [
      "", "## Use", "", "```sh", "unroll evaluate \(shellQuoted(name)) test.txt",
      "unroll score \(shellQuoted(name)) sentences.txt", "unroll generate \(shellQuoted(name))",
      "```", "",
    ]
    if !checkpoint.provenance.isEmpty {
      lines += ["## History", ""]
      lines += checkpoint.provenance.enumerated().map { index, step in
        "\(index + 1). \(Self.escaped(step.operation)) by \(Self.escaped(step.tool))"
          + (step.outcome.isEmpty ? "" : ": \(Self.escaped(step.outcome))")
      }
      lines.append("")
    }
    if let citation = texts(.citation).first {
      lines += ["## Citation", "", "```", citation.replacing("```", with: "'''"), "```", ""]
    }
    page = lines.joined(separator: "\n")
  }

  /// The whole text.
  var text: String {
    var lines = ["---"]
    for (name, value) in fields {
      switch value {
      case .text(let text): lines.append("\(name): \(Self.quoted(text))")
      case .list(let texts): lines += ["\(name):"] + texts.map { "- \(Self.quoted($0))" }
      }
    }
    return (lines + ["---", "", page]).joined(separator: "\n")
  }

  /// Licences whose id on the Hub is their SPDX id in lower case.
  private static let hubLicences: Set<String> = [
    "apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "cc", "cc0-1.0", "cc-by-2.0",
    "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0",
    "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "gpl-2.0", "gpl-3.0", "lgpl-2.1",
    "lgpl-3.0", "agpl-3.0", "mpl-2.0", "unlicense", "wtfpl", "isc", "zlib", "odbl", "pddl",
    "ecl-2.0",
  ]

  /// Returns the fields of a licence: the Hub has ids of its own, and `other` with a name.
  private static func license(_ expression: String?) -> [(String, Value)] {
    guard let expression, !expression.isEmpty else { return [] }
    var id = expression.lowercased()
    for suffix in ["-only", "-or-later"] where id.hasSuffix(suffix) {
      id = String(id.dropLast(suffix.count))
    }
    guard !hubLicences.contains(id) else { return [("license", .text(id))] }
    return [("license", .text("other")), ("license_name", .text(expression))]
  }

  /// Returns a string of YAML: one in double quotes, with the escapes that JSON and YAML share.
  private static func quoted(_ text: String) -> String {
    let isPlain =
      text.first?.isLetter == true
      && text.utf8.allSatisfy {
        switch $0 {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
          UInt8(ascii: "-"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
    // YAML reads such words as other values.
    let words: Set = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
    guard !isPlain || words.contains(text) else { return text }
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\" + String(scalar)
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// Returns text that Markdown shows as it is, in one line.
  private static func escaped(_ text: String) -> String {
    var result = ""
    for character in printable(text) {
      if "\\`*_[]<>#|&".contains(character) { result.append("\\") }
      result.append(character)
    }
    return result
  }
}

extension String {
  /// The text without white space at its ends.
  fileprivate var trimmedLines: String {
    var rest = self[...]
    while rest.first?.isWhitespace == true { rest.removeFirst() }
    while rest.last?.isWhitespace == true { rest.removeLast() }
    return String(rest)
  }
}
