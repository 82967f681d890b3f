// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/experts/expert_run.h"

#include <cmath>

#include "engine/base/error.h"

namespace haq::session {

namespace {

using Json = nlohmann::ordered_json;

/// Fields of an object from outside.
class Fields {
 public:
  Fields(const Json& json, const std::string& what) : json_(json), what_(what) {
    if (!json.is_object()) fail(ErrorCode::kCorrupt, "{}: expected an object", what);
  }

  bool has(const char* name) const { return json_.contains(name) && !json_.at(name).is_null(); }
  const Json& value(const char* name, bool (Json::*is)() const noexcept,
                    const char* expected) const {
    const auto found = json_.find(name);
    if (found == json_.end() || !((*found).*is)()) {
      fail(ErrorCode::kCorrupt, "{}: {} is {}, expected {}", what_, name,
           found == json_.end() ? "missing" : found->dump().substr(0, 60), expected);
    }
    return *found;
  }
  std::string text(const char* name) const {
    return value(name, &Json::is_string, "a text").get<std::string>();
  }
  bool flag(const char* name) const {
    return value(name, &Json::is_boolean, "true or false").get<bool>();
  }
  double number(const char* name, double low, double high) const {
    const double found = value(name, &Json::is_number, "a number").get<double>();
    if (!(found >= low && found <= high)) out_of_range(name, found, low, high);
    return found;
  }
  int integer(const char* name, int low, int high) const {
    const double found = number(name, low, high);
    if (found != std::floor(found)) out_of_range(name, found, low, high);
    return static_cast<int>(found);
  }

 private:
  [[noreturn]] void out_of_range(const char* name, double found, double low, double high) const {
    fail(ErrorCode::kCorrupt, "{}: {} is {}, expected {} to {}", what_, name, found, low, high);
  }
  const Json& json_;
  const std::string& what_;
};

std::vector<experts::ExpertIndex> plan_from(const Fields& fields, const experts::ExpertShape& shape,
                                            int capacity, const std::string& what) {
  std::vector<experts::ExpertIndex> plan;
  for (const Json& index : fields.value("plan", &Json::is_array, "a list of experts")) {
    const bool good = index.is_number_integer() && index.get<std::int64_t>() >= 0 &&
                      index.get<std::int64_t>() < shape.total();
    if (!good || plan.size() >= static_cast<std::size_t>(capacity)) {
      fail(ErrorCode::kCorrupt, "{}: plan holds {}, expected at most {} experts from 0 to {}", what,
           good ? "too many" : index.dump().substr(0, 60), capacity, shape.total() - 1);
    }
    plan.push_back(index.get<experts::ExpertIndex>());
  }
  return plan;
}

}  // namespace

Json to_json(const ExpertRun& run) {
  const experts::PolicyOptions& policy = run.options.policy_options;
  Json json = {{"device", run.device},
               {"device_name", run.device_name},
               {"emulated", run.emulated},
               {"policy", run.options.policy},
               {"capacity", run.options.capacity},
               {"miss", experts::to_string(run.options.miss)},
               {"path_goal", experts::to_string(policy.path_goal)},
               {"decay", policy.decay},
               {"margin", policy.margin},
               {"uploads_per_step", policy.uploads_per_step},
               {"plan", policy.plan},
               {"threads", run.threads},
               {"prefill_chunk", run.prefill_chunk}};
  json["costs"] = run.costs_known ? experts::to_json(policy.costs) : Json();
  if (!run.learn.empty()) json["learn"] = run.learn;
  return json;
}

ExpertRun expert_run_from_json(const Json& json, const experts::ExpertShape& shape,
                               const std::string& what) {
  const Fields fields(json, what);
  ExpertRun run;
  run.device = fields.text("device");
  run.device_name = fields.text("device_name");
  run.emulated = fields.flag("emulated");
  experts::RuntimeOptions& options = run.options;
  options.policy = fields.text("policy");
  options.capacity = fields.integer("capacity", 0, shape.total());
  const std::string miss_word = fields.text("miss");
  const auto miss = experts::parse_miss_mode(miss_word);
  if (!miss) {
    fail(ErrorCode::kCorrupt, "{}: miss: miss mode \"{}\": expected cpu, upload or auto", what,
         miss_word);
  }
  options.miss = *miss;
  experts::PolicyOptions& policy = options.policy_options;
  const std::string goal_word = fields.text("path_goal");
  const auto goal = experts::parse_path_goal(goal_word);
  if (!goal) {
    fail(ErrorCode::kCorrupt, "{}: path_goal is {}, expected hits or time", what,
         goal_word.substr(0, 60));
  }
  policy.path_goal = *goal;
  policy.decay = fields.number("decay", 0, 1);
  policy.margin = fields.number("margin", 0, 1e9);
  policy.uploads_per_step = fields.integer("uploads_per_step", 0, shape.total());
  policy.plan = plan_from(fields, shape, options.capacity, what);
  run.costs_known = fields.has("costs");
  if (run.costs_known) {
    policy.costs = experts::cost_table_from_json(json.at("costs"), what + ": costs");
  }
  if (fields.has("learn")) run.learn = fields.text("learn");
  run.threads = fields.integer("threads", 0, 1 << 20);
  run.prefill_chunk = fields.integer("prefill_chunk", 0, 1 << 20);
  return run;
}

}  // namespace haq::session
