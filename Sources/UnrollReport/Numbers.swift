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

/// Returns a number with two decimals, as `%.2f` of C's `printf` does.
package func hundredths(_ number: Double) -> String {
  let scaled = number * 100
  let whole = scaled.rounded(.down)
  // Products round: near a tie, and for large numbers, the exact way decides.
  guard 0...1e9 ~= scaled, abs(scaled - whole - 0.5) > 1e-5 else {
    return String(printf: "%.2f", number)
  }
  let count = Int(whole) + (scaled - whole > 0.5 ? 1 : 0)
  let rest = count % 100
  return String(count / 100) + (rest < 10 ? ".0" : ".") + String(rest)
}

/// Returns a number with a number of digits; a whole number has all its digits.
func rounded(_ number: Double, digits: Int) -> String {
  if number == number.rounded(), abs(number) < 1e15 { return grouped(Int(number)) }
  return String(printf: "%.*g", Int32(digits), number)
}
