// Rule Q002.

import UnrollTensors

extension Rule {
  /// A row of a weight matrix SHOULD NOT be one number again and again.
  static let rowsAreAlive = Rule(
    id: "Q002", level: .warning, cost: .bytes,
    summary: """
      A row of a weight matrix SHOULD NOT be one number again and again, but for rows of padding \
      and unused tokens.
      """,
    why: """
      Training never makes a row constant: it was cut out, never filled in, or its unit is dead, \
      and a token with such a row is a token that the model does not know.
      """,
    example: "Rows 5, 9 and 12 of `/model/layers/00/weight_hh` are all zeros.",
    fix: "look for the weights before they were converted or pruned; if it is meant, suppress this"
  ) { contents in
    let spared = contents.vocabulary?.rowsWithoutText ?? []
    return contents.finiteParameters.compactMap { path, shape, summary in
      // Few numbers may be equal by chance, above all narrow ones.
      guard shape.rank == 2, shape.dimensions[1] >= 8 else { return nil }
      let isOfTokens = Layout.isOfTokens(path)
      let rows = summary.constantRows.filter { !isOfTokens || !spared.contains($0) }
      guard !rows.isEmpty else { return nil }
      return Violation(
        object: path, expected: "rows of different numbers",
        found: "\(rows.count) of \(shape.dimensions[0]) rows constant: \(firstFew(rows))")
    }
  }
}

extension Layout {
  /// `true` if the rows of a parameter belong to tokens.
  static func isOfTokens(_ path: String) -> Bool {
    [ParameterPath.embeddingWeight, .outputWeight].contains { $0.description == path }
  }
}
