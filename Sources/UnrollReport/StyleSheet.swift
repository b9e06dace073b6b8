// The style sheet of pages and figures, and its colors.

/// The one style sheet.
enum StyleSheet {
  /// A color of the page, in light and dark.
  private struct Color {
    let name: String
    let light: String
    let dark: String
  }

  /// The number of colors of series.
  static let seriesCount = 6
  /// The dash patterns of lines; a series has another pattern as well as another color.
  static let dashes = ["none", "7 4", "2 3", "9 3 2 3", "12 4", "5 2 1 2 1 2"]

  private static let ground: [Color] = [
    Color(name: "ground", light: "#ffffff", dark: "#15171b"),
    Color(name: "surface", light: "#f4f5f7", dark: "#1e2127"),
    Color(name: "text", light: "#1c1d20", dark: "#e8e9eb"),
    Color(name: "quiet", light: "#565b63", dark: "#a9b0ba"),
    Color(name: "rule", light: "#d7dade", dark: "#3a3f48"),
    Color(name: "link", light: "#0b5a9e", dark: "#7fbcf2"),
    Color(name: "warn", light: "#8a4b00", dark: "#f0b35e"),
    Color(name: "mark", light: "#6a6f77", dark: "#8d949e"),
    Color(name: "empty", light: "#e3e5e8", dark: "#33373f"),
  ]

  /// Colors of series, which are distinguishable with color-vision deficiency; after Okabe and Ito.
  private static let series: [(light: String, dark: String)] = [
    ("#0072b2", "#6cb8f0"), ("#c4500c", "#f2995c"), ("#007a5a", "#4fc79e"),
    ("#9c4a84", "#e39ac9"), ("#7a5c00", "#dbb64a"), ("#4a5560", "#aab4be"),
  ]

  /// Backgrounds and texts of a heat map: a small number is close to the page, in light and in dark.
  private static let heat: [(light: String, lightText: String, dark: String, darkText: String)] = [
    ("#fbfbfa", "#1c1d20", "#191b1f", "#e8e9eb"), ("#fdf1dc", "#1c1d20", "#2b2722", "#e8e9eb"),
    ("#fde3bb", "#1c1d20", "#403021", "#f0f0f0"), ("#fcd096", "#1c1d20", "#573a20", "#f4f4f4"),
    ("#fab975", "#1c1d20", "#70431f", "#f8f8f8"), ("#f59f59", "#1c1d20", "#8b4b1e", "#ffffff"),
    ("#ec8346", "#1c1d20", "#a6521f", "#ffffff"), ("#b93c2a", "#ffffff", "#ef8a47", "#15171b"),
    ("#8c1d22", "#ffffff", "#ffc27d", "#15171b"),
  ]

  /// Colors of numbers below the middle of a heat map of two directions, the weakest first.
  private static let cold: [(light: String, lightText: String, dark: String, darkText: String)] = [
    ("#dcebf9", "#1c1d20", "#1d2a38", "#e8e9eb"), ("#9ecae9", "#1c1d20", "#22435f", "#f4f4f4"),
    ("#5b9dcc", "#1c1d20", "#2c6592", "#ffffff"), ("#0b4a85", "#ffffff", "#8ec7f5", "#15171b"),
  ]

  private static let colors: [Color] =
    ground
    + series.enumerated().map { Color(name: "s\($0)", light: $1.light, dark: $1.dark) }
    + heat.enumerated().flatMap { index, row in
      [
        Color(name: "h\(index)", light: row.light, dark: row.dark),
        Color(name: "t\(index)", light: row.lightText, dark: row.darkText),
      ]
    }
    + cold.enumerated().flatMap { index, row in
      [
        Color(name: "c\(index)", light: row.light, dark: row.dark),
        Color(name: "u\(index)", light: row.lightText, dark: row.darkText),
      ]
    }

  private static func declarations(_ value: (Color) -> String) -> String {
    colors.map { "--\($0.name):\(value($0))" }.joined(separator: ";")
  }

