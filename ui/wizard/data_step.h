// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/wizard/parts.h"
#include "ui/wizard/wizard_context.h"

class QCheckBox;
class QLineEdit;
class QListWidget;
class QPushButton;
class QSpinBox;

namespace haq::ui {

/// Step 3: the text that shows which activations occur, and the text that quality is measured on.
class DataStep : public StepPage {
  Q_OBJECT
 public:
  explicit DataStep(WizardContext& context, QWidget* parent = nullptr);

  void addFiles(const QStringList& files);
  /// The latest check read these files and found enough text.
  bool passed() const;
  QListWidget& files() { return *m_files; }
  QSpinBox& tokens() { return *m_tokens; }
  QSpinBox& sequenceLength() { return *m_length; }
  CheckLine& finding() { return *m_finding; }
  Banner& problem() { return *m_problem; }

 Q_SIGNALS:
  void checked();

 protected:
  void dragEnterEvent(QDragEnterEvent* event) override;
  void dropEvent(QDropEvent* event) override;

 private:
  QWidget* makeFiles();
  QWidget* makeAmounts();
  QWidget* makeEvaluation();
  void browse();
  void removeSelected();
  void show();
  void recheck();
  void show(const TextCheck& check);

  WizardContext& m_context;
  QListWidget* m_files;
  QPushButton* m_sample;
  QSpinBox *m_tokens, *m_length, *m_seed;
  QCheckBox* m_measure;
  QLineEdit* m_evalText;
  QSpinBox* m_evalTokens;
  CheckLine* m_finding;
  Banner* m_problem;
  TextCheck m_check;
  bool m_checked = false;
  QTimer m_delay;
};

}  // namespace haq::ui
