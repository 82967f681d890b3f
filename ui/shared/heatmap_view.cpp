// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shared/heatmap_view.h"

#include <QAccessible>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>
#include <cmath>
#include <limits>

#include "ui/shared/color_map.h"
#include "ui/shared/format.h"
#include "ui/shared/style.h"
#include "ui/shared/table_text.h"
#include "ui/shared/theme.h"

namespace haq::ui {

namespace {

constexpr double kSmallCell = 5;  ///< below, cells are drawn as an image
constexpr double kTallCell = 28;
constexpr double kGroupGap = 8;
constexpr int kLegendBar = 140, kLegendHeight = 10;
constexpr double kDecades = 3;  ///< that a logarithmic scale shows at most

}  // namespace

HeatmapView::HeatmapView(QWidget* parent) : QWidget(parent), m_format(&format::number) {
  setFocusPolicy(Qt::StrongFocus);
  setMouseTracking(true);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
  connect(&Theme::instance(), &Theme::changed, this, [this] {
    updateGeometry();
    update();
  });
}

void HeatmapView::setModel(QAbstractItemModel* model, int valueRole, int sentenceRole) {
  if (m_model) m_model->disconnect(this);
  m_model = model;
  m_valueRole = valueRole;
  m_sentenceRole = sentenceRole;
  const auto stale = [this] {
    m_stale = true;
    update();
  };
  connect(model, &QAbstractItemModel::dataChanged, this, stale);
  connect(model, &QAbstractItemModel::modelReset, this, [this, stale] {
    stale();
    updateGeometry();
  });
  stale();
}

void HeatmapView::setScale(Scale scale) {
  m_scale = scale;
  m_stale = true;
  update();
}

void HeatmapView::setFormat(std::function<QString(double)> format) {
  m_format = std::move(format);
  update();
}

void HeatmapView::setGroupSource(std::function<std::vector<Group>()> groups) {
  m_groupSource = std::move(groups);
  m_stale = true;
  update();
}

void HeatmapView::setTitles(const QString& rows, const QString& legend) {
  m_rowTitle = rows;
  m_legend = legend;
  update();
}

void HeatmapView::reload() {
  m_stale = false;
  const int width = columns(), height = rows();
  m_groups = m_groupSource ? m_groupSource() : std::vector<Group>{};
  m_groupOf.assign(static_cast<std::size_t>(width), 0);
  for (std::size_t group = 0; group < m_groups.size(); ++group) {
    for (int i = 0; i < m_groups[group].count; ++i) {
      const int column = m_groups[group].first + i;
      if (column < width) m_groupOf[static_cast<std::size_t>(column)] = static_cast<int>(group);
    }
  }
  m_values.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height),
                  std::numeric_limits<double>::quiet_NaN());
  m_range = {};
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (int row = 0; row < height; ++row) {
    for (int column = 0; column < width; ++column) {
      const QVariant value = m_model->index(row, column).data(m_valueRole);
      if (!value.isValid()) continue;
      const double number = value.toDouble();
      m_values[static_cast<std::size_t>(row * width + column)] = number;
      if (m_scale == Scale::kLog && number <= 0) continue;
      low = std::min(low, number);
      high = std::max(high, number);
    }
  }
  if (high >= low) {
    m_range.known = true;
    m_range.low = m_scale == Scale::kLinear ? std::min(0.0, low) : low;
    m_range.high = high;
    if (m_scale == Scale::kLog) {
      m_range.low = std::max(low, high * std::pow(10.0, -kDecades));
      if (m_range.low >= high * 0.99) m_range.low = high / 10;
    } else if (m_scale == Scale::kDifference) {
      m_range.high = std::max({std::abs(low), std::abs(high), 1e-9});
      m_range.low = -m_range.high;
    } else if (m_range.high <= m_range.low) {
      m_range.high = m_range.low + 1;
    }
  }
  m_cursor = {std::clamp(m_cursor.x(), 0, std::max(0, width - 1)),
              std::clamp(m_cursor.y(), 0, std::max(0, height - 1))};
}

