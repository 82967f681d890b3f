// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>
#include <array>

#include "ui/models/settings.h"
#include "ui/models/side_by_side.h"
#include "ui/shared/widgets.h"

class QLineEdit;
class QPlainTextEdit;
class QPushButton;
class QSpinBox;

namespace haq::ui {

/// One prompt, two answers beside each other, with their speeds; from where the texts part they are
/// marked.
class SideBySideView : public QWidget {
  Q_OBJECT
 public:
  SideBySideView(EngineController& engine, const Settings& settings, QWidget* parent = nullptr);

  void setModels(const SideBySide::Side& original, const SideBySide::Side& quantized);
  void focusPrompt();
  QLineEdit& prompt() { return *m_prompt; }
  QPushButton& runButton() { return *m_run; }
  QSpinBox& tokens() { return *m_tokens; }
  SideBySide& sides() { return m_sides; }
  QString verdict() const { return m_verdict->text(); }

 private:
  struct Column {
    ElidedLabel* title = nullptr;
    TextLabel* facts = nullptr;
    QPlainTextEdit* text = nullptr;
  };
  Card* makeColumn(int which);
  void run();
  void refresh();
  void markDifference();

  const Settings& m_settings;
  SideBySide m_sides;
  std::array<SideBySide::Side, 2> m_models;
  std::array<Column, 2> m_columns;
  QLineEdit* m_prompt;
  QSpinBox* m_tokens;
  QPushButton* m_run;
  TextLabel* m_verdict;
  Banner* m_problem;
};

}  // namespace haq::ui
