// `unroll convert`: converts foreign formats to checkpoints and back.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Convert a model to a checkpoint, or a checkpoint to another format.",
    discussion: """
      `unroll convert model.pt --corpus data/ -o poet.unroll.h5`
      `unroll convert poet.unroll.h5 -o poet.onnx`

      Nothing in a file is run. The format of the output follows from its name or --to; the output is read back and compared \
      before it gets its name. If the file leaves something open, convert asks for it; for roles of tensors and gate orders, \
      complete what --print-map writes and give it with --map. A folder is converted to the folder -o. Formats and sources: docs/reference/verbs.md
      """)

  @Argument(
    help:
      "Model to convert, or a folder of models."
  )
  var model: String

  /// The output, required except with `--print-map`.
  @OptionGroup private var destination: OptionalOutputOptions

  private var output: OutputOptions {
    var options = OutputOptions()
    options.output = destination.output ?? ""
    options.force = destination.force
    return options
  }

  @Option(
    name: .customLong("to"),
    help: ArgumentHelp(
      "Format of the output, whatever its name: \(ConversionTarget.names.joined(separator: " or ")).",
      valueName: "format"))
  var targetName: String?

  @OptionGroup(title: "Tokens") var tokens: SourceTokenOptions

  @Flag(help: "Print a map for --map, to complete.")
  var printMap = false

  @OptionGroup(title: "Structure of the model") var structure: ForeignFileOptions

  @Option(
    help: ArgumentHelp(
      "Also write the tokens, as --vocabulary reads them: one a line, or in JSON if the name ends in .json.",
      valueName: "file"))
  var writeVocabulary: String?

  @Option(
    help: ArgumentHelp(
      "With safetensors: also write the model's sizes as config.json.",
      valueName: "file"))
  var writeConfig: String?

  @Option(
    help: "Round the weights to f32, f16 or bf16: to the nearest, ties to even.",
    transform: Self.dtype)
  var dtype: DType?

  @Option(
    help: ArgumentHelp(
      "Text of the model's kind for a plausibility check; by default the corpus.",
      valueName: "text"))
  var check: String?

  @OptionGroup(title: "Windows") var windows: WindowOptions

  @OptionGroup(title: "Page and figure") var shown: ReportOptions

  @Flag(help: "Write nothing if anything is assumed or not preserved.")
  var strict = false

  @Flag(help: "Write nothing; report what is assumed or not preserved.")
  var dryRun = false

  private static func dtype(_ name: String) throws -> DType {
    guard let type = DType(rawValue: name), [.float32, .float16, .bfloat16].contains(type) else {
      throw ValidationError("--dtype is f32, f16 or bf16.")
    }
    return type
  }

  func validate() throws {
    guard printMap || destination.output != nil else {
      throw ValidationError("Missing expected argument '--output <file>'")
    }
    if let targetName, ConversionTarget(named: targetName) == nil {
      throw ValidationError("--to is \(ConversionTarget.names.joined(separator: " or ")).")
    }
    guard !shown.isGiven || !(printMap || dryRun) else {
      throw ValidationError(
        "--report and --plot show what is written: leave \(printMap ? "--print-map" : "--dry-run") out."
      )
    }
    let written = [destination.output, writeVocabulary, writeConfig].compactMap { $0 }
    for (index, path) in written.enumerated() {
      guard !written.dropFirst(index + 1).contains(where: { OutputOptions.isSameFile($0, path) })
      else {
        throw ValidationError(
          "--output, --write-vocabulary and --write-config need different names.")
      }
    }
  }

  func run() throws {
    if printMap {
      return Output.result(
        try mapSkeleton(of: model, root: structure.root, ignoring: Set(structure.ignored)))
    }
    if OutputOptions.isFolder(model), ModelLocation.file(inFolder: model) == nil {
      return try convertFolder()
    }
    let target =
      targetName.flatMap(ConversionTarget.init(named:)) ?? ConversionTarget(output: output.output)
    if targetName == nil, case .checkpoint = target { try refuseUnknownEnding(output.output) }
    let inputs =
      [model] + tokens.paths
      + [structure.names, structure.kerasConfig].compactMap { $0 }
    try output.check(inputs: inputs)
    for path in [writeVocabulary, writeConfig].compactMap({ $0 }) {
      try OutputOptions.check(path, inputs: inputs, replacing: output.force)
    }
    try shown.check(
      inputs: inputs, outputs: [output.output] + [writeVocabulary, writeConfig].compactMap { $0 },
      replacing: output.force, json: false)
    if let writeConfig {
      guard case .foreign(let format) = target, format == SafetensorsFormat.self else {
        throw Refusal(
          "\(printable(writeConfig)): expected an output of safetensors, beside which programs look for "
            + "a config.json; found another format\n  fix: leave --write-config out")
      }
    }
    if targetName != nil { target.noteName(output.output) }
    var options = ConversionOptions(target: target, vocabulary: tokens.source)
    structure.apply(to: &options)
    tokens.apply(to: &options)
    options.dtype = dtype
    options.checkText = check
    options.window = windows.context.map { ($0, windows.pad) }
    let conversion = try read(options)
    var notes = conversion.notes
    if case .foreign(let format) = target {
      do {
        notes += try format.exportNotes(for: conversion.checkpoint, map: conversion.outputNames)
      } catch let error as InterchangeError {
        throw error.naming(model)
      }
    }
    if let writeVocabulary {
      notes = notes.map { $0.advisingNoVocabulary(in: writeVocabulary) }
    }
    for note in notes { Output.note("note: \(note)") }
    let harmful = notes.filter { !$0.isHarmless }
    if strict && !harmful.isEmpty {
      throw Refusal(
        "\(printable(output.output)): not written: --strict refuses the \(counted(harmful.count, "note")) "
          + "above\n  fix: leave --strict out, or state with options what was assumed")
    }
    if dryRun { return Output.note("\(printable(output.output)) would be written") }
    let list = try writeVocabulary.map {
      ($0, try VocabularyList(conversion.checkpoint.vocabulary, path: $0))
    }
    let configuration = try writeConfig.map {
      ($0, try ModelConfigurationFile(conversion.checkpoint.architecture, path: $0))
    }
    let written = ConversionOutput(path: output.output, replacing: output.force)
    var outcome = ""
    // Model and tokenizer file are written both or neither.
    func writeModel() throws {
      func write() throws {
        do {
          outcome = try written.write(conversion, as: target)
        } catch let error as InterchangeError {
          throw error.naming(model)
        }
      }
      guard let (path, configuration) = configuration else { return try write() }
      try configuration.write(to: path, replacing: output.force, after: write)
      Output.note("wrote \(printable(path))")
    }
    if let (path, list) = list {
      try list.write(to: path, replacing: output.force, after: writeModel)
      Output.note("wrote \(printable(path))")
    } else {
      try writeModel()
    }
    guard shown.isGiven else { return }
    let page = try ConversionPage(
      input: model, output: output.output, conversion, target, notes: notes, outcome: outcome)
    try shown.write(
      { try page.document }, figure: page.report.partFigure, replacing: output.force)
  }

  /// Refuses an output whose ending no format has: it may be a misspelled one.
  private func refuseUnknownEnding(_ path: String) throws {
    guard let ending = SplitPath(path).extension?.lowercased(),
      !["h5", "hdf5", "unroll"].contains(ending)
    else { return }
    let known = Set(AllFormats.written.flatMap { $0.fileExtensions }).sorted()
    throw Refusal(
      "\(printable(path)): expected an output whose ending tells its format; found .\(printable(ending))\n"
        + "  fix: end the name in .unroll.h5 or in \(known.map { "." + $0 }.joined(separator: ", ")), or give --to"
    )
  }

  /// Converts the models of a folder, all with these options.
  private func convertFolder() throws {
    if let refusal = refusalOfUnpackedModel(model) { throw refusal }
    guard let target = targetName.flatMap(ConversionTarget.init(named:)) else {
      _ = try ModelLocation(model)
      throw Refusal(
        "\(printable(model)): it is a folder, and --to is missing\n"
          + "  fix: give the format that its models get: --to unroll, --to pytorch or another")
    }
    for (name, path) in [("vocabulary", writeVocabulary), ("config", writeConfig)]
    where path != nil {
      throw Refusal(
        "\(printable(model)): expected one model for --write-\(name); found a folder\n"
          + "  fix: leave it out, or convert one by one")
    }
    guard !shown.isGiven else {
      throw Refusal(
        "\(printable(model)): expected one model for --report and --plot; found a folder\n"
          + "  fix: leave them out, or convert one by one")
    }
    var options: [String] = []
    for case (let name, let value?) in [
      ("--to", targetName), ("--map", structure.names),
      ("--keras-config", structure.kerasConfig), ("--root", structure.root), ("--check", check),
      ("--dtype", dtype?.rawValue), ("--context", windows.context.map(String.init)),
      ("--pad", windows.pad),
      ("--nonlinearity", structure.nonlinearity?.rawValue),
      ("--gate-activation", structure.gateActivation?.name),
      ("--forget-bias", structure.forgetBias.map { "\($0)" }),
    ] { options += [name, value] }
    options += tokens.arguments
    for name in structure.ignored { options += ["--ignore", name] }
    for (name, isSet) in [
      ("--strict", strict), ("--dry-run", dryRun), ("--force", output.force),
    ] where isSet { options.append(name) }
    let conversion = try FolderConversion(
      folder: model, target: target, results: output.output, writes: !dryRun,
      options: options)
    let code = try conversion.run()
    guard code == 0 else {
      try Output.finish()
      throw ExitCode(code)
    }
  }

  private func read(_ options: ConversionOptions) throws -> Conversion {
    try Progress.during("reading \(model)") {
      try UnrollEngine.convert(model, options: options, reader: .inChild)
    }
  }
}

extension Note {
  /// The note that a file has no tokens, where a file beside it gets them; others as they are.
  fileprivate func advisingNoVocabulary(in path: String) -> Note {
    guard let end = message.range(of: "; `--write-vocabulary FILE`") else { return self }
    return Note(
      place: place, message: "\(message[..<end.lowerBound]); they are in \(printable(path))",
      isHarmless: true)
  }
}