double HeatmapView::place(double value) const {
  switch (m_scale) {
    case Scale::kLog:
      if (value <= 0) return 0;
      return (std::log(value) - std::log(m_range.low)) /
             (std::log(m_range.high) - std::log(m_range.low));
    case Scale::kLinear:
      return (value - m_range.low) / (m_range.high - m_range.low);
    case Scale::kDifference:
      break;
  }
  return value / m_range.high;
}

QColor HeatmapView::colorOf(double value, bool known) const {
  const Theme& theme = Theme::instance();
  if (!known) return theme.color(Role::kSunken);
  return m_scale == Scale::kDifference ? differenceColor(place(value), theme.isDark())
                                       : quantityColor(place(value), theme.isDark());
}

HeatmapView::Layout HeatmapView::arrange() const {
  const QFontMetrics small(Theme::instance().font(FontRole::kSmall));
  Layout layout;
  layout.left = small.horizontalAdvance(QString::number(std::max(0, rows() - 1))) + space::kS;
  if (!m_rowTitle.isEmpty()) layout.left += small.height();
  layout.head = m_groups.empty() ? space::kXs : small.height() + space::kXs;
  layout.foot = small.height() + space::kM;
  layout.gap = m_groups.size() > 1 ? kGroupGap : 0;
  const double gaps = layout.gap * std::max(0, static_cast<int>(m_groups.size()) - 1);
  layout.cells = QRectF(layout.left, layout.head, std::max(1, width() - layout.left - 2),
                        std::max(1, height() - layout.head - layout.foot));
  layout.column = std::max(0.2, (layout.cells.width() - gaps) / std::max(1, columns()));
  layout.row = std::min(kTallCell * Theme::instance().fontScale(),
                        layout.cells.height() / std::max(1, rows()));
  layout.cells.setHeight(layout.row * std::max(1, rows()));
  return layout;
}

double HeatmapView::columnLeft(const Layout& layout, int column) const {
  const int group = m_groupOf.empty() || column >= columns()
                        ? std::max(0, static_cast<int>(m_groups.size()) - 1)
                        : m_groupOf[static_cast<std::size_t>(column)];
  return layout.cells.left() + column * layout.column + group * layout.gap;
}

QRectF HeatmapView::cellRect(const Layout& layout, int column, int row) const {
  return {columnLeft(layout, column), layout.cells.top() + row * layout.row, layout.column,
          layout.row};
}

QPoint HeatmapView::cellAt(const QPointF& position) const {
  const Layout layout = arrange();
  if (!layout.cells.contains(position)) return {-1, -1};
  const int row = static_cast<int>((position.y() - layout.cells.top()) / layout.row);
  for (int column = 0; column < columns(); ++column) {
    const double left = columnLeft(layout, column);
    if (position.x() >= left && position.x() < left + layout.column) return {column, row};
  }
  return {-1, -1};
}

void HeatmapView::paintCells(QPainter& painter, const Layout& layout) const {
  const int width = columns(), height = rows();
  const auto value = [&](int column, int row) {
    return m_values[static_cast<std::size_t>(row * width + column)];
  };
  if (layout.column >= kSmallCell && layout.row >= kSmallCell) {
    const double inset = 0.5;
    for (int row = 0; row < height; ++row) {
      for (int column = 0; column < width; ++column) {
        const double number = value(column, row);
        painter.fillRect(cellRect(layout, column, row).adjusted(inset, inset, -inset, -inset),
                         colorOf(number, !std::isnan(number)));
      }
    }
    return;
  }
  const qreal ratio = devicePixelRatioF();
  const QSize pixels = (layout.cells.size() * ratio).toSize();
  QImage image(pixels, QImage::Format_ARGB32_Premultiplied);
  image.fill(Qt::transparent);
  for (int column = 0; column < width; ++column) {
    const double left = (columnLeft(layout, column) - layout.cells.left()) * ratio;
    const int first = std::clamp(static_cast<int>(left), 0, pixels.width() - 1);
    const int last =
        std::clamp(static_cast<int>(left + layout.column * ratio), first + 1, pixels.width());
    for (int row = 0; row < height; ++row) {
      const double number = value(column, row);
      const QRgb color = colorOf(number, !std::isnan(number)).rgb();
      const int top =
          std::clamp(static_cast<int>(row * layout.row * ratio), 0, pixels.height() - 1);
      const int bottom =
          std::clamp(static_cast<int>((row + 1) * layout.row * ratio), top + 1, pixels.height());
      // Where several columns share a pixel the largest value stays, so that none is lost.
      const bool beaten = column > 0 && !std::isnan(value(column - 1, row)) &&
                          !(number > value(column - 1, row)) && layout.column * ratio < 1;
      if (beaten) continue;
      for (int y = top; y < bottom; ++y) {
        auto* line = reinterpret_cast<QRgb*>(image.scanLine(y));
        std::fill(line + first, line + last, color);
      }
    }
  }
  painter.drawImage(layout.cells, image);
}

