// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractItemModel>
#include <QPointer>
#include <QWidget>
#include <functional>
#include <vector>

namespace haq::ui {

/// A table of numbers as colours, over any item model whose `valueRole` holds doubles (an invalid
/// value is not known yet). A cell cursor moves by keys and mouse; its sentence is tool tip and
/// description for screen readers; Ctrl+C copies the table as text. Cells are drawn one by one
/// while they are large enough, else as an image in which the largest value of a pixel wins.
class HeatmapView : public QWidget {
  Q_OBJECT
 public:
  enum class Scale { kLinear, kLog, kDifference };
  struct Group {
    QString title;
    int first = 0, count = 0;
  };

  explicit HeatmapView(QWidget* parent = nullptr);

  void setModel(QAbstractItemModel* model, int valueRole, int sentenceRole);
  void setScale(Scale scale);
  /// Writes a value for the legend.
  void setFormat(std::function<QString(double)> format);
  /// Titles over runs of columns; set anew after a reset of the model.
  void setGroupSource(std::function<std::vector<Group>()> groups);
  void setTitles(const QString& rows, const QString& legend);

  QPoint cursorCell() const { return m_cursor; }  ///< column, row
  void setCursorCell(QPoint cell);
  QSize sizeHint() const override;
  QSize minimumSizeHint() const override;

 Q_SIGNALS:
  void cellActivated(const QModelIndex& index);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void focusInEvent(QFocusEvent* event) override;
  bool event(QEvent* event) override;

 private:
  struct Range {
    double low = 0, high = 1;
    bool known = false;
  };
  struct Layout {
    QRectF cells;  ///< without row titles, group titles and legend
    double column = 0, row = 0;
    double gap = 0;  ///< between groups
    int head = 0, foot = 0, left = 0;
  };

  void reload();
  Layout arrange() const;
  QRectF cellRect(const Layout& layout, int column, int row) const;
  double columnLeft(const Layout& layout, int column) const;
  QPoint cellAt(const QPointF& position) const;
  QColor colorOf(double value, bool known) const;
  double place(double value) const;
  void paintCells(QPainter& painter, const Layout& layout) const;
  void paintTitles(QPainter& painter, const Layout& layout) const;
  void paintLegend(QPainter& painter, const Layout& layout) const;
  void tellCursor();
  int columns() const { return m_model ? m_model->columnCount() : 0; }
  int rows() const { return m_model ? m_model->rowCount() : 0; }

  QPointer<QAbstractItemModel> m_model;
  int m_valueRole = 0, m_sentenceRole = 0;
  Scale m_scale = Scale::kLog;
  std::function<QString(double)> m_format;
  std::function<std::vector<Group>()> m_groupSource;
  std::vector<Group> m_groups;
  std::vector<int> m_groupOf;    ///< column -> group
  std::vector<double> m_values;  ///< NaN: not known
  Range m_range;
  bool m_stale = true;
  QString m_rowTitle, m_legend;
  QPoint m_cursor{0, 0};
};

}  // namespace haq::ui
