// Children that crash, hang, grow and babble: each ends, is collected, and is described.
//
// Each test runs in a process of its own ("exit test"): forking wants few threads, and only there
// are all descriptors and children those of the test.

import Foundation
import TestSupport
import Testing

@testable import unroll

/// The answer of a child, or how it died.
private func outcome(
  _ limits: ChildLimits = ChildLimits(), output: Int32 = -1, _ body: () -> [UInt8]
) -> String {
  do {
    return String(decoding: try runInChild(limits: limits, output: output, body), as: UTF8.self)
  } catch {
    return error.how
  }
}

/// The open descriptors of this process.
private func descriptors() -> [Int32] { (0..<256).filter { fcntl($0, F_GETFD) >= 0 } }

/// `true` if this process has a child, dead or alive.
private func hasChild() -> Bool { !(waitpid(-1, nil, WNOHANG) < 0 && errno == ECHILD) }

/// A number that the optimizer cannot know.
private func opaque(_ number: Int) -> Int { getpid() > 0 ? number : 0 }

@Suite("Child processes of readers", .serialized) struct ChildTests {
  @Test("The answer of a child arrives whole, be it empty or larger than a pipe")
  func wholeAnswer() async {
    await #expect(processExitsWith: .success) {
      #expect(outcome { Array("ü\u{0}".utf8) } == "ü\u{0}")
      #expect(outcome { [] } == "")
      let long = [UInt8](repeating: 0x61, count: 3_000_000)
      #expect(outcome { long }.utf8.count == long.count)
      #expect(!hasChild())
    }
  }

  @Test("A child that crashes is reported with the name of its signal")
  func crash() async {
    await #expect(processExitsWith: .success) {
      // Not inside the expectation: the macro lets a closure that never returns fail there.
      let aborted = outcome { abort() }
      #expect(aborted == "a reader that crashed: aborted")
      let fault = outcome {
        UnsafeMutablePointer<UInt8>(bitPattern: opaque(64))?.pointee = 1
        return []
      }
      #expect(fault == "a reader that crashed: segmentation fault")
      #expect(!hasChild())
    }
  }

  @Test("A child that hangs, busy or idle, is killed after the time limit")
  func hang() async {
    await #expect(processExitsWith: .success) {
      let limits = ChildLimits(seconds: 0.5)
      let start = ContinuousClock.now
      let busy = outcome(limits) {
        while opaque(1) == 1 {}
        return []
      }
      #expect(busy == "a reader that hung: killed after 0.5 s")
      let idle = outcome(limits) {
        while opaque(1) == 1 { pause() }
        return []
      }
      #expect(idle == busy)
      #expect(ContinuousClock.now - start < .seconds(5))
      #expect(!hasChild())
    }
  }

  /// Waiting is no work: a slow disk has the longer time.
  @Test("The limit of processor time kills a busy child, and not one that waits")
  func processorTime() async {
    await #expect(processExitsWith: .success) {
      let limits = ChildLimits(work: 0.25, seconds: 60)
      let busy = outcome(limits) {
        while opaque(1) == 1 {}
        return []
      }
      #expect(busy == "a reader that hung: killed after 0.25 s of work")
      let slow = outcome(limits) {
        usleep(500_000)
        return Array("done".utf8)
      }
      #expect(slow == "done")
      #expect(!hasChild())
    }
  }

  @Test("A child that grows beyond the memory limit is killed")
  func memoryLimit() async {
    await #expect(processExitsWith: .success) {
      let grown = outcome(ChildLimits(memory: 64 << 20)) {
        while true {
          guard let block = malloc(1 << 20) else { abort() }
          memset(block, 1, 1 << 20)
        }
      }
      #expect(grown == "a reader that grew beyond 64 MiB")
      #expect(!hasChild())
    }
  }

  @Test("An answer beyond the limit is refused, and one of exactly the limit is taken")
  func longAnswer() async {
    await #expect(processExitsWith: .success) {
      let limits = ChildLimits(answer: 100_000)
      let long = outcome(limits) { [UInt8](repeating: 0x61, count: 200_000) }
      #expect(long == "a reader that answered more than 100000 bytes")
      #expect(outcome(limits) { [UInt8](repeating: 0x61, count: 100_000) }.utf8.count == 100_000)
      #expect(!hasChild())
    }
  }

  @Test("A child that exits early is reported with its exit code")
  func earlyExit() async {
    await #expect(processExitsWith: .success) {
      #expect(outcome { _exit(3) } == "a reader that ended with code 3")
      #expect(!hasChild())
    }
  }

  @Test("A child can neither print nor write to files")
  func noOutput() async throws {
    let result = await #expect(
      processExitsWith: .success, observing: [\.standardErrorContent, \.standardOutputContent]
    ) {
      let path = FileManager.default.temporaryDirectory
        .appending(path: "unroll-child-\(getpid())").path
      let written = outcome {
        puts("noise on output")
        fflush(nil)
        perror("noise on errors")
        signal(SIGXFSZ, SIG_IGN)
        let descriptor = open(path, O_CREAT | O_WRONLY, 0o600)
        return Array("\(write(descriptor, "x", 1))".utf8)
      }
      unlink(path)
      #expect(written == "-1")
    }
    let printed = [result?.standardErrorContent, result?.standardOutputContent]
      .map { String(decoding: $0 ?? [], as: UTF8.self) }
    #expect(printed.allSatisfy { !$0.contains("noise on") })
  }

  @Test("A child inherits no descriptors except its answer and its output")
  func inheritedDescriptors() async {
    await #expect(processExitsWith: .success) {
      // As files that the process has open for its own use; none is closed on exec.
      let file = open("/", O_RDONLY)
      let other = open("/", O_RDONLY)
      let far = fcntl(file, F_DUPFD, 900)
      #expect(file >= 3 && other >= 3 && far >= 900)
      func inherited(_ output: Int32) -> String {
        outcome(output: output) {
          Array("\((3..<1024).filter { fcntl($0, F_GETFD) >= 0 }.count)".utf8)
        }
      }
      #expect(inherited(-1) == "1")
      #expect(inherited(other) == "2")
      #expect(inherited(far) == "2")
      let isOpen = outcome(output: other) { Array("\(fcntl(other, F_GETFD) >= 0)".utf8) }
      #expect(isOpen == "true")
    }
  }

  @Test("A child cannot read standard input")
  func noInput() async {
    await #expect(processExitsWith: .success) {
      var ends: [Int32] = [-1, -1]
      #expect(pipe(&ends) == 0)
      #expect(dup2(ends[0], STDIN_FILENO) == STDIN_FILENO)
      #expect(write(ends[1], "secret", 6) == 6)
      let count = outcome {
        var buffer = [UInt8](repeating: 0, count: 6)
        return Array("\(read(STDIN_FILENO, &buffer, 6))".utf8)
      }
      #expect(count == "-1")
    }
  }

  @Test("Children that answer, crash or are killed leak no descriptors and leave no zombies")
  func descriptorLeaks() async {
    await #expect(processExitsWith: .success) {
      _ = outcome { [1] }
      let before = descriptors()
      for _ in 0..<3 {
        _ = outcome { [1] }
        _ = outcome { abort() }
        _ = outcome(ChildLimits(answer: 10)) { [UInt8](repeating: 0, count: 100) }
        _ = outcome(ChildLimits(seconds: 0.1)) {
          while opaque(1) == 1 {}
          return []
        }
      }
      // The test's own machinery may have one open for a moment; what leaks stays.
      let isClean = (0..<100).contains { attempt in
        usleep(attempt == 0 ? 0 : 10_000)
        return Set(descriptors()).isSubset(of: before)
      }
      #expect(isClean)
      #expect(before.count >= 3)
      #expect(!hasChild())
    }
  }
}
