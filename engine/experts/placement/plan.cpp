// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/placement/plan.h"

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"

namespace haq::experts {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxText = 1000;     // bytes of a name in a plan
constexpr std::size_t kMaxSources = 1000;  // recordings
constexpr std::size_t kMaxShown = 60;      // bytes of a wrong value that a message quotes

std::string shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= kMaxShown ? text : text.substr(0, kMaxShown) + "...";
}

/// The member `key`, or null when it is missing.
const Json* find(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found == json.end() ? nullptr : &*found;
}

/// An integer from `low` to `high`; `code` says what one outside is. `path` is its name in
/// messages.
int integer(const Json& json, const char* key, const std::string& path, int low, int high,
            ErrorCode code, const std::string& what) {
  const Json* value = find(json, key);
  if (value == nullptr) {
    fail(ErrorCode::kCorrupt, "{}: {} is missing, expected {} to {}", what, path, low, high);
  }
  if (!value->is_number_integer()) {
    fail(ErrorCode::kCorrupt, "{}: {} is {}, expected a whole number from {} to {}", what, path,
         shown(*value), low, high);
  }
  const bool huge =
      value->is_number_unsigned() && value->get<std::uint64_t>() > static_cast<std::uint64_t>(high);
  const std::int64_t number = huge ? std::int64_t{high} + 1 : value->get<std::int64_t>();
  if (number < low || number > high) {
    fail(code, "{}: {} is {}, expected {} to {}", what, path, shown(*value), low, high);
  }
  return static_cast<int>(number);
}

std::string text(const Json& value, const std::string& path, const std::string& what) {
  if (!value.is_string()) {
    fail(ErrorCode::kCorrupt, "{}: {} is {}, expected text", what, path, shown(value));
  }
  const auto& found = value.get_ref<const std::string&>();
  if (found.size() > kMaxText) {
    fail(ErrorCode::kLimit, "{}: {} has {} bytes, at most {} are read", what, path, found.size(),
         kMaxText);
  }
  return found;
}

std::string optional_text(const Json& json, const char* key, const std::string& path,
                          const std::string& what) {
  const Json* value = find(json, key);
  return value == nullptr || value->is_null() ? std::string() : text(*value, path, what);
}

void read_model(const Json& json, Plan& plan, const std::string& what) {
  const Json* model = find(json, "model");
  if (model == nullptr || !model->is_object()) {
    fail(ErrorCode::kCorrupt, "{}: model is {}, expected an object", what,
         model == nullptr ? "missing" : shown(*model));
  }
  plan.fingerprint = optional_text(*model, "fingerprint", "model.fingerprint", what);
  plan.architecture = optional_text(*model, "architecture", "model.architecture", what);
  const auto size = [&](const char* key, int high) {
    return integer(*model, key, fmt::format("model.{}", key), 1, high, ErrorCode::kLimit, what);
  };
  plan.shape = {size("layers", kMaxLayers), size("experts", kMaxExperts), size("top_k", kMaxTopK)};
}

void read_sources(const Json& json, Plan& plan, const std::string& what) {
  const Json* sources = find(json, "sources");
  if (sources == nullptr) return;
  if (!sources->is_array()) {
    fail(ErrorCode::kCorrupt, "{}: sources is {}, expected a list of names", what, shown(*sources));
  }
  if (sources->size() > kMaxSources) {
    fail(ErrorCode::kLimit, "{}: sources lists {} names, at most {} are read", what,
         sources->size(), kMaxSources);
  }
  for (const Json& source : *sources) {
    plan.sources.push_back(text(source, fmt::format("sources[{}]", plan.sources.size()), what));
  }
}

void read_pins(const Json& json, Plan& plan, const std::string& what) {
  const Json* pinned = find(json, "pinned");
  if (pinned == nullptr || !pinned->is_array()) {
    fail(ErrorCode::kCorrupt, "{}: pinned is {}, expected a list of experts", what,
         pinned == nullptr ? "missing" : shown(*pinned));
  }
  if (pinned->size() > static_cast<std::size_t>(plan.budget_experts)) {
    fail(ErrorCode::kCorrupt, "{}: pinned lists {} experts, expected at most budget_experts, {}",
         what, pinned->size(), plan.budget_experts);
  }
  std::vector<bool> seen(static_cast<std::size_t>(plan.shape.total()), false);
  plan.pinned.reserve(pinned->size());
  for (const Json& entry : *pinned) {
    const std::string path = fmt::format("pinned[{}]", plan.pinned.size());
    if (!entry.is_object()) {
      fail(ErrorCode::kCorrupt, "{}: {} is {}, expected an object with layer, expert and stage",
           what, path, shown(entry));
    }
    const auto number = [&](const char* key, int low, int high) {
      return integer(entry, key, path + "." + key, low, high, ErrorCode::kCorrupt, what);
    };
    const Plan::Pin pin{number("layer", 0, plan.shape.layers - 1),
                        number("expert", 0, plan.shape.experts - 1), number("stage", 1, 2)};
    const auto index = static_cast<std::size_t>(plan.shape.index(pin.layer, pin.expert));
    if (seen[index]) {
      fail(ErrorCode::kCorrupt, "{}: {} repeats expert {} of layer {}, expected each once", what,
           path, pin.expert, pin.layer);
    }
    seen[index] = true;
    plan.pinned.push_back(pin);
  }
}

