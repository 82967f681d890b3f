// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/models/engine_controller.h"
#include "ui/models/model_catalog.h"
#include "ui/models/quantization_run_list.h"
#include "ui/models/quantize_checks.h"
#include "ui/models/quantize_controller.h"
#include "ui/models/quantize_draft.h"

namespace haq::ui {

/// What the pages of the wizard share; the page owns the parts, all outlive its children.
struct WizardContext {
  Settings& settings;
  ModelCatalog& catalog;
  EngineController& engine;
  QuantizeController& run;
  QuantizeChecks& checks;
  QuantizeDraft& draft;
  QuantizationRunList& runs;
};

}  // namespace haq::ui
