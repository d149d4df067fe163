// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Puts the sections that the examples wrote together to one page, OUT/index.html, which says on what machine they ran.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "support/machine.hpp"
#include "support/page.hpp"
#include "tessera/core/version.hpp"

namespace {

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path.string() + ": cannot read");
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The text of a part's first heading.
std::string title(const std::string& part) {
  const std::size_t begin = part.find("<h2>") + 4;
  return part.substr(begin, part.find("</h2>") - begin);
}

}  // namespace

int main() try {
  const std::filesystem::path out = "out";
  std::string links;
  std::string sections;
  for (const char* name : {"denoise_photograph", "sample_digits", "attention_precision", "train_digits", "learn_shakespeare"}) {
    const std::string part = contents(out / "parts" / (std::string(name) + ".html"));
    links += "<a href=\"#" + std::string(name) + "\">" + title(part) + "</a>\n";
    sections += part;
  }

  std::ofstream page(out / "index.html");
  page << "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<meta name=viewport content='width=device-width'>\n"
       << "<title>Tessera: what the examples do</title>\n<style>\n"
       << contents(std::filesystem::path(EXAMPLES_DIR) / "index_page" / "style.css") << "</style>\n"
       << "<h1>Tessera</h1>\n<p class=lead>Stream tiles, fold them online, never build the matrix.</p>\n"
       << "<p>Five programs from <code>examples/</code>, run on this machine on real data. In most of them stands a matrix of "
          "scores that "
          "is never stored: every row against every key, folded tile by tile into a mean, a minimum or a short list.</p>\n<nav>\n"
       << links << "</nav>\n"
       << example::format("<p class=fine style='margin-top:1.6rem'>%s, %d threads · %s · %s · Tessera %d.%d.%d</p>\n",
                          machine::cpu_name().c_str(), tessera::par.workers(), machine::instruction_set().c_str(),
                          machine::compiler().c_str(), TESSERA_VERSION_MAJOR, TESSERA_VERSION_MINOR, TESSERA_VERSION_PATCH)
       << sections
       << "<section><p class=fine>Data: portrait of Eileen Collins, NASA, public domain. Chelsea the cat, Stéfan van der Walt, "
          "CC0. "
          "Digits: E. Alpaydin and C. Kaynak, <i>Optical Recognition of Handwritten Digits</i>, UCI Machine Learning Repository, "
          "1998, <a href='https://doi.org/10.24432/C50P49'>doi.org/10.24432/C50P49</a>, "
          "<a href='https://creativecommons.org/licenses/by/4.0/'>CC BY 4.0</a>. Plays by William Shakespeare, public "
          "domain.</p></section>\n</html>\n";
  if (!page.flush()) throw std::runtime_error("out/index.html: cannot write");
  std::printf("\nThe page: file://%s\n", std::filesystem::absolute(out / "index.html").c_str());
} catch (const std::exception& error) {
  std::fprintf(stderr, "index_page: %s\n", error.what());
  return 1;
}
