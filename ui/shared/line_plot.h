// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QVector>
#include <QWidget>
#include <functional>
#include <memory>
#include <vector>

#include "ui/shared/theme.h"

namespace haq::ui {

/// A few curves over one axis (QCustomPlot behind a wall: its header needs Qt's keywords, which the
/// rest of the program does without). Curves differ by colour and by the shape of their points;
/// colours follow the theme.
class LinePlot : public QWidget {
  Q_OBJECT
 public:
  struct Series {
    QString name;
    Role color = Role::kAccent;
    QVector<double> x, y;
  };

  explicit LinePlot(QWidget* parent = nullptr);
  ~LinePlot() override;

  /// Range of x; without one it follows the data.
  void setRangeX(double low, double high);
  void setLogarithmic(bool logarithmic);
  void setFormatY(std::function<QString(double)> format);
  /// Replaces the curves; drawn with the next frame.
  void setSeries(const std::vector<Series>& series);

  QSize sizeHint() const override;
  QSize minimumSizeHint() const override;

 protected:
  void changeEvent(QEvent* event) override;

 private:
  void restyle();
  struct Impl;
  std::unique_ptr<Impl> m_impl;
};

}  // namespace haq::ui
