// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/models/engine_controller.h"
#include "ui/models/settings.h"

namespace haq::ui {

/// How the next model is to be loaded, as the settings have it.
LoadRequest loadRequest(const Settings& settings);

/// Sampling of new conversations: the user's own values when they are switched on, else the
/// model's.
session::SamplingOptions defaultSampling(const Settings& settings, const ModelInfo* model);

/// A request with the user's defaults (longest answer, overflow, sampling); the caller adds
/// conversation and messages.
GenerationRequest defaultRequest(const Settings& settings, const ModelInfo* model);

}  // namespace haq::ui
