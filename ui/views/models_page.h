// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QSortFilterProxyModel>
#include <QWidget>

#include "ui/models/engine_controller.h"
#include "ui/models/model_catalog.h"

class QLineEdit;
class QProgressBar;
class QStackedWidget;
class QTableView;

namespace haq::ui {

class EmptyState;
class ModelDetails;
class TextLabel;

/// The models on this computer: a table over the details of the chosen one.
class ModelsPage : public QWidget {
  Q_OBJECT
 public:
  ModelsPage(EngineController& engine, Settings& settings, ModelCatalog& catalog,
             QWidget* parent = nullptr);

  /// Chooses a model by folder (empty: the demo model). False when it is not listed.
  bool select(const QString& folder);
  QTableView& table() { return *m_table; }
  QLineEdit& filter() { return *m_filter; }
  ModelDetails& details() { return *m_details; }

 Q_SIGNALS:
  void loadRequested(const QString& folder);

 private:
  void makeActions();
  void chooseFolder();
  void showSelection();
  void refresh();

  EngineController& m_engine;
  Settings& m_settings;
  ModelCatalog& m_catalog;
  QSortFilterProxyModel m_sorted;
  QLineEdit* m_filter;
  QTableView* m_table;
  QStackedWidget* m_area;
  EmptyState* m_nothing;
  ModelDetails* m_details;
  TextLabel* m_summary;
  QProgressBar* m_busy;
  QAction* m_removeAction = nullptr;
  QString m_selected;
  bool m_hasSelection = false;
};

}  // namespace haq::ui
