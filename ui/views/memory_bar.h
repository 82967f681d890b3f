// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

#include "ui/models/memory_plan.h"

namespace haq::ui {

/// A stacked bar of what a model needs against a mark of what is there, with a legend that names
/// every term and its figure.
class MemoryBar : public QWidget {
  Q_OBJECT
 public:
  explicit MemoryBar(QWidget* parent = nullptr);
  void setPlan(const MemoryPlan& plan);
  const MemoryPlan& plan() const { return m_plan; }
  QSize sizeHint() const override;
  QSize minimumSizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  int legendRowHeight() const;
  MemoryPlan m_plan;
};

}  // namespace haq::ui
