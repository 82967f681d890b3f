// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/model/checkpoint.h"
#include "engine/model/config_fields.h"

namespace haq::model {

/// How the weights of a role lie in their tensor (E experts, I = width of one expert).
enum class Layout {
  kPlain,            ///< "<module>.weight" [out, in], "<module>.bias" [out]
  kBare,             ///< a vector called "<module>" itself
  kStacked,          ///< "<module>.weight" [E, out, in]
  kStackedGate,      ///< "<module>.weight" [E, 2I, in]: this role is rows [0, I)
  kStackedUp,        ///< the same: this role is rows [I, 2I)
  kTransposed,       ///< "<module>" [E, in, out], "<module>_bias" [E, out]
  kInterleavedGate,  ///< "<module>" [E, in, 2I], "<module>_bias" [E, 2I]: even columns
  kInterleavedUp,    ///< the same: odd columns
};

/// One row of the table: which module holds a role. In the pattern {p} is the architecture's
/// prefix, {l} the layer and {e} the expert. Several rows for one role are alternatives: the first
/// that a checkpoint holds counts.
struct ModuleName {
  Role role;
  bool expert;  ///< the routed experts' kGate/kUp/kDown, not the dense ones
  std::string pattern;
  Layout layout = Layout::kPlain;
};

/// Everything that is known about one model_type. A new architecture is one entry in the table of
/// architecture.cpp and, where its config.json has its own keys, one small read function.
struct Architecture {
  std::string model_type;
  std::vector<std::string> classes;   ///< accepted in "architectures"; the first is the usual one
  std::vector<std::string> prefixes;  ///< alternatives for {p}, told apart by the embedding tensor
  std::vector<ModuleName> modules;
  /// Fields that change the result in general and that `read` takes care of (see
  /// config_guards.cpp).
  std::vector<std::string> handles;
  void (*read)(const Fields& fields, ModelConfig& config);
};

/// Null for an unknown model_type.
const Architecture* find_architecture(std::string_view model_type);
/// "deepseek_v2, gpt_oss, ...", for messages.
std::string supported_model_types();

/// Pattern of the module that holds this role alone (kPlain or kBare): how an int8 folder names it.
/// Throws kInternal when the table has none.
const std::string& separate_module(const Architecture& architecture, Role role, bool expert);

/// Fills {p}, {l}, {e} of a pattern.
std::string fill_pattern(std::string_view pattern, std::string_view prefix, int layer, int expert);

}  // namespace haq::model