void HeatmapView::paintTitles(QPainter& painter, const Layout& layout) const {
  const Theme& theme = Theme::instance();
  painter.setFont(theme.font(FontRole::kSmall));
  painter.setPen(theme.color(Role::kMuted));
  const QFontMetrics metrics = painter.fontMetrics();
  double free = 0;  // right end of the last title: one that would overlap it is left out
  for (const Group& group : m_groups) {
    const double left = columnLeft(layout, group.first);
    const double room = group.count * layout.column + layout.gap;
    if (left < free) continue;
    QString title = group.title;
    if (metrics.horizontalAdvance(title) > room) {
      if (group.count > 1) {
        title = metrics.elidedText(title, Qt::ElideRight, static_cast<int>(room));
      } else if (metrics.horizontalAdvance(title) > 2.5 * room) {
        continue;
      }
    }
    painter.drawText(QPointF(left, metrics.ascent()), title);
    free = left + metrics.horizontalAdvance(title) + space::kXs;
  }
  const int step = std::max(1, static_cast<int>(std::ceil(metrics.height() / layout.row)));
  const int titled = m_rowTitle.isEmpty() ? 0 : metrics.height();
  for (int row = 0; row < rows(); row += step) {
    const QRectF label(titled, layout.cells.top() + row * layout.row,
                       layout.left - titled - space::kXs,
                       std::max<double>(layout.row, metrics.height()));
    const QRectF centred(label.left(), label.top() + (layout.row - label.height()) / 2,
                         label.width(), label.height());
    painter.drawText(centred, Qt::AlignRight | Qt::AlignVCenter,
                     m_model->headerData(row, Qt::Vertical).toString());
  }
  if (titled > 0) {
    painter.save();
    painter.translate(0, layout.cells.center().y());
    painter.rotate(-90);
    painter.drawText(QRectF(-layout.cells.height() / 2, 0, layout.cells.height(), titled),
                     Qt::AlignCenter, m_rowTitle);
    painter.restore();
  }
}

void HeatmapView::paintLegend(QPainter& painter, const Layout& layout) const {
  const Theme& theme = Theme::instance();
  const QFontMetrics metrics(theme.font(FontRole::kSmall));
  painter.setFont(theme.font(FontRole::kSmall));
  painter.setPen(theme.color(Role::kMuted));
  const double top = layout.cells.bottom() + space::kS;
  double x = layout.left;
  const auto write = [&](const QString& text) {
    painter.drawText(QPointF(x, top + metrics.ascent()), text);
    x += metrics.horizontalAdvance(text) + space::kS;
  };
  if (!m_range.known) {
    write(m_legend);
    return;
  }
  write(m_format(m_range.low));
  for (int i = 0; i < kLegendBar; ++i) {
    const double t = (i + 0.5) / kLegendBar;
    const QColor color = m_scale == Scale::kDifference ? differenceColor(2 * t - 1, theme.isDark())
                                                       : quantityColor(t, theme.isDark());
    painter.fillRect(
        QRectF(x + i, top + (metrics.height() - kLegendHeight) / 2.0, 1, kLegendHeight), color);
  }
  x += kLegendBar + space::kS;
  write(m_format(m_range.high));
  x += space::kS;
  write(metrics.elidedText(m_legend, Qt::ElideRight, static_cast<int>(width() - x)));
}

