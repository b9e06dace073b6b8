# A Homebrew formula for a tap, to be completed with the address of the repository; checked by `ruby -c` only.
class Unroll < Formula
  desc "Convert, check, run and train recurrent language models"
  head "https://example.org/unroll.git", branch: "main"
  license "Apache-2.0"

  depends_on "pkgconf" => :build
  depends_on "hdf5"
  uses_from_macos "swift" => :build
  uses_from_macos "zlib"

  def install
    args = OS.linux? ? ["--static-swift-stdlib"] : []
    system "swift", "build", "--disable-sandbox", "-c", "release", "--product", "unroll", *args
    bin.install ".build/release/unroll"
    generate_completions_from_executable(bin/"unroll", "--generate-completion-script")
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/unroll --version") unless head?
    assert_match "unroll evaluate", shell_output(bin/"unroll")
  end
end
