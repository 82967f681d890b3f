// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/engine/text/tokenizer_data.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <stdexcept>

#include "engine/base/file.h"
#include "tests/support/paths.h"

namespace haq::test {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxBytes = std::size_t{64} << 20;

fs::path small_folder() {
  return golden_dir() / "tokenizers";
}

/// OpenAI published GPT-2's vocabulary and merges as two files; the rest is in the skeleton.
std::shared_ptr<const text::Tokenizer> build_gpt2(const fs::path& folder) {
  auto file =
      nlohmann::json::parse(read_text_file(small_folder() / "gpt2.skeleton.json", kMaxBytes));
  file["model"]["vocab"] =
      nlohmann::json::parse(read_text_file(folder / "encoder.json", kMaxBytes));
  std::ifstream merges(folder / "vocab.bpe");
  std::string line;
  std::getline(merges, line);  // "#version: 0.2"
  while (std::getline(merges, line)) file["model"]["merges"].push_back(line);
  return text::Tokenizer::parse(file.dump(), "gpt2");
}

std::shared_ptr<const text::Tokenizer> build(const std::string& name) {
  if (fs::exists(small_folder() / name / "tokenizer.json")) {
    return text::Tokenizer::load(small_folder() / name);
  }
  if (shared_dir().empty()) return nullptr;
  const fs::path folder = shared_dir() / "data/tokenizers" / name;
  return name == "gpt2" ? build_gpt2(folder) : text::Tokenizer::load(folder);
}

}  // namespace

std::vector<nlohmann::json> read_json_lines(const fs::path& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  std::vector<nlohmann::json> out;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) out.push_back(nlohmann::json::parse(line));
  }
  return out;
}

std::shared_ptr<const text::Tokenizer> golden_tokenizer(const std::string& name) {
  static std::map<std::string, std::shared_ptr<const text::Tokenizer>> loaded;
  const auto [entry, fresh] = loaded.try_emplace(name);
  if (fresh) entry->second = build(name);
  return entry->second;
}

std::vector<std::string> small_tokenizer_names() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(small_folder())) {
    if (entry.is_directory()) out.push_back(entry.path().filename());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> large_tokenizer_names() {
  return {"gpt2", "mixtral_mistral_v1", "qwen3"};
}

}  // namespace haq::test
