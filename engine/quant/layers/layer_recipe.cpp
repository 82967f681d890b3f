// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/layers/layer_pipeline.h"

namespace haq::quant {
namespace {

double published_alpha(const model::ModelConfig& config) {
  return config.model_type == "opt" ? 0.5 : 0.8;
}

}  // namespace

LayerRecipe LayerRecipe::of(Method method, const model::ModelConfig& config) {
  LayerRecipe recipe;
  recipe.smooth_norm_groups = method == Method::kHaq || method == Method::kSmoothQuant;
  recipe.smooth_inner_groups = method == Method::kHaq;
  recipe.solve = method == Method::kHaq || method == Method::kGptq;
  recipe.norm_groups = method == Method::kSmoothQuant
                           ? SmoothingOptions::fixed(published_alpha(config))
                           : SmoothingOptions::full();
  recipe.inner_groups = SmoothingOptions::full();
  return recipe;
}

LayerRecipe LayerRecipe::quick(Method method, const model::ModelConfig& config) {
  LayerRecipe recipe = of(method, config);
  // At 8 bits the loss is the activations': plain rounding of the weights orders trials
  // well enough, and then no Hessian is needed.
  recipe.solve = false;
  recipe.errors = false;
  recipe.all_expert_share = 0;
  if (method == Method::kHaq) {
    recipe.norm_groups = SmoothingOptions::coarse();
    recipe.inner_groups = SmoothingOptions::coarse();
  }
  return recipe;
}

}  // namespace haq::quant
