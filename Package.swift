// swift-tools-version: 6.1
// A target exists to forbid a dependency: only UnrollHDF5 sees libhdf5, only UnrollNeural the kernels,
// only the executable prints, forks or exits.
import PackageDescription

let package = Package(
  name: "unroll",
  platforms: [.macOS(.v15)],
  products: [
    .library(
      name: "UnrollFormat",
      targets: ["UnrollFormat", "UnrollHDF5", "UnrollTensors", "UnrollTokenization"]),
    .library(
      name: "UnrollEngine",
      targets: [
        "UnrollEngine", "UnrollFormat", "UnrollHDF5", "UnrollInterchange", "UnrollNeural",
        "UnrollTensors", "UnrollTokenization",
      ]),
    .executable(name: "unroll", targets: ["unroll"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.0.0"),
  ],
  targets: [
    // C libraries of the system.
    .systemLibrary(
      name: "CHDF5", pkgConfig: "hdf5",
      providers: [.apt(["libhdf5-dev", "pkg-config"]), .brew(["hdf5", "pkgconf"])]),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),

    // Our own C: what Swift cannot express.
    .target(
      name: "CUnrollKernels", dependencies: ["CElementary"],
      linkerSettings: [.linkedLibrary("m", .when(platforms: [.linux]))]),
    .target(name: "CElementary"),
    .target(name: "CProcess"),
    .target(
      name: "CUnrollGroup", linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),

    // The library, in dependency order.
    .target(name: "UnrollTensors", dependencies: ["CElementary"]),
    .target(name: "UnrollHDF5", dependencies: ["CHDF5", "UnrollTensors"]),
    .target(name: "UnrollSerialization", dependencies: ["UnrollTensors"]),
    .target(
      name: "UnrollTokenization", dependencies: ["CZlib", "UnrollSerialization", "UnrollTensors"]),
    .target(
      name: "UnrollFormat",
      dependencies: [
        "UnrollHDF5", "UnrollTensors", "UnrollTokenization",
        .product(name: "Crypto", package: "swift-crypto"),
      ]),
    .target(
      name: "UnrollInterchange",
      dependencies: [
        "CZlib", "UnrollFormat", "UnrollHDF5", "UnrollSerialization", "UnrollTensors",
        "UnrollTokenization",
      ]),
    .target(
      name: "UnrollNeural", dependencies: ["CUnrollKernels", "UnrollFormat", "UnrollTensors"]),
    .target(
      name: "UnrollEngine",
      dependencies: [
        "UnrollFormat", "UnrollHDF5", "UnrollInterchange", "UnrollNeural", "UnrollSerialization",
        "UnrollTensors", "UnrollTokenization",
      ]),
    .target(
      name: "UnrollReport",
      dependencies: ["UnrollTensors", .product(name: "Crypto", package: "swift-crypto")]),
    .executableTarget(
      name: "unroll",
      dependencies: [
        "CProcess", "CUnrollGroup", "UnrollEngine", "UnrollFormat", "UnrollHDF5",
        "UnrollInterchange", "UnrollNeural", "UnrollReport", "UnrollSerialization", "UnrollTensors",
        "UnrollTokenization",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    .executableTarget(
      name: "TokenizerSpeed", dependencies: ["UnrollTokenization"],
      path: "Benchmarks/TokenizerSpeed"),
    .executableTarget(
      name: "Speed", dependencies: ["CUnrollKernels", "UnrollNeural"], path: "Benchmarks/Speed"),

    .target(
      name: "TestSupport", dependencies: ["UnrollFormat", "UnrollNeural"], path: "Tests/TestSupport"
    ),
    .testTarget(name: "UnrollTensorsTests", dependencies: ["UnrollTensors", "TestSupport"]),
    .testTarget(name: "UnrollHDF5Tests", dependencies: ["UnrollHDF5", "TestSupport"]),
    .testTarget(
      name: "UnrollSerializationTests", dependencies: ["UnrollSerialization", "UnrollTensors"]),
    .testTarget(
      name: "UnrollTokenizationTests", dependencies: ["UnrollTokenization", "TestSupport"]),
    .testTarget(name: "UnrollFormatTests", dependencies: ["UnrollFormat", "TestSupport"]),
    .testTarget(
      name: "UnrollInterchangeTests",
      dependencies: [
        "UnrollInterchange", "TestSupport", .product(name: "Crypto", package: "swift-crypto"),
      ]),
    .testTarget(
      name: "UnrollNeuralTests", dependencies: ["CUnrollKernels", "UnrollNeural", "TestSupport"]),
    .testTarget(
      name: "UnrollReportTests",
      dependencies: [
        "UnrollReport", "TestSupport", .product(name: "Crypto", package: "swift-crypto"),
      ]),
    .testTarget(name: "UnrollEngineTests", dependencies: ["UnrollEngine", "TestSupport"]),
    .testTarget(name: "UnrollCommandTests", dependencies: ["unroll", "TestSupport"]),
    .testTarget(
      name: "FuzzingTests", dependencies: ["UnrollInterchange", "TestSupport"],
      exclude: ["main.swift"]),
  ]
)

// scripts/soak builds the fuzzers from the folder of their tests; no other build has them.
if Context.environment["UNROLL_FUZZING"] != nil {
  package.targets.removeAll { $0.name == "FuzzingTests" }
  package.targets.append(
    .executableTarget(
      name: "Fuzzing", dependencies: ["UnrollInterchange"], path: "Tests/FuzzingTests",
      exclude: ["CorpusTests.swift"]))
}
