// Runs libhdf5 on a foreign file in a forked process under limits.

import CProcess
import Foundation
import UnrollFormat
import UnrollHDF5

/// The limits of a child process, by default several times the needs of the largest inventory.
struct ChildLimits {
  /// The seconds of work until the child is killed; waiting for a disk does not count.
  var work = 1.5
  /// The seconds of elapsed time until the child is killed; a slow disk has time to respond.
  var seconds = 30.0
  /// The maximum private memory beyond that of this process at the fork, in bytes.
  var memory = 96 << 20
  /// The maximum number of bytes of the answer.
  var answer = 32 << 20
  /// The maximum size in bytes of a file that the child writes.
  var output = 0
}

/// The reason why a child process gave no answer, as the end of the sentence "found ...".
struct ChildDeath: Error, Equatable {
  let how: String
  /// The error number, if the child was not started.
  var code: Int32?
}

/// Runs a closure in a forked process and returns the closure's result.
///
/// Call it before any other thread exists: the child continues with a copy of this process's
/// memory, locks included.
///
/// - Parameters:
///   - limits: The limits of the child.
///   - output: An open file that the child may write; it has no other file but its answer.
///   - body: The closure; the child ends after it. Its result is the answer.
/// - Returns: The answer.
/// - Throws: `ChildDeath` if the child crashes, hangs, or exceeds a limit.
func runInChild(
  limits: ChildLimits = ChildLimits(), output: Int32 = -1, _ body: () -> [UInt8]
) throws(ChildDeath) -> [UInt8] {
  var ends: [Int32] = [-1, -1]
  guard pipe(&ends) == 0 else { throw ChildDeath(how: "no pipe", code: errno) }
  let memory = MemoryUse.current
  let child = unroll_fork()
  guard child >= 0 else {
    let code = errno
    for end in ends { close(end) }
    throw ChildDeath(how: "no process", code: code)
  }
  if child == 0 {
    unroll_close_descriptors_but(ends[1], output)
    becomeHarmless(limits, memory)
    writeAll(body(), to: ends[1])
    _exit(0)
  }
  close(ends[1])
  defer { close(ends[0]) }
  let answer = Result { () throws(ChildDeath) in try readAll(from: ends[0], limits: limits) }
  if case .failure = answer { kill(child, SIGKILL) }
  let end = wait(for: child, limits: limits, memory)
  let bytes = try answer.get()
  if let end { throw end }
  return bytes
}

/// The private memory of this process in bytes; zeros if the system does not report it.
private struct MemoryUse {
  /// The reserved memory as `RLIMIT_DATA` counts it.
  var reserved = 0
  /// The resident memory; a child starts with it.
  var resident = 0

  static var current: MemoryUse {
    // Pages: size, resident, shared, text, 0, data. See proc_pid_statm(5).
    let fields =
      (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?
      .split(whereSeparator: \.isWhitespace).compactMap { Int($0) } ?? []
    guard fields.count > 5 else { return MemoryUse() }
    let pageSize = Int(getpagesize())
    return MemoryUse(
      reserved: fields[5] * pageSize, resident: (fields[1] - fields[2]) * pageSize)
  }
}

/// Drops all privileges of the child that reading a file does not need.
private func becomeHarmless(_ limits: ChildLimits, _ memory: MemoryUse) {
  // libhdf5 and the C library print when they abort; the parent reports the failure instead.
  // Standard input, open for writing only, cannot be read.
  let null = open("/dev/null", O_WRONLY)
  for standard in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] {
    if null >= 0 { dup2(null, standard) } else { close(standard) }
  }
  if null > STDERR_FILENO { close(null) }
  // Swift's backtracer would start another program and hide the original signal.
  for crash in [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP] { signal(crash, SIG_DFL) }
  limit(RLIMIT_CORE, to: 0)
  limit(RLIMIT_FSIZE, to: limits.output)
  limit(RLIMIT_NOFILE, to: 32)
  unroll_limit_work(limits.work)
  limit(RLIMIT_CPU, to: Int(limits.work.rounded(.up)) + 1)
  limit(RLIMIT_DATA, to: memory.reserved + limits.memory)
}

