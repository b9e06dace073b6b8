// The operations on a checkpoint that UnrollFormat alone offers; `first` and `verify` are timed.
//
//   loading list FILE          every tensor with its type and shape
//   loading first FILE         microseconds until the first number of a tensor is there
//   loading verify FILE        whether every digest agrees
//   loading title FILE NEW     a new file with another title

import UnrollFormat
import UnrollTensors

let start = ContinuousClock.now
let arguments = CommandLine.arguments.dropFirst()
guard let verb = arguments.first, let path = arguments.dropFirst().first else {
  print("usage: loading list|first|verify|title FILE [NEW]")
  throw Usage()
}

struct Usage: Error {}

// docs: open
/// The path, type and shape of every tensor.
func list(_ path: String) throws -> [String] {
  let checkpoint = try Checkpoint(contentsOf: path)
  return checkpoint.parameters.paths.compactMap { path in
    checkpoint.parameters[path].map { "\(path) \($0.dtype.rawValue) \($0.shape)" }
  }
}
// docs: end

// docs: read
/// The first number of the output weight, from the mapped file.
func firstNumber(_ path: String) throws -> Float? {
  let checkpoint = try Checkpoint(contentsOf: path)
  let weight = checkpoint.parameters[.outputWeight]
  return weight?.withUnsafeBytes { $0.loadUnaligned(as: Float.self) }
}
// docs: end

// docs: validate
/// Returns the findings of all rules, every digest included.
func verify(_ path: String) throws -> [String] {
  try Examination(of: path, upTo: .bytes).findings.map(\.description)
}
// docs: end

// docs: edit
/// Writes a file with another title; the weights stay as they are.
func title(_ path: String, to new: String) throws {
  try Examination(of: path, upTo: .bytes).edit(to: new, tool: "loading 1.0") { card in
    card.fields[.title] = ["A model with a name"]
  }
}
// docs: end

switch verb {
case "list":
  for line in try list(path) { print(line) }
case "first":
  let number = try firstNumber(path)
  print(start.duration(to: .now) / .microseconds(1), number ?? 0)
case "verify":
  let findings = try verify(path)
  for line in findings { print(line) }
  print(findings.isEmpty ? "valid" : "not valid")
case "title":
  try title(path, to: arguments.last ?? path)
default:
  throw Usage()
}
