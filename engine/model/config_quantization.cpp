// SPDX-License-Identifier: GPL-3.0-or-later
// The compressed-tensors settings of a W8A8 folder. Accepted is exactly what the integer path
// computes: int8 weights, symmetric, one scale per output channel; int8 activations, symmetric, one
// dynamic scale per token. Field names: vllm-project/compressed-tensors, quant_config.py.
#include <algorithm>

#include "engine/model/config_readers.h"

namespace haq::model {
namespace {

/// Refuses a section (sparsity, transforms) that holds anything.
void expect_empty(const Fields& fields, const char* key) {
  const nlohmann::json* value = fields.find(key);
  if (value != nullptr && !(value->is_structured() && value->empty())) {
    fields.unsupported(key, "nothing");
  }
}

void expect_text(const Fields& fields, const char* key, std::string_view expected) {
  if (fields.text_if(key).value_or("") != expected) {
    fields.unsupported(key, fmt::format("\"{}\"", expected));
  }
}

void check_int8(const Fields& args, bool dynamic) {
  if (args.integer("num_bits", 1, 64) != 8) args.unsupported("num_bits", "8");
  expect_text(args, "type", "int");
  if (!args.boolean("symmetric", true)) args.unsupported("symmetric", "true");
  // "local" and other words for dynamic exist; only plain booleans are computed here.
  const nlohmann::json* found = args.find("dynamic");
  if (found != nullptr ? (!found->is_boolean() || found->get<bool>() != dynamic) : dynamic) {
    args.unsupported("dynamic", dynamic ? "true" : "false");
  }
  if (args.has("block_structure")) args.unsupported("block_structure", "nothing");
}

void check_weights(const Fields& args) {
  check_int8(args, false);
  const auto group = args.integer_if("group_size", -1, kMaxWidth);
  if (group && *group != -1) args.unsupported("group_size", "null or -1 (one scale per channel)");
  // Old files say "one group per row" by group_size -1 alone.
  if (args.has("strategy") || !group) expect_text(args, "strategy", "channel");
  const nlohmann::json* order = args.find("actorder");
  // "weight"/"static" order only the quantizer's work; the stored columns keep their places.
  if (order != nullptr && *order != "weight" && *order != "static" && *order != false) {
    args.unsupported("actorder", "null, \"weight\" or \"static\"");
  }
}

void check_activations(const Fields& args) {
  check_int8(args, true);
  expect_text(args, "strategy", "token");
  if (args.has("group_size")) args.unsupported("group_size", "null");
}

void check_format(const Fields& fields) {
  const std::string format = fields.text_if("format").value_or("int-quantized");
  if (format != "int-quantized") fields.unsupported("format", "\"int-quantized\"");
}

void check_group(const Fields& group) {
  check_format(group);
  const auto targets = group.texts_if("targets");
  if (!targets || std::find(targets->begin(), targets->end(), "Linear") == targets->end()) {
    group.unsupported("targets", "[\"Linear\"]");
  }
  const auto weights = group.child("weights");
  if (!weights) group.missing("weights", "the settings of int8 weights");
  check_weights(*weights);
  const auto activations = group.child("input_activations");
  if (!activations) {
    group.unsupported("input_activations", "int8 activations with one dynamic scale per token");
  }
  check_activations(*activations);
  expect_empty(group, "output_activations");
}

}  // namespace

void read_quantization(const Fields& fields, ModelConfig& config) {
  const bool modern = fields.has("quantization_config");
  const char* key = modern ? "quantization_config" : "compression_config";
  const auto section = fields.child(key);
  if (!section) return;
  if (section->object().empty()) return;
  const auto method = section->text_if("quant_method");
  // Files older than the field carry the section under its old name.
  if (method ? *method != "compressed-tensors" : modern) {
    section->unsupported("quant_method", "\"compressed-tensors\"");
  }
  check_format(*section);
  const std::string status = section->text_if("quantization_status").value_or("compressed");
  if (status != "compressed" && status != "frozen") {
    section->unsupported("quantization_status", "\"compressed\"");
  }
  expect_empty(*section, "kv_cache_scheme");
  expect_empty(*section, "transform_config");
  if (const auto sparsity = section->child("sparsity_config")) {
    if (sparsity->text_if("format").value_or("dense") != "dense") {
      sparsity->unsupported("format", "\"dense\"");
    }
  }
  const auto groups = section->child("config_groups");
  if (!groups) section->missing("config_groups", "one group of int8 settings");
  if (groups->object().size() != 1) {
    section->unsupported("config_groups", "exactly one group");
  }
  for (const auto& [name, value] : groups->object().items()) {
    check_group(*groups->child(name));
  }
  config.quantized = true;
  config.quantization_ignore = section->texts_if("ignore").value_or(std::vector<std::string>());
}

}  // namespace haq::model
