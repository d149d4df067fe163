// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/numeric/next.hpp"

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include "oracle.hpp"

using numeric_test::all_formats;
using numeric_test::mix;
using numeric_test::of_code;
using numeric_test::oracle;
using numeric_test::oracle_of;
using numeric_test::tally;
using numeric_test::top;
using tessera::next_down;
using tessera::next_up;

BOOST_AUTO_TEST_SUITE(numeric_next)

static_assert(next_up(1.0f) == 1 + 0x1p-23f && next_down(1.0) == 1 - 0x1p-53 && tessera::nextafter(1.0f, 0.0f) == 1 - 0x1p-24f);

// The neighbours by the values of the oracle, in the order of the values.
BOOST_AUTO_TEST_CASE_TEMPLATE(every_code, T, all_formats) {
  const oracle& o = oracle_of<T>();
  const std::uint32_t end = o.specials() == top::ieee ? o.past() : o.past() - 1;
  tally result;
  for (std::uint32_t code = 0; code < o.codes(); ++code) {
    const T x = of_code<T>(code);
    const T up = next_up(x);
    const T down = next_down(x);
    const double value = o.value(code);
    if (o.is_nan(code)) {
      const std::uint32_t quiet = T(static_cast<float>(x)).bits;
      result.add(up.bits == quiet && down.bits == quiet && nextafter(x, T(1)).bits == quiet && nextafter(T(1), x).bits == quiet,
                 code);
      continue;
    }
    if (value == 0) {
      result.add(up.bits == 1 && down.bits == (o.sign() | 1), code);
    } else {
      const std::uint32_t magnitude = code & (o.sign() - 1);
      const std::uint32_t away = (code & o.sign()) | (magnitude < end ? magnitude + 1 : end);
      const std::uint32_t toward = code - 1;
      result.add(up.bits == (value > 0 ? away : toward) && down.bits == (value > 0 ? toward : away), code);
    }
    const double above = o.value(up.bits);
    const double below = o.value(down.bits);
    result.add((above > value || code == end) && (below < value || code == (o.sign() | end)), code);
    result.add(nextafter(x, of_code<T>(end)).bits == (code == end ? code : up.bits), code);
    result.add(nextafter(x, of_code<T>(end | o.sign())).bits == (code == (end | o.sign()) ? code : down.bits), code);
    result.add(nextafter(x, x).bits == code, code);
  }
  NUMERIC_CHECK_TALLY(result);
  BOOST_TEST(nextafter(of_code<T>(0), of_code<T>(o.sign())).bits == o.sign());  // the second of two equal ones
}

using standard_types = boost::mpl::list<float, double>;
BOOST_AUTO_TEST_CASE_TEMPLATE(agrees_with_the_standard_library, T, standard_types) {
  using limits = std::numeric_limits<T>;
  const T inf = limits::infinity();
  tally result;
  const auto visit = [&](T x, std::uint64_t i) {
    result.add(tessera::to_bits(next_up(x)) == tessera::to_bits(std::nextafter(x, inf)) || (x != x && next_up(x) != next_up(x)),
               i);
    result.add(
        tessera::to_bits(next_down(x)) == tessera::to_bits(std::nextafter(x, -inf)) || (x != x && next_down(x) != next_down(x)),
        i);
    result.add(tessera::to_bits(tessera::nextafter(x, T(1))) == tessera::to_bits(std::nextafter(x, T(1))) || x != x, i);
  };
  for (std::uint64_t i = 0; i < (1u << 16); ++i) {
    visit(tessera::from_bits<T>(static_cast<typename tessera::format_of_t<T>::bits_type>(mix(i))), i);
  }
  for (const T x : {T(0), limits::denorm_min(), limits::min(), T(1), limits::max(), inf}) {
    visit(x, 1);
    visit(-x, 2);
  }
  NUMERIC_CHECK_TALLY(result);
  const auto quiet = tessera::to_bits(next_up(limits::signaling_NaN()));
  BOOST_TEST((quiet & tessera::format_of_t<T>::quiet_bit) != 0);
}

BOOST_AUTO_TEST_SUITE_END()
