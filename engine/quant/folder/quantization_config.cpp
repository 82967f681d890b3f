// SPDX-License-Identifier: GPL-3.0-or-later
// The section that compressed-tensors, vLLM and transformers read. Fields: vllm-project/
// compressed-tensors, quantization/{quant_config,quant_scheme,quant_args}.py, which allow no
// others.
#include <nlohmann/json.hpp>

#include "engine/quant/folder/work_folder.h"

namespace haq::quant {
namespace {

using Json = nlohmann::ordered_json;

/// int8, symmetric; what both sides share.
Json int8_args(const char* strategy, bool dynamic) {
  Json args;
  args["num_bits"] = 8;
  args["type"] = "int";
  args["symmetric"] = true;
  args["strategy"] = strategy;
  args["group_size"] = nullptr;
  args["block_structure"] = nullptr;
  args["dynamic"] = dynamic;
  args["actorder"] = nullptr;
  args["observer"] = dynamic ? Json(nullptr) : Json("minmax");
  args["observer_kwargs"] = Json::object();
  return args;
}

}  // namespace

Json quantization_config(const std::vector<std::string>& ignore) {
  Json group;
  group["targets"] = Json::array({"Linear"});  // readers of fused experts look this very word up
  group["format"] = "int-quantized";
  group["weights"] = int8_args("channel", false);
  group["input_activations"] = int8_args("token", true);
  group["output_activations"] = nullptr;
  Json config;
  config["quant_method"] = "compressed-tensors";
  config["version"] = "0.18.0";
  config["format"] = "int-quantized";
  config["quantization_status"] = "compressed";
  config["global_compression_ratio"] = nullptr;
  config["kv_cache_scheme"] = nullptr;
  config["sparsity_config"] = Json::object();
  config["transform_config"] = Json::object();
  config["ignore"] = ignore;
  config["config_groups"] = {{"group_0", group}};
  return config;
}

}  // namespace haq::quant
