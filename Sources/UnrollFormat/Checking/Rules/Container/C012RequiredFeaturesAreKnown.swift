// Rule C012.

extension Rule {
  /// A reader MUST refuse a file with a name in `required_features` that it does not know.
  static let requiredFeaturesAreKnown = Rule(
    id: "C012", level: .error,
    summary: """
      A reader MUST refuse a file with a name in `required_features` that it does not know.
      """,
    why: "A required feature changes what the rest of the file means.",
    example: """
      The root has `required_features` = ["int8"], and the reader knows no such feature.
      """,
    fix: Fix.newerUnroll
  ) { contents in
    guard
      case .texts(let features)? =
        contents.object(Layout.root)?.attributes[AttributeName.requiredFeatures]
    else { return [] }
    return features.filter { !Layout.knownFeatures.contains($0) }.map { feature in
      Violation(
        object: Layout.root, expected: "required features that this version knows",
        found: feature)
    }
  }
}