std::string in_words(const ExpertShape& shape) {
  return fmt::format("{} layers of {} experts, top-{}", shape.layers, shape.experts, shape.top_k);
}

}  // namespace

std::vector<ExpertIndex> pinned_indices(const Plan& plan, int count) {
  std::vector<ExpertIndex> all;
  for (const Plan::Pin& pin : plan.pinned) {
    if (static_cast<int>(all.size()) >= count) break;
    all.push_back(plan.shape.index(pin.layer, pin.expert));
  }
  return all;
}

Json to_json(const Plan& plan) {
  Json json;
  json["schema"] = Plan::kSchema;
  json["model"] = {{"fingerprint", plan.fingerprint},
                   {"architecture", plan.architecture},
                   {"layers", plan.shape.layers},
                   {"experts", plan.shape.experts},
                   {"top_k", plan.shape.top_k}};
  json["budget_experts"] = plan.budget_experts;
  json["strategy"] = plan.strategy;
  json["sources"] = plan.sources;
  json["pinned"] = Json::array();
  for (const Plan::Pin& pin : plan.pinned) {
    json["pinned"].push_back({{"layer", pin.layer}, {"expert", pin.expert}, {"stage", pin.stage}});
  }
  json["scores"] = plan.scores.is_object() ? plan.scores : Json::object();
  return json;
}

Plan plan_from_json(const Json& json, const std::string& what) {
  if (!json.is_object()) {
    fail(ErrorCode::kCorrupt, "{}: expected a plan, an object, found {}", what, shown(json));
  }
  const Json* schema = find(json, "schema");
  if (schema == nullptr || !schema->is_number_integer() || *schema != Plan::kSchema) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("{}: schema is {}, expected {}", what,
                            schema == nullptr ? "missing" : shown(*schema), Plan::kSchema),
                "Use a plan file written by \"haq plan\" of this version.");
  }
  Plan plan;
  read_model(json, plan, what);
  plan.budget_experts = integer(json, "budget_experts", "budget_experts", 0, plan.shape.total(),
                                ErrorCode::kCorrupt, what);
  plan.strategy = optional_text(json, "strategy", "strategy", what);
  read_sources(json, plan, what);
  read_pins(json, plan, what);
  const Json* scores = find(json, "scores");
  if (scores != nullptr && !scores->is_object()) {
    fail(ErrorCode::kCorrupt, "{}: scores is {}, expected an object", what, shown(*scores));
  }
  plan.scores = scores == nullptr ? Json::object() : *scores;
  return plan;
}

Plan read_plan(const std::filesystem::path& file) {
  const JsonLimits limits;
  const std::string content = read_text_file(file, limits.max_bytes);
  return plan_from_json(parse_ordered_json(content, file.string(), limits), file.string());
}

void write_plan(const Plan& plan, const std::filesystem::path& file) {
  write_file_atomically(file,
                        to_json(plan).dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

void check_plan(const Plan& plan, const ExpertShape& shape, const std::string& fingerprint,
                const std::string& what, const std::string& model) {
  const std::string advice = "Make a plan for this model with \"haq plan\".";
  // Foreign recordings may hold fewer ranks than the model has; a plan made from them still fits.
  const bool fewer_ranks = plan.fingerprint.empty() && plan.shape.top_k < shape.top_k;
  if (plan.shape.layers != shape.layers || plan.shape.experts != shape.experts ||
      (plan.shape.top_k != shape.top_k && !fewer_ranks)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} is a plan for {}, {} has {}", what, in_words(plan.shape), model,
                            shape.total() == 0 ? "no routed experts" : in_words(shape)),
                advice);
  }
  if (!plan.fingerprint.empty() && !fingerprint.empty() && plan.fingerprint != fingerprint) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} is a plan for the model with fingerprint {}, {} has {}", what,
                            plan.fingerprint, model, fingerprint),
                advice);
  }
}

}  // namespace haq::experts
