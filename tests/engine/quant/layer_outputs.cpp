// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/engine/quant/layer_outputs.h"

#include <cstring>
#include <span>
#include <stdexcept>

#include "engine/model/architecture.h"
#include "engine/model/modules.h"
#include "tests/support/quantized_folder.h"

namespace haq::test {
namespace {

using model::Layout;
using model::ModuleShape;
using model::Role;
using quant::LayerOutput;
using quant::OutputTensor;

template <typename T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span<const T>(values));
  return {bytes.begin(), bytes.end()};
}

std::string prefix_of(const model::Checkpoint& source, const model::Architecture& architecture) {
  const std::string embedding = source.module_name(Role::kEmbedding);
  for (const std::string& prefix : architecture.prefixes) {
    if (embedding.rfind(prefix + "embed", 0) == 0) return prefix;
  }
  throw std::runtime_error("unknown prefix of " + embedding);
}

/// The tensor that holds a module in a written folder: never a fused one.
std::string tensor_name(const model::Checkpoint& source, const ModuleShape& shape) {
  const auto& architecture = *model::find_architecture(source.config().model_type);
  for (const auto& row : architecture.modules) {
    if (row.role != shape.role || row.expert != (shape.expert >= 0)) continue;
    if (row.layout != Layout::kPlain && row.layout != Layout::kBare) continue;
    const std::string name = model::fill_pattern(row.pattern, prefix_of(source, architecture),
                                                 shape.layer, shape.expert);
    return row.layout == Layout::kBare ? name : name + ".weight";
  }
  throw std::runtime_error("no plain name for a module");
}

std::string module_of(const std::string& tensor) {
  return tensor.substr(0, tensor.size() - std::string(".weight").size());
}

std::vector<float> widened(const HostMatrix& matrix) {
  std::vector<float> values(static_cast<std::size_t>(matrix.rows * matrix.cols));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (matrix.dtype == DType::kF32) {
      std::memcpy(&values[i], matrix.data + 4 * i, 4);
    } else {
      std::uint16_t bits = 0;
      std::memcpy(&bits, matrix.data + 2 * i, 2);
      values[i] = to_float(BFloat16{bits});
    }
  }
  return values;
}

OutputTensor vector_tensor(const std::string& name, const std::vector<float>& values) {
  return {name, DType::kF32, {static_cast<std::int64_t>(values.size())}, bytes_of(values)};
}

void add_linear(const ModuleShape& shape, const std::string& name, const LinearWeights& weights,
                LayerOutput& out, std::vector<std::string>& ignore) {
  const HostMatrix& matrix = weights.weight;
  if (model::is_quantizable(shape.role)) {
    const RoundedMatrix rounded = round_matrix(widened(matrix), matrix.rows, matrix.cols);
    out.tensors.push_back({name, DType::kI8, {matrix.rows, matrix.cols}, bytes_of(rounded.values)});
    out.tensors.push_back(
        {name + "_scale", DType::kF32, {matrix.rows, 1}, bytes_of(rounded.scales)});
    quant::ModuleReport report;
    report.name = module_of(name);
    report.role = shape.role;
    report.layer = shape.layer;
    report.expert = shape.expert;
    report.error_rtn = 1e-4;
    report.seconds = 0.25;
    out.modules.push_back(report);
  } else {
    const bool table = shape.role == Role::kEmbedding || shape.role == Role::kPositionEmbedding;
    if (!table) ignore.push_back(module_of(name));
    out.tensors.push_back({name,
                           matrix.dtype,
                           {matrix.rows, matrix.cols},
                           {matrix.data, matrix.data + matrix.bytes()}});
  }
  if (!weights.bias.empty()) {
    out.tensors.push_back(vector_tensor(module_of(name) + ".bias", weights.bias));
  }
}

}  // namespace

PlainOutputs plain_outputs(std::shared_ptr<const model::Checkpoint> source) {
  PlainOutputs outputs;
  const model::ModelConfig& config = source->config();
  outputs.layers.resize(static_cast<std::size_t>(config.layer_count()));
  for (int layer = 0; layer < outputs.count(); ++layer) {
    LayerOutput& out = outputs.layers[static_cast<std::size_t>(layer)];
    out.layer = layer;
    for (int expert = 0; expert < config.experts; ++expert) {
      out.experts.push_back({layer, expert, 100 + expert});
    }
    out.router_choices = 50;
    out.router_equal = 49;
  }
  model::for_each_module(config, [&](const ModuleShape& shape) {
    LayerOutput& out =
        shape.layer < 0 ? outputs.globals : outputs.layers[static_cast<std::size_t>(shape.layer)];
    const std::string name = tensor_name(*source, shape);
    if (shape.is_vector()) {
      out.tensors.push_back(vector_tensor(name, source->vector(shape.role, shape.layer)));
      const auto bias = source->norm_bias(shape.role, shape.layer);
      if (!bias.empty()) out.tensors.push_back(vector_tensor(module_of(name) + ".bias", bias));
      return;
    }
    add_linear(shape, name, source->linear(shape.role, shape.layer, shape.expert, DType::kBF16),
               out, outputs.ignore);
  });
  outputs.source = std::move(source);
  return outputs;
}

}  // namespace haq::test
