// Converts a folder of models, each in its own process.

import Foundation
import UnrollEngine
import UnrollFormat
import UnrollInterchange
import UnrollTensors

/// The conversion of the models of a folder.
struct FolderConversion {
  /// A file of the folder.
  private struct Job {
    let path: String
    let output: String
    let size: UInt64
  }

  /// A running conversion.
  private struct Running {
    let job: Job
    let process: Process
    /// The output path that was passed to the process.
    let output: String
    let start: ContinuousClock.Instant
    /// The error output, in an unlinked file: a pipe that is not read would block the process.
    let errors: FileHandle
  }

  private let jobs: [Job]
  private let others: Int
  private let writes: Bool
  private let options: [String]

  /// Finds the models of a folder.
  ///
  /// - Parameters:
  ///   - folder: The folder, searched recursively.
  ///   - target: The form of the results.
  ///   - results: The folder for the results.
  ///   - writes: `true` if files are written.
  ///   - options: The options of each conversion.
  /// - Throws: `Refusal` if there are no models; `FileError` if a folder cannot be created.
  init(
    folder: String, target: ConversionTarget, results: String, writes: Bool, options: [String]
  ) throws {
    guard let names = FileManager.default.enumerator(atPath: folder) else {
      throw FileError("read", path: folder)
    }
    var models: [(name: String, size: Int)] = []
    var others = 0
    for case let name as String in names.sorted(by: { "\($0)" < "\($1)" }) {
      let path = "\(folder)/\(name)"
      guard names.isRegularFile(path) else { continue }
      guard let file = try? MappedFile(path: path), isModel(file) else {
        others += 1
        continue
      }
      models.append((name, file.count))
    }
    let stems = Dictionary(grouping: models.map(\.name), by: Self.stem)
    let jobs = models.map { name, size in
      // Models whose names differ only in the extension keep it.
      let stem = stems[Self.stem(name)]?.count == 1 ? Self.stem(name) : name
      return Job(
        path: "\(folder)/\(name)", output: "\(results)/\(stem).\(target.fileExtension)",
        size: UInt64(size))
    }
    guard !jobs.isEmpty else {
      throw Refusal(
        "\(printable(folder)): expected models; found \(counted(others, "file")) of other kinds\n"
          + "  fix: give a folder with models of a supported format")
    }
    if writes { try Self.makeFolders(for: jobs) }
    (self.jobs, self.others, self.writes, self.options) = (jobs, others, writes, options)
  }

  private static func makeFolders(for jobs: [Job]) throws {
    for folder in Set(jobs.map { ($0.output as NSString).deletingLastPathComponent }) {
      do {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      } catch {
        throw Refusal(
          "\(printable(folder)): expected a folder for the results, or none yet; it cannot be made\n"
            + "  fix: give another --output")
      }
    }
  }

  /// Returns a path without the extension of a model.
  private static func stem(_ path: String) -> String {
    let stem = (path as NSString).deletingPathExtension
    return stem.hasSuffix(".unroll") ? (stem as NSString).deletingPathExtension : stem
  }

  /// Converts all models; the failure of one does not end the others.
  ///
  /// The number of concurrent processes is limited by the cores, and by half the memory for their
  /// files.
  ///
  /// - Returns: The worst exit code.
  /// - Throws: The errors of starting a process.
  func run() throws -> Int32 {
    let cores = ProcessInfo.processInfo.activeProcessorCount
    let memory = ProcessInfo.processInfo.physicalMemory / 2
    var waiting = jobs[...]
    var running: [Running] = []
    var worst: Int32 = 0
    var progress = Progress()
    Output.result("model\tresult\tseconds\toutput")
    while !waiting.isEmpty || !running.isEmpty {
      while let next = waiting.first, running.count < cores,
        running.isEmpty || running.map(\.job.size).reduce(next.size, +) < memory
      {
        running.append(try start(next))
        waiting.removeFirst()
      }
      let done = jobs.count - waiting.count - running.count
      progress.report { _ in "\(done) of \(jobs.count) models" }
      if let index = running.firstIndex(where: { !$0.process.isRunning }) {
        progress.finish()
        worst = max(worst, finish(running.remove(at: index)))
      } else {
        usleep(10_000)
      }
    }
    progress.finish()
    Output.note("\(counted(jobs.count, "model")), \(counted(others, "other file"))")
    return worst
  }

  private func start(_ job: Job) throws -> Running {
    let process = Process()
    process.executableURL = Bundle.main.executableURL
    let output = checkedOutput(of: job)
    process.arguments = ["convert", job.path, "-o", output] + options
    var name = Array("\(NSTemporaryDirectory())/unroll-XXXXXX".utf8CString)
    let descriptor = mkstemp(&name)
    guard descriptor >= 0 else { throw FileError("make a temporary file", path: job.output) }
    unlink(name)
    let errors = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    process.standardError = errors
    process.standardInput = FileHandle.nullDevice
    try process.run()
    return Running(job: job, process: process, output: output, start: .now, errors: errors)
  }

  /// Returns the output path; if nothing is written, a path in an existing folder.
  private func checkedOutput(of job: Job) -> String {
    let folder = (job.output as NSString).deletingLastPathComponent
    guard !writes, !FileManager.default.fileExists(atPath: folder) else { return job.output }
    return
      "\(NSTemporaryDirectory())/\(UUID().uuidString)-\((job.output as NSString).lastPathComponent)"
  }

  private func finish(_ run: Running) -> Int32 {
    try? run.errors.seek(toOffset: 0)
    let text = String(decoding: run.errors.readDataToEndOfFile(), as: UTF8.self)
      .replacing(run.output, with: run.job.output)
    for line in text.split(separator: "\n") { Output.note("\(printable(run.job.path)): \(line)") }
    let code = run.process.terminationReason == .exit ? run.process.terminationStatus : 2
    let seconds = String(format: "%.2f", run.start.duration(to: .now) / .seconds(1))
    let result = code != 0 ? "failed" : writes ? "converted" : "checked"
    let output = code == 0 && writes ? printable(run.job.output) : "-"
    Output.result("\(printable(run.job.path))\t\(result)\t\(seconds)\t\(output)")
    return code
  }
}

extension FileManager.DirectoryEnumerator {
  fileprivate func isRegularFile(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }
}
