// Rule V009.

import UnrollTokenization

extension Rule {
  /// The tokenizer MUST make `probe_ids` of `probe_text`.
  static let probeTokenizes = Rule(
    id: "V009", level: .error, cost: .bytes,
    summary: """
      `probe_text` and `probe_ids` MUST be both present or both absent, and the tokenizer MUST make \
      these ids of the lines of this text, each ended by `\\n`.
      """,
    why: "Two tokenizers that differ give wrong numbers and no error; here they meet.",
    example: "`probe_text` is \"the cat\" and `probe_ids` are 1, 0, 3, where \"the\" is token 0.",
    fix: "use a version of unroll whose tokenizer agrees, or convert again"
  ) { contents in
    let isThere = [Layout.probeText, Layout.probeIDs].map { contents.exists($0) }
    guard isThere[0] == isThere[1] else {
      return [
        Violation(
          object: Layout.tokenizer, expected: "probe_text and probe_ids, or none of them",
          found: "one of them")
      ]
    }
    // A definition that cannot be used is V012's finding, or of a tokenizer that this version lacks.
    guard let vocabulary = contents.vocabulary, let tokenizer = contents.tokenizer,
      let probe = tokenizer.probe, (try? tokenizer.check(vocabulary)) != nil
    else { return [] }
    let found: String
    do throws(TextError) {
      let encoder = try Encoder(vocabulary: vocabulary, tokenizer: tokenizer, path: contents.path)
      let ids = try encoder.ids(ofLines: probe.text)
      guard !ids.elementsEqual(probe.ids, by: { UInt32(exactly: $0) == $1 }) else { return [] }
      found = ids.map { "\($0)" }.joined(separator: ", ")
    } catch {
      found = "none: expected \(error.expected), found \(error.found)"
    }
    return [
      Violation(
        object: Layout.probeIDs,
        expected: "the ids \(probe.ids.map { "\($0)" }.joined(separator: ", "))", found: found)
    ]
  }
}
