// Paths, cut at the last slash.

import Testing
import UnrollTensors

@Suite("Parts of paths") struct SplitPathTests {
  @Test(
    "A path has a folder and a name",
    arguments: [
      ("a", "", "a"), ("a/b", "a", "b"), ("/a", "/", "a"), ("//a", "/", "a"),
      ("/a/b.c", "/a", "b.c"), ("./a", ".", "a"), ("../a", "..", "a"), ("a//b", "a", "b"),
      ("a/b.c/d.e.f", "a/b.c", "d.e.f"), ("日本/語", "日本", "語"), ("é/\u{301}", "é", "\u{301}"),
      ("a/b/", "a/b", ""), ("/", "/", ""), ("", "", ""),
    ])
  func parts(path: String, folder: String, name: String) {
    #expect(SplitPath(path).folder == folder)
    #expect(SplitPath(path).name == name)
  }

  @Test("The path of a file beside another one has the same folder")
  func siblings() {
    #expect(SplitPath("a").sibling("x") == "x")
    #expect(SplitPath("/a").sibling("x") == "/x")
    #expect(SplitPath("a/b").sibling("x") == "a/x")
    #expect(SplitPath("a//b").sibling("x") == "a/x")
  }
}
