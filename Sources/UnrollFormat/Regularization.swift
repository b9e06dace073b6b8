// What keeps a model in training from learning its text by heart; spec/FORMAT.md has the formulas.

/// One way of regularisation, at one place of the model.
public struct RegularizationTerm: Sendable, Hashable, CustomStringConvertible {
  /// Site, kind and rate, as `between:locked=0.25`.
  public var description: String { "\(site.rawValue):\(kind.rawValue)=\(rate)" }

  /// Where it acts.
  public enum Site: String, Sendable, Hashable, CaseIterable {
    /// The embedding, or what is looked up in it.
    case embedding
    /// The hidden states of each layer that another reads.
    case between
    /// The hidden states of the last layer.
    case output
    /// The recurrent weights of each layer.
    case weightHH = "weight_hh"
  }

  /// How it acts.
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    /// Dropout with a mask of its own for each time step.
    case element
    /// Dropout with one mask for all time steps of a window.
    case locked
    /// Dropout of whole rows of the embedding: of words.
    case row
    /// Dropout of single weights, one mask for a window.
    case weight
    /// The mean square of the hidden states is added to the loss, after dropout (AR).
    case activation
    /// The mean square of their change from step to step is added, before dropout (TAR).
    case temporal

    /// Whether it draws masks.
    public var isDropout: Bool { self != .activation && self != .temporal }
  }

  /// Where it acts.
  public var site: Site
  /// How it acts.
  public var kind: Kind
  /// The share that is dropped, or what multiplies the mean square.
  public var rate: Double

  /// Creates a term; `isLawful` says whether there is such a one.
  public init(site: Site, kind: Kind, rate: Double) {
    self.site = site
    self.kind = kind
    self.rate = rate
  }

  /// Whether the kind acts at the site, and the rate is in its domain.
  public var isLawful: Bool {
    let kinds: [Kind] =
      switch site {
      case .embedding: [.row, .element, .locked]
      case .between: [.element, .locked]
      case .output: [.element, .locked, .activation, .temporal]
      case .weightHH: [.weight]
      }
    return kinds.contains(kind) && rate.isFinite && rate >= 0 && (rate < 1 || !kind.isDropout)
  }

  /// Whether two terms cannot act together: the same, or two dropouts of the same numbers.
  public func excludes(_ other: RegularizationTerm) -> Bool {
    let states: Set<Kind> = [.element, .locked]
    return site == other.site
      && (kind == other.kind || (states.contains(kind) && states.contains(other.kind)))
  }
}
