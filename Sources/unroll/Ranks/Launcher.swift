// The place of this process among those that an MPI launcher started.

import CUnrollGroup
import Foundation
import Synchronization
import UnrollTensors

/// The launcher of this process.
enum Launcher {
  private static let launch = unroll_launch_by_environment()

  /// The number of processes that the launcher started; `nil` if it started others but does not say how many; 1
  /// without a launcher.
  static var size: Int? { launch.size == 0 ? nil : Int(launch.size) }
  /// The number of this process, from 0.
  static var rank: Int { Int(launch.rank) }
  /// The number of processes on this host.
  static var localSize: Int { max(1, Int(launch.local_size)) }
  /// `true` if there are other processes, or may be.
  static var isShared: Bool { launch.size != 1 }

  /// The name of this host without its domain.
  static var host: String {
    String(ProcessInfo.processInfo.hostName.prefix { $0 != "." })
  }

  /// The name of this rank for messages, such as `rank 3 on h3`.
  static var name: String { "rank \(rank) on \(host)" }

  private static let isOneOfSeveral = Mutex(false)

  /// Leaves notes and results to rank 0 from now on, in a training of several ranks.
  ///
  /// Call it before the first note. The number of threads is a share of the host's processors.
  static func beginShared() {
    guard isShared else { return }
    isOneOfSeveral.withLock { $0 = true }
  }

  /// `true` if this process leaves notes and results to rank 0.
  static var isQuiet: Bool { rank > 0 && isOneOfSeveral.withLock { $0 } }
}
