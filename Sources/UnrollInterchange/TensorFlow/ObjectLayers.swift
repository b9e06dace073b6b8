// The layers of a TensorFlow 2 checkpoint: objects that own variables of Keras's names.

import UnrollFormat
import UnrollTensors

/// The role of a variable in a layer of Keras.
enum ObjectRole: Int, Comparable {
  case embeddings
  case kernel
  case recurrentKernel
  case bias

  /// Reads the name of an attribute, or the last part of a variable's name; `nil` for other names.
  init?(_ name: String) {
    switch name.drop(while: { $0 == "_" }) {
    case "embeddings": self = .embeddings
    case "kernel": self = .kernel
    case "recurrent_kernel": self = .recurrentKernel
    case "bias": self = .bias
    default: return nil
    }
  }

  static func < (a: ObjectRole, b: ObjectRole) -> Bool { a.rawValue < b.rawValue }
}

/// A variable of a layer.
struct ObjectVariable {
  /// The name of its tensor.
  let key: String
  /// The name in messages and for `--ignore`: the attributes that lead to it.
  let name: String
}

/// A layer with its variables.
struct ObjectLayer {
  /// The attributes that lead to the layer, or the parts of its name.
  let path: [String]
  /// The variables, by their roles.
  let byRole: [ObjectRole: ObjectVariable]
  /// The name that its program gave one of its variables, such as `lstm/lstm_cell/kernel`.
  let fullName: String?

  /// The layer in messages.
  var place: String { path.joined(separator: "/") }

  /// The variables in the order of Keras.
  var variables: [ObjectVariable] { byRole.sorted { $0.key < $1.key }.map(\.value) }

  /// `true` if the layer is recurrent.
  var isRecurrent: Bool { byRole[.recurrentKernel] != nil }

  /// The parts of the variable's name above it.
  private var nameParts: [String] {
    (fullName ?? "").split(separator: "/").dropLast().map(String.init)
  }

  /// `true` if the variable's name has a part for the cell, as it does from TensorFlow 2.2 on.
  var hasCellName: Bool { isRecurrent && nameParts.last?.contains("cell") == true }

  /// The layer's own name, such as `lstm_1`.
  var layerName: String? { hasCellName ? nameParts.dropLast().last : nameParts.last }

  /// The position in a list of layers, of `layer_with_weights-1` or `layers/1`, and the attributes before it.
  var listed: (list: [String], number: Int)? {
    let prefix = "layer_with_weights-"
    for (index, part) in path.enumerated() {
      if part.hasPrefix(prefix), let number = Int(part.dropFirst(prefix.count)) {
        return (Array(path[..<index]), number)
      }
      if index > 0, ["layers", "_layers", "_operations"].contains(path[index - 1]),
        let number = Int(part)
      {
        return (Array(path[..<index]), number)
      }
    }
    return nil
  }

  /// The layer as one of Keras's files of weights.
  var module: KerasModule {
    let (base, number) = layerName.map(KerasKinds.split) ?? ("", 0)
    let className: String?
    if KerasRoles.classes.contains(base) {
      className = base
    } else {
      className = byRole[.embeddings] != nil ? "embedding" : isRecurrent ? nil : "dense"
    }
    return KerasModule(
      place: place, parent: path.dropLast().joined(separator: "/"), className: className,
      number: number, variables: variables.map(\.name))
  }
}

extension ObjectLayer {
  /// Attributes of a layer that wrap the object with its variables.
  private static let wrappers: Set = ["cell", "layer"]

  /// Finds the layers among the objects of a checkpoint.
  ///
  /// - Parameters:
  ///   - graph: The objects.
  ///   - paths: The paths of those that are searched.
  /// - Returns: The layers, in the order of their paths.
  static func all(in graph: TrackableGraph, _ paths: [Int: [String]]) -> [ObjectLayer] {
    let sorted = paths.sorted { a, b in
      (a.value.count, a.value.joined(separator: "/"))
        < (b.value.count, b.value.joined(separator: "/"))
    }
    return sorted.compactMap { node, path in
      var byRole: [ObjectRole: ObjectVariable] = [:]
      var fullName: String?
      for (attribute, child) in graph.nodes[node].children {
        guard let role = ObjectRole(attribute), let key = graph.nodes[child].key else { continue }
        byRole[role] = ObjectVariable(
          key: key, name: (path + [attribute]).joined(separator: "/"))
        fullName = fullName ?? graph.nodes[child].fullName
      }
      var path = path
      while let last = path.last, wrappers.contains(last) { path.removeLast() }
      return byRole.isEmpty ? nil : ObjectLayer(path: path, byRole: byRole, fullName: fullName)
    }
  }

  /// Finds the layers among variables that have the names of Keras's, such as `lstm/lstm_cell/kernel`.
  ///
  /// - Parameter variables: The variables, named as their program does.
  /// - Returns: The layers, in the order of their names.
  static func all(named variables: [ObjectVariable]) -> [ObjectLayer] {
    var layers: [(path: [String], byRole: [ObjectRole: ObjectVariable])] = []
    var indices: [[String]: Int] = [:]
    for variable in variables {
      let parts = variable.name.split(separator: "/").map(String.init)
      guard let role = parts.last.flatMap(ObjectRole.init) else { continue }
      let path = Array(parts.dropLast())
      let index = indices[path] ?? layers.count
      if index == layers.count { layers.append((path, [:])) }
      indices[path] = index
      if layers[index].byRole[role] == nil { layers[index].byRole[role] = variable }
    }
    return layers.map { path, byRole in
      ObjectLayer(path: path, byRole: byRole, fullName: byRole.values.first?.name)
    }
  }
}
