// Regularization of a training; spec/FORMAT.md has the formulas.

/// One form of regularization at one site of the model.
public struct RegularizationTerm: Sendable, Hashable, CustomStringConvertible {
  /// Site, kind and rate, as `between:locked=0.25`.
  public var description: String { "\(site.rawValue):\(kind.rawValue)=\(rate)" }

  /// The part of the model on which a term acts.
  public enum Site: String, Sendable, Hashable, CaseIterable {
    /// The embedding, or the vectors that are looked up in it.
    case embedding
    /// The hidden states of each layer that another reads.
    case between
    /// The hidden states of the last layer.
    case output
    /// The recurrent weights of each layer.
    case weightHH = "weight_hh"
  }

  /// The form of regularization.
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

    /// `true` if it draws masks.
    public var isDropout: Bool { self != .activation && self != .temporal }
  }

  /// The part of the model on which it acts.
  public var site: Site
  /// The form of regularization.
  public var kind: Kind
  /// The dropout probability, or the factor of the mean square.
  public var rate: Double

  /// Creates a term; `isLawful` is `true` if it is valid.
  public init(site: Site, kind: Kind, rate: Double) {
    self.site = site
    self.kind = kind
    self.rate = rate
  }

  /// `true` if the kind acts at the site and the rate is in its domain.
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

  /// `true` if two terms cannot act together: the same, or two dropouts of the same numbers.
  public func excludes(_ other: RegularizationTerm) -> Bool {
    let states: Set<Kind> = [.element, .locked]
    return site == other.site
      && (kind == other.kind || (states.contains(kind) && states.contains(other.kind)))
  }
}
