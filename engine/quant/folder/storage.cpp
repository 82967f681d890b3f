// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/folder/storage.h"

#include <cmath>
#include <cstring>

#include "engine/base/error.h"

namespace haq::quant {
namespace {

float rounded(float value, DType type) {
  switch (type) {
    case DType::kF16:
      return half_to_float(to_half(value));
    case DType::kBF16:
      return to_float(to_bf16(value));
    default:
      return value;
  }
}

float checked(float value, DType type, const std::string& tensor, std::size_t index) {
  if (!std::isfinite(value)) {
    fail(ErrorCode::kNumeric, "tensor \"{}\": element {} is not a finite number", tensor, index);
  }
  const float stored = rounded(value, type);
  if (!std::isfinite(stored)) {
    fail(ErrorCode::kNumeric, "tensor \"{}\": element {} is {}, beyond the range of {}", tensor,
         index, value, to_string(type));
  }
  return stored;
}

void check_type(DType type) {
  if (type == DType::kI8) fail(ErrorCode::kInternal, "int8 is no type for float values");
}

}  // namespace

std::string weight_tensor_name(const model::Checkpoint& source, const ModuleId& id) {
  const std::string module = source.quantized_name(id.role, id.layer, id.expert);
  // Attention sinks are a bare parameter, not a module with a weight.
  return id.role == model::Role::kSinks ? module : module + ".weight";
}

std::string scale_tensor_name(const model::Checkpoint& source, const ModuleId& id) {
  return source.quantized_name(id.role, id.layer, id.expert) + ".weight_scale";
}

std::string bias_tensor_name(const model::Checkpoint& source, const ModuleId& id) {
  return source.quantized_name(id.role, id.layer, id.expert) + ".bias";
}

void round_to_storage(std::span<float> values, DType type, const std::string& tensor) {
  check_type(type);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = checked(values[i], type, tensor, i);
  }
}

OutputTensor make_output_tensor(std::string name, DType type, std::vector<std::int64_t> shape,
                                std::span<const float> values) {
  check_type(type);
  OutputTensor tensor;
  tensor.bytes.resize(values.size() * size_of(type));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float value = checked(values[i], type, name, i);
    std::byte* out = tensor.bytes.data() + i * size_of(type);
    if (type == DType::kF32) {
      std::memcpy(out, &value, sizeof value);
    } else {
      const std::uint16_t bits = type == DType::kF16 ? to_half(value) : to_bf16(value).bits;
      std::memcpy(out, &bits, sizeof bits);
    }
  }
  tensor.name = std::move(name);
  tensor.dtype = type;
  tensor.shape = std::move(shape);
  return tensor;
}

}  // namespace haq::quant
