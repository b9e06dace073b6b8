// `unroll score --nbest` and `--pairs`: hypotheses and minimal pairs.

import Foundation
import UnrollEngine
import UnrollReport
import UnrollTensors

extension Score {
  func rescore(_ model: LanguageModel, _ mixture: Mixture?) throws {
    let base = base ?? .e
    var list = NBestList()
    var progress = Progress()
    var count = 0
    try model.score(
      nbest: text, unknown: unknown?.words(base) ?? .undefined,
      preparation: preparation.preparation, mixture: mixture
    ) { scored, fraction in
      list.add(scored)
      count += 1
      progress.report(count, "hypotheses", fraction)
    }
    progress.finish()
    let errors = try nbestOptions.reference.map {
      try NBestErrors(list, ReferenceTexts(path: $0), path: $0)
    }
    var weights = RescoringWeights(
      languageModel: nbestOptions.lmWeight ?? 1, word: -(nbestOptions.wordPenalty ?? 0))
    if nbestOptions.tune, let errors { weights = errors.tuned(logarithm: base.logarithm) }
    let report = NBestReport(list, weights, errors, base)
    if json {
      try Output.json(report)
    } else {
      let form: TableForm = csv ? .csv : .tsv
      for row in report.table { Output.result(form.row(row)) }
    }
    for note in report.notes { Output.note(note) }
  }

  func comparePairs(
    _ model: LanguageModel, _ mixture: Mixture?, weights: String?
  ) throws {
    let base = base ?? .e
    var settings = PairSettings()
    settings.part = pairOptions.compare
    settings.groupField = pairOptions.group
    settings.unknown = unknown?.words(base) ?? .undefined
    settings.boundary = boundary
    settings.window = try windows.window(of: model)
    settings.mixture = mixture
    settings.preparation = preparation.preparation
    let form: TableForm = csv ? .csv : .tsv
    var report = PairReport()
    var page = shown.isGiven ? PairPage(base) : nil
    var progress = Progress()
    if pairOptions.each, !json, !shown.printsFigure { Output.result(form.row(PairReport.header)) }
    try model.score(pairs: text, settings) { score, fraction in
      report.add(score)
      page?.add(score)
      if pairOptions.each, !shown.printsFigure {
        if json {
          try Output.jsonLine(PairReport.Row(score, base))
        } else {
          Output.result(form.row(PairReport.Row(score, base).cells))
        }
      }
      progress.report(report.all.pairs, "pairs", fraction)
    }
    progress.finish()
    guard report.all.pairs + report.all.unscored > 0 else {
      throw Refusal(
        "\(printable(text)): expected pairs; found none: the first line of a table is its header\n"
          + "  fix: give a header, such as sentence_good, a tab and sentence_bad, and a line for each pair"
      )
    }
    if !pairOptions.each, !shown.printsFigure {
      if json {
        try Output.json(report)
      } else {
        for row in report.table { Output.result(form.row(row)) }
      }
    }
    if let note = report.note { Output.note(note) }
    guard let page else { return }
    try shown.write(
      {
        var document = Document(
          title: "Minimal pairs of \(text == "-" ? "a text" : text)",
          lead:
            "Of each pair the model \(printable(options.path)) should find the right sentence the likelier one.",
          files: ["model": options.path], weights: weights, texts: [text])
        try page.fill(&document, report)
        return document
      }, figure: page.figure, replacing: stateOptions.force)
  }
}