void HeatmapView::paintEvent(QPaintEvent*) {
  if (m_model.isNull()) return;
  if (m_stale) reload();
  if (rows() == 0 || columns() == 0) return;
  QPainter painter(this);
  const Layout layout = arrange();
  paintCells(painter, layout);
  paintTitles(painter, layout);
  paintLegend(painter, layout);
  if (hasFocus()) {
    const QRectF cell = cellRect(layout, m_cursor.x(), m_cursor.y());
    paintFocusRing(painter, cell.adjusted(-2, -2, 2, 2), 2);
  }
}

void HeatmapView::setCursorCell(QPoint cell) {
  const QPoint inside{std::clamp(cell.x(), 0, std::max(0, columns() - 1)),
                      std::clamp(cell.y(), 0, std::max(0, rows() - 1))};
  if (inside == m_cursor) return;
  m_cursor = inside;
  tellCursor();
  update();
}

void HeatmapView::tellCursor() {
  if (m_model.isNull() || rows() == 0) return;
  const QString sentence =
      m_model->index(m_cursor.y(), m_cursor.x()).data(m_sentenceRole).toString();
  setAccessibleDescription(sentence);
  QAccessibleEvent told(this, QAccessible::DescriptionChanged);
  QAccessible::updateAccessibility(&told);
  if (!hasFocus()) return;
  const QRectF cell = cellRect(arrange(), m_cursor.x(), m_cursor.y());
  QToolTip::showText(mapToGlobal(cell.bottomRight().toPoint()), sentence, this);
}

void HeatmapView::focusInEvent(QFocusEvent* event) {
  QWidget::focusInEvent(event);
  const QString sentence =
      m_model.isNull() || rows() == 0
          ? QString()
          : m_model->index(m_cursor.y(), m_cursor.x()).data(m_sentenceRole).toString();
  setAccessibleDescription(sentence);
  update();
}

void HeatmapView::keyPressEvent(QKeyEvent* event) {
  if (event->matches(QKeySequence::Copy) && !m_model.isNull()) {
    copyTable(*m_model);
    return;
  }
  switch (event->key()) {
    case Qt::Key_Left:
      setCursorCell(m_cursor - QPoint(1, 0));
      return;
    case Qt::Key_Right:
      setCursorCell(m_cursor + QPoint(1, 0));
      return;
    case Qt::Key_Up:
      setCursorCell(m_cursor - QPoint(0, 1));
      return;
    case Qt::Key_Down:
      setCursorCell(m_cursor + QPoint(0, 1));
      return;
    case Qt::Key_Home:
      setCursorCell({0, m_cursor.y()});
      return;
    case Qt::Key_End:
      setCursorCell({columns() - 1, m_cursor.y()});
      return;
    case Qt::Key_Return:
    case Qt::Key_Enter:
      if (!m_model.isNull()) Q_EMIT cellActivated(m_model->index(m_cursor.y(), m_cursor.x()));
      return;
    default:
      QWidget::keyPressEvent(event);
  }
}

void HeatmapView::mousePressEvent(QMouseEvent* event) {
  const QPoint cell = cellAt(event->position());
  if (cell.x() < 0) return;
  setCursorCell(cell);
  Q_EMIT cellActivated(m_model->index(cell.y(), cell.x()));
}

bool HeatmapView::event(QEvent* event) {
  if (event->type() == QEvent::ToolTip && !m_model.isNull()) {
    auto* help = static_cast<QHelpEvent*>(event);
    const QPoint cell = cellAt(help->pos());
    if (cell.x() < 0 || cell.y() >= rows()) {
      QToolTip::hideText();
    } else {
      QToolTip::showText(help->globalPos(),
                         m_model->index(cell.y(), cell.x()).data(m_sentenceRole).toString(), this);
    }
    return true;
  }
  return QWidget::event(event);
}

QSize HeatmapView::sizeHint() const {
  const int scale = Theme::instance().scaled(18);
  return {560, std::clamp(rows(), 4, 24) * std::min(scale, 18) + Theme::instance().scaled(48)};
}

QSize HeatmapView::minimumSizeHint() const {
  return {240, std::min(std::max(4, rows()) * 8, 160) + Theme::instance().scaled(44)};
}

}  // namespace haq::ui
