// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#include "tessera/core/scratch.hpp"

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdint>

#include "../support/memory.hpp"

BOOST_AUTO_TEST_SUITE(core_scratch)

using tessera::detail::bump;
using tessera::detail::scratch;

BOOST_AUTO_TEST_CASE(counting_and_cutting_agree) {
  struct arrays {
    char* a;
    double* b;
    float* none;
    float* c;
  };
  const auto lay_out = [](bump& memory) {
    return arrays{memory.take<char>(1), memory.take<double>(9), memory.take<float>(0), memory.take<float>(16)};
  };
  bump size;
  const arrays counted = lay_out(size);
  BOOST_TEST((counted.a == nullptr && counted.b == nullptr && counted.c == nullptr));
  BOOST_TEST(size.bytes() == 64 + 128 + 0 + 64);

  support::counting_resource resource;
  {
    const scratch memory(&resource, size.bytes());
    bump cut(memory.data());
    const arrays x = lay_out(cut);
    BOOST_TEST(cut.bytes() == size.bytes());
    for (const void* const p : {static_cast<void*>(x.a), static_cast<void*>(x.b), static_cast<void*>(x.c)}) {
      BOOST_TEST(reinterpret_cast<std::uintptr_t>(p) % bump::alignment == 0);
    }
    BOOST_TEST(reinterpret_cast<std::byte*>(x.b) - reinterpret_cast<std::byte*>(x.a) == 64);
    BOOST_TEST(reinterpret_cast<std::byte*>(x.c) - reinterpret_cast<std::byte*>(x.b) == 128);
    BOOST_TEST(!resource.all_returned());
  }
  BOOST_TEST((resource.allocations() == 1 && resource.bytes() == size.bytes() + bump::alignment && resource.all_returned()));
}

BOOST_AUTO_TEST_CASE(no_bytes_take_no_block) {
  support::counting_resource resource;
  {
    BOOST_TEST((scratch(&resource, 0).data() == nullptr));
  }
  BOOST_TEST(resource.allocations() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
