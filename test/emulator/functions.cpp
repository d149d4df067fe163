// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// Functions of one thread, and atomic ones.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <tuple>

#include "support.hpp"

namespace {

using integers = std::tuple<int, unsigned, unsigned long long>;

__constant__ int table[4] = {5, 6, 7, 8};

__global__ void read_table(int* out) { *out = table[2]; }

template <class T>
__global__ void all_atomics(T* x, T* old) {
  if (threadIdx.x != 0) return;
  old[0] = atomicAdd(x, 5);
  old[1] = atomicSub(x, 2);
  old[2] = atomicMin(x, 7);
  old[3] = atomicMax(x, 100);
  old[4] = atomicExch(x, 12);
  old[5] = atomicAnd(x, 10);
  old[6] = atomicOr(x, 3);
  old[7] = atomicXor(x, 1);
  old[8] = atomicCAS(x, 9, 1);
  old[9] = atomicCAS(x, 10, 20);
  old[10] = *x;
}
__global__ void wraps(unsigned* x) {
  atomicInc(x, 5);
  atomicDec(x + 1, 5);
}
template <class T>
__global__ void add_up(T* sum) {
  atomicAdd(sum, static_cast<T>(threadIdx.x));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(emulator_functions)

BOOST_AUTO_TEST_CASE(bits) {
  BOOST_TEST(__popc(0xF0F0u) == 8);
  BOOST_TEST(__popcll(~0ull) == 64);
  BOOST_TEST(__clz(0) == 32);
  BOOST_TEST(__clz(-1) == 0);
  BOOST_TEST(__clzll(1) == 63);
  BOOST_TEST(__ffs(0) == 0);
  BOOST_TEST(__ffs(8) == 4);
  BOOST_TEST(__ffsll(1ll << 40) == 41);
  BOOST_TEST(__brev(1u) == 0x80000000u);
  BOOST_TEST(__brev(0x12345678u) == 0x1E6A2C48u);
  BOOST_TEST(__brevll(1ull) == 0x8000000000000000ull);
  BOOST_TEST(__byte_perm(0x33221100u, 0x77665544u, 0x7531u) == 0x77553311u);
  BOOST_TEST(__byte_perm(0x00008000u, 0u, 0x9999u) == 0xFFFFFFFFu);  // the sign of byte 1
  BOOST_TEST(__funnelshift_l(0x80000000u, 1u, 1) == 3u);
  BOOST_TEST(__funnelshift_r(0x80000000u, 1u, 31) == 3u);
  BOOST_TEST(__umulhi(0x80000000u, 6u) == 3u);
  BOOST_TEST(__mulhi(-1, 1) == -1);
  BOOST_TEST(__umul64hi(1ull << 63, 6ull) == 3ull);
  BOOST_TEST(__mul64hi(-1, 1) == -1);
  BOOST_TEST(__float_as_uint(1.0f) == 0x3F800000u);
  BOOST_TEST(__uint_as_float(0x40000000u) == 2.0f);
  BOOST_TEST(__hiloint2double(__double2hiint(-3.5), __double2loint(-3.5)) == -3.5);
}

BOOST_AUTO_TEST_CASE(conversions_saturate) {
  BOOST_TEST(__float2int_rn(2.5f) == 2);
  BOOST_TEST(__float2int_rn(3.5f) == 4);
  BOOST_TEST(__float2int_rz(-2.9f) == -2);
  BOOST_TEST(__float2int_rd(-2.1f) == -3);
  BOOST_TEST(__float2int_ru(2.1f) == 3);
  BOOST_TEST(__float2int_rn(3e9f) == std::numeric_limits<int>::max());
  BOOST_TEST(__float2int_rn(-3e9f) == std::numeric_limits<int>::min());
  BOOST_TEST(__float2int_rn(std::numeric_limits<float>::quiet_NaN()) == 0);
  BOOST_TEST(__float2uint_rn(-1.0f) == 0u);
  BOOST_TEST(__double2int_rz(-2.9) == -2);
  BOOST_TEST(__float2ll_rn(1e18f) == static_cast<long long>(1e18f));
}

BOOST_AUTO_TEST_CASE(arithmetic_is_rounded_once) {
  // a b + c with a b not a float: the fused one keeps what the other loses.
  const float a = 1.0f + 0x1p-12f;
  BOOST_TEST(__fmaf_rn(a, a, -1.0f) == 0x1p-11f + 0x1p-24f);
  BOOST_TEST(__fadd_rn(__fmul_rn(a, a), -1.0f) == 0x1p-11f);
  BOOST_TEST(__saturatef(std::numeric_limits<float>::quiet_NaN()) == 0.0f);
  BOOST_TEST(__saturatef(7.0f) == 1.0f);
  BOOST_TEST(rsqrtf(4.0f) == 0.5f);
  BOOST_TEST(max(2, 3) == 3);
  BOOST_TEST(make_float4(1, 2, 3, 4).w == 4.0f);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(atomics_give_the_old_value, T, integers) {
  const device_array<T> x(std::vector<T>{10});
  const device_array<T> old(11);
  emulator::launch(1, 32, 0, all_atomics<T>, x.data(), old.data());
  const std::vector<T> expected{10, 15, 13, 7, 100, 12, 8, 11, 10, 10, 20};
  BOOST_CHECK(old.host() == expected);
}

BOOST_AUTO_TEST_CASE(atomics_of_all_kinds) {
  const device_array<unsigned> x(std::vector<unsigned>{4, 1});
  emulator::launch(1, 2, 0, wraps, x.data());
  BOOST_CHECK((x.host() == std::vector<unsigned>{0, 5}));
  const device_array<float> f(std::vector<float>{0});
  emulator::launch(1, 100, 0, add_up<float>, f.data());
  BOOST_TEST(f.host()[0] == 4950.0f);
  const device_array<double> d(std::vector<double>{0});
  emulator::launch(2, 100, 0, add_up<double>, d.data());
  BOOST_TEST(d.host()[0] == 9900.0);
}

BOOST_AUTO_TEST_CASE(constant_memory) {
  const device_array<int> out(1);
  emulator::launch(1, 1, 0, read_table, out.data());
  BOOST_TEST(out.host()[0] == 7);
  const int changed = 70;
  BOOST_TEST((cudaMemcpyToSymbol(table, &changed, 4, 8) == cudaSuccess));
  int back = 0;
  BOOST_TEST((cudaMemcpyFromSymbol(&back, table, 4, 8) == cudaSuccess));
  BOOST_TEST(back == 70);
  emulator::launch(1, 1, 0, read_table, out.data());
  BOOST_TEST(out.host()[0] == 70);
}

BOOST_AUTO_TEST_SUITE_END()
