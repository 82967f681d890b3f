// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "engine/profile/recordings/recordings.h"

/// What tests of recordings share.
namespace haq::profile {

inline Recording sample_recording(const std::string& name, const experts::ExpertShape& shape) {
  Recording recording;
  recording.name = name;
  recording.shape = shape;
  return recording;
}

/// Distinct experts for every token and layer, some ranks at the end unknown, the first token with
/// the largest and the smallest id; batches of prefill and decode over several prompts.
inline experts::Trace random_trace(const experts::ExpertShape& shape, std::int64_t tokens,
                                   std::mt19937& random) {
  experts::Trace trace;
  trace.shape = shape;
  std::vector<std::uint16_t> ids(static_cast<std::size_t>(shape.experts));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::uint16_t>(i);
  const auto k = static_cast<std::size_t>(shape.top_k);
  for (std::int64_t token = 0; token < tokens; ++token) {
    for (int layer = 0; layer < shape.layers; ++layer) {
      std::shuffle(ids.begin(), ids.end(), random);
      if (token == 0) std::swap(ids[0], *std::max_element(ids.begin(), ids.end()));
      const std::size_t known = token > 0 && random() % 8 == 0 ? random() % (k + 1) : k;
      for (std::size_t rank = 0; rank < k; ++rank) {
        trace.ids.push_back(rank < known ? ids[rank] : experts::Trace::kAbsent);
      }
    }
  }
  std::int32_t prompt = 0;
  for (std::int64_t token = 0; token < tokens;) {
    const bool decode = random() % 4 != 0;
    const std::int64_t length =
        decode ? 1 : std::min<std::int64_t>(tokens - token, 1 + static_cast<int>(random() % 5));
    if (token > 0 && !decode) ++prompt;
    trace.batches.push_back({token, length, prompt, decode});
    token += length;
  }
  return trace;
}

inline void expect_equal(const experts::Trace& found, const experts::Trace& expected) {
  EXPECT_EQ(found.shape, expected.shape);
  EXPECT_TRUE(found.ids == expected.ids);
  ASSERT_EQ(found.batches.size(), expected.batches.size());
  for (std::size_t i = 0; i < found.batches.size(); ++i) {
    EXPECT_EQ(found.batches[i].first_token, expected.batches[i].first_token) << i;
    EXPECT_EQ(found.batches[i].tokens, expected.batches[i].tokens) << i;
    EXPECT_EQ(found.batches[i].prompt, expected.batches[i].prompt) << i;
    EXPECT_EQ(found.batches[i].decode, expected.batches[i].decode) << i;
  }
}

}  // namespace haq::profile
