// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/golden.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tests/support/paths.h"

namespace haq::test {

namespace fs = std::filesystem;

std::vector<std::string> golden_models() {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(golden_dir() / "models")) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

fs::path golden_model_dir(const std::string& model) {
  return golden_dir() / "models" / model;
}

std::vector<GoldenCase> golden_cases(const std::string& model) {
  const fs::path folder = golden_model_dir(model);
  std::ifstream file(folder / "cases.json");
  std::vector<GoldenCase> cases;
  const nlohmann::json document = nlohmann::json::parse(file);
  for (const nlohmann::json& entry : document.at("cases")) {
    GoldenCase one;
    one.name = entry.at("name");
    one.ids = entry.at("input_ids").get<std::vector<std::int32_t>>();
    one.greedy = entry.at("greedy").get<std::vector<std::int32_t>>();
    const auto gap = entry.find("router_min_gap");
    if (gap != entry.end() && gap->is_number()) one.router_min_gap = *gap;
    one.tensors = read_tensor_file(folder / entry.at("file").get<std::string>());
    cases.push_back(std::move(one));
  }
  if (cases.empty()) throw std::runtime_error("no reference cases in " + folder.string());
  return cases;
}

GoldenCase golden_case(const std::string& model, const std::string& name) {
  for (GoldenCase& one : golden_cases(model)) {
    if (one.name == name) return std::move(one);
  }
  throw std::runtime_error("no case " + name + " in " + model);
}

}  // namespace haq::test
