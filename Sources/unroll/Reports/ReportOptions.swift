// Pages and figures of a result: the options of every verb that has them.

import ArgumentParser
import Foundation
import UnrollFormat
import UnrollReport
import UnrollTensors

/// The files that show a result to people.
struct ReportOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Also write a page (HTML) with figures and all numbers.", valueName: "file.html"))
  var report: String?

  @Option(
    help: ArgumentHelp(
      "Also draw the main figure: a file, or - to print it instead of the result.",
      valueName: "file.svg"))
  var plot: String?

  func validate() throws {
    for (path, option, form, endings) in [
      (report, "--report", "HTML", ["html", "htm"]), (plot, "--plot", "SVG", ["svg"]),
    ] {
      guard let path, path != "-" || option == "--report" else { continue }
      try Self.checkEnding(of: path, option, form, endings)
    }
  }

  /// Refuses a name with another ending than those of a form.
  ///
  /// - Throws: `ValidationError`.
  static func checkEnding(
    of path: String, _ option: String, _ form: String, _ endings: [String]
  ) throws {
    guard let ending = SplitPath(path).extension?.lowercased(), endings.contains(ending) else {
      let advice =
        form == "SVG"
          && ["png", "pdf", "jpg", "jpeg"].contains(SplitPath(path).extension?.lowercased())
        ? " Programs such as rsvg-convert and Inkscape make other formats of it, and a browser prints it."
        : ""
      throw ValidationError(
        "\(option) writes \(form): give a name that ends in .\(endings[0])." + advice)
    }
  }

  /// `true` if the figure is printed in place of the result.
  var printsFigure: Bool { plot == "-" }

  /// `true` if a page or a figure is requested.
  var isGiven: Bool { report != nil || plot != nil }

  /// The files to write.
  private var paths: [String] { [report, plot == "-" ? nil : plot].compactMap { $0 } }

  /// Refuses files before any work, if they would be refused afterwards.
  ///
  /// - Parameters:
  ///   - inputs: The files that the verb reads.
  ///   - outputs: The other files that the verb writes.
  ///   - replacing: `true` to replace existing files.
  ///   - json: `true` if the result is printed as JSON.
  /// - Throws: `Refusal` with advice; `ValidationError` for `--plot -` with `--json`.
  func check(
    inputs: [String], outputs: [String] = [], replacing: Bool, json: Bool
  ) throws {
    guard !json || !printsFigure else {
      throw ValidationError("Give --plot FILE.svg with --json: both would be on standard output.")
    }
    for path in paths {
      try OutputOptions.check(path, inputs: inputs, outputs: outputs, replacing: replacing)
    }
  }

  /// Writes the page and the figure.
  ///
  /// - Parameters:
  ///   - page: The page.
  ///   - figure: The main figure; `nil` if there are no numbers to draw.
  ///   - replacing: `true` to replace existing files.
  ///   - isFinal: `false` if the files will be written again: nothing is printed yet.
  /// - Throws: `FileError` if a file cannot be written; the errors of the closure.
  func write(
    _ page: () throws -> Document, figure: Figure?, replacing: Bool, isFinal: Bool = true
  ) throws {
    if let path = report {
      try Output.write(page(), to: path, replacing: replacing)
      if isFinal { Output.note("wrote \(printable(path))") }
    }
    guard let plot else { return }
    guard let figure else {
      if isFinal {
        let name = printsFigure ? "" : ": \(printable(plot)) is not written"
        Output.note("note: --plot: there are no numbers to draw" + name)
      }
      return
    }
    guard !printsFigure else {
      if isFinal {
        for line in figure.textLines(Self.characters, width: Self.width) { Output.result(line) }
      }
      return
    }
    try Output.write(figure.svg, to: plot, replacing: replacing)
    if isFinal { Output.note("wrote \(printable(plot))") }
  }

  /// The options as words of a command line.
  var arguments: [String] {
    (report.map { ["--report", $0] } ?? []) + (plot.map { ["--plot", $0] } ?? [])
  }

  /// The width of the horizontal axis of figures on standard output: that of the terminal, without the numbers beside it.
  private static var width: Int {
    TextLayout.terminalWidth.map { min(120, max(20, $0 - 10)) } ?? 64
  }

  /// The characters of figures on standard output: ASCII unless the locale says UTF-8.
  private static var characters: Characters {
    let environment = ProcessInfo.processInfo.environment
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].compactMap { environment[$0] }.first { !$0.isEmpty }
    let name = (locale ?? "").lowercased()
    return name.hasSuffix("utf-8") || name.hasSuffix("utf8") ? .unicode : .ascii
  }
}

extension Document {
  /// Creates a document about the result of the running command.
  ///
  /// - Parameters:
  ///   - title: The title.
  ///   - lead: The sentence below it.
  ///   - files: The paths of models, by their roles.
  ///   - weights: The digest of the model's weights; `nil` if the file has none.
  ///   - texts: The paths of the texts; `-` for standard input.
  init(
    title: String, lead: String, files: KeyValuePairs<String, String>, weights: String? = nil,
    texts: [String] = []
  ) {
    self.init(title: printable(title), producer: UnrollVersion.producer, lead: lead)
    facts += files.map { Fact($0.key, printable($0.value)) }
    if let weights { facts.append(Fact("weights", "sha256 \(weights.prefix(12))…")) }
    for text in texts {
      // A pipe has no bytes to read again.
      let digest =
        (try? MappedFile(path: text)).map { ", sha256 \(UnrollFormat.digest(of: $0))" } ?? ""
      facts.append(Fact("text", text == "-" ? "standard input" : printable(text) + digest))
    }
    let words = ["unroll"] + CommandLine.arguments.dropFirst()
    facts.append(Fact("command", words.map { printable(shellQuoted($0)) }.joined(separator: " ")))
  }

  /// Adds notes as they are printed.
  mutating func add(_ notes: [String]) {
    self.notes += notes.map { $0.hasPrefix("note: ") ? String($0.dropFirst(6)) : $0 }
  }

  /// Returns a number for people: four decimals, or six digits.
  static func number(_ value: Double?) -> String {
    guard let value else { return "–" }
    return abs(value) < 1e5 ? String(printf: "%.4f", value) : String(printf: "%.6g", value)
  }
}

extension Checkpoint {
  /// The digest of the weights that the history states; `nil` for none.
  var statedDigest: String? {
    provenance.last.flatMap { $0.weightsDigest.isEmpty ? nil : $0.weightsDigest }
  }
}
