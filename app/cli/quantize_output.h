// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/quant/quantizer.h"

/// What `haq quantize` shows, as text and JSON.
namespace haq::cli {

nlohmann::ordered_json preflight_json(const quant::Preflight& needs);
std::string preflight_text(const quant::Preflight& needs);  ///< every term on a line of its own
std::string preflight_line(const quant::Preflight& needs);

std::string calibration_line(const quant::CalibrationData& data);
std::string trial_line(const quant::RotationTrial& trial);
/// `layers` in all; `seconds` the layer took; `resumed`: it was finished before.
std::string layer_line(const quant::LayerOutput& layer, int layers, double seconds, bool resumed);
std::string ablation_line(const quant::AblationRow& row);
/// The tables at the end: quality, sizes, worst modules, ablation, warnings.
std::string report_text(const quant::Report& report);

}  // namespace haq::cli