#if canImport(Glibc)
  private func limit(_ resource: __rlimit_resource, to value: Int) {
    var bounds = rlimit(rlim_cur: rlim_t(value), rlim_max: rlim_t(value))
    setrlimit(__rlimit_resource_t(resource.rawValue), &bounds)
  }
#else
  private func limit(_ resource: Int32, to value: Int) {
    var bounds = rlimit(rlim_cur: rlim_t(value), rlim_max: rlim_t(value))
    setrlimit(resource, &bounds)
  }
#endif

/// Reads until the other end closes, within the limits of time and size.
private func readAll(
  from descriptor: Int32, limits: ChildLimits
) throws(ChildDeath) -> [UInt8] {
  let deadline = ContinuousClock.now + .seconds(limits.seconds)
  var answer: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 64 * 1024)
  while true {
    let left = ContinuousClock.now.duration(to: deadline)
    let milliseconds = Int32(max(0, left / .milliseconds(1)))
    var event = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    let status = poll(&event, 1, milliseconds)
    if status < 0 && errno == EINTR { continue }
    guard status > 0 else {
      throw ChildDeath(how: "a reader that hung: killed after \(limits.seconds) s")
    }
    let count = read(descriptor, &buffer, buffer.count)
    guard count > 0 else { return answer }
    answer += buffer[..<count]
    guard answer.count <= limits.answer else {
      throw ChildDeath(how: "a reader that answered more than \(limits.answer) bytes")
    }
  }
}

/// Waits for the end of the child; returns `nil` if it ended normally.
private func wait(
  for child: pid_t, limits: ChildLimits, _ memory: MemoryUse
) -> ChildDeath? {
  var status: Int32 = 0
  var usage = rusage()
  while wait4(child, &status, 0, &usage) < 0 && errno == EINTR {}
  let signal = unroll_wait_signal(status)
  guard signal != 0 else {
    let code = unroll_wait_exit_code(status)
    return code == 0 ? nil : ChildDeath(how: "a reader that ended with code \(code)")
  }
  if signal == SIGPROF || signal == SIGXCPU {
    return ChildDeath(how: "a reader that hung: killed after \(limits.work) s of work")
  }
  // A crash for lack of memory shows no cause, but its peak is close to the limit.
  #if os(Linux)
    let peak = Int(usage.ru_maxrss) * 1024
  #else
    let peak = Int(usage.ru_maxrss)
  #endif
  if peak > memory.resident + limits.memory / 10 * 9 {
    return ChildDeath(how: "a reader that grew beyond \(limits.memory >> 20) MiB")
  }
  return ChildDeath(
    how: "a reader that crashed: \(String(cString: strsignal(signal)).lowercased())")
}

// MARK: - The container

extension ContainerReader {
  /// Runs libhdf5 in a child process under limits.
  static let inChild = ContainerReader(
    inventory: { path throws(ContainerFailure) in
      try takeInventory { () throws(HDF5Error) in try Inventory(contentsOf: path) }
    },
    decode: { orders, path, descriptor throws(ContainerFailure) in
      _ = try takeData(ChildLimits(for: orders), output: descriptor) { () throws(HDF5Error) in
        try decodeDatasets(orders, of: path, into: descriptor)
        return []
      }
    }, foreign: .inChild)
}

extension ForeignReader {
  /// Runs libhdf5 in a child process under limits.
  static let inChild = ForeignReader { image, name throws(ContainerFailure) in
    try takeInventory { () throws(HDF5Error) in try Inventory(foreign: image, name: name) }
  } decode: { orders, image, name, descriptor throws(ContainerFailure) in
    _ = try takeData(ChildLimits(for: orders), output: descriptor) { () throws(HDF5Error) in
      try decodeDatasets(orders, ofForeign: image, name: name, into: descriptor)
      return []
    }
  } texts: { path, image, name throws(ContainerFailure) in
    try takeData(ChildLimits()) { () throws(HDF5Error) in
      try readTexts(path, ofForeign: image, name: name)
    }
  }
}

