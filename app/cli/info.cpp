// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/model_options.h"
#include "engine/base/json.h"
#include "engine/experts/budget.h"
#include "engine/experts/placement/plan.h"
#include "engine/session/experts/expert_footprint.h"

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
    {"--vram", Kind::kText, "SIZE", "",
     "device memory for experts: 25% of them, 128x experts, all, 0, or bytes with a unit (24GiB)"},
    {"--plan", Kind::kFile, "FILE", "", "the experts of a placement plan, and its hit rate"},
};

/// The hit rate that a plan states, on held-out paths where it was judged so.
void add_stated_hit_rate(const experts::Plan& plan, Json& json) {
  json["hit_rate"] = nullptr;
  json["hit_rate_from"] = nullptr;
  for (const char* part : {"held_out", "train"}) {
    const auto found = plan.scores.find(part);
    if (found == plan.scores.end() || !found->is_object() || !found->contains("hit_rate") ||
        !(*found)["hit_rate"].is_number()) {
      continue;
    }
    json["hit_rate"] = (*found)["hit_rate"];
    json["hit_rate_from"] = part;
    return;
  }
}

/// What experts on a device need at either precision, against holding all of them at 16 bit.
/// --vram in bytes buys slots of 8 bit, the form that this program is for.
Json expert_memory(const model::Checkpoint& checkpoint, const Arguments& arguments) {
  const session::ExpertFootprint footprint = session::expert_footprint(checkpoint.config());
  const int total = footprint.shape.total();
  if (total == 0) {
    throw UsageError(fmt::format("{} has no routed experts", checkpoint.name()),
                     "leave out --vram and --plan");
  }
  Json json;
  int resident = 0, resident16 = 0;
  if (arguments.given("--plan")) {
    const experts::Plan plan = experts::read_plan(arguments.text("--plan"));
    experts::check_plan(plan, footprint.shape,
                        plan.fingerprint.empty() ? "" : checkpoint.base_fingerprint(),
                        arguments.text("--plan"), checkpoint.name());
    resident = resident16 = static_cast<int>(plan.pinned.size());
    json["plan"] = arguments.text("--plan");
    add_stated_hit_rate(plan, json);
  } else {
    const std::string vram = arguments.text("--vram");
    resident = experts::parse_budget(vram, total, static_cast<double>(footprint.int8_bytes));
    resident16 = experts::parse_budget(vram, total, static_cast<double>(footprint.bits16_bytes));
  }
  const model::ParameterSummary parameters = checkpoint.parameters();
  const std::int64_t all16 = total * footprint.bits16_bytes;
  const std::int64_t held8 = resident * footprint.int8_bytes;
  const std::int64_t rest8 = parameters.bytes8 - total * footprint.int8_bytes;
  const auto saved = [](std::int64_t part, std::int64_t whole) {
    return 1 - static_cast<double>(part) / static_cast<double>(whole);
  };
  json["slots"] = resident;
  json["slots_at_bits16"] = resident16;  // as many as a 16-bit model gets for the same bytes
  json["of"] = total;
  json["slot_bytes"] = {{"bits8", footprint.int8_bytes}, {"bits16", footprint.bits16_bytes}};
  json["resident_bytes"] = {{"bits8", held8}, {"bits16", resident * footprint.bits16_bytes}};
  json["all_bytes"] = {{"bits8", total * footprint.int8_bytes}, {"bits16", all16}};
  json["saved_against_all_bits16"] = {{"bits8", saved(held8, all16)},
                                      {"bits16", saved(resident * footprint.bits16_bytes, all16)}};
  // With all that is not an expert on the device, too.
  json["whole_model"] = {{"device_bytes_bits8", rest8 + held8},
                         {"bits16", parameters.bytes16},
                         {"saved", saved(rest8 + held8, parameters.bytes16)}};
  return json;
}

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
  if (arguments.given("--vram") || arguments.given("--plan")) {
    json["memory"]["experts"] = expert_memory(checkpoint, arguments);
    json["memory"]["device_total"] = json["memory"]["experts"]["resident_bytes"]["bits8"];
  }
  json["supported"] = true;
  return json;
}

std::string expert_lines(const Json& json) {
  const auto bytes = [](const Json& value) {
    return session::format_bytes(value.get<std::uint64_t>());
  };
  const auto percent = [](const Json& value) { return 100 * value.get<double>(); };
  std::string text = fmt::format("{:<18}{} of {} experts\n", "on the device",
                                 json["slots"].get<int>(), json["of"].get<int>());
  for (const char* bits : {"bits8", "bits16"}) {
    text += fmt::format("{:<18}{:<12}{}, {:.1f} % less than all experts at 16 bit\n", "",
                        std::string(bits) == "bits8" ? "at 8 bit" : "at 16 bit",
                        bytes(json["resident_bytes"][bits]),
                        percent(json["saved_against_all_bits16"][bits]));
  }
  text += fmt::format(
      "{:<18}{:<12}{} with the whole rest of the model at 8 bit, {:.1f} % less than "
      "the model at 16 bit\n",
      "", "", bytes(json["whole_model"]["device_bytes_bits8"]),
      percent(json["whole_model"]["saved"]));
  if (json.contains("hit_rate") && json["hit_rate"].is_number()) {
    text += fmt::format("{:<18}{:.1f} % of accesses, as the plan states for {} paths\n", "hit rate",
                        percent(json["hit_rate"]),
                        json["hit_rate_from"] == "held_out" ? "held-out" : "its training");
  }
  return text;
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
  if (memory.contains("experts")) text += expert_lines(memory["experts"]);
  text += line("longest context", std::to_string(json["max_context"].get<std::int64_t>()));
  text += line("fingerprint", json["fingerprint"].get<std::string>());
  print(text + line("supported", "yes"));
}

int run(const Arguments& arguments) {
  const std::string shape = arguments.text("--synthetic");
  if (!shape.empty() && arguments.given("MODEL")) {
    throw UsageError("both MODEL and --synthetic are given", "give one of them");
  }
  if (arguments.given("--vram") && arguments.given("--plan")) {
    throw UsageError("both --vram and --plan are given", "give one of them");
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
       {"haq info --synthetic mixtral-8x7b --vram 128x", "what 128 of its 256 experts need"},
       {"haq info --synthetic mixtral-8x7b --json", "the same for a published shape, as JSON"}},
      run};
}

}  // namespace haq::cli
