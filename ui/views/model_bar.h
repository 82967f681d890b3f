// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>
#include <functional>

#include "ui/models/engine_controller.h"

class QAction;
class QMenu;
class QProgressBar;
class QToolButton;

namespace haq::ui {

class Chip;
class TextLabel;

/// "demo-moe · bf16 · 6L×16E top-2", as the chip and the table show it.
QString modelSummary(const ModelInfo& info);
/// "6L×16E top-2", or "24L dense".
QString shapeText(int layers, int experts, int topK);

/// The bar over the pages: the model chip with its menu, the progress of a load with its cancel
/// button, and the way to the commands.
class ModelBar : public QWidget {
  Q_OBJECT
 public:
  explicit ModelBar(EngineController& engine, QAction* palette, QWidget* parent = nullptr);
  /// Called to fill the chip's menu each time it opens.
  void setMenuSource(std::function<void(QMenu&)> fill) { m_fill = std::move(fill); }
  QString chipText() const;

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  void refresh();
  void showProgress(const QString& stage, quint64 done, quint64 total);

  EngineController& m_engine;
  std::function<void(QMenu&)> m_fill;
  Chip* m_chip;
  QMenu* m_menu;
  TextLabel* m_stage;
  QProgressBar* m_progress;
  QToolButton* m_cancel;
};

}  // namespace haq::ui