  /// The style of a page.
  static let ofPage = """
    :root{\(declarations(\.light));color-scheme:light dark}
    @media (prefers-color-scheme:dark){:root{\(declarations(\.dark))}}
    \(layout)
    \(figureRules { "var(--\($0))" })
    \((0..<HeatMap.levelCount).map { ".h\($0){background:var(--h\($0));color:var(--t\($0))}" }.joined(separator: "\n"))
    \(cold.indices.map { ".c\($0){background:var(--c\($0));color:var(--u\($0))}" }.joined(separator: "\n"))
    \(printing)
    """

  /// The style of a figure in a file of its own: light colors, without variables, which some programs
  /// do not read.
  static let ofFigureAlone: String = {
    let light = Dictionary(uniqueKeysWithValues: colors.map { ($0.name, $0.light) })
    return "\n.figure{font-family:system-ui,\"Segoe UI\",\"DejaVu Sans\",sans-serif}\n"
      + figureRules { light[$0] ?? "" } + "\n"
  }()

  private static func figureRules(_ color: (String) -> String) -> String {
    let fixed = """
      .figure text{font-size:13px;fill:\(color("text"))}
      .figure .heading{font-size:16px;font-weight:600}
      .figure .middle{text-anchor:middle}
      .figure .end{text-anchor:end}
      .figure .label,.figure .value{fill:\(color("quiet"))}
      .figure .ground{fill:\(color("ground"))}
      .figure .grid{stroke:\(color("rule"));stroke-width:1}
      .figure .axis{stroke:\(color("mark"));stroke-width:1}
      .figure .mark{stroke:\(color("mark"));stroke-width:1.5;fill:none}
      .figure .box{fill:\(color("surface"));stroke:\(color("mark"))}
      .figure .arrow{fill:\(color("mark"))}
      .figure .line{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}
      """
    let ofSeries = (0..<seriesCount).map {
      ".figure .s\($0){stroke:\(color("s\($0)"))}\n.figure .f\($0){fill:\(color("s\($0)"))}"
    }
    let ofDashes = dashes.enumerated().dropFirst().map {
      ".figure .d\($0){stroke-dasharray:\($1)}"
    }
    return ([fixed] + ofSeries + ofDashes).joined(separator: "\n")
  }

