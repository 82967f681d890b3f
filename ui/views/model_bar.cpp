// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/model_bar.h"

#include <QAction>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QMenu>
#include <QPainter>
#include <QProgressBar>

#include "ui/models/action_model.h"
#include "ui/shared/widgets.h"

namespace haq::ui {

namespace {
constexpr int kProgressWidth = 160;
constexpr int kPermille = 1000;
}  // namespace

QString shapeText(int layers, int experts, int topK) {
  if (experts == 0) return QStringLiteral("%1L dense").arg(layers);
  return QStringLiteral("%1L×%2E top-%3").arg(layers).arg(experts).arg(topK);
}

QString modelSummary(const ModelInfo& info) {
  return QStringLiteral("%1 · %2 · %3")
      .arg(info.name, info.precision, shapeText(info.layers, info.experts, info.topK));
}

ModelBar::ModelBar(EngineController& engine, QAction* palette, QWidget* parent)
    : QWidget(parent),
      m_engine(engine),
      m_chip(new Chip(this)),
      m_menu(new QMenu(this)),
      m_stage(new TextLabel({}, FontRole::kSmall, Role::kMuted, this)),
      m_progress(new QProgressBar(this)),
      m_cancel(iconButton(Icon::kClose, tr("Cancel loading"), this)) {
  auto* row = new QHBoxLayout(this);
  row->setContentsMargins(space::kM, space::kS, space::kM, space::kS);
  row->setSpacing(space::kS);
  m_chip->setIcon(icon(Icon::kChip, Role::kMuted));
  m_chip->setMenu(m_menu);
  m_chip->setObjectName(QStringLiteral("modelChip"));
  connect(m_menu, &QMenu::aboutToShow, this, [this] {
    m_menu->clear();
    if (m_fill) m_fill(*m_menu);
  });
  m_progress->setRange(0, 0);
  m_progress->setTextVisible(false);
  m_progress->setFixedWidth(kProgressWidth);
  m_progress->setAccessibleName(tr("Progress of loading"));
  connect(m_cancel, &QToolButton::clicked, &m_engine, &EngineController::cancelLoad);
  auto* commands = new Chip(this);
  commands->setText(ActionModel::plainText(*palette) + QStringLiteral("   ") +
                    palette->shortcut().toString(QKeySequence::NativeText));
  commands->setIcon(icon(Icon::kSearch, Role::kMuted));
  commands->setAccessibleName(ActionModel::plainText(*palette));
  commands->setToolTip(tr("Everything the program can do, by name"));
  connect(commands, &QToolButton::clicked, palette, &QAction::trigger);

  row->addWidget(m_chip);
  row->addWidget(m_progress);
  row->addWidget(m_stage);
  row->addWidget(m_cancel);
  row->addStretch(1);
  row->addWidget(commands);
  connect(&engine, &EngineController::stateChanged, this, &ModelBar::refresh);
  connect(&engine, &EngineController::modelLoaded, this, &ModelBar::refresh);
  connect(&engine, &EngineController::modelUnloaded, this, &ModelBar::refresh);
  connect(&engine, &EngineController::modelLoading, this, &ModelBar::showProgress);
  refresh();
}

QString ModelBar::chipText() const {
  return m_chip->text();
}

void ModelBar::refresh() {
  const bool loading = m_engine.state() == EngineController::State::kLoading;
  if (loading) {
    const QString folder = m_engine.loadingFolder();
    const QString name = folder.isEmpty() ? tr("the demo model") : QFileInfo(folder).fileName();
    m_chip->setText(tr("Loading %1").arg(name));
    if (m_cancel->isHidden()) {
      m_progress->setRange(0, 0);
      m_stage->setText({});
    }
  } else {
    m_chip->setText(m_engine.model() ? modelSummary(*m_engine.model()) : tr("No model loaded"));
  }
  m_chip->setAccessibleName(tr("Model: %1. Opens a menu of models").arg(m_chip->text()));
  m_chip->setToolTip(m_engine.model() && !loading
                         ? tr("%1\nOpens a menu of models").arg(m_engine.model()->architecture)
                         : tr("Opens a menu of models"));
  for (QWidget* part : {static_cast<QWidget*>(m_progress), static_cast<QWidget*>(m_stage),
                        static_cast<QWidget*>(m_cancel)}) {
    part->setVisible(loading);
  }
  m_chip->updateGeometry();
}

void ModelBar::showProgress(const QString& stage, quint64 done, quint64 total) {
  m_progress->setRange(0, total > 0 ? kPermille : 0);
  if (total > 0) {
    const double share = static_cast<double>(std::min(done, total)) / static_cast<double>(total);
    m_progress->setValue(static_cast<int>(share * kPermille));
  }
  m_stage->setText(stage);
}

void ModelBar::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.fillRect(rect(), Theme::instance().color(Role::kWindow));
  painter.fillRect(QRect(0, height() - kHairline, width(), kHairline),
                   Theme::instance().hairline());
}

}  // namespace haq::ui
