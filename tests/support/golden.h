// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/tensor_file.h"

namespace haq::test {

/// One prompt of a reference model with everything the reference computed for it (see
/// tests/golden/README.md).
struct GoldenCase {
  std::string name;
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> greedy;
  double router_min_gap = 0;  ///< 0 for dense models
  TensorFile tensors;

  bool has(const std::string& tensor) const { return tensors.count(tensor) != 0; }
  std::vector<float> floats(const std::string& tensor) const { return tensors.at(tensor).floats(); }
};

/// Names of the folders of tests/golden/models, sorted.
std::vector<std::string> golden_models();
std::filesystem::path golden_model_dir(const std::string& model);
std::vector<GoldenCase> golden_cases(const std::string& model);
GoldenCase golden_case(const std::string& model, const std::string& name);

}  // namespace haq::test
