// Diagrams: boxes from top to bottom, such as the layers of a model.

import UnrollTensors

/// Boxes that something passes through in order.
package struct Diagram: Sendable {
  package var title: String
  /// The description, for those who do not see the drawing.
  package var summary: String
  /// The names of the input of the first box and of the output of the last.
  package var ends: (first: String, last: String)
  package var boxes: [Box]
  /// The name of a line between the first and the last box; `nil` for none.
  package var tie: String?

  package struct Box: Sendable {
    package var name: String
    package var detail: String
    /// The name of what the box hands to itself; `nil` for none.
    package var loop: String?

    package init(_ name: String, _ detail: String, loop: String? = nil) {
      (self.name, self.detail, self.loop) = (name, detail, loop)
    }
  }

  package init(
    title: String, summary: String, ends: (first: String, last: String), boxes: [Box], tie: String?
  ) {
    (self.title, self.summary, self.ends) = (title, summary, ends)
    (self.boxes, self.tie) = (boxes, tie)
  }
}

extension Diagram {
  /// Returns the element of a page that draws the diagram.
  ///
  /// - Parameter id: The beginning of ids that are unique on the page.
  /// - Returns: The element; its colors are those of the page's style sheet.
  func drawing(id: String) -> Markup { DiagramWriter(diagram: self).element(id: id) }
}

/// The layout of a diagram, in units of its view box.
private struct DiagramWriter {
  let diagram: Diagram

  private let width = 720.0
  private let left = 120.0
  private let right = 600.0
  private let boxHeight = 52.0
  private let gap = 30.0
  private let top = 34.0
  private var center: Double { (left + right) / 2 }

  /// The upper edge of a box.
  private func edge(_ index: Int) -> Double { top + gap + Double(index) * (boxHeight + gap) }
  private var height: Double { edge(diagram.boxes.count) + 34 }

  func element(id: String) -> Markup {
    let boxes = diagram.boxes.enumerated().flatMap { self.box($1, edge($0)) }
    let arrows = (0...diagram.boxes.count).flatMap { arrow(edge($0) - gap, edge($0)) }
    let parts: [Markup] =
      [
        .element("title", ["id": "\(id)-title"], diagram.title),
        .element("desc", ["id": "\(id)-desc"], diagram.summary),
        text(diagram.ends.first, center, top - 8, "middle"),
        text(diagram.ends.last, center, height - 14, "middle"),
      ] + arrows + boxes + tie
    return .element(
      "svg",
      [
        "viewBox": "0 0 \(number(width)) \(number(height))", "class": "figure", "role": "img",
        "aria-labelledby": "\(id)-title \(id)-desc",
      ], [.newline] + Markup.lines(parts))
  }

  private func box(_ box: Diagram.Box, _ y: Double) -> [Markup] {
    let frame = Markup.element(
      "rect",
      [
        "class": "box", "x": number(left), "y": number(y), "width": number(right - left),
        "height": number(boxHeight), "rx": "6",
      ], [])
    return [
      frame, text(box.name, center, y + 22, "middle heading"),
      text(box.detail, center, y + 41, "middle label"),
    ] + (box.loop.map { loop($0, y) } ?? [])
  }

  /// A line that leaves a box on its left and comes back above.
  private func loop(_ name: String, _ y: Double) -> [Markup] {
    let (low, high) = (number(y + boxHeight - 12), number(y + 12))
    let edge = number(left - 26)
    return [
      .element(
        "path",
        ["class": "line s0", "d": "M\(number(left)) \(low)H\(edge)V\(high)H\(number(left - 4))"], []
      ),
      triangle([(left, y + 12), (left - 8, y + 7.5), (left - 8, y + 16.5)], "f0"),
      text(name, left - 34, y + boxHeight / 2 + 4.5, "end"),
    ]
  }

  /// The line between the first and the last box.
  private var tie: [Markup] {
    guard let name = diagram.tie, diagram.boxes.count > 1 else { return [] }
    let (first, last) = (edge(0) + boxHeight / 2, edge(diagram.boxes.count - 1) + boxHeight / 2)
    let path =
      "M\(number(right)) \(number(first))H\(number(right + 26))V\(number(last))H\(number(right))"
    return [
      .element("path", ["class": "line s1 d1", "d": path], []),
      text(name, right + 34, (first + last) / 2 + 4.5, "name"),
    ]
  }

  private func arrow(_ from: Double, _ to: Double) -> [Markup] {
    [
      .element(
        "line",
        [
          "class": "mark", "x1": number(center), "y1": number(from), "x2": number(center),
          "y2": number(to - 4),
        ], []),
      triangle([(center, to), (center - 4.5, to - 8), (center + 4.5, to - 8)], "arrow"),
    ]
  }

  private func triangle(_ corners: [(Double, Double)], _ name: String) -> Markup {
    let points = corners.map { "\(number($0.0)),\(number($0.1))" }.joined(separator: " ")
    return .element("polygon", ["class": name, "points": points], [])
  }

  private func text(_ text: String, _ x: Double, _ y: Double, _ name: String) -> Markup {
    .element("text", ["class": name, "x": number(x), "y": number(y)], text)
  }

  private func number(_ number: Double) -> String { String(printf: "%g", number) }
}
