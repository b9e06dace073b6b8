// The version of Unroll, once.

/// The version of this code.
public enum UnrollVersion {
  /// The version's number.
  public static let number = "0.1.0"
  /// What a file written by this code names as its producer.
  public static let producer = "unroll \(number)"
}
