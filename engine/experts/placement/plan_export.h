// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

#include "engine/experts/placement/plan.h"

namespace haq::experts {

/// `layer,expert,stage`, one line per pinned expert in the plan's order.
std::string plan_csv(const Plan& plan);

/// The nearest that llama.cpp can be told. There the experts of a layer are one tensor each for
/// gate, up and down (blk.N.ffn_{gate,up,down}_exps), so they stay together: whole layers are on
/// the device or on the host.
struct LlamaCppExport {
  /// --override-tensor: the layers in which the plan pins most stay on the device.
  std::string override_tensor;
  /// --n-cpu-moe: the experts of the first N layers of the model go to the host.
  std::string n_cpu_moe;
  std::vector<int> device_layers;  ///< model layers with all experts on the device, by the former
  int resident_experts = 0;        ///< on the device with either
  int pinned_kept = 0;             ///< of the plan's experts, with --override-tensor
  /// Share of all accesses that find their expert on the device: with whole layers resident it is
  /// their share of the layers, whatever is routed.
  double hit_rate = 0;
  std::vector<std::string> lost;  ///< what the options cannot express, in sentences
};

/// `model_layers`: the model's number of each layer with routing (llama.cpp counts all layers);
/// empty: the same numbers. kInvalidArgument when it has another length.
LlamaCppExport llama_cpp_export(const Plan& plan, const std::vector<int>& model_layers);

}  // namespace haq::experts
