// The version of Unroll, once.

/// The version of this code.
public enum UnrollVersion {
  /// The version's number.
  public static let number = "0.1.0"
  /// The producer that files written by this code name.
  public static let producer = "unroll \(number)"
}
