// swift-tools-version: 6.1
// A program that adopts the format and nothing else: the example of the library UnrollFormat.
import PackageDescription

let package = Package(
  name: "loading",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "unroll", path: "../..")],
  targets: [
    .executableTarget(
      name: "loading", dependencies: [.product(name: "UnrollFormat", package: "unroll")],
      path: "Sources")
  ]
)
