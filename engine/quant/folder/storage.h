// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/model/checkpoint.h"
#include "engine/quant/folder/layer_output.h"
#include "engine/quant/transform/groups.h"

/// How values get into the tensors of the written folder.
namespace haq::quant {

/// Name of the weight tensor of a module in the int8 folder made of `source`; scale and bias follow
/// as "<module>.weight_scale" and "<module>.bias" (bias_tensor_name()).
std::string weight_tensor_name(const model::Checkpoint& source, const ModuleId& id);
std::string scale_tensor_name(const model::Checkpoint& source, const ModuleId& id);
std::string bias_tensor_name(const model::Checkpoint& source, const ModuleId& id);

/// Rounds to `type` (kF32: nothing, kF16, kBF16: nearest even) and widens again, in place. Throws
/// kNumeric naming `tensor` for a value that is not finite or becomes infinite.
void round_to_storage(std::span<float> values, DType type, const std::string& tensor);

/// `values` in row-major order stored as `type` (kF32, kF16, kBF16); checks as round_to_storage().
OutputTensor make_output_tensor(std::string name, DType type, std::vector<std::int64_t> shape,
                                std::span<const float> values);

}  // namespace haq::quant
