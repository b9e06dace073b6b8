// Every path and attribute name of the format, once.

/// The names that the format uses inside a file.
public enum Layout {
  /// The group of one recurrent layer; numbered names are zero-padded, so name order is layer order.
  static func layer(_ index: Int) -> String {
    let digits = String(index)
    return "/model/layers/" + (digits.count < 2 ? "0" + digits : digits)
  }
}
