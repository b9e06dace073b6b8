// Small files that would take long, or much memory.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollInterchange

@Suite("PyTorch files that would take long or much memory") struct PyTorchBombTests {
  /// Each module of a list is looked for among all tensors: 4000 of them, 230 KB, took 14 s.
  @Test("A state_dict of more than 100 recurrent layers is refused")
  func layerLimit() throws {
    let list = (0...100).flatMap { ["rnns.\($0).weight_ih_l0", "rnns.\($0).weight_hh_l0"] }
    let message = """
      input.pt: a/data.pkl: expected at most 100 recurrent layers, found 101
        fix: if these are several models, save one: a checkpoint has no more layers
      """
    #expect(try refusal(of: list) == message)
    let stack = (0...100).flatMap { ["rnn.weight_ih_l\($0)", "rnn.weight_hh_l\($0)"] }
    #expect(try refusal(of: stack) == message)
  }

  /// Every tensor may be a small one expanded, or another view of the same storage.
  @Test("Copies of expanded tensors share one memory limit")
  func copyLimit() throws {
    let path = PyTorchFixtures.path("lstm-expanded.pt")
    let model = try TorchModel(TorchFile(MappedFile(path: path)))
    let named = try #require(model.named.tensors.first { !$0.tensor.isContiguous })
    var room = 1000
    let copy = try model.file.contents(of: named.tensor, named: named.name, room: &room)
    #expect(room == 1000 - copy.storage.count)
    room = copy.storage.count - 1
    let error = #expect(throws: InterchangeError.self) {
      try model.file.contents(of: named.tensor, named: named.name, room: &room)
    }
    #expect(
      error?.description.replacing(path, with: "lstm-expanded.pt") == """
        lstm-expanded.pt: decoder.bias: expected tensors not much larger than the file in all, \
        found shape [11] expanded from 1 elements
          fix: save a contiguous copy: `tensor.contiguous()`
        """)
  }

  @Test("A long tensor name is cut in the message")
  func longNames() throws {
    let name = String(repeating: "x", count: 5000)
    #expect(
      try refusal(of: [name]) == """
        input.pt: a/data.pkl: expected recurrent tensors *.weight_ih_l0 of an nn.LSTM, nn.GRU or nn.RNN, or \
        *.weight_ih of cells, found \(name.prefix(1000))... (4000 more)
          fix: if it is a recurrent language model, say which tensor is which with --map FILE; `unroll convert \
        --print-map MODEL` writes a map to complete
        """)
  }

  /// Settings are looked through for each group, and groups may share them.
  @Test("An optimizer with too many groups or settings is noted as not preserved")
  func optimizerLimits() throws {
    var groups = PickleWriter()
    groups.put(.emptyDict)
    groups.string("state")
    groups.put(.emptyDict)
    groups.put(.setitem)
    groups.string("param_groups")
    groups.put(.emptyList)
    var settings = groups
    for _ in 0..<2 {
      groups.put(.emptyDict)
      groups.put(.append)
    }
    groups.put(.setitem)
    groups.put(.stop)
    #expect(
      try optimizerNote(groups) == """
        optimizer: the optimizer is not preserved: it is of more than the model's 1 parameters
        """)
    settings.put(.emptyDict)
    for number in 0..<65 {
      settings.string("\(number)")
      settings.int(number)
      settings.put(.setitem)
    }
    settings.put(.append)
    settings.put(.setitem)
    settings.put(.stop)
    #expect(
      try optimizerNote(settings) == """
        optimizer: the optimizer is not preserved: its numbers are of no optimizer that the format \
        has:\u{20}
        """)
  }

  /// The notes about a pickled optimizer of one parameter.
  private func optimizerNote(_ pickle: PickleWriter) throws -> String {
    try withFile(of: pickle) { file in
      let file = try TorchFile(file)
      let optimizer = try TorchOptimizer(
        TorchModel.Extra(name: "optimizer", value: file.graph.root),
        parameters: [.embeddingWeight], architecture: Checkpoint.small().architecture, file: file)
      return optimizer.notes.map(\.description).joined(separator: "\n")
    }
  }

  /// The message for a state_dict in which all names have the same matrix.
  private func refusal(of names: [String]) throws -> String {
    var pickle = PickleWriter()
    pickle.put(.emptyDict)
    for name in names {
      pickle.string(name)
      matrix(&pickle)
      pickle.put(.setitem)
    }
    pickle.put(.stop)
    return try withFile(of: pickle) { file in
      let error = #expect(throws: InterchangeError.self) {
        try PyTorchFormat.read(file, options: ReadingOptions(nonlinearity: .tanh))
      }
      return error?.description.replacing(file.path, with: "input.pt") ?? ""
    }
  }

  private func withFile<Result>(
    of pickle: PickleWriter, _ body: (MappedFile) throws -> Result
  ) throws -> Result {
    try withTemporaryFolder { folder in
      let path = "\(folder)/input.pt"
      try Data().write(to: URL(filePath: path))
      var writer = try ZipWriter(emptying: path)
      try writer.add("a/data.pkl", .owned(pickle.bytes))
      try writer.add("a/data/0", .floats([0]))
      try writer.finish()
      return try body(MappedFile(path: path))
    }
  }

  private func matrix(_ pickle: inout PickleWriter) {
    pickle.global("torch._utils", "_rebuild_tensor_v2")
    pickle.put(.mark)
    pickle.put(.mark)
    pickle.string("storage")
    pickle.global("torch", "FloatStorage")
    pickle.string("0")
    pickle.string("cpu")
    pickle.int(1)
    pickle.put(.tuple)
    pickle.put(.binpersid)
    pickle.int(0)
    pickle.tuple([1, 1])
    pickle.tuple([1, 1])
    pickle.put(.newfalse)
    pickle.put(.emptyDict)
    pickle.put(.tuple)
    pickle.put(.reduce)
  }
}
