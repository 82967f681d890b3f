// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QPointer>
#include <QWidget>

namespace haq::ui {

class ExpertCoverageModel;

/// Small multiples: for each layer the calibration tokens of its experts as bars over the line of
/// an even split. Experts hardly seen are hollow under a triangle, those never seen a cross; the
/// count of both stands beside the layer.
class CoverageView : public QWidget {
  Q_OBJECT
 public:
  explicit CoverageView(ExpertCoverageModel* model, QWidget* parent = nullptr);
  QSize sizeHint() const override;
  QSize minimumSizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  bool event(QEvent* event) override;

 private:
  struct Cell {
    int row = -1, expert = -1;
  };
  int columns() const;
  QRectF panel(int row) const;
  QRectF bars(int row) const;
  int titleHeight() const;
  Cell cellAt(const QPointF& position) const;
  void paintLayer(QPainter& painter, int row) const;
  void describe();

  QPointer<ExpertCoverageModel> m_model;
  int m_row = 0, m_expert = 0;
};

}  // namespace haq::ui
