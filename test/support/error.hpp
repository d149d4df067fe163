// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Errors against their bounds, and the texts of refused arguments.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <sstream>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/numeric/traits.hpp"

namespace support {

/// |got - want| / bound: 0 where both are equal or both NaN, inf where only one is finite or the bound is exceeded from 0.
inline double excess(double got, long double want, double bound) {
  if (std::isnan(want) || std::isnan(got))
    return std::isnan(want) && std::isnan(got) ? 0 : std::numeric_limits<double>::infinity();
  if (static_cast<long double>(got) == want) return 0;
  if (!std::isfinite(got) || !std::isfinite(want)) return std::numeric_limits<double>::infinity();
  const double error = static_cast<double>(std::fabs(static_cast<long double>(got) - want));
  return bound > 0 ? error / bound : std::numeric_limits<double>::infinity();
}

/// Half the distance between neighbours of x in T, or more: what storing x as T may add to an error.
template <class T, class X>
double rounding(X x) {
  const double spacing = tessera::unit_roundoff<T> * std::fabs(static_cast<double>(x));
  double least = static_cast<double>(tessera::min_normal<T>());
  least *= tessera::unit_roundoff<T>;  // apart, as nvcc warns of a constant that underflows
  return spacing > least ? spacing : least;
}

/// The worst of many comparisons.
class worst {
 public:
  template <class Want, class... Where>
  void operator()(double got, Want want, double bound, const Where&... where) {
    const double ratio = excess(got, static_cast<long double>(want), bound);
    ++count_;
    if (ratio > ratio_ || std::isnan(ratio)) {
      ratio_ = ratio;
      std::ostringstream text;
      text.precision(17);
      text << got << " for " << static_cast<double>(want) << ", bound " << bound << " at";
      ((text << ' ' << where), ...);
      text_ = text.str();
    }
  }

  [[nodiscard]] double ratio() const { return ratio_; }
  [[nodiscard]] std::int64_t count() const { return count_; }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  double ratio_ = 0;
  std::int64_t count_ = 0;
  std::string text_ = "nothing compared";
};

/// The text of the argument_error that f throws; "accepted" if it does not.
template <class F>
std::string refusal(const F& f) {
  try {
    f();
  } catch (const tessera::argument_error& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace support

/// Every comparison was within its bound, and there were some. --log_level=message tells how much of it was reached.
#define CHECK_WITHIN_BOUND(errors)                                                                                          \
  BOOST_TEST_MESSAGE(#errors " reaches " << (errors).ratio() << " of its bound in " << (errors).count() << " comparisons"); \
  BOOST_TEST_INFO((errors).text());                                                                                         \
  BOOST_TEST((errors).ratio() <= 1.0);                                                                                      \
  BOOST_TEST((errors).count() > 0)

/// f() throws an argument_error whose text begins with `beginning`: "function: argument: ".
#define CHECK_REFUSED(beginning, ...)                                                 \
  do {                                                                                \
    const std::string refusal_text = support::refusal([&] { __VA_ARGS__; });          \
    BOOST_TEST_INFO(refusal_text);                                                    \
    BOOST_TEST(refusal_text.substr(0, std::string(beginning).size()) == (beginning)); \
  } while (false)
