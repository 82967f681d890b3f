// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/placement/plan_export.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "engine/base/error.h"

namespace haq::experts {
namespace {

/// Layers by how many experts the plan pins in them, most first, ties to the lower.
std::vector<int> layers_by_pins(const Plan& plan) {
  std::vector<int> pins(static_cast<std::size_t>(plan.shape.layers), 0);
  for (const Plan::Pin& pin : plan.pinned) ++pins[static_cast<std::size_t>(pin.layer)];
  std::vector<int> order(pins.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return pins[static_cast<std::size_t>(a)] > pins[static_cast<std::size_t>(b)];
  });
  return order;
}

/// What is known of the plan's own hit rate: held out if it was judged so.
const nlohmann::ordered_json* plan_hit_rate(const Plan& plan) {
  for (const char* part : {"held_out", "train"}) {
    const auto found = plan.scores.find(part);
    if (found == plan.scores.end() || !found->is_object()) continue;
    const auto rate = found->find("hit_rate");
    if (rate != found->end() && rate->is_number()) return &*rate;
  }
  return nullptr;
}

}  // namespace

std::string plan_csv(const Plan& plan) {
  std::string text = "layer,expert,stage\n";
  for (const Plan::Pin& pin : plan.pinned) {
    text += fmt::format("{},{},{}\n", pin.layer, pin.expert, pin.stage);
  }
  return text;
}

LlamaCppExport llama_cpp_export(const Plan& plan, const std::vector<int>& model_layers) {
  const int layers = plan.shape.layers;
  if (!model_layers.empty() && static_cast<int>(model_layers.size()) != layers) {
    fail(ErrorCode::kInvalidArgument, "the plan is for {} layers with experts, the model has {}",
         layers, model_layers.size());
  }
  const auto in_model = [&](int layer) {
    return model_layers.empty() ? layer : model_layers[static_cast<std::size_t>(layer)];
  };
  const int whole = static_cast<int>(plan.pinned.size()) / plan.shape.experts;
  std::vector<int> kept = layers_by_pins(plan);
  std::vector<int> host(kept.begin() + whole, kept.end());
  kept.resize(static_cast<std::size_t>(whole));
  std::sort(host.begin(), host.end());
  std::sort(kept.begin(), kept.end());

  LlamaCppExport found;
  for (const int layer : kept) found.device_layers.push_back(in_model(layer));
  for (int& layer : host) layer = in_model(layer);
  found.resident_experts = whole * plan.shape.experts;
  found.pinned_kept = static_cast<int>(
      std::count_if(plan.pinned.begin(), plan.pinned.end(), [&](const Plan::Pin& pin) {
        return std::binary_search(kept.begin(), kept.end(), pin.layer);
      }));
  found.hit_rate = static_cast<double>(whole) / layers;
  if (host.empty()) {
    found.override_tensor = found.n_cpu_moe = "-ngl 99";
  } else {
    found.override_tensor = fmt::format(
        "-ngl 99 -ot 'blk\\.({})\\.ffn_(gate|up|down|gate_up)_exps=CPU'", fmt::join(host, "|"));
    const int first = whole == layers ? 0 : in_model(layers - whole - 1) + 1;
    found.n_cpu_moe = fmt::format("-ngl 99 --n-cpu-moe {}", first);
  }

  found.lost.push_back(fmt::format(
      "The experts of a layer are one tensor there: the options keep {} whole layers ({} experts), "
      "the plan chooses {} single experts.",
      whole, found.resident_experts, plan.pinned.size()));
  found.lost.push_back(
      fmt::format("{} of the plan's {} experts stay on the device with -ot, the others run on the "
                  "host; {} slots of the budget stay unused.",
                  found.pinned_kept, plan.pinned.size(),
                  static_cast<int>(plan.pinned.size()) - found.resident_experts));
  const nlohmann::ordered_json* rate = plan_hit_rate(plan);
  found.lost.push_back(fmt::format(
      "Whole layers find {:.1f} % of all accesses on the device{}.", 100 * found.hit_rate,
      rate == nullptr ? std::string()
                      : fmt::format(", the plan {:.1f} %", 100 * rate->get<double>())));
  if (model_layers.empty()) {
    found.lost.emplace_back(
        "Layers are counted as in the plan; a model with dense layers before its experts needs "
        "--model to number them.");
  }
  return found;
}

}  // namespace haq::experts
