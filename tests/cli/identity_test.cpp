// SPDX-License-Identifier: GPL-3.0-or-later
// A W8A8 model gives the same bits for every thread count, prompt chunk and instruction set.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/cli/json_checks.h"
#include "tests/cli/quantized_demo.h"

namespace haq::test {
namespace {

using nlohmann::json;

class QuantizedDemo : public QuantizedDemoTest {
 protected:
  /// Long enough that every expert gets many rows of the prompt at once.
  static json generate(const std::string& threads, const std::string& chunk,
                       const std::string& limit) {
    std::string prompt;
    for (int i = 0; i < 12; ++i)
      prompt += "One day, a girl named Lily found a needle in her room. ";
    ProcessOptions options;
    options.environment["HAQ_MAX_ISA"] = limit;
    json found = run_json({"generate", model_folder(), "--prompt", prompt, "--max-tokens", "6",
                           "--threads", threads, "--prefill-chunk", chunk},
                          options);
    EXPECT_GT(found.at("prompt_tokens"), 120);
    return found;
  }
};

TEST_F(QuantizedDemo, DigestIsTheSameForEveryThreadCountAndChunk) {
  const json expected = generate("1", "512", "native");
  for (const char* threads : {"1", "2"}) {
    for (const char* chunk : {"1", "7", "512"}) {
      const json found = generate(threads, chunk, "native");
      EXPECT_EQ(found.at("digest"), expected.at("digest")) << threads << " threads, " << chunk;
      EXPECT_EQ(found.at("ids"), expected.at("ids")) << threads << " threads, " << chunk;
    }
  }
}

TEST_F(QuantizedDemo, DigestIsTheSameForEveryInstructionSet) {
  const json expected = generate("1", "512", "native");
  const auto limits =
      run_json({"doctor"}).at("cpu").at("isa_limits").get<std::vector<std::string>>();
  for (const std::string& limit : limits) {
    EXPECT_EQ(generate("1", "512", limit).at("digest"), expected.at("digest")) << limit;
    EXPECT_EQ(generate("2", "7", limit).at("digest"), expected.at("digest")) << limit;
  }
}

}  // namespace
}  // namespace haq::test
