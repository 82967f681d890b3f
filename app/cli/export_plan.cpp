// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "engine/base/file.h"
#include "engine/experts/placement/plan_export.h"
#include "engine/session/experts/expert_footprint.h"
#include "engine/session/session.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"--format", Kind::kChoice, "FORMAT", "json", "form of the export", "json|csv|llama.cpp"},
    {"--model", Kind::kFolder, "MODEL", "",
     "the plan's model: checks that it fits and numbers layers as the model does"},
    {"--out", Kind::kFile, "FILE", "", "file to export to; without it stdout"},
};

/// The model's numbers of its layers with routing; empty without --model.
std::vector<int> model_layers(const Arguments& arguments, const experts::Plan& plan) {
  std::vector<int> layers;
  if (!arguments.given("--model")) return layers;
  const auto checkpoint = model::Checkpoint::open(arguments.text("--model"));
  const model::ModelConfig& config = checkpoint->config();
  // The shape decides here; a fingerprint would mean reading a whole model for a line of text.
  experts::check_plan(plan, session::expert_footprint(config).shape, "",
                      arguments.positional("PLAN"), checkpoint->name());
  for (int layer = 0; layer < config.layer_count(); ++layer) {
    if (config.layers[static_cast<std::size_t>(layer)].moe) layers.push_back(layer);
  }
  return layers;
}

Json llama_json(const experts::LlamaCppExport& found) {
  return {{"override_tensor", found.override_tensor},
          {"n_cpu_moe", found.n_cpu_moe},
          {"device_layers", found.device_layers},
          {"resident_experts", found.resident_experts},
          {"pinned_kept", found.pinned_kept},
          {"hit_rate", found.hit_rate},
          {"lost", found.lost}};
}

std::string llama_text(const experts::LlamaCppExport& found) {
  std::string text = "# the layers in which the plan pins most stay on the device:\n";
  text += found.override_tensor + "\n";
  text += "# or, with the last layers on the device:\n" + found.n_cpu_moe + "\n";
  for (const std::string& sentence : found.lost) text += "# " + sentence + "\n";
  return text;
}

int run(const Arguments& arguments) {
  const experts::Plan plan = experts::read_plan(arguments.positional("PLAN"));
  const std::string format = arguments.text("--format");
  const std::vector<int> layers = model_layers(arguments, plan);
  Json json = {{"format", format}};
  std::string text;
  if (format == "json") {
    const Json whole = experts::to_json(plan);
    text = whole.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
    json["plan"] = whole;
  } else if (format == "csv") {
    text = experts::plan_csv(plan);
    json["text"] = text;
  } else {
    const experts::LlamaCppExport found = experts::llama_cpp_export(plan, layers);
    text = llama_text(found);
    json.update(llama_json(found));
    if (arguments.given("--out")) {
      for (const std::string& sentence : found.lost) note(arguments, sentence);
    }
  }
  if (arguments.given("--out")) {
    write_file_atomically(arguments.text("--out"), text);
    json["out"] = arguments.text("--out");
  }
  if (arguments.flag("--json")) {
    print_json(json);
  } else if (!arguments.given("--out")) {
    print(text);
  } else {
    note(arguments, fmt::format("written to {}", arguments.text("--out")));
  }
  return kExitDone;
}

}  // namespace

Command export_plan_command() {
  return {"export-plan",
          "write a placement plan for other programs",
          "Writes a plan as JSON, as CSV (layer,expert,stage), or as the nearest options of "
          "llama.cpp, which keeps the experts of a layer together: what its options cannot express "
          "is said.",
          {{"PLAN", Kind::kFile, "a plan file written by haq plan", true}},
          {kOptions},
          {{"haq export-plan plan.json --format csv", "one line per expert"},
           {"haq export-plan plan.json --format llama.cpp --model ~/models/OLMoE-1B-7B",
            "options for llama-cli and llama-server"}},
          run};
}

}  // namespace haq::cli
