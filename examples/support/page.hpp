// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Sections of a web page that needs no server: pictures are embedded, plots are SVG, styles are inline.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "support/image.hpp"

namespace example {

/// A picture with a line of text (HTML) below it.
struct figure {
  image picture;
  std::string caption;
  bool sharp = false;  ///< pixels stay squares when the browser enlarges them
};

/// One point of a plot: a row of it, its place on the value axis, and which kind it is of.
struct mark {
  std::string row;
  double value = 0;
  int kind = 0;  ///< 0 a dot, 1 a diamond, 2 an upright stroke
};

/// One line of a plot: points from left to right.
struct curve {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

/// One section of the page. Text is HTML; every call adds a block below the others.
class section {
 public:
  section(std::string name, const std::string& title);

  void text(const std::string& html);
  void heading(const std::string& html);
  /// Large figures with a word about each: {{"29.7 dB", "after"}, …}.
  void numbers(const std::vector<std::pair<std::string, std::string>>& value_and_label);
  /// Pictures side by side, `columns` in a row; large ones below each other where the window is narrow.
  void figures(const std::vector<figure>& pictures, int columns);
  /// The first column is text, the others are aligned as numbers.
  void table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);
  /// Upright bars with a line at `expected`.
  void bars(const std::string& caption, const std::vector<std::string>& labels, const std::vector<double>& values,
            double expected, const std::string& expected_label);
  /// Marks on one logarithmic axis, a line for each distinct mark.row in order of appearance; `kinds` names them.
  void marks(const std::string& caption, const std::vector<mark>& points, const std::vector<std::string>& kinds);
  /// Up to four lines over one horizontal axis, their names above; the values on a logarithmic axis where `logarithmic`.
  void curves(const std::string& caption, const std::string& axis, const std::vector<curve>& lines, bool logarithmic);

  /// Writes OUT/parts/NAME.html, which `index_page` puts together.
  void save(const std::string& out = "out") const;

 private:
  std::string name_;
  std::string html_;
};

/// printf into a string.
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

}  // namespace example
