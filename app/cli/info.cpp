// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/model_options.h"
#include "engine/base/json.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"--synthetic", Kind::kText, "SHAPE", "",
     "a published shape instead of a folder: mixtral-8x7b, olmoe-1b-7b or qwen3-30b-a3b, each with "
     "an optional :layers=N"},
    {"--context", Kind::kInteger, "N", "",
     "context length for which memory is counted; default: the smaller of 4096 and the model's "
     "maximum",
     "", 1, 100000000},
};

/// What config.json says about a model that cannot be opened, as far as it says it.
void add_raw_facts(const std::filesystem::path& folder, Json& json) {
  const nlohmann::json config = parse_json_file(folder / "config.json");
  const auto number = [&](std::initializer_list<const char*> keys) -> Json {
    for (const char* key : keys) {
      if (config.contains(key) && config[key].is_number_integer())
        return config[key].get<std::int64_t>();
    }
    return nullptr;
  };
  const bool named = config.contains("architectures") && config["architectures"].is_array() &&
                     !config["architectures"].empty() && config["architectures"][0].is_string();
  json["architecture"] = named ? Json(config["architectures"][0].get<std::string>()) : Json();
  json["layers"] = number({"num_hidden_layers", "n_layer"});
  const Json experts = number({"num_local_experts", "num_experts", "n_routed_experts"});
  json["experts"] = experts.is_null() ? Json(0) : experts;
  const Json top_k = number({"num_experts_per_tok", "num_experts_per_token"});
  json["top_k"] = top_k.is_null() ? Json(0) : top_k;
}

Json describe(const model::Checkpoint& checkpoint, const Arguments& arguments,
              const std::shared_ptr<const model::Checkpoint>& keep) {
  const model::ModelConfig& config = checkpoint.config();
  const model::ParameterSummary parameters = checkpoint.parameters();
  const std::int64_t context = arguments.given("--context")
                                   ? arguments.integer("--context")
                                   : std::min<std::int64_t>(4096, config.max_positions);
  if (context > config.max_positions) {
    throw UsageError(
        fmt::format("--context is {}, the model's maximum is {}", context, config.max_positions),
        "use a smaller value");
  }
  const model::MemoryEstimate memory =
      checkpoint.memory(context, arguments.text("--compute") == "fp32",
                        static_cast<int>(arguments.integer("--prefill-chunk")));
  Json json;
  json["model"] = checkpoint.name();
  json["folder"] = checkpoint.is_synthetic() ? Json() : Json(checkpoint.folder().string());
  json["synthetic"] = checkpoint.is_synthetic();
  json["architecture"] = config.architecture;
  json["model_type"] = config.model_type;
  json["precision"] = checkpoint.precision();
  json["layers"] = config.layer_count();
  json["moe_layers"] = std::count_if(config.layers.begin(), config.layers.end(),
                                     [](const model::LayerConfig& layer) { return layer.moe; });
  json["experts"] = config.experts;
  json["top_k"] = config.top_k;
  json["hidden"] = config.hidden;
  json["vocabulary"] = config.vocab;
  json["max_context"] = config.max_positions;
  json["parameters"] = {{"total", parameters.total},
                        {"active", parameters.active},
                        {"per_expert", parameters.expert_parameters},
                        {"by_class", parameters.by_class}};
  json["bytes"] = {{"bits16", parameters.bytes16}, {"bits8", parameters.bytes8}};
  json["memory"] = {{"context", context},        {"weights", memory.weights},
                    {"packed", memory.packed},   {"kv_cache", memory.kv_cache},
                    {"buffers", memory.buffers}, {"host_total", memory.total()},
                    {"device_total", 0},         {"available", session::available_memory()}};
  ProgressDisplay progress(arguments.flag("--quiet"));
  json["fingerprint"] = keep->fingerprint(progress.callback(), interrupt_token());
  json["base_fingerprint"] = keep->base_fingerprint();
  json["supported"] = true;
  return json;
}

void print_plain(const Json& json) {
  const auto bytes = [](const Json& value) {
    return session::format_bytes(value.get<std::uint64_t>());
  };
  const auto line = [](const char* name, const std::string& value) {
    return fmt::format("{:<18}{}\n", name, value);
  };
  std::string text = line("model", json["model"].get<std::string>());
  text +=
      line("architecture",
           json["architecture"].is_null() ? "unknown" : json["architecture"].get<std::string>());
  if (!json["supported"].get<bool>()) {
    print(text + line("supported", fmt::format("no: {}", json["reason"].get<std::string>())));
    return;
  }
  text += line("precision", json["precision"].get<std::string>());
  text += line("layers", fmt::format("{} ({} with experts)", json["layers"].get<int>(),
                                     json["moe_layers"].get<int>()));
  if (json["experts"] != 0) {
    text += line("experts", fmt::format("{} per layer, {} per token", json["experts"].get<int>(),
                                        json["top_k"].get<int>()));
  }
  const Json& parameters = json["parameters"];
  text += line("parameters", fmt::format("{} in all, {} active per token",
                                         parameters["total"].get<std::int64_t>(),
                                         parameters["active"].get<std::int64_t>()));
  for (const auto& [name, count] : parameters["by_class"].items()) {
    text += line("", fmt::format("{:<12}{}", name, count.get<std::int64_t>()));
  }
  text += line("size", fmt::format("{} with 16-bit weights, {} with 8-bit weights",
                                   bytes(json["bytes"]["bits16"]), bytes(json["bytes"]["bits8"])));
  const Json& memory = json["memory"];
  text += line("memory", fmt::format("{} for a context of {}", bytes(memory["host_total"]),
                                     memory["context"].get<std::int64_t>()));
  for (const char* term : {"weights", "packed", "kv_cache", "buffers"}) {
    text += line("", fmt::format("{:<12}{}", term, bytes(memory[term])));
  }
  text += line("available", bytes(memory["available"]));
  text += line("longest context", std::to_string(json["max_context"].get<std::int64_t>()));
  text += line("fingerprint", json["fingerprint"].get<std::string>());
  print(text + line("supported", "yes"));
}

int run(const Arguments& arguments) {
  const std::string shape = arguments.text("--synthetic");
  if (!shape.empty() && arguments.given("MODEL")) {
    throw UsageError("both MODEL and --synthetic are given", "give one of them");
  }
  Json json;
  try {
    const std::shared_ptr<const model::Checkpoint> checkpoint =
        shape.empty() ? model::Checkpoint::open(model_folder(arguments))
                      : model::Checkpoint::synthetic(shape, false);
    json = describe(*checkpoint, arguments, checkpoint);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported || !shape.empty()) throw;
    json["model"] = model_folder(arguments).string();
    add_raw_facts(model_folder(arguments), json);
    json["supported"] = false;
    json["reason"] = error.what();
  }
  if (arguments.flag("--json")) {
    print_json(json);
  } else {
    print_plain(json);
  }
  return kExitDone;
}

}  // namespace

Command info_command() {
  return {
      "info",
      "show what a model is and what it needs",
      "Shows architecture, layers, experts, parameters by class, sizes at 16 and 8 bit, the memory "
      "needed for a context length, and a fingerprint. A model that this program cannot run "
      "correctly is reported as unsupported, with the reason.",
      {model_positional()},
      {kOptions, run_options()},
      {{"haq info ~/models/OLMoE-1B-7B --context 4096", "facts and memory for 4096 tokens"},
       {"haq info --synthetic mixtral-8x7b --json", "the same for a published shape, as JSON"}},
      run};
}

}  // namespace haq::cli
