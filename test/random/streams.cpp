// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/random/streams.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "statistics.hpp"
#include "tessera/random/detail/attempts.hpp"
#include "tessera/random/normal.hpp"
#include "tessera/random/uniform.hpp"
#include "tessera/reference/random.hpp"

using namespace random_test;
using tessera::random::normal;
using tessera::random::philox;
using tessera::random::philox_block;
using tessera::random::stream_key;
namespace detail = tessera::random::detail;

static_assert(std::is_trivially_copyable_v<stream_key> && std::is_aggregate_v<stream_key> && sizeof(stream_key) == 16);
static_assert(stream_key{1}.child(3).child("dropout") == stream_key{1}.child(3).child("dropout"));
static_assert(!(stream_key{1}.child(3).child("dropout") == stream_key{1}.child("dropout").child(3)));

BOOST_AUTO_TEST_SUITE(random_streams)

BOOST_AUTO_TEST_CASE(definition) {
  const auto step = [](stream_key key, std::uint64_t label, std::uint64_t domain) {
    const auto child = tessera::reference::child(key.seed, key.stream, label, domain);
    return stream_key{child[0], child[1]};
  };
  mixer random;
  for (int i = 0; i < 1000; ++i) {
    const stream_key key{random(), random()};
    const std::uint64_t label = random() >> (i % 64);
    BOOST_TEST((key.child(label) == step(key, label, 0xBB67AE8584CAA73Bu)));
  }
  const stream_key key{7, 8};
  constexpr std::uint64_t text = 0xA54FF53A5F1D36F1u;
  BOOST_TEST((key.child("") == step(key, 0, text)));
  BOOST_TEST((key.child("ab") == step(step(key, 2, text), 0x6261, text)));
  BOOST_TEST((key.child("abcdefghi") == step(step(step(key, 9, text), 0x6867666564636261, text), 0x69, text)));
  BOOST_TEST((key.child(-1) == key.child(~std::uint64_t{0})));
  const std::string name = "layer 12, dropout";
  BOOST_TEST((key.child(name.data(), name.size()) == key.child("layer 12, dropout")));
}

BOOST_AUTO_TEST_CASE(golden) {
  constexpr stream_key a = stream_key{0}.child(0);
  constexpr stream_key b = stream_key{42}.child(3).child("dropout");
  BOOST_TEST(a.seed == 0x1C84C6631356F34Au);
  BOOST_TEST(a.stream == 0x9E1DE22F72C1F8E6u);
  BOOST_TEST(b.seed == 0x0AE5B1465987F474u);
  BOOST_TEST(b.stream == 0x8D51509E8E94CD63u);
}

// No two of some 300,000 nodes near a root agree in either half, nor does a node agree with what its parent draws.
BOOST_AUTO_TEST_CASE(distinct) {
  std::vector<std::uint64_t> halves;
  const auto add = [&](stream_key key) {
    halves.push_back(key.seed);
    halves.push_back(key.stream);
  };
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const stream_key root{seed};
    for (int i = -100; i < 20000; ++i) add(root.child(i));
    for (int i = 0; i < 200; ++i) {
      for (int j = 0; j < 200; ++j) add(root.child(i).child(j));
    }
    for (int i = 0; i < 1000; ++i) {
      const std::string name = "layer" + std::to_string(i);
      add(root.child(name.data(), name.size()));
      add(root.child(std::to_string(i).data(), std::to_string(i).size()));
    }
    for (std::uint64_t i = 0; i < 1000; ++i) {
      const philox_block drawn = philox(seed, 0, i);
      halves.push_back(drawn.pair(0));
      halves.push_back(drawn.pair(1));
    }
  }
  std::sort(halves.begin(), halves.end());
  BOOST_TEST((std::adjacent_find(halves.begin(), halves.end()) == halves.end()));
}

// Numbers of neighbouring children, of a child and its parent, and of cousins are uncorrelated, and each child's are normal.
BOOST_AUTO_TEST_CASE(independent) {
  constexpr std::size_t n = 20000;
  const stream_key root{5};
  const auto sample = [&](stream_key key) {
    std::vector<double> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = normal<double>(key.seed, key.stream, i);
    return x;
  };
  const std::vector<stream_key> keys = {root,
                                        root.child(0),
                                        root.child(1),
                                        root.child(2),
                                        root.child("a"),
                                        root.child("b"),
                                        root.child(0).child(0),
                                        root.child(0).child(1),
                                        root.child(1).child(0),
                                        root.child("a").child(0)};
  std::vector<std::vector<double>> samples;
  for (const stream_key& key : keys) {
    samples.push_back(sample(key));
    std::vector<double> p;
    for (const double x : samples.back()) p.push_back(normal_probability(x));
    BOOST_TEST(kolmogorov(p) < 2.2);
  }
  for (std::size_t i = 0; i < samples.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) BOOST_TEST(std::abs(correlation(samples[i].data(), samples[j].data(), n)) < 4);
  }
  // One number of each of many children: as good as many numbers of one.
  std::vector<double> across;
  for (std::size_t i = 0; i < n; ++i) {
    const stream_key key = root.child(i);
    across.push_back(normal_probability(normal<double>(key.seed, key.stream, 0)));
  }
  BOOST_TEST(kolmogorov(across) < 2.2);
  BOOST_TEST(std::abs(serial_correlation(across, 1)) < 4);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(random_attempts)

BOOST_AUTO_TEST_CASE(private_blocks) {
  const philox_block own = philox(1, 2, 3);
  for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 40}) {
    const auto want = tessera::reference::philox(own.pair(0), own.pair(1), number);
    const philox_block got = detail::private_block(own, number);
    for (int i = 0; i < 4; ++i) BOOST_TEST(got[i] == want[static_cast<std::size_t>(i)]);
  }
  // Addresses side by side share no private word: each half of each block of 3000 addresses is another one.
  std::vector<std::uint64_t> words;
  for (std::uint64_t index = 0; index < 3000; ++index) {
    for (std::uint64_t number = 0; number < 20; ++number) {
      const philox_block bits = detail::private_block(philox(9, index % 3, index / 3), number);
      words.push_back(bits.pair(0));
      words.push_back(bits.pair(1));
    }
  }
  std::sort(words.begin(), words.end());
  BOOST_TEST((std::adjacent_find(words.begin(), words.end()) == words.end()));
}

BOOST_AUTO_TEST_SUITE_END()
