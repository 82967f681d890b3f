// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/wizard/parts.h"
#include "ui/wizard/wizard_context.h"

class QLineEdit;
class QSortFilterProxyModel;

namespace haq::ui {

class DataTable;

/// Step 1: which model, where the result goes, and whether this computer can do it.
class SourceStep : public StepPage {
  Q_OBJECT
 public:
  explicit SourceStep(WizardContext& context, QWidget* parent = nullptr);

  /// Chooses a model by folder (empty: the demo model).
  void choose(const QString& folder);
  /// The latest check is of the chosen source and found nothing in the way.
  bool passed() const;
  const SourceCheck& check() const { return m_check; }
  DataTable& table() { return *m_table; }
  QLineEdit& target() { return *m_target; }
  Banner& problem() { return *m_problem; }

 Q_SIGNALS:
  void checked();

 private:
  void browse();
  void browseTarget();
  void recheck();
  void show(const SourceCheck& check);
  void selectRow();

  WizardContext& m_context;
  QSortFilterProxyModel* m_sources;
  DataTable* m_table;
  QLineEdit* m_target;
  Banner* m_problem;
  CheckLine *m_precision, *m_shape, *m_disk, *m_memory, *m_time;
  SourceCheck m_check;
  bool m_checked = false;
  QTimer m_delay;
};

}  // namespace haq::ui
