# SPDX-License-Identifier: MIT
# Homebrew formula for the tree it is in, as far as that is committed. Homebrew
# takes formulas from taps only:
#   brew tap-new --no-git local/hvlua
#   cp scripts/package/hvlua.rb "$(brew --repository local/hvlua)/Formula"
#   HOMEBREW_HVLUA=$PWD brew install --HEAD local/hvlua/hvlua
class Hvlua < Formula
  desc "Scripting host for virtual machines"
  license "MIT"
  head "file://#{ENV.fetch("HOMEBREW_HVLUA", Dir.pwd)}", using: :git

  depends_on "pkgconf" => :build
  depends_on "lua@5.4"
  depends_on "unicorn"

  def install
    system "make", "install", "PREFIX=#{prefix}"
  end

  test do
    (testpath/"test.lua").write <<~LUA
      local hv = require "hv"
      local vm <close> = hv.vm { memory = "64K" }
      vm:write(0, "\\x02\\x00\\x00\\xd4") -- hvc #0
      vm:vcpu { pc = 0 }
      print(vm:run { exits = 1 }.kind)
    LUA
    assert_match(/^(hvc|budget)$/, shell_output("#{bin}/hvlua test.lua"))
  end
end
