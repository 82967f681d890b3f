// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/quant/report/report.h"

namespace haq::ui::test {

/// One module of a made-up run; errors in the order rounding > smoothed > final.
inline quant::ModuleReport module(int layer, model::Role role, int expert, double error) {
  quant::ModuleReport report;
  report.name = "layers." + std::to_string(layer) + "." + std::to_string(static_cast<int>(role)) +
                "." + std::to_string(expert);
  report.role = role;
  report.layer = layer;
  report.expert = expert;
  report.smoothing = "alpha";
  report.alpha = 0.5;
  report.error_rtn = 4 * error;
  report.error_smooth = 2 * error;
  report.error_final = error;
  report.snr_db = 30;
  return report;
}

/// Two layers of q and o and three experts; the error grows with every module.
inline quant::Report report(double scale = 1) {
  quant::Report report;
  report.model_name = "made-up";
  report.target = "/nowhere/made-up-W8A8";
  report.bytes_before = 2000;
  report.bytes_after = 1000;
  report.seconds = 12;
  double error = 0.001 * scale;
  for (int layer = 0; layer < 2; ++layer) {
    report.modules.push_back(module(layer, model::Role::kQ, -1, error += 0.001 * scale));
    report.modules.push_back(module(layer, model::Role::kO, -1, error += 0.001 * scale));
    for (int expert = 0; expert < 3; ++expert) {
      report.modules.push_back(module(layer, model::Role::kUp, expert, error += 0.001 * scale));
      report.experts.push_back({layer, expert, expert == 2 ? 0 : 500});
    }
  }
  quant::QualityReport quality;
  quality.ppl_before = 10;
  quality.ppl_after = 10.034;
  quality.ppl_ratio = 1.0034;
  quality.ppl_ratio_low = 1.001;
  quality.ppl_ratio_high = 1.006;
  quality.kld_mean = 0.002 * scale;
  quality.top1_agreement = 0.98;
  report.quality = quality;
  return report;
}

}  // namespace haq::ui::test
