// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <cstring>
#include <random>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/tensor.h"
#include "engine/device/host/cpuid.h"
#include "engine/device/host/host_device.h"

namespace haq::device {
namespace {

enum class Pattern { kRandom, kExtreme, kMinus128, kZeroRows, kHotChannel, kDenormal };
constexpr Pattern kPatterns[] = {Pattern::kRandom,   Pattern::kExtreme,    Pattern::kMinus128,
                                 Pattern::kZeroRows, Pattern::kHotChannel, Pattern::kDenormal};

template <class T>
HostMatrix borrow(const std::vector<T>& values, DType type, std::int64_t rows, std::int64_t cols) {
  HostMatrix m;
  m.dtype = type;
  m.rows = rows;
  m.cols = cols;
  m.data = reinterpret_cast<const std::byte*>(values.data());
  return m;
}

/// One product with inputs of a pattern.
struct Sample {
  std::int64_t rows, out, in;
  std::vector<float> x, weights, scale, bias;
  std::vector<std::int8_t> int8;

  Sample(Pattern pattern, std::int64_t m, std::int64_t n, std::int64_t k) : rows(m), out(n), in(k) {
    std::mt19937 random(static_cast<unsigned>(m * 131 + n * 17 + k));
    std::normal_distribution<float> normal;
    const auto at = [](std::int64_t a, std::int64_t b) { return static_cast<std::size_t>(a * b); };
    x.resize(at(m, k));
    weights.resize(at(n, k));
    int8.resize(at(n, k));
    scale.resize(at(n, 1));
    bias.resize(at(n, 1));
    for (float& v : x) v = normal(random);
    for (float& v : weights) v = normal(random);
    for (float& v : bias) v = normal(random);
    for (float& v : scale) v = 0.001F + 0.0001F * static_cast<float>(random() % 100);
    for (auto& v : int8) v = static_cast<std::int8_t>(static_cast<int>(random() % 255) - 127);
    switch (pattern) {
      case Pattern::kRandom:
        break;
      case Pattern::kExtreme:
        for (float& v : x) v = random() % 2 == 0 ? 1.0F : -1.0F;
        for (auto& v : int8) v = static_cast<std::int8_t>(random() % 2 == 0 ? 127 : -127);
        break;
      case Pattern::kMinus128:
        for (float& v : x) v = -1.0F;
        for (auto& v : int8) v = -128;
        break;
      case Pattern::kZeroRows:
        for (std::int64_t i = 0; i < k; ++i) x[static_cast<std::size_t>(i)] = 0.0F;
        break;
      case Pattern::kHotChannel:
        for (std::int64_t r = 0; r < m; ++r) x[at(r, k)] = 1e6F;
        break;
      case Pattern::kDenormal:
        for (float& v : x) v = 1e-41F * static_cast<float>(random() % 1000);
        break;
    }
  }

  std::vector<float> run(Device& device, LinearPath path) const {
    LinearWeights w;
    w.bias = bias;
    if (path == LinearPath::kInt8) {
      w.weight = borrow(int8, DType::kI8, out, in);
      w.scale = scale;
    } else {
      w.weight = borrow(weights, DType::kF32, out, in);
    }
    const auto linear = device.prepare(w, path, "self-test");
    std::vector<float> y(static_cast<std::size_t>(rows * out));
    const Device::LinearCall call{linear.get(), {y.data(), rows, out, out}};
    device.linear({x.data(), rows, in, in}, {&call, 1});
    return y;
  }
};

std::vector<float> attend(Device& device) {
  constexpr int kHeads = 4, kKvHeads = 2, kDim = 40, kTokens = 70;
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  const auto values = [&](int count) {
    std::vector<float> v(static_cast<std::size_t>(count));
    for (float& f : v) f = normal(random);
    return v;
  };
  const auto q = values(kTokens * kHeads * kDim), k = values(kTokens * kKvHeads * kDim),
             v = values(kTokens * kKvHeads * kDim);
  KvLayout layout;
  layout.layers = 1;
  layout.kv_heads = kKvHeads;
  layout.k_dim = layout.v_dim = kDim;
  const auto cache = device.make_kv_cache(layout);
  cache->reserve(kTokens);
  device.store_kv(*cache, 0, 0, {k.data(), kTokens, kKvHeads * kDim, kKvHeads * kDim},
                  {v.data(), kTokens, kKvHeads * kDim, kKvHeads * kDim});
  std::vector<float> y(q.size());
  AttentionArgs args;
  args.q = {q.data(), kTokens, kHeads * kDim, kHeads * kDim};
  args.cache = cache.get();
  args.heads = kHeads;
  args.scale = 0.3F;
  args.out = {y.data(), kTokens, kHeads * kDim, kHeads * kDim};
  device.attention(args);
  return y;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

std::vector<std::string> self_test(const HostOptions& options) {
  std::vector<std::string> failures;
  HostOptions scalar = options;
  scalar.max_isa = Isa::kScalar;
  const auto reference = make_host_device(scalar);
  const std::vector<float> attention = attend(*reference);
  for (const Isa isa : {Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512, Isa::kNative}) {
    if (isa > options.max_isa || !host::can_run(isa)) continue;
    HostOptions limited = options;
    limited.max_isa = isa;
    limited.pack_budget_bytes = SIZE_MAX;
    const auto device = make_host_device(limited);
    limited.pack_budget_bytes = 0;
    const auto unpacked = make_host_device(limited);
    const auto compare = [&](const std::vector<float>& expected, const std::vector<float>& found,
                             const std::string& what) {
      if (!same_bits(expected, found)) {
        failures.push_back(
            fmt::format("{}: {} differs from the scalar reference.", to_string(isa), what));
      }
    };
    try {
      for (const Pattern pattern : kPatterns) {
        for (const auto& [m, n, k] : {std::tuple{1, 33, 200}, {5, 12, 64}, {40, 70, 129}}) {
          const Sample sample(pattern, m, n, k);
          const auto int8 = sample.run(*reference, LinearPath::kInt8);
          compare(int8, sample.run(*device, LinearPath::kInt8), "an int8 product");
          compare(int8, sample.run(*unpacked, LinearPath::kInt8), "an unpacked int8 product");
          compare(sample.run(*reference, LinearPath::kFixedOrder),
                  sample.run(*device, LinearPath::kFixedOrder), "a fixed-order product");
        }
      }
      compare(attention, attend(*device), "attention");
    } catch (const Error& error) {
      failures.push_back(fmt::format("{}: {}", to_string(isa), error.what()));
    }
  }
  return failures;
}

}  // namespace haq::device
