// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "engine/model/checkpoint.h"
#include "engine/quant/transform/transformed_checkpoint.h"
#include "tests/support/paths.h"
#include "tests/support/tensor_file.h"

/// For tests of what must not change a network: reference models, also widened to float32, run
/// before and after.
namespace haq::test {

/// A reference model in a temporary folder, widened to float32.
class Float32Model {
 public:
  explicit Float32Model(const std::string& golden_model) : Float32Model(golden_model, {}) {}
  std::shared_ptr<const model::Checkpoint> checkpoint() const { return checkpoint_; }

 protected:
  using Edit = std::function<void(nlohmann::json& config, TensorFile& tensors)>;
  Float32Model(const std::string& golden_model, const Edit& edit);

 private:
  TempDir dir_;
  std::shared_ptr<const model::Checkpoint> checkpoint_;
};

/// The same, changed before it is written.
class EditedModel : public Float32Model {
 public:
  EditedModel(const std::string& golden_model, const Edit& edit)
      : Float32Model(golden_model, edit) {}
};
/// Normal values with the standard deviation 1/8, in float32.
TestTensor random_tensor(const std::vector<std::int64_t>& shape, std::uint64_t seed);

/// Everything a forward pass in float32 decides: logits of every token, experts by layer.
struct Pass {
  std::vector<float> logits;
  std::map<int, std::vector<std::int32_t>> experts;
};
Pass run_float32(const std::shared_ptr<const model::Checkpoint>& checkpoint,
                 std::span<const std::int32_t> ids);

/// Root mean square of the difference, relative to that of `expected`.
double relative_deviation(std::span<const float> values, std::span<const float> expected);

/// Log-normal factors, sigma 0.5.
std::vector<float> random_factors(std::int64_t count, std::uint64_t seed);
/// Folds random factors into every exact group of every layer; returns how many.
int fold_random(quant::TransformedCheckpoint& checkpoint, std::uint64_t seed);

}  // namespace haq::test
