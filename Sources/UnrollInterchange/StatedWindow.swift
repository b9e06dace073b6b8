// The window of tokens that a model's file states.

/// The tokens before each prediction that a model was made for, as the configuration of Keras states it.
public struct StatedWindow: Sendable, Hashable {
  /// The number of tokens.
  public let length: Int
  /// `true` if padding in front of fewer tokens is read; `false` where it is skipped (`mask_zero`).
  public let readsPadding: Bool
}
