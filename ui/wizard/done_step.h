// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/wizard/parts.h"
#include "ui/wizard/wizard_context.h"

class QTextBrowser;

namespace haq::ui {

class SideBySideView;

/// Step 6: where the model lies, its card, and what to do with it now.
class DoneStep : public StepPage {
  Q_OBJECT
 public:
  explicit DoneStep(WizardContext& context, QWidget* parent = nullptr);

  /// `source`: folder of the 16-bit model, empty for the demo model.
  void setReport(const std::shared_ptr<const quant::Report>& report, const QString& source);
  QPushButton& chatButton() { return *m_chat; }
  QPushButton& compareButton() { return *m_compare; }
  SideBySideView& sideBySide() { return *m_sides; }

 Q_SIGNALS:
  void chatAsked(const QString& folder);

 private:
  WizardContext& m_context;
  QString m_target;
  ElidedLabel* m_path;
  Banner* m_problem;
  QPushButton *m_chat, *m_compare;
  QTextBrowser* m_card;
  QWidget* m_cardFrame;
  SideBySideView* m_sides;
};

}  // namespace haq::ui
