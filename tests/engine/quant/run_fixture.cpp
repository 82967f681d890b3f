// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/engine/quant/run_fixture.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/support/golden.h"

namespace haq::test {

namespace fs = std::filesystem;

constexpr int kWords = 90;  ///< of the text; no reference model has a smaller vocabulary

void copy_with_tokenizer(const std::string& golden, const fs::path& folder) {
  fs::create_directories(folder);
  for (const fs::directory_entry& entry : fs::directory_iterator(golden_model_dir(golden))) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("model") || name == "config.json" || name == "generation_config.json") {
      fs::copy_file(entry.path(), folder / name);
    }
  }
  std::ifstream config(folder / "config.json");
  const int size = nlohmann::json::parse(config).at("vocab_size").get<int>();
  nlohmann::ordered_json vocab;
  for (int i = 0; i < size; ++i) vocab[fmt::format("w{}", i)] = i;
  const nlohmann::ordered_json tokenizer = {
      {"version", "1.0"},
      {"added_tokens", nlohmann::ordered_json::array()},
      {"pre_tokenizer", {{"type", "Whitespace"}}},
      {"model", {{"type", "WordLevel"}, {"unk_token", "w0"}, {"vocab", vocab}}}};
  std::ofstream(folder / "tokenizer.json") << tokenizer.dump();
}

std::string random_words(int count, unsigned seed) {
  std::mt19937 generator(seed);
  std::string text;
  for (int i = 0; i < count; ++i) text += fmt::format("w{} ", 1 + generator() % (kWords - 1));
  return text;
}

quant::QuantizeOptions small_run(const fs::path& folder, const std::string& golden,
                                 quant::Method method) {
  copy_with_tokenizer(golden, folder / "source");
  std::ofstream(folder / "words.txt") << random_words(600, 7);
  quant::QuantizeOptions options;
  options.source = folder / "source";
  options.target = folder / "out";
  options.calibration.files = {folder / "words.txt"};
  options.calibration.tokens = 256;
  options.calibration.sequence_length = 32;
  options.method = method;
  options.rotation_seeds = 1;
  options.threads = 2;
  return options;
}

std::map<std::string, std::string> read_files(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    files[fs::relative(entry.path(), folder).string()] =
        std::string(std::istreambuf_iterator<char>(file), {});
  }
  return files;
}

}  // namespace haq::test
