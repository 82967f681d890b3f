// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/wizard/parts.h"
#include "ui/wizard/wizard_context.h"

class QButtonGroup;
class QCheckBox;
class QComboBox;
class QSpinBox;

namespace haq::ui {

/// Step 2: the method, with a sensible default; everything else folded away.
class SchemeStep : public StepPage {
  Q_OBJECT
 public:
  explicit SchemeStep(WizardContext& context, QWidget* parent = nullptr);

  QButtonGroup& methods() { return *m_methods; }  ///< ids are the values of quant::Method
  QComboBox& rotation() { return *m_rotation; }
  Fold& advanced() { return *m_advanced; }

 private:
  void show();

  WizardContext& m_context;
  QButtonGroup* m_methods;
  QComboBox* m_rotation;
  QSpinBox* m_seeds;
  QCheckBox* m_expertsOnly;
  QCheckBox* m_ablate;
  Fold* m_advanced;
};

}  // namespace haq::ui
