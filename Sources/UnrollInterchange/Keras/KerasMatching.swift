// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Matches a configuration with the weights of a subclassed model: assigns attributes to layers.

import UnrollFormat
import UnrollHDF5
import UnrollTensors

extension KerasVariables {
  /// Returns the variables of layers that are not stored where a Sequential or Functional model has
  /// them.
  ///
  /// - Parameters:
  ///   - missing: The layers without variables.
  ///   - layers: All layers, in order.
  /// - Returns: The paths of their variables, by the layers' names.
  /// - Throws: `InterchangeError` if several attributes fit a layer.
  func matched(
    _ missing: [KerasConfiguration.Layer], among layers: [KerasConfiguration.Layer]
  ) throws -> [[String]: [String]] {
    guard case .numbered = layout else { return [:] }
    var taken = Set(layers.flatMap { places(of: $0).places })
    var rest = KerasTree(container).modules.filter { !$0.variables.contains(where: taken.contains) }
    var found: [[String]: [String]] = [:]
    var width: Int?
    for layer in layers {
      var places = places(of: layer).places
      if places.isEmpty, case .reversed = layer.computes { continue }
      if places.isEmpty {
        let options = rest.filter { fits($0, layer, width) }
        let named = options.filter { $0.names(in: container).contains(layer.name) }
        let chosen = named.count == 1 ? named : options
        guard chosen.count <= 1 else {
          throw file.error(
            layer.name, expected: "one layer of the file that it can be",
            found: list(options.map(\.place)),
            fix: "give the layers in the configuration the names that the file has for them, as in "
              + "`keras.layers.LSTM(..., name=\"\(options[0].shortName)\")`, or give --map")
        }
        places = chosen.first?.variables ?? []
        rest.removeAll { $0.place == chosen.first?.place }
        taken.formUnion(places)
        found[layer.names] = places
      }
      width = outputWidth(of: places) ?? width
    }
    return found
  }

  private func dimensions(_ place: String) -> [Int] {
    container.tensor(place)?.shape.dimensions ?? []
  }

  private func outputWidth(of places: [String]) -> Int? {
    guard let first = places.first else { return nil }
    let isRecurrent = places.count > 1 && dimensions(places[1]).count == 2
    return isRecurrent ? dimensions(places[1]).first : dimensions(first).last
  }

  /// Returns `true` if a group of the file has the variables that a layer declares.
  private func fits(
    _ module: KerasModule, _ layer: KerasConfiguration.Layer, _ width: Int?
  ) -> Bool {
    let shapes = module.variables.map(dimensions)
    guard let first = shapes.first, first.count == 2 else { return false }
    let declared = layer.declaration
    switch layer.computes {
    case .recurrent(let cell):
      guard (2...3).contains(shapes.count), shapes[1].count == 2, shapes[1][0] > 0,
        shapes[1][1] == cell.cell.gateCount * shapes[1][0]
      else { return false }
      return (declared.units ?? shapes[1][0]) == shapes[1][0] && (width ?? first[0]) == first[0]
    case .embedding:
      return shapes.count == 1 && (declared.inputDimension ?? first[0]) == first[0]
        && (declared.units ?? first[1]) == first[1]
    case .dense:
      return shapes.count == (declared.usesBias == false ? 1 : 2) && (shapes.last?.count ?? 0) < 3
        && (shapes.count == 1 || shapes[1].count == 1)
        && (declared.units ?? first[1]) == first[1] && (width ?? first[0]) == first[0]
    case .reversed: return false
    }
  }
}

extension KerasModule {
  /// Returns the names of a layer in a file: its attribute, and the name that Keras records.
  fileprivate func names(in container: ForeignContainer) -> [String] {
    [shortName] + [container.text("\(place)/vars", "name")].compactMap { $0 }
  }
}
