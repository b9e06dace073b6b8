// Numbers for people.

import UnrollTensors

/// Returns a number with digits grouped by commas, such as `18,328`.
package func grouped(_ number: Int) -> String {
  var digits = String(number.magnitude)[...]
  var groups: [Substring] = []
  while digits.count > 3 {
    groups.append(digits.suffix(3))
    digits = digits.dropLast(3)
  }
  groups.append(digits)
  return (number < 0 ? "-" : "") + groups.reversed().joined(separator: ",")
}

/// Returns a number with a number of digits; a whole number has all its digits.
func rounded(_ number: Double, digits: Int) -> String {
  if number == number.rounded(), abs(number) < 1e15 { return grouped(Int(number)) }
  return String(printf: "%.*g", Int32(digits), number)
}
