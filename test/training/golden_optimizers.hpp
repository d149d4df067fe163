// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// Steps of the optimisers of PyTorch 2.15.0 in float64, and scales of its GradScaler: tools/golden_optimizers.py prints this.
#pragma once

namespace golden {

inline constexpr int steps = 4;
inline constexpr int size = 5;

/// Weight i begins as (i - 2) / 4; its gradient in step k = 1, 2 ... is ((7 k + 5 i) mod 11 - 5) / 8.
inline constexpr double adamw[steps][size] = {
    {-0x1.04dd2dc3072a6p-1, -0x1.eb020ef8ebe07p-3, -0x1.47ad68aec4487p-7, 0x1.09fbe659aaa1ep-2, 0x1.ff7ced916872bp-2},
    {-0x1.0408c33a1afc0p-1, -0x1.e9deff90bc548p-3, -0x1.2c1a5dc151c20p-8, 0x1.0cbbec682013bp-2, 0x1.0375d5eb7c03ep-1},
    {-0x1.06b00564cca5cp-1, -0x1.e6061d18c5a14p-3, -0x1.f536eb5c7db13p-8, 0x1.11189c7b86bd4p-2, 0x1.03584c9520d40p-1},
    {-0x1.093c58964ed57p-1, -0x1.da144d7ae2436p-3, -0x1.4845a00fffb0ap-7, 0x1.0ee489c737cb6p-2, 0x1.03e072dc32e8fp-1},
};
inline constexpr double adam[steps][size] = {
    {-0x1.051eb6a46ce83p-1, -0x1.eb852146ca3aep-3, -0x1.47ad68aec4487p-7, 0x1.0a3d6f8582631p-2, 0x1.f5c29cc810abap-2},
    {-0x1.038ee826b8cf5p-1, -0x1.e9c0d9a26be21p-3, -0x1.2c534b4e8199dp-8, 0x1.0cbefdcb5ebc2p-2, 0x1.fcf532e1d1782p-2},
    {-0x1.05fdb1f08447fp-1, -0x1.e51b9e9056de3p-3, -0x1.f4c47ed4e66dap-8, 0x1.10d8cac0274d3p-2, 0x1.fbd95aa83fbf2p-2},
    {-0x1.083c42e2ce58bp-1, -0x1.d8e544a1934f6p-3, -0x1.47a88706702dap-7, 0x1.0e5e039859459p-2, 0x1.fbd59d36624f4p-2},
};
inline constexpr double sgd[steps][size] = {
    {-0x1.0b851eb851eb8p-1, -0x1.970a3d70a3d71p-3, -0x1.999999999999ap-7, 0x1.3eb851eb851ecp-2, 0x1.fd70a3d70a3d7p-2},
    {-0x1.fac3c9eecbfb1p-2, -0x1.e1ce075f6fd22p-3, 0x1.9a9fbe76c8b44p-6, 0x1.2386c226809d5p-2, 0x1.170be0ded288dp-1},
    {-0x1.1c1d909f1f149p-1, -0x1.c5cbb7f9d6f11p-3, -0x1.9aa10e0221426p-6, 0x1.3bab3461309c8p-2, 0x1.02737fbefd007p-1},
    {-0x1.21184c0ef73ebp-1, -0x1.4386dc2d1206ep-3, -0x1.9893730eeb554p-6, 0x1.f42e4c1353efcp-3, 0x1.078f14de08896p-1},
};
inline constexpr double momentum[steps][size] = {
    {-0x1.0b851eb851eb8p-1, -0x1.970a3d70a3d71p-3, -0x1.999999999999ap-7, 0x1.3eb851eb851ecp-2, 0x1.fd70a3d70a3d7p-2},
    {-0x1.0b48e8a71de69p-1, -0x1.70a64c2f837b5p-3, 0x1.21cac083126e7p-8, 0x1.62c5d63886595p-2, 0x1.0fd013a92a305p-1},
    {-0x1.22122014727dcp-1, -0x1.39840bbb1f256p-3, -0x1.24b352a84380bp-6, 0x1.95170520d130ep-2, 0x1.0fc6eae9ee45cp-1},
    {-0x1.3a4a5a29f7cb2p-1, -0x1.4d707cf49d4b5p-4, -0x1.361e4525a3feap-5, 0x1.90db32d87a2a1p-2, 0x1.13869185434b5p-1},
};
inline constexpr double nesterov[steps][size] = {
    {-0x1.1851eb851eb85p-1, -0x1.3d70a3d70a3d7p-3, -0x1.851eb851eb852p-6, 0x1.799999999999ap-2, 0x1.0000000000000p-1},
    {-0x1.0a5e353f7ced9p-1, -0x1.7c6a7ef9db22dp-3, 0x1.322d0e560418bp-5, 0x1.7cccccccccccdp-2, 0x1.30a3d70a3d70ap-1},
    {-0x1.46219652bd3c3p-1, -0x1.3f559b3d07c85p-3, -0x1.29e1b089a0274p-5, 0x1.c75c28f5c28f6p-2, 0x1.20e5604189374p-1},
    {-0x1.6b47304039abfp-1, -0x1.619b90ea9e6ecp-6, -0x1.d8e4b87bdcf02p-5, 0x1.79d2f1a9fbe77p-2, 0x1.302a9930be0dep-1},
};

/// Steps that overflow, and the scale after each.
inline constexpr bool short_overflows[] = {false, false, false, true,  false, true,  true,  false, false,
                                           false, false, false, false, true,  false, false, false, false};
inline constexpr double short_scales[] = {
    0x1.0000000000000p+10, 0x1.0000000000000p+10, 0x1.8000000000000p+11, 0x1.cccccc0000000p+9, 0x1.cccccc0000000p+9,
    0x1.147ae00000000p+8,  0x1.4bc6a60000000p+6,  0x1.4bc6a60000000p+6,  0x1.4bc6a60000000p+6, 0x1.f1a9f80000000p+7,
    0x1.f1a9f80000000p+7,  0x1.f1a9f80000000p+7,  0x1.753f7a0000000p+9,  0x1.bfe5c60000000p+7, 0x1.bfe5c60000000p+7,
    0x1.bfe5c60000000p+7,  0x1.4fec540000000p+9,  0x1.4fec540000000p+9};
inline constexpr bool high_overflows[] = {false, false, false, false, false, false, false, false};
inline constexpr double high_scales[] = {0x1.0000000000000p+124, 0x1.0000000000000p+126, 0x1.0000000000000p+126,
                                         0x1.0000000000000p+126, 0x1.0000000000000p+126, 0x1.0000000000000p+126,
                                         0x1.0000000000000p+126, 0x1.0000000000000p+126};
inline constexpr bool low_overflows[] = {true, true, true, true, true, true, true, true, true, true, true, true};
inline constexpr double low_scales[] = {0x1.5c73000000000p-130,
                                        0x1.16c2000000000p-133,
                                        0x1.be00000000000p-137,
                                        0x1.6500000000000p-140,
                                        0x1.1c00000000000p-143,
                                        0x1.c000000000000p-147,
                                        0x1.0000000000000p-149,
                                        0x0.0p+0,
                                        0x0.0p+0,
                                        0x0.0p+0,
                                        0x0.0p+0,
                                        0x0.0p+0};

}  // namespace golden