  private static let layout = """
    *{box-sizing:border-box}
    body{margin:0;background:var(--ground);color:var(--text);font:1rem/1.6 system-ui,"Segoe UI","DejaVu Sans",sans-serif;overflow-wrap:anywhere}
    .page{max-width:60rem;margin:0 auto;padding:2rem 1.25rem 4rem}
    .skip{position:absolute;left:-99rem}
    .skip:focus{left:1rem;top:.5rem;background:var(--ground);padding:.25rem .75rem}
    :focus-visible{outline:3px solid var(--link);outline-offset:2px}
    a{color:var(--link)}
    h1{font-size:1.9rem;line-height:1.2;margin:.15rem 0 .5rem;letter-spacing:-.01em}
    h2{font-size:1.3rem;line-height:1.3;margin:2.75rem 0 .75rem;padding-top:1rem;border-top:1px solid var(--rule)}
    p,ul,ol,dl,figure{margin:0 0 1rem}
    .producer{margin:0;color:var(--quiet);font-size:.9rem}
    .lead{font-size:1.1rem;max-width:44rem}
    nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;padding:0;font-size:.95rem}
    .highlights{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:.75rem;margin:1.5rem 0}
    .highlights div{background:var(--surface);border-radius:.5rem;padding:.75rem 1rem}
    .highlights dt{color:var(--quiet);font-size:.85rem;line-height:1.4}
    .highlights dd{margin:0;font-size:1.45rem;line-height:1.3;font-weight:600;font-variant-numeric:tabular-nums}
    .facts{display:grid;grid-template-columns:minmax(6rem,max-content) 1fr;gap:.3rem 1.5rem;font-size:.95rem}
    .facts dt{color:var(--quiet)}
    .facts dd{margin:0;font-variant-numeric:tabular-nums}
    .notes{background:var(--surface);border-left:4px solid var(--warn);border-radius:0 .5rem .5rem 0;padding:.75rem 1rem .75rem 1.25rem;margin:1.25rem 0}
    .notes h2{all:unset;display:block;font-weight:600;color:var(--warn)}
    .notes ul{margin:.25rem 0 0;padding-left:1.1rem}
    .wide{overflow-x:auto;margin:0 0 1rem}
    table{border-collapse:collapse;font-size:.92rem;line-height:1.45}
    caption{text-align:left;color:var(--quiet);padding:0 0 .4rem}
    th{font-weight:600;border-bottom:2px solid var(--rule);vertical-align:bottom}
    td{border-bottom:1px solid var(--rule);vertical-align:top}
    th,td{text-align:left;padding:.3rem 1.25rem .3rem 0;overflow-wrap:normal}
    .n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
    figcaption{font-weight:600;margin-bottom:.5rem}
    .figure{display:block;width:100%;min-width:34rem;max-width:48rem;height:auto;font-family:inherit}
    details{margin:0 0 1rem}
    summary{cursor:pointer;color:var(--link);padding:.15rem 0}
    details[open] summary{margin-bottom:.5rem}
    .legend{list-style:none;display:flex;flex-wrap:wrap;gap:.3rem .4rem;padding:0;font-size:.85rem}
    .legend li,.heat span{border-radius:.2rem;padding:.06em .2em}
    .heat{padding-left:3.2em;line-height:1.95}
    .heat li::marker{color:var(--quiet);font-size:.8rem}
    .heat li{margin-bottom:.15rem}
    .heat span{white-space:pre-wrap}
    .parts span{border-left:2px solid var(--mark);border-radius:0}
    .heat .none,.legend .none{background:var(--empty);text-decoration:underline dotted 2px;text-underline-offset:.2em}
    .heat .h5,.heat .h6,.legend .h5,.legend .h6{text-decoration:underline 1px;text-underline-offset:.2em}
    .heat .h7,.heat .h8,.legend .h7,.legend .h8{text-decoration:underline 2px;text-underline-offset:.2em;font-weight:600}
    .heat .c2,.legend .c2{text-decoration:overline 1px}
    .heat .c3,.legend .c3{text-decoration:overline 2px;font-weight:600}
    .heat span:focus{outline:3px solid var(--link);outline-offset:1px}
    .heat span:hover::after,.heat span:focus::after{content:attr(data-d);position:fixed;left:0;right:0;bottom:0;z-index:1;padding:.6rem 1.25rem;background:var(--text);color:var(--ground);font-size:.95rem;font-weight:400;line-height:1.4;white-space:pre-wrap;text-align:center}
    footer{margin-top:3rem;padding-top:1rem;border-top:1px solid var(--rule);color:var(--quiet);font-size:.9rem}
    @media (max-width:36rem){.page{padding:1.25rem 1rem 3rem}h1{font-size:1.5rem}.facts{grid-template-columns:1fr;gap:0}.facts dd{margin-bottom:.5rem}.heat{padding-left:2.4em}td:last-child:not(.n){min-width:14rem}}
    """

  private static let printing = """
    @page{margin:15mm}
    @media print{
    :root{\(declarations(\.light));color-scheme:light}
    .page{max-width:none;padding:0}
    body{font-size:10.5pt}
    .skip,nav,summary,details:not([open]),.heat span::after{display:none!important}
    .heat span:focus{outline:none}
    .wide{overflow:visible}
    table{font-size:.8rem}
    th,td{padding-right:.75rem}
    td{overflow-wrap:anywhere}
    .figure{min-width:0}
    figure,.highlights,.notes,tr,.heat li{break-inside:avoid}
    h2,caption,figcaption{break-after:avoid}
    .heat span,.legend li,.highlights div,.figure *{print-color-adjust:exact;-webkit-print-color-adjust:exact}
    }
    """
}

/// The script of a page: arrow keys move from part to part of a heat map.
///
/// The page is complete without it.
enum PageScript {
  static let text = """
    for(const box of document.querySelectorAll(".heat")){
    const parts=[...box.querySelectorAll("span")];
    let at=0;
    const go=i=>{if(i<0||i>=parts.length)return;parts[at].removeAttribute("tabindex");at=i;parts[at].tabIndex=0;parts[at].focus()};
    if(parts.length)parts[0].tabIndex=0;
    box.addEventListener("keydown",e=>{
    const to={ArrowRight:at+1,ArrowLeft:at-1,Home:0,End:parts.length-1}[e.key];
    if(to===undefined)return;e.preventDefault();go(to)});
    box.addEventListener("click",e=>{const i=parts.indexOf(e.target);if(i>=0)go(i)})}
    """
}