/// Reads data in a child process.
private func takeData(
  _ limits: ChildLimits, output: Int32 = -1, _ read: () throws(HDF5Error) -> [UInt8]
) throws(ContainerFailure) -> [UInt8] {
  switch try answer(limits, output: output, read) {
  case .success(let bytes): return Array(bytes)
  case .failure(let refusal):
    throw .undecodable(
      object: refusal.object, reason: "\(refusal.operation): \(refusal.reason)")
  }
}

/// Makes an inventory in a child process.
private func takeInventory(
  _ make: () throws(HDF5Error) -> Inventory
) throws(ContainerFailure) -> Inventory {
  let answer = try answer(ChildLimits()) { () throws(HDF5Error) in try make().encoded }
  switch answer {
  case .failure(let refusal): throw .refused(refusal.reason)
  case .success(let bytes):
    guard let inventory = Inventory(encoded: bytes) else { throw .senseless }
    return inventory
  }
}

extension ChildLimits {
  /// Creates limits for decoding: 50 MB/s and 10 µs a chunk are a fifth of the measured speed.
  fileprivate init(for orders: [DecodingOrder]) {
    var (chunkCount, largestChunk) = (0, 0)
    for order in orders {
      output = max(output, order.offset + order.byteCount)
      chunkCount += order.chunkCount
      largestChunk = max(largestChunk, order.chunkSize)
    }
    // Rows, their chunk, and each filter's result, in a buffer that doubles.
    memory += 6 * largestChunk
    work = 0.5 + Double(output) / 50e6 + Double(chunkCount) / 1e5
    seconds += Double(output) / 5e6
  }
}

extension Examination {
  /// Examines a file in a child process; shows progress on standard error if it takes long.
  ///
  /// - Throws: `FileError` if the file cannot be read.
  static func shown(of path: String, upTo cost: Cost) throws -> Examination {
    try Progress.during("checking \(path)") {
      try Examination(of: path, upTo: cost, reader: .inChild)
    }
  }
}

extension ContainerFailure {
  /// An answer that no reader gives.
  fileprivate static let senseless = ContainerFailure.died("a reader whose answer makes no sense")
}

/// A failure of libhdf5 as the child reports it.
private struct ChildRefusal: Error {
  let object: String
  let operation: String
  let reason: String
}

/// Runs a closure in a child process and returns its result, or libhdf5's failure.
///
/// The child's answer ends in 0 after the bytes, or in 1 after three texts separated by NULs.
///
/// - Throws: `ContainerFailure.died` if the child does not survive the closure.
private func answer(
  _ limits: ChildLimits, output: Int32 = -1, _ body: () throws(HDF5Error) -> [UInt8]
) throws(ContainerFailure) -> Result<ArraySlice<UInt8>, ChildRefusal> {
  let bytes: [UInt8]
  do {
    bytes = try runInChild(limits: limits, output: output) {
      do throws(HDF5Error) {
        var bytes = try body()
        bytes.append(0)
        return bytes
      } catch {
        return [error.object, error.operation, error.reason].joined(separator: "\0").utf8 + [1]
      }
    }
  } catch {
    if let code = error.code {
      throw .unavailable("start a process that reads the file (\(error.how))", code: code)
    }
    throw .died(error.how)
  }
  // The child read an untrusted file, so its answer is untrusted.
  switch bytes.last {
  case 0: return .success(bytes.dropLast())
  case 1:
    let texts = bytes.dropLast().split(separator: 0, omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
    guard texts.count == 3 else { throw .senseless }
    return .failure(ChildRefusal(object: texts[0], operation: texts[1], reason: texts[2]))
  default: throw .senseless
  }
}
