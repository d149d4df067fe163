// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "support/page.hpp"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace example {
namespace {

std::string base64(const std::vector<unsigned char>& bytes) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t word = 0;
    for (std::size_t b = 0; b < 3; ++b) word = word << 8U | (b < left ? bytes[i + b] : 0U);
    for (std::size_t d = 0; d < 4; ++d) text += d <= left ? digits[word >> (18 - 6 * d) & 63U] : '=';
  }
  return text;
}

/// The caption as plain text, for those who cannot see the picture.
std::string without_tags(const std::string& html) {
  std::string text;
  bool in_tag = false;
  for (const char c : html) {
    if (c == '<') in_tag = true;
    if (!in_tag && c != '"') text += c;
    if (c == '>') in_tag = false;
  }
  return text;
}

/// A mark of a plot around (x, y).
std::string shape(int kind, double x, double y) {
  switch (kind) {
    case 0:
      return format("<circle class=kind0 cx='%.1f' cy='%.1f' r='5'/>", x, y);
    case 1:
      return format("<path class=kind1 d='M%.1f %.1fm-6 0l6-6l6 6l-6 6z'/>", x, y);
    default:
      return format("<path class=kind2 d='M%.1f %.1fm0-9v18'/>", x, y);
  }
}

}  // namespace

std::string format(const char* pattern, ...) {
  std::va_list arguments;
  va_start(arguments, pattern);
  std::va_list again;
  va_copy(again, arguments);
  std::string text(static_cast<std::size_t>(std::vsnprintf(nullptr, 0, pattern, arguments)), ' ');
  std::vsnprintf(text.data(), text.size() + 1, pattern, again);
  va_end(again);
  va_end(arguments);
  return text;
}

section::section(std::string name, const std::string& title) : name_(std::move(name)), html_("<h2>" + title + "</h2>\n") {}

void section::text(const std::string& html) { html_ += "<p>" + html + "</p>\n"; }

void section::heading(const std::string& html) { html_ += "<h3>" + html + "</h3>\n"; }

void section::numbers(const std::vector<std::pair<std::string, std::string>>& value_and_label) {
  html_ += "<dl class=numbers>\n";
  for (const auto& [value, label] : value_and_label) html_ += "<div><dd>" + value + "</dd><dt>" + label + "</dt></div>\n";
  html_ += "</dl>\n";
}

void section::figures(const std::vector<figure>& pictures, int columns) {
  html_ += format("<div class=figures style='--wide:%d;--narrow:%d'>\n", columns, columns > 2 ? columns : 1);
  for (const figure& f : pictures) {
    html_ += format("<figure><img width=%d height=%d%s alt=\"", static_cast<int>(f.picture.width),
                    static_cast<int>(f.picture.height), f.sharp ? " class=sharp" : "");
    html_ += without_tags(f.caption) + "\" src=\"data:image/png;base64," + base64(png_bytes(f.picture)) + "\">";
    if (!f.caption.empty()) html_ += "<figcaption>" + f.caption + "</figcaption>";
    html_ += "</figure>\n";
  }
  html_ += "</div>\n";
}

void section::table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  html_ += "<div class=scroll><table>\n<thead><tr>";
  for (const std::string& cell : header) html_ += "<th>" + cell + "</th>";
  html_ += "</tr></thead>\n";
  for (const auto& row : rows) {
    html_ += "<tr>";
    for (const std::string& cell : row) html_ += "<td>" + cell + "</td>";
    html_ += "</tr>\n";
  }
  html_ += "</table></div>\n";
}

void section::bars(const std::string& caption, const std::vector<std::string>& labels, const std::vector<double>& values,
                   double expected, const std::string& expected_label) {
  const double top = 1.05 * std::max(expected, *std::max_element(values.begin(), values.end()));
  const double step = 760.0 / static_cast<double>(values.size());
  const auto y = [&](double value) { return 190 - 180 * value / top; };
  html_ += "<figure><svg viewBox='0 0 880 215' role=img aria-label=\"" + without_tags(caption) + "\">\n";
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double x = step * static_cast<double>(i);
    html_ += format("<rect class=bar x='%.1f' y='%.1f' width='%.1f' height='%.1f'/>", x + 3, y(values[i]), step - 6,
                    190 - y(values[i]));
    html_ += format("<text x='%.1f' y='180' class='middle inside'>%.4g</text>", x + step / 2, values[i]);
    html_ += format("<text x='%.1f' y='208' class=middle>%s</text>\n", x + step / 2, labels[i].c_str());
  }
  html_ += format("<line class=expected x1='0' x2='762' y1='%.1f' y2='%.1f'/>", y(expected), y(expected));
  html_ += format("<text x='770' y='%.1f'>%s</text></svg>\n", y(expected) + 4, expected_label.c_str());
  html_ += "<figcaption>" + caption + "</figcaption></figure>\n";
}

