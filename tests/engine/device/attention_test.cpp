// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/device/numerics.h"
#include "tests/engine/device/device_test_support.h"

namespace haq::device::test {
namespace {

struct Case {
  int heads, kv_heads, k_dim, v_dim, window;
  bool sinks;
  KvType type;
};

/// Shapes of the supported architectures: grouped heads, odd widths, MLA (k_dim != v_dim), windows.
constexpr Case kCases[] = {
    {4, 4, 64, 64, 0, false, KvType::kBF16},  {4, 2, 128, 128, 0, false, KvType::kBF16},
    {6, 2, 16, 16, 0, false, KvType::kF32},   {8, 1, 80, 80, 0, false, KvType::kF32},
    {2, 2, 24, 16, 0, false, KvType::kBF16},  {4, 2, 64, 64, 24, false, KvType::kBF16},
    {4, 1, 64, 64, 100, true, KvType::kBF16}, {3, 3, 40, 72, 1, true, KvType::kF32},
    {7, 1, 64, 128, 0, true, KvType::kBF16},  {4, 4, 192, 128, 0, false, KvType::kBF16}};
constexpr int kTokens = 150;

struct Inputs {
  std::vector<float> q, k, v, sinks;
  explicit Inputs(const Case& c)
      : q(random_floats(kTokens * c.heads * c.k_dim, 11)),
        k(random_floats(kTokens * c.kv_heads * c.k_dim, 12)),
        v(random_floats(kTokens * c.kv_heads * c.v_dim, 13)),
        sinks(random_floats(c.heads, 14)) {}
};

/// Runs all tokens in chunks of `chunk` through layer 1 of a cache with two layers.
std::vector<float> run(Device& device, const Case& c, const Inputs& in, int chunk) {
  KvLayout layout;
  layout.layers = 2;
  layout.kv_heads = c.kv_heads;
  layout.k_dim = c.k_dim;
  layout.v_dim = c.v_dim;
  layout.type = c.type;
  const auto cache = device.make_kv_cache(layout);
  std::vector<float> out(static_cast<std::size_t>(kTokens) * c.heads * c.v_dim, -1.0F);
  for (int t = 0; t < kTokens; t += chunk) {
    const int rows = std::min(chunk, kTokens - t);
    cache->reserve(t + rows);
    const std::int64_t kc = c.kv_heads * c.k_dim, vc = c.kv_heads * c.v_dim, qc = c.heads * c.k_dim,
                       oc = c.heads * c.v_dim;
    device.store_kv(*cache, 1, t, {in.k.data() + t * kc, rows, kc, kc},
                    {in.v.data() + t * vc, rows, vc, vc});
    AttentionArgs a;
    a.q = {in.q.data() + t * qc, rows, qc, qc};
    a.cache = cache.get();
    a.layer = 1;
    a.first_position = t;
    a.heads = c.heads;
    a.window = c.window;
    a.scale = 0.2F;
    a.sinks = c.sinks ? in.sinks.data() : nullptr;
    a.out = {out.data() + t * oc, rows, oc, oc};
    device.attention(a);
    cache->set_length(t + rows);
  }
  return out;
}

float through_cache(float value, KvType type) {
  return type == KvType::kBF16 ? to_float(to_bf16(value)) : value;
}

/// The written order of numerics.h, one row and head at a time.
std::vector<float> reference(const Case& c, const Inputs& in) {
  std::vector<float> out(static_cast<std::size_t>(kTokens) * c.heads * c.v_dim);
  const int group = c.heads / c.kv_heads;
  for (int t = 0; t < kTokens; ++t) {
    for (int h = 0; h < c.heads; ++h) {
      const int kv = h / group;
      const int low = c.window > 0 ? std::max(0, t + 1 - c.window) : 0;
      const float* q = &in.q[static_cast<std::size_t>((t * c.heads + h) * c.k_dim)];
      std::vector<float> e(static_cast<std::size_t>(t) + 1, 0.0F);
      float top =
          c.sinks ? in.sinks[static_cast<std::size_t>(h)] : -std::numeric_limits<float>::infinity();
      for (int key = low; key <= t; ++key) {
        float p[32] = {};
        for (int base = 0; base < c.k_dim; base += 32) {
          for (int j = 0; j < 32; ++j) {
            const bool inside = base + j < c.k_dim;
            const float kw = inside
                                 ? through_cache(in.k[static_cast<std::size_t>(
                                                     (key * c.kv_heads + kv) * c.k_dim + base + j)],
                                                 c.type)
                                 : 0.0F;
            p[j] = num::fma(inside ? q[base + j] : 0.0F, kw, p[j]);
          }
        }
        e[static_cast<std::size_t>(key)] = num::join_lanes(p) * 0.2F;
        top = std::max(top, e[static_cast<std::size_t>(key)]);
      }
      float denominator = 0;
      float* y = &out[static_cast<std::size_t>((t * c.heads + h) * c.v_dim)];
      for (int block = 0; block <= t; block += 64) {
        float lanes[32] = {};
        std::vector<float> acc(static_cast<std::size_t>(c.v_dim), 0.0F);
        for (int key = std::max(block, low); key <= std::min(block + 63, t); ++key) {
          float& w = e[static_cast<std::size_t>(key)];
          w = num::exp(w - top);
          lanes[key % 32] += w;
          for (int d = 0; d < c.v_dim; ++d) {
            const float value = through_cache(
                in.v[static_cast<std::size_t>((key * c.kv_heads + kv) * c.v_dim + d)], c.type);
            acc[static_cast<std::size_t>(d)] = num::fma(w, value, acc[static_cast<std::size_t>(d)]);
          }
        }
        denominator += num::join_lanes(lanes);
        for (int d = 0; d < c.v_dim; ++d) y[d] += acc[static_cast<std::size_t>(d)];
      }
      if (c.sinks) denominator += num::exp(in.sinks[static_cast<std::size_t>(h)] - top);
      const float inverse = 1.0F / denominator;
      for (int d = 0; d < c.v_dim; ++d) y[d] *= inverse;
    }
  }
  return out;
}

TEST(Attention, FollowsTheWrittenOrderForEveryChunkThreadCountAndInstructionSet) {
  for (const Case& c : kCases) {
    const Inputs in(c);
    const std::vector<float> expected = reference(c, in);
    for (const Isa isa : runnable_isas()) {
      for (const int chunk : {1, 7, kTokens}) {
        const auto device = device_with(isa, chunk == 7 ? 3 : 1);
        EXPECT_TRUE(same_bits(expected, run(*device, c, in, chunk)))
            << to_string(isa) << " chunk " << chunk << " heads " << c.heads << "/" << c.kv_heads
            << " dims " << c.k_dim << "/" << c.v_dim << " window " << c.window;
      }
    }
  }
}

TEST(Attention, GivesTheSameBitsWhenThreadsShareTheHeadsOfALongContext) {
  constexpr int kKeys = 1500, kHeads = 7, kDim = 72;
  const auto k = random_floats(kKeys * kDim, 1), v = random_floats(kKeys * kDim, 2),
             q = random_floats(kHeads * kDim, 3), sinks = random_floats(kHeads, 4);
  const auto attend = [&](Isa isa, int threads, int window) {
    const auto device = device_with(isa, threads);
    KvLayout layout;
    layout.layers = layout.kv_heads = 1;
    layout.k_dim = layout.v_dim = kDim;
    const auto cache = device->make_kv_cache(layout);
    cache->reserve(kKeys);
    device->store_kv(*cache, 0, 0, rows_of(k, kKeys, kDim), rows_of(v, kKeys, kDim));
    std::vector<float> out(q.size());
    AttentionArgs a;
    a.q = rows_of(q, 1, kHeads * kDim);
    a.cache = cache.get();
    a.first_position = kKeys - 1;
    a.heads = kHeads;
    a.window = window;
    a.scale = 0.1F;
    a.sinks = sinks.data();
    a.out = rows_of(out, 1, kHeads * kDim);
    device->attention(a);
    return out;
  };
  for (const int window : {0, 1100}) {
    const std::vector<float> expected = attend(Isa::kScalar, 1, window);
    for (const Isa isa : runnable_isas()) {
      for (const int threads : {2, 5}) {
        EXPECT_TRUE(same_bits(expected, attend(isa, threads, window)))
            << to_string(isa) << " threads " << threads << " window " << window;
      }
    }
  }
}

TEST(Attention, AgreesWithDoublePrecision) {
  const Case c{4, 2, 64, 64, 40, true, KvType::kF32};
  const Inputs in(c);
  const auto device = device_with(Isa::kNative, 2);
  const std::vector<float> y = run(*device, c, in, 50);
  for (const int t : {0, 1, 39, 40, 41, 100, kTokens - 1}) {
    for (int h = 0; h < c.heads; ++h) {
      const int low = std::max(0, t + 1 - c.window), kv = h / 2;
      std::vector<double> weight;
      double total = std::exp(static_cast<double>(in.sinks[static_cast<std::size_t>(h)]));
      for (int key = low; key <= t; ++key) {
        double dot = 0;
        for (int d = 0; d < c.k_dim; ++d) {
          dot += static_cast<double>(in.q[static_cast<std::size_t>((t * c.heads + h) * 64 + d)]) *
                 in.k[static_cast<std::size_t>((key * c.kv_heads + kv) * 64 + d)];
        }
        weight.push_back(std::exp(dot * static_cast<double>(0.2F)));
        total += weight.back();
      }
      for (int d = 0; d < c.v_dim; ++d) {
        double exact = 0, magnitude = 0;
        for (int key = low; key <= t; ++key) {
          const double term = weight[static_cast<std::size_t>(key - low)] / total *
                              in.v[static_cast<std::size_t>((key * c.kv_heads + kv) * 64 + d)];
          exact += term;
          magnitude += std::fabs(term);
        }
        // Scores up to about 10 carry an absolute error of 10 * 7 half-ulps into the exponent; the
        // sums add some 100 half-ulps.
        EXPECT_NEAR(y[static_cast<std::size_t>((t * c.heads + h) * 64 + d)], exact,
                    200 * 0x1p-24 * magnitude + 1e-9);
      }
    }
  }
}

TEST(KvCache, GrowsInPagesAndForgetsWhatIsCutOff) {
  const auto device = device_with(Isa::kNative, 2);
  KvLayout layout;
  layout.layers = 3;
  layout.kv_heads = 2;
  layout.k_dim = layout.v_dim = 32;
  const auto cache = device->make_kv_cache(layout);
  EXPECT_EQ(cache->bytes(), 0U);
  cache->reserve(1);
  const std::size_t page = cache->bytes();
  EXPECT_EQ(page, 64U * 3 * 2 * (32 + 32) * 2);
  cache->reserve(64);
  EXPECT_EQ(cache->bytes(), page);
  cache->reserve(65);
  EXPECT_EQ(cache->bytes(), 2 * page);
  cache->set_length(65);
  EXPECT_EQ(cache->length(), 65);
  EXPECT_THROW(cache->set_length(1000), Error);

  const auto attend = [&](std::int64_t position) {
    std::vector<float> q(64, 0.5F), out(64);
    AttentionArgs a;
    a.q = rows_of(q, 1, 64);
    a.cache = cache.get();
    a.layer = 2;
    a.first_position = position;
    a.heads = 2;
    a.out = rows_of(out, 1, 64);
    device->attention(a);
    return out;
  };
  const auto fill = [&](std::int64_t from, std::int64_t rows, unsigned seed) {
    const auto k = random_floats(rows * 64, seed), v = random_floats(rows * 64, seed + 1);
    device->store_kv(*cache, 2, from, rows_of(k, rows, 64), rows_of(v, rows, 64));
  };
  fill(0, 65, 1);
  const std::vector<float> before = attend(64);
  fill(64, 1, 99);  // another last token
  EXPECT_FALSE(same_bits(before, attend(64)));
  cache->set_length(10);
  fill(10, 55, 50);
  EXPECT_FALSE(same_bits(before, attend(64)));
  const std::vector<float> short_row = attend(9);
  fill(0, 65, 1);  // the first tokens again, all of them
  EXPECT_TRUE(same_bits(before, attend(64)));
  EXPECT_TRUE(same_bits(short_row, attend(9)));
  const auto k = random_floats(64, 3);
  EXPECT_THROW(device->store_kv(*cache, 2, 128, rows_of(k, 1, 64), rows_of(k, 1, 64)), Error);
}

}  // namespace
}  // namespace haq::device::test
