// Companion data of a model: a card for people, a self-test of its numbers, and data of other programs.

import UnrollHDF5
import UnrollTensors

/// A line of the card; the names are those of GGUF and of model cards.
public enum CardField: String, Sendable, Hashable, CaseIterable {
  /// The name of the model for people.
  case title
  /// Its licence, as an SPDX expression such as `CC-BY-4.0`.
  case license
  /// Who made it.
  case authors
  /// The languages of its texts, as BCP 47 tags such as `de`.
  case languages
  /// The data that it was trained on.
  case datasets
  /// The model that it was made from.
  case baseModel = "base_model"
  /// The address of further information.
  case homepage
  /// The citation.
  case citation

  /// `true` if the field holds several texts.
  public var isList: Bool { [.authors, .languages, .datasets].contains(self) }
}

/// Information about a model for people; it changes nothing that is computed.
public struct Card: Sendable, Hashable {
  /// The fields that are filled in; one text each, but for lists.
  public var fields: [CardField: [String]] = [:]
  /// A description in Markdown.
  public var readme: String?

  /// Creates an empty card.
  public init() {}
}

/// Log-probabilities that the model gave when it was made, so that every later reader can compare.
public struct SelfTest: Sendable, Hashable {
  /// The tokens, `[N]`; the first is input only.
  public var tokenIDs: [UInt32]
  /// The natural logarithms of the probabilities that the model gives each token after the first,
  /// `[N - 1]`, from a zero state.
  public var logProbabilities: [Double]
  /// The program that computed them, such as `torch 2.15.0`.
  public var producer: String
  /// The arithmetic that it used, such as `f32`.
  public var arithmetic: String
  /// The largest difference at which another computation still agrees.
  public var tolerance: Double
  /// The digest of the weights that they belong to.
  public var weightsDigest: String

  /// Creates a self-test.
  public init(
    tokenIDs: [UInt32], logProbabilities: [Double], producer: String, arithmetic: String,
    tolerance: Double, weightsDigest: String
  ) {
    self.tokenIDs = tokenIDs
    self.logProbabilities = logProbabilities
    self.producer = producer
    self.arithmetic = arithmetic
    self.tolerance = tolerance
    self.weightsDigest = weightsDigest
  }
}

/// The data that other programs keep in a file, preserved as they are.
public struct Extensions: Sendable {
  /// The objects below `/extensions`, by path.
  var objects: [String: Outline.Object] = [:]

  /// The names, in reverse-DNS notation, such as `org.example.phonology`.
  public var names: [String] {
    Set(objects.keys.compactMap { Self.name(in: $0) }).sorted()
  }

  /// Returns the extension that a path is part of.
  static func name(in path: String) -> String? {
    guard Layout.isInsideExtension(path) else { return nil }
    return path.dropFirst(Layout.extensions.count + 1).split(separator: "/").first.map(String.init)
  }

  /// Returns the digest of the weights that an extension belongs to; `nil` if it goes with any.
  func weightsDigest(of name: String) -> String? {
    let attributes = objects["\(Layout.extensions)/\(name)"]?.attributes
    if case .text(let digest)? = attributes?[AttributeName.weightsDigest] { return digest }
    return nil
  }
}

// MARK: - Writing

extension Card {
  func add(to outline: inout Outline) {
    var attributes: [String: AttributeValue] = [:]
    for (field, texts) in fields {
      // HDF5 holds no empty array: an empty list is an absent one.
      guard let first = texts.first else { continue }
      attributes[field.rawValue] = field.isList ? .texts(texts) : .text(first)
    }
    outline.addGroup(Layout.card, attributes)
    if let readme { outline.addDataset(Layout.readme, Tensor(Array(readme.utf8))) }
  }
}

extension SelfTest {
  func add(to outline: inout Outline) {
    outline.addGroup(
      Layout.selfTest,
      [
        AttributeName.weightsDigest: .text(weightsDigest),
        AttributeName.producer: .text(producer),
        AttributeName.arithmetic: .text(arithmetic),
        AttributeName.tolerance: .number(tolerance),
      ])
    outline.addDataset(Layout.selfTestIDs, Tensor(tokenIDs))
    outline.addDataset(Layout.selfTestLogProbabilities, Tensor(logProbabilities))
  }
}

extension Extensions {
  /// Adds the extensions that go with any weights or with these.
  func add(to outline: inout Outline, weightsDigest: String) {
    let kept = Set(names.filter { self.weightsDigest(of: $0).map { $0 == weightsDigest } ?? true })
    guard !kept.isEmpty else { return }
    outline.addGroup(Layout.extensions)
    for (path, object) in objects where kept.contains(Self.name(in: path) ?? "") {
      outline.objects[path] = object
    }
  }
}

// MARK: - Reading

extension Contents {
  /// The card; `nil` where there is none.
  var card: Card? {
    guard exists(Layout.card) else { return nil }
    var card = Card()
    for field in CardField.allCases {
      switch object(Layout.card)?.attributes[field.rawValue] {
      case .text(let text): card.fields[field] = [text]
      case .texts(let texts): card.fields[field] = texts
      default: break
      }
    }
    card.readme = numbers(Layout.readme, of: UInt8.self) { $0 }.map {
      String(decoding: $0, as: UTF8.self)
    }
    return card
  }

  /// The self-test; `nil` where there is none, or where a part is missing.
  var selfTest: SelfTest? {
    guard let ids = numbers(Layout.selfTestIDs, of: UInt32.self, { $0 }),
      let values = numbers(
        Layout.selfTestLogProbabilities, of: UInt64.self, { Double(bitPattern: $0) }),
      let digest = text(Layout.selfTest, AttributeName.weightsDigest),
      let producer = text(Layout.selfTest, AttributeName.producer),
      let arithmetic = text(Layout.selfTest, AttributeName.arithmetic),
      let tolerance = number(Layout.selfTest, AttributeName.tolerance)
    else { return nil }
    return SelfTest(
      tokenIDs: ids, logProbabilities: values,
      producer: producer, arithmetic: arithmetic, tolerance: tolerance, weightsDigest: digest)
  }

  /// The extensions, as they lie in the file.
  var extensions: Extensions {
    Extensions(objects: outlineObjects { Layout.isInsideExtension($0) })
  }
}
