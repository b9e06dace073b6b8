// Compares text with a committed file.

import Foundation
import Testing

/// Expects a text to be that of a committed file.
///
/// With `RECORD_SNAPSHOTS=1` in the environment the file is written instead, and the test fails, so
/// that nobody records by mistake.
///
/// - Parameters:
///   - text: The text.
///   - path: The file, from the top folder of the checkout.
///   - sourceLocation: The place of the call.
public func expectSnapshot(
  _ text: String, _ path: String, sourceLocation: SourceLocation = #_sourceLocation
) {
  let file = Fixtures.root.appending(path: path)
  if ProcessInfo.processInfo.environment["RECORD_SNAPSHOTS"] == "1" {
    try? Data(text.utf8).write(to: file)
    Issue.record("recorded \(path)", sourceLocation: sourceLocation)
    return
  }
  let expected = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
  #expect(text == expected, "\(path) is out of date", sourceLocation: sourceLocation)
}
