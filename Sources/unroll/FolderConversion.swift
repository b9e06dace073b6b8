// Converts a folder of models, each in its own process.

import CProcess
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
    let process: pid_t
    /// The output path that was passed to the process.
    let output: String
    let start: ContinuousClock.Instant
    /// The error output, in an unlinked file: a pipe that is not read would block the process.
    let errors: OpenFile
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
    var models: [(name: String, size: Int)] = []
    var others = 0
    let names = try Self.files(below: folder).sorted()
    // A SavedModel is one model, its variables are part of it.
    let savedModels = Set(names.filter { SplitPath($0).name == "saved_model.pb" })
    for name in names {
      let group = SplitPath(SplitPath(name).folder)
      guard group.name != "variables" || !savedModels.contains(group.sibling("saved_model.pb"))
      else { continue }
      guard let file = try? MappedFile(path: "\(folder)/\(name)"), isModel(file) else {
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
    self.jobs = jobs
    self.others = others
    self.writes = writes
    self.options = options
  }

  /// Returns the regular files of a folder and the folders in it, relative to it.
  ///
  /// Links to files are followed, links to folders and folders that cannot be read are not.
  ///
  /// - Throws: `FileError` if the folder itself cannot be read.
  private static func files(below folder: String) throws -> [String] {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
      throw FileError("read", path: folder)
    }
    return names.flatMap { name in
      let path = "\(folder)/\(name)"
      var status = stat()
      guard lstat(path, &status) == 0 else { return [] as [String] }
      if status.st_mode & S_IFMT == S_IFDIR {
        return ((try? files(below: path)) ?? []).map { "\(name)/\($0)" }
      }
      return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG ? [name] : []
    }
  }

  private static func makeFolders(for jobs: [Job]) throws {
    for folder in Set(jobs.map { SplitPath($0.output).folder }) {
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
    let stem = withoutExtension(path)
    return stem.hasSuffix(".unroll") ? withoutExtension(stem) : stem
  }

  private static func withoutExtension(_ path: String) -> String {
    guard let dot = path.utf8.lastIndex(of: UInt8(ascii: ".")),
      SplitPath(path).name.dropFirst().contains(".")
    else { return path }
    return String(path[..<dot])
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
      if let (index, status) = Self.ended(of: running) {
        progress.finish()
        worst = max(worst, finish(running.remove(at: index), status))
      } else {
        usleep(10_000)
      }
    }
    progress.finish()
    Output.note("\(counted(jobs.count, "model")), \(counted(others, "other file"))")
    return worst
  }

  /// Returns a process that has ended and its wait status, if any.
  private static func ended(of running: [Running]) -> (index: Int, status: Int32)? {
    for (index, run) in running.enumerated() {
      var status: Int32 = 0
      if waitpid(run.process, &status, WNOHANG) == run.process { return (index, status) }
    }
    return nil
  }

  private func start(_ job: Job) throws -> Running {
    let output = checkedOutput(of: job)
    var name = Array("\(Self.temporaryFolder)/unroll-XXXXXX".utf8CString)
    let descriptor = mkstemp(&name)
    guard descriptor >= 0 else { throw FileError("make a temporary file", path: job.output) }
    unlink(name)
    let errors = OpenFile(descriptor: descriptor, path: job.output)
    // The other processes must not hold it open.
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    let program = CommandLine.arguments.first ?? "unroll"
    let words = [program, "convert", job.path, "-o", output] + options
    let arguments = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    let process = unroll_start_again(arguments, descriptor)
    guard process >= 0 else { throw FileError("start a process to convert", path: job.path) }
    return Running(job: job, process: process, output: output, start: .now, errors: errors)
  }

  /// Returns the output path; if nothing is written, a path in an existing folder.
  private func checkedOutput(of job: Job) -> String {
    let path = SplitPath(job.output)
    guard !writes, !FileManager.default.fileExists(atPath: path.folder) else { return job.output }
    return "\(Self.temporaryFolder)/\(UUID().uuidString)-\(path.name)"
  }

  private static let temporaryFolder = FileManager.default.temporaryDirectory.path

  /// Reports a conversion that has ended; returns its exit code.
  private func finish(_ run: Running, _ status: Int32) -> Int32 {
    let errors = try? MappedFile(descriptor: run.errors.descriptor, path: run.job.path)
    let text = String(decoding: errors.map { $0.copy(0..<$0.count) } ?? [], as: UTF8.self)
      .replacing(run.output, with: run.job.output)
    for line in text.split(separator: "\n") { Output.note("\(printable(run.job.path)): \(line)") }
    let code = unroll_wait_signal(status) == 0 ? unroll_wait_exit_code(status) : 2
    let seconds = String(printf: "%.2f", run.start.duration(to: .now) / .seconds(1))
    let result = code != 0 ? "failed" : writes ? "converted" : "checked"
    let output = code == 0 && writes ? printable(run.job.output) : "-"
    Output.result("\(printable(run.job.path))\t\(result)\t\(seconds)\t\(output)")
    return code
  }
}
