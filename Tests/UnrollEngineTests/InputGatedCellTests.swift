// Cells whose gates see their inputs alone, minGRU and QRNN: stored, read, converted, trained.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollNeural
import UnrollTensors

@testable import UnrollEngine
@testable import UnrollInterchange

/// The files of `fixtures/qrnn`, made by `scripts/make/qrnn-fixtures` with fastai's own classes.
@Suite("Cells with gates of the input alone") struct InputGatedCellTests {
  private static let programs = ["fastai.pth", "awd-qrnn.pt"]

  @Test("An AWD-QRNN model has the log-probabilities of fastai's classes", arguments: programs)
  func logProbabilitiesAreTheirs(name: String) throws {
    let conversion = try convertFixture("qrnn/\(name)")
    let layers = conversion.checkpoint.architecture.layers
    #expect(layers.map(\.cell) == [.qrnn, .qrnn, .qrnn] && layers.map(\.inputWindow) == [2, 1, 1])
    try References("qrnn").expect(conversion.checkpoint, toBe: name, within: 1e-12)
    #expect(conversion.notes.contains { $0.message.contains("QRNN layers as AWD-QRNN") })
  }

  @Test(
    "An AWD-QRNN model is written under its program's names and comes back bit for bit",
    arguments: ["model.awd.pt", "model.fastai.pth"])
  func namesReturn(name: String) throws {
    let checkpoint = try convertFixture("qrnn/fastai.pth").checkpoint
    try withTemporaryFolder { folder in
      let path = "\(folder)/\(name)"
      let format = try #require(AllFormats.format(named: path))
      try format.export(checkpoint, to: path)
      let back = try PyTorchFormat.read(
        MappedFile(path: path), options: ReadingOptions(vocabulary: checkpoint.vocabulary))
      #expect(back.checkpoint.weightsDigest == checkpoint.weightsDigest)
    }
  }

  @Test(
    "A format without the cell refuses it by name",
    arguments: ["model.pt", "model.onnx", "model.keras", "model.safetensors"],
    [Cell.minGRU, .qrnn])
  func otherFormatsRefuse(name: String, cell: Cell) throws {
    try withTemporaryFolder { folder in
      let format = try #require(AllFormats.format(named: name))
      let error = #expect(throws: InterchangeError.self) {
        try format.export(.small(cell: cell), to: "\(folder)/\(name)")
      }
      #expect(error?.found == cell.rawValue)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
  }

  @Test(
    "A paused training of the cell goes on with the same bytes", arguments: [Cell.minGRU, .qrnn])
  func trainingGoesOn(cell: Cell) throws {
    try withTemporaryFolder { folder in
      let scene = try TrainingScene(folder, .small(cell: cell))
      let whole = scene.files("whole")
      var run = try scene.begin()
      #expect(try scene.run(&run, whole) == .finished)
      let paused = scene.files("paused")
      var first = try scene.begin()
      #expect(try scene.run(&first, paused, until: 7) == .paused)
      var second = try scene.resume(paused)
      #expect(try scene.run(&second, paused) == .finished)
      #expect(try TrainingScene.bytes(paused) == TrainingScene.bytes(whole))
      let trained = try Checkpoint(contentsOf: whole.last)
      #expect(
        trained.training?.hidden.map { $0[.x]?.shape }
          == (cell == .qrnn ? [[4, 5], nil] : [nil, nil]))
      let losses = try #require(trained.training?.history.map(\.validNLL))
      #expect(losses.count > 1 && losses[losses.count - 1] < losses[0])
      // The trained model gives the numbers of the reference model.
      let test = try #require(try SelfTest(of: trained))
      for (own, other) in zip(try replay(trained, test).logProbabilities, test.logProbabilities) {
        #expect(abs(own - other) < 2e-6)
      }
    }
  }
}
