// Runs libhdf5 on a foreign file in a forked process under limits.

import CProcess
import Foundation
import UnrollFormat
import UnrollHDF5

/// What a child process may use.
struct ChildLimits {
  /// Seconds until it is killed.
  var seconds = 10.0
  /// The most private memory beyond what this process has when it forks, in bytes.
  var memory = 512 << 20
  /// The most bytes that it may answer.
  var answer = 64 << 20
  /// The most bytes that a file may have that it writes to.
  var output = 0
}

/// Why a child process gave no answer, as the end of the sentence "found ...".
struct ChildDeath: Error, Equatable {
  let how: String
}

/// Runs a closure in a forked process and returns the bytes that it answers.
///
/// Call it before any other thread exists: the child continues with a copy of this process's memory,
/// locks included.
///
/// - Parameters:
///   - limits: What the child may use.
///   - body: Runs in the child, which ends after it. Its result is the answer.
/// - Returns: The answer.
/// - Throws: `ChildDeath` if the child crashes, hangs, grows, or answers too much.
func runInChild(
  limits: ChildLimits = ChildLimits(), _ body: () -> [UInt8]
) throws(ChildDeath) -> [UInt8] {
  var ends: [Int32] = [-1, -1]
  guard pipe(&ends) == 0 else { throw ChildDeath(how: "no pipe: \(systemReason())") }
  let memory = MemoryUse.current
  let child = unroll_fork()
  guard child >= 0 else {
    let reason = systemReason()
    for end in ends { close(end) }
    throw ChildDeath(how: "no process: \(reason)")
  }
  if child == 0 {
    close(ends[0])
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

/// The private memory of this process in bytes; zeros where the system does not tell.
private struct MemoryUse {
  /// What is reserved, as `RLIMIT_DATA` counts it.
  var reserved = 0
  /// What is resident; a child starts with it.
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

/// Gives up, in the child, what reading a file does not need.
private func becomeHarmless(_ limits: ChildLimits, _ memory: MemoryUse) {
  // libhdf5 and the C library print when they abort; the parent says it better.
  let null = open("/dev/null", O_WRONLY)
  if null >= 0 {
    dup2(null, STDERR_FILENO)
    dup2(null, STDOUT_FILENO)
  }
  // Swift's backtracer would start another program, and say another signal than the one that was.
  for crash in [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP] { signal(crash, SIG_DFL) }
  limit(RLIMIT_CORE, to: 0)
  limit(RLIMIT_FSIZE, to: limits.output)
  limit(RLIMIT_NOFILE, to: 32)
  limit(RLIMIT_CPU, to: Int(limits.seconds.rounded(.up)) + 1)
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

/// Writes bytes to a descriptor; a reader that is gone ends it.
private func writeAll(_ bytes: [UInt8], to descriptor: Int32) {
  var rest = bytes[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    guard count > 0 else { return }
    rest = rest.dropFirst(count)
  }
}

/// Reads until the other end closes, for as long and as much as the limits allow.
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

/// Waits for the child's end; `nil` if it was a good one.
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
  // Which crash was for want of memory cannot be told; that it had nearly all can.
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

private func systemReason() -> String { String(cString: strerror(errno)).lowercased() }

// MARK: - The container

extension ContainerReader {
  /// Runs libhdf5 in a child process under limits.
  static let inChild = ContainerReader { path throws(ContainerFailure) in
    try answer(ChildLimits()) { () throws(HDF5Error) in try Inventory(contentsOf: path) }
      .mapError { ContainerFailure.refused($0.reason) }.get()
  } decode: { orders, path, descriptor throws(ContainerFailure) in
    let byteCount = orders.map { $0.offset + $0.byteCount }.max() ?? 0
    // Time for a slow disk; the output is as large as was checked, and no larger.
    let limits = ChildLimits(seconds: 10 + Double(byteCount) / 20e6, output: byteCount)
    _ = try answer(limits) { () throws(HDF5Error) in
      try decodeDatasets(orders, of: path, into: descriptor)
      return true
    }.mapError {
      ContainerFailure.undecodable(object: $0.object, reason: "\($0.operation): \($0.reason)")
    }.get()
  }
}

extension Examination {
  /// Examines a file in a child process, and shows on standard error that it takes long.
  ///
  /// - Throws: `FileError` if the file cannot be read.
  static func shown(of path: String, upTo cost: Cost) throws -> Examination {
    try Progress.during("checking \(path)") {
      try Examination(of: path, upTo: cost, reader: .inChild)
    }
  }
}

/// What the child says of a failure of libhdf5.
private struct ChildRefusal: Error, Codable {
  let object: String
  let operation: String
  let reason: String
}

/// What the child answers.
private enum Answer<Value: Codable>: Codable {
  case value(Value)
  case refusal(ChildRefusal)
}

/// Runs a closure in a child process and returns what it returns, or how libhdf5 refused.
///
/// - Throws: `ContainerFailure.died` if the child does not survive it.
private func answer<Value: Codable & Sendable>(
  _ limits: ChildLimits, _ body: () throws(HDF5Error) -> Value
) throws(ContainerFailure) -> Result<Value, ChildRefusal> {
  let bytes: [UInt8]
  do {
    bytes = try runInChild(limits: limits) { encoded(body) }
  } catch {
    throw .died(error.how)
  }
  // The child read a foreign file; what it says is foreign too, and decoded as such.
  guard let answer = try? decoder.decode(Answer<Value>.self, from: Data(bytes)) else {
    throw .died("a reader whose answer makes no sense")
  }
  switch answer {
  case .value(let value): return .success(value)
  case .refusal(let refusal): return .failure(refusal)
  }
}

private func encoded<Value: Codable>(_ body: () throws(HDF5Error) -> Value) -> [UInt8] {
  let answer: Answer<Value>
  do throws(HDF5Error) {
    answer = .value(try body())
  } catch {
    answer = .refusal(
      ChildRefusal(object: error.object, operation: error.operation, reason: error.reason))
  }
  return (try? encoder.encode(answer)).map { Array($0) } ?? []
}

private var encoder: JSONEncoder {
  let encoder = JSONEncoder()
  encoder.nonConformingFloatEncodingStrategy = .convertToString(
    positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
  return encoder
}

private var decoder: JSONDecoder {
  let decoder = JSONDecoder()
  decoder.nonConformingFloatDecodingStrategy = .convertFromString(
    positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
  return decoder
}
