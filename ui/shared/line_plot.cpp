// SPDX-License-Identifier: GPL-3.0-or-later
// QCustomPlot's header is written with Qt's keywords.
#undef QT_NO_KEYWORDS
#include "ui/shared/line_plot.h"

#include <qcustomplot.h>

#include <QVBoxLayout>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace haq::ui {

namespace {

constexpr double kPointSize = 6;

/// Labels that our own formatting writes.
template <typename Ticker>
class FormattedTicker : public Ticker {
 public:
  std::function<QString(double)> format;

 protected:
  QString getTickLabel(double tick, const QLocale& locale, QChar kind, int precision) override {
    return format ? format(tick) : Ticker::getTickLabel(tick, locale, kind, precision);
  }
};

QCPScatterStyle::ScatterShape shapeOf(int series) {
  constexpr std::array kShapes{QCPScatterStyle::ssCircle, QCPScatterStyle::ssSquare,
                               QCPScatterStyle::ssTriangle, QCPScatterStyle::ssDiamond};
  return kShapes.at(static_cast<std::size_t>(series) % kShapes.size());
}

}  // namespace

struct LinePlot::Impl {
  QCustomPlot* plot = nullptr;
  std::vector<Series> series;
  std::function<QString(double)> format;
  bool logarithmic = false;
  bool fixedX = false;
};

LinePlot::LinePlot(QWidget* parent) : QWidget(parent), m_impl(std::make_unique<Impl>()) {
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(0, 0, 0, 0);
  m_impl->plot = new QCustomPlot(this);
  m_impl->plot->setFocusPolicy(Qt::NoFocus);
  m_impl->plot->setAttribute(Qt::WA_TransparentForMouseEvents);
  m_impl->plot->setPlottingHint(QCP::phFastPolylines);
  m_impl->plot->setMinimumSize(60, 60);
  column->addWidget(m_impl->plot);
  // The legend stands above the curves, where it hides nothing.
  QCPLayoutGrid* grid = m_impl->plot->plotLayout();
  m_impl->plot->legend->setVisible(true);
  grid->insertRow(0);
  auto* legendRow = new QCPLayoutGrid;
  grid->addElement(0, 0, legendRow);
  legendRow->addElement(0, 0, m_impl->plot->legend);
  legendRow->addElement(0, 1, new QCPLayoutElement);
  legendRow->setColumnStretchFactor(0, 0.001);
  m_impl->plot->legend->setFillOrder(QCPLegend::foColumnsFirst);
  m_impl->plot->legend->setBorderPen(Qt::NoPen);
  grid->setRowStretchFactor(0, 0.001);
  grid->setRowSpacing(0);
  setLogarithmic(false);
  connect(&Theme::instance(), &Theme::changed, this, &LinePlot::restyle);
  restyle();
}

LinePlot::~LinePlot() = default;

void LinePlot::setRangeX(double low, double high) {
  m_impl->fixedX = true;
  m_impl->plot->xAxis->setRange(low, high);
}

void LinePlot::setLogarithmic(bool logarithmic) {
  m_impl->logarithmic = logarithmic;
  QCPAxis* axis = m_impl->plot->yAxis;
  axis->setScaleType(logarithmic ? QCPAxis::stLogarithmic : QCPAxis::stLinear);
  if (logarithmic) {
    auto ticker = QSharedPointer<FormattedTicker<QCPAxisTickerLog>>::create();
    ticker->format = m_impl->format;
    axis->setTicker(ticker);
  } else {
    auto ticker = QSharedPointer<FormattedTicker<QCPAxisTicker>>::create();
    ticker->format = m_impl->format;
    ticker->setTickCount(3);
    axis->setTicker(ticker);
  }
}

void LinePlot::setFormatY(std::function<QString(double)> format) {
  m_impl->format = std::move(format);
  setLogarithmic(m_impl->logarithmic);
}

void LinePlot::setSeries(const std::vector<Series>& series) {
  QCustomPlot& plot = *m_impl->plot;
  m_impl->series = series;
  while (plot.graphCount() > static_cast<int>(series.size())) {
    plot.removeGraph(plot.graphCount() - 1);
  }
  while (plot.graphCount() < static_cast<int>(series.size())) plot.addGraph();
  double low = std::numeric_limits<double>::infinity(), high = 0;
  double first = low, last = -low;
  for (int i = 0; i < plot.graphCount(); ++i) {
    const Series& curve = series[static_cast<std::size_t>(i)];
    plot.graph(i)->setName(curve.name);
    plot.graph(i)->setData(curve.x, curve.y, true);
    for (const double value : curve.y) {
      if (!std::isfinite(value) || (m_impl->logarithmic && value <= 0)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
    for (const double value : curve.x) {
      first = std::min(first, value);
      last = std::max(last, value);
    }
  }
  if (high > 0) {
    if (m_impl->logarithmic) {
      plot.yAxis->setRange(low / 1.6, high * 1.6);
    } else {
      plot.yAxis->setRange(0, high * 1.08);
    }
  }
  if (!m_impl->fixedX && last >= first) plot.xAxis->setRange(first - 0.5, last + 0.5);
  restyle();
}

void LinePlot::restyle() {
  const Theme& theme = Theme::instance();
  QCustomPlot& plot = *m_impl->plot;
  plot.setBackground(theme.color(Role::kRaised));
  const QColor muted = theme.color(Role::kMuted);
  const QColor line = theme.hairline(Role::kRaised);
  for (QCPAxis* axis : {plot.xAxis, plot.yAxis}) {
    axis->setBasePen(QPen(line, 1));
    axis->setTickPen(QPen(line, 1));
    axis->setSubTickPen(Qt::NoPen);
    axis->setTickLabelColor(muted);
    axis->setLabelColor(muted);
    axis->setTickLabelFont(theme.font(FontRole::kSmall));
    axis->setLabelFont(theme.font(FontRole::kSmall));
    axis->grid()->setPen(QPen(line, 1));
    axis->grid()->setZeroLinePen(QPen(line, 1));
  }
  plot.xAxis->grid()->setVisible(false);
  auto wholeNumbers = QSharedPointer<QCPAxisTicker>::create();
  wholeNumbers->setTickStepStrategy(QCPAxisTicker::tssReadability);
  if (plot.xAxis->range().size() <= 12) {
    auto each = QSharedPointer<QCPAxisTickerFixed>::create();
    each->setTickStep(1);
    plot.xAxis->setTicker(each);
  } else {
    plot.xAxis->setTicker(wholeNumbers);
  }
  plot.xAxis->setNumberFormat(QStringLiteral("f"));
  plot.xAxis->setNumberPrecision(0);
  plot.legend->setFont(theme.font(FontRole::kSmall));
  plot.legend->setTextColor(muted);
  plot.legend->setBrush(theme.color(Role::kRaised));
  for (int i = 0; i < plot.graphCount(); ++i) {
    const QColor color = theme.color(m_impl->series[static_cast<std::size_t>(i)].color);
    plot.graph(i)->setPen(QPen(color, 1));
    plot.graph(i)->setScatterStyle(
        QCPScatterStyle(shapeOf(i), QPen(color, 1), QBrush(color), kPointSize));
  }
  plot.replot(QCustomPlot::rpQueuedReplot);
}

void LinePlot::changeEvent(QEvent* event) {
  QWidget::changeEvent(event);
  if (event->type() == QEvent::PaletteChange) restyle();
}

QSize LinePlot::sizeHint() const {
  return {360, Theme::instance().scaled(130)};
}

QSize LinePlot::minimumSizeHint() const {
  return {220, Theme::instance().scaled(130)};
}

}  // namespace haq::ui
