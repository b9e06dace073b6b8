// The window of tokens that a model's file states.

/// The window of tokens before each prediction that a model was made for, from a Keras
/// configuration.
public struct StatedWindow: Sendable, Hashable {
  /// The number of tokens.
  public let length: Int
  /// `true` if padding before shorter contexts is read; `false` if it is skipped (`mask_zero`).
  public let readsPadding: Bool
}
