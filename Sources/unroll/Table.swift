// Tables for other programs: TSV, or CSV as in RFC 4180.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollTensors

/// The syntax of a table.
enum TableForm {
  /// Tab-separated columns without quoting: `"` and `#` are ordinary characters.
  case tsv
  /// Comma-separated columns, quoted where needed, and lines that end in CR LF: RFC 4180.
  case csv

  /// Returns a line of the table, without the LF at its end.
  func row(_ cells: [String]) -> String {
    switch self {
    case .tsv: cells.map(Self.escaped).joined(separator: "\t")
    case .csv: cells.map(Self.quoted).joined(separator: ",") + "\r"
    }
  }

  /// `true` if people see the output as it is; the output of an MPI launcher goes on, though some give ranks a terminal.
  private static let isTerminal = isatty(STDOUT_FILENO) == 1 && !Launcher.isShared

  /// Returns a cell with control characters and line ends escaped.
  ///
  /// Zero-width characters are kept, except on a terminal, which some of them control.
  private static func escaped(_ cell: String) -> String {
    if isTerminal { return printable(cell) }
    guard cell.unicodeScalars.contains(where: isControl) else { return cell }
    return cell.unicodeScalars.map { scalar in
      isControl(scalar) ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
    }.joined()
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }

  private static func quoted(_ cell: String) -> String {
    if isTerminal { return quotedText(printable(cell)) }
    return quotedText(cell)
  }

  private static func quotedText(_ cell: String) -> String {
    let special = cell.unicodeScalars.contains { ",\"\r\n".unicodeScalars.contains($0) }
    let hasSpace = cell.hasPrefix(" ") || cell.hasSuffix(" ")
    return special || hasSpace
      ? "\"" + cell.replacing(scalar: "\"", with: "\"\"") + "\"" : cell
  }
}

/// Returns the cell of a number; `NA` for none.
func cell(_ value: Double?) -> String { value.map { String(printf: "%.6f", $0) } ?? "NA" }

/// Returns a warning if a model predicts a text worse than uniform guessing; `nil` if not.
///
/// - Parameters:
///   - nll: The mean negative log-likelihood per token, in nats.
///   - count: The number of predictions; a few say nothing.
///   - vocabularySize: The number of tokens.
/// - Returns: The warning.
func warningOfGuessing(nll: Double, count: Int, vocabularySize: Int) -> String? {
  let guessing = Elementary.log(Double(vocabularySize))
  guard nll > guessing, count >= 100 else { return nil }
  return String(
    printf: "warning: %.4f nats a token are worse than guessing (ln V = %.4f, V = ", nll, guessing)
    + Output.grouped(vocabularySize)
    + "): the order of the vocabulary, the roles or gate order of the weights, or the line "
    + "conventions are likely wrong, or the text is of another kind than the model's"
}

/// Options that change a text before it is cut into tokens.
struct PreparationOptions: ParsableArguments {
  @Option(help: "Unicode normalization of the text before it is tokenized.")
  var normalize: TextPreparation.Normalization = .none

  @Flag(help: "Convert the text to lower case before it is tokenized.")
  var lowercase = false

  /// The changes.
  var preparation: TextPreparation {
    var preparation = TextPreparation()
    preparation.normalization = normalize
    preparation.isLowercased = lowercase
    return preparation
  }
}

extension TextPreparation.Normalization: ExpressibleByArgument {}
