// The fuzzers: libFuzzer runs one target, which the environment names, on inputs of its own making.

import Foundation

/// libFuzzer's main loop.
@_silgen_name("LLVMFuzzerRunDriver")
private func runLibFuzzer(
  _ argc: UnsafeMutablePointer<CInt>,
  _ argv: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// Settings that are made before the first input.
private enum Fuzzer {
  static let target: FuzzTarget = {
    let name = ProcessInfo.processInfo.environment["UNROLL_FUZZING"] ?? ""
    guard let target = FuzzTarget(rawValue: name) else {
      print("UNROLL_FUZZING must name one of \(FuzzTarget.allCases.map(\.rawValue))")
      exit(2)
    }
    return target
  }()
  static let isVerbose = ProcessInfo.processInfo.environment["UNROLL_FUZZING_VERBOSE"] != nil
  static let scratch = FileManager.default.temporaryDirectory.appending(path: "input-\(getpid())")
    .path
}

var argc = CommandLine.argc
var argv = CommandLine.unsafeArgv
exit(
  runLibFuzzer(&argc, &argv) { bytes, count in
    let input = Array(UnsafeBufferPointer(start: bytes, count: count))
    do {
      let outcome = try Fuzzer.target.outcome(of: input, at: Fuzzer.scratch)
      if Fuzzer.isVerbose { print(outcome) }
    } catch {
      fatalError("\(error)")
    }
    return 0
  })
