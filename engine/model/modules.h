// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "engine/model/checkpoint.h"

/// Which modules a configuration calls for, and their shapes: the one place that knows. Checking a
/// checkpoint, counting parameters, estimating memory and synthetic weights all walk this list.
namespace haq::model {

struct ModuleShape {
  Role role{};
  int layer = -1;
  int expert = -1;
  std::int64_t rows = 0;  ///< outputs of a linear layer, entries of a table, length of a vector
  std::int64_t cols = 0;  ///< inputs; 0 for a vector
  bool bias = false;      ///< has a bias of `rows` entries

  bool is_vector() const { return cols == 0; }
  std::int64_t weights() const { return rows * (is_vector() ? 1 : cols); }
  std::int64_t parameters() const { return weights() + (bias ? rows : 0); }
};

/// The shape of a module, or nothing when the configuration has no such module. kLmHead is there
/// also when the head is tied.
std::optional<ModuleShape> module_shape(const ModelConfig& config, Role role, int layer = -1,
                                        int expert = -1);

/// Calls `visit` for every module with weights of its own, in a fixed order: global ones, then
/// layer by layer, experts last. A tied head is left out.
void for_each_module(const ModelConfig& config,
                     const std::function<void(const ModuleShape&)>& visit);

/// "embedding", "attention", "router", "experts", "shared", "dense", "norm", "head".
const char* parameter_class(const ModuleShape& module);

/// True for the linear layers that a W8A8 model holds as int8 (unless its ignore list says
/// otherwise).
bool is_quantizable(Role role);

}  // namespace haq::model
