// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

#include "ui/models/engine_controller.h"
#include "ui/models/model_catalog.h"

class QFormLayout;
class QPushButton;
class QSlider;
class QSpinBox;
class QStackedLayout;

namespace haq::ui {

class Banner;
class ElidedLabel;
class EmptyState;
class MemoryBar;
class TextLabel;

/// Facts of one model, the memory it would need, and what can be done with it.
class ModelDetails : public QWidget {
  Q_OBJECT
 public:
  ModelDetails(EngineController& engine, Settings& settings, ModelCatalog& catalog,
               QWidget* parent = nullptr);

  /// Shows a model of the catalogue; null shows how to choose one.
  void setEntry(const ModelEntry* entry);
  const QString& folder() const { return m_folder; }
  /// The `haq` line that does the same as Load.
  QString commandLine() const;
  MemoryBar& memoryBar() { return *m_bar; }
  QSpinBox& contextBox() { return *m_contextBox; }

 Q_SIGNALS:
  void loadRequested(const QString& folder);

 private:
  QWidget* makeFacts();
  QWidget* makeMemory();
  void fill(const ModelEntry& entry);
  void setOpened(const QString& folder, const OpenedModel& model);
  void updateMemory();
  void updateLoadButton();

  EngineController& m_engine;
  Settings& m_settings;
  ModelCatalog& m_catalog;
  bool m_hasEntry = false;
  bool m_hasProblem = false;
  QString m_folder;
  OpenedModel m_model;
  QStackedLayout* m_stack;
  EmptyState* m_empty;
  TextLabel* m_name;
  ElidedLabel* m_path;
  Banner* m_problem;
  QFormLayout* m_facts;
  QPushButton* m_load;
  MemoryBar* m_bar;
  TextLabel* m_verdict;
  QSlider* m_contextSlider;
  QSpinBox* m_contextBox;
  QSlider* m_reserveSlider;
  QSpinBox* m_reserveBox;
  QWidget* m_memory = nullptr;
};

}  // namespace haq::ui