void section::marks(const std::string& caption, const std::vector<mark>& points, const std::vector<std::string>& kinds) {
  std::vector<std::string> rows;
  double low = points.front().value;
  double high = low;
  for (const mark& p : points) {
    if (std::find(rows.begin(), rows.end(), p.row) == rows.end()) rows.push_back(p.row);
    low = std::min(low, p.value);
    high = std::max(high, p.value);
  }
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  const auto x = [&](double value) { return 230 + 620 * (std::log10(value) - first) / (last - first); };
  const int bottom = 26 * static_cast<int>(rows.size()) + 34;
  html_ += format("<figure><svg viewBox='0 0 880 %d' role=img aria-label=\"%s\">\n", bottom + 26, without_tags(caption).c_str());
  double at = 20;
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    html_ += shape(static_cast<int>(k), at, 12) + format("<text x='%.0f' y='17'>%s</text>", at + 12, kinds[k].c_str());
    at += 48 + 7.2 * static_cast<double>(kinds[k].size());
  }
  for (int decade = first; decade <= last; ++decade) {
    const double tick = x(std::pow(10.0, decade));
    html_ += format("<line class=grid x1='%.1f' x2='%.1f' y1='30' y2='%d'/>", tick, tick, bottom);
    html_ += format("<text x='%.1f' y='%d' class=middle>10<tspan dy='-5' font-size='10'>%s%d</tspan></text>\n", tick, bottom + 20,
                    decade < 0 ? "−" : "", std::abs(decade));
  }
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const int y = 26 * static_cast<int>(r) + 46;
    html_ += format("<text x='218' y='%d' class=end>%s</text>", y + 5, rows[r].c_str());
    for (const mark& p : points) {
      if (p.row == rows[r]) html_ += shape(p.kind, x(p.value), y);
    }
    html_ += "\n";
  }
  html_ += "</svg>\n<figcaption>" + caption + "</figcaption></figure>\n";
}

void section::curves(const std::string& caption, const std::string& axis, const std::vector<curve>& lines, bool logarithmic) {
  const auto value = [&](double y) { return logarithmic ? std::log10(y) : y; };
  double left = lines.front().points.front().first;
  double right = left;
  double low = value(lines.front().points.front().second);
  double high = low;
  for (const curve& line : lines) {
    for (const auto& [x, y] : line.points) {
      left = std::min(left, x);
      right = std::max(right, x);
      low = std::min(low, value(y));
      high = std::max(high, value(y));
    }
  }
  // Ticks at whole powers of ten, or at some five round numbers.
  double step = 1;
  if (!logarithmic) {
    step = std::pow(10.0, std::floor(std::log10((high - low) / 5)));
    while ((high - low) / step > 6) step *= step * 2 < high - low ? 2 : 2.5;
  }
  low = step * std::floor(low / step);
  high = step * std::ceil(high / step);
  const auto at_x = [&](double x) { return 60 + 800 * (x - left) / (right - left); };
  const auto at_y = [&](double y) { return 310 - 270 * (y - low) / (high - low); };
  html_ += "<figure><svg viewBox='0 0 880 350' role=img aria-label=\"" + without_tags(caption) + "\">\n";
  for (double tick = low; tick < high + step / 2; tick += step) {
    html_ += format("<line class=grid x1='60' x2='860' y1='%.1f' y2='%.1f'/>", at_y(tick), at_y(tick));
    if (logarithmic) {
      html_ += format("<text x='52' y='%.1f' class=end>10<tspan dy='-5' font-size='10'>%s%d</tspan></text>\n", at_y(tick) + 4,
                      tick < 0 ? "−" : "", static_cast<int>(std::fabs(tick)));
    } else {
      html_ += format("<text x='52' y='%.1f' class=end>%.3g</text>\n", at_y(tick) + 4, tick);
    }
  }
  double name_at = 62;
  for (std::size_t k = 0; k < lines.size(); ++k) {
    html_ += format("<path class=curve%d d='M%.0f 12h24'/><text x='%.0f' y='17'>%s</text>\n", static_cast<int>(k), name_at,
                    name_at + 30, lines[k].name.c_str());
    name_at += 66 + 7.2 * static_cast<double>(lines[k].name.size());
    html_ += format("<path class=curve%d d='", static_cast<int>(k));
    for (std::size_t i = 0; i < lines[k].points.size(); ++i) {
      const auto& [x, y] = lines[k].points[i];
      html_ += format("%c%.1f %.1f", i == 0 ? 'M' : 'L', at_x(x), at_y(value(y)));
    }
    html_ += "'/>\n";
  }
  html_ += format(
      "<text x='60' y='340'>%.4g</text><text x='460' y='340' class=middle>%s</text><text x='860' y='340' class=end>%.4g</text>\n",
      left, axis.c_str(), right);
  html_ += "</svg>\n<figcaption>" + caption + "</figcaption></figure>\n";
}

void section::save(const std::string& out) const {
  const std::filesystem::path path = std::filesystem::path(out) / "parts" / (name_ + ".html");
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path);
  file << "<section id=" << name_ << ">\n" << html_ << "</section>\n";
  if (!file.flush()) throw std::runtime_error(path.string() + ": cannot write");
}

}  // namespace example
