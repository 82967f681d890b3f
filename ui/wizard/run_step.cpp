// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/wizard/run_step.h"

#include <QHBoxLayout>
#include <QProgressBar>
#include <QPushButton>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include "ui/shared/chart_frame.h"
#include "ui/shared/format.h"
#include "ui/shared/heatmap_view.h"
#include "ui/shared/line_plot.h"
#include "ui/wizard/coverage_view.h"

namespace haq::ui {

namespace {

constexpr int kProgressSteps = 1000;
using State = QuantizeController::State;

}  // namespace

void showErrors(HeatmapView& view, QuantizeHeatmapModel& model) {
  using Measure = QuantizeHeatmapModel::Measure;
  view.setModel(&model, QuantizeHeatmapModel::kValueRole, QuantizeHeatmapModel::kSentenceRole);
  view.setGroupSource([&model] {
    std::vector<HeatmapView::Group> groups;
    for (const QuantizeHeatmapModel::Group& group : model.groups()) {
      groups.push_back(
          {group.count > 1
               ? QuantizeHeatmapModel::tr("%1 of %2 experts").arg(group.title).arg(group.count)
               : group.title,
           group.first, group.count});
    }
    return groups;
  });
  if (model.measure() == Measure::kDifference) {
    view.setScale(HeatmapView::Scale::kDifference);
    view.setFormat(
        [](double value) { return QStringLiteral("×") + format::number(std::exp2(value)); });
    view.setTitles(QuantizeHeatmapModel::tr("layer"),
                   QuantizeHeatmapModel::tr("remaining error of B against A"));
  } else {
    view.setScale(HeatmapView::Scale::kLog);
    view.setFormat(&format::percent);
    view.setTitles(QuantizeHeatmapModel::tr("layer"),
                   QuantizeHeatmapModel::tr("error, share of the output's energy (log scale)"));
  }
}

void showCurves(LinePlot& plot, const LayerErrorsModel& model, int layers) {
  LinePlot::Series rtn{LayerErrorsModel::tr("plain rounding"), Role::kMiss, {}, {}};
  LinePlot::Series smoothed{LayerErrorsModel::tr("smoothed"), Role::kGpuLane, {}, {}};
  LinePlot::Series final{LayerErrorsModel::tr("final"), Role::kHit, {}, {}};
  for (const LayerErrorsModel::Line& line : model.lines()) {
    for (LinePlot::Series* series : {&rtn, &smoothed, &final}) series->x << line.layer;
    rtn.y << line.rtn;
    smoothed.y << line.smoothed;
    final.y << line.final;
  }
  if (layers > 0) plot.setRangeX(-0.5, layers - 0.5);
  plot.setSeries({rtn, smoothed, final});
}

RunStep::RunStep(WizardContext& context, QWidget* parent)
    : StepPage(tr("Quantizing"), {}, parent), m_context(context) {
  column()->addWidget(makeHead());
  m_banner = new Banner;
  column()->addWidget(m_banner);

  m_heatmap = new HeatmapView;
  showErrors(*m_heatmap, context.run.errors());
  m_heatmapFrame = new ChartFrame(tr("Remaining error"), m_heatmap, &context.run.errors());
  column()->addWidget(m_heatmapFrame, 5);

  m_curve = new LinePlot;
  m_curve->setFormatY(&format::percent);
  m_curveFrame = new ChartFrame(tr("Error by layer"), m_curve, &context.run.layerErrors());
  m_curveFrame->setNote(tr("mean over modules, share of the output's energy"));
  auto* coverage = new CoverageView(&context.run.coverage());
  m_coverageFrame = new ChartFrame(tr("Tokens by expert"), coverage, &context.run.coverage());
  m_coverageFrame->setNote(tr("dotted: an even split"));
  column()->addWidget(new Columns({m_curveFrame, m_coverageFrame}, 300), 4);

  connect(&context.run, &QuantizeController::advanced, this, [this] {
    if (isVisible()) refresh();
  });
  connect(&context.run, &QuantizeController::stateChanged, this, &RunStep::refreshState);
  connect(&context.run, &QuantizeController::started, this, [this] {
    m_banner->hide();
    m_drawnModules = m_drawnLayers = -1;
    refresh();
  });
  refreshState();
}

QWidget* RunStep::makeHead() {
  auto* card = new Card;
  auto* list = new QVBoxLayout(card);
  list->setContentsMargins(space::kM, space::kS, space::kM, space::kS);
  list->setSpacing(space::kXs);
  auto* row = new QHBoxLayout;
  row->setSpacing(space::kM);
  m_stage = new TextLabel({}, FontRole::kStrong);
  m_stage->setTextInteractionFlags(Qt::TextSelectableByMouse);
  row->addWidget(m_stage, 1);
  m_pause = pushButton(tr("Pause"));
  connect(m_pause, &QPushButton::clicked, this, [this] {
    m_context.run.state() == State::kPaused ? m_context.run.resume() : m_context.run.pause();
  });
  m_cancel = pushButton(tr("Stop"));
  m_cancel->setToolTip(tr("Finished layers stay: the run can go on later"));
  connect(m_cancel, &QPushButton::clicked, &m_context.run, &QuantizeController::cancel);
  row->addWidget(m_pause);
  row->addWidget(m_cancel);
  list->addLayout(row);
  m_progress = new QProgressBar;
  m_progress->setRange(0, kProgressSteps);
  m_progress->setTextVisible(false);
  m_progress->setAccessibleName(tr("Progress of the quantization"));
  list->addWidget(m_progress);
  auto* facts = new QHBoxLayout;
  facts->setSpacing(space::kM);
  m_time = new TextLabel({}, FontRole::kFigures, Role::kText);
  m_time->setTextInteractionFlags(Qt::TextSelectableByMouse);
  facts->addWidget(m_time);
  m_detail = new TextLabel({}, FontRole::kSmall, Role::kMuted);
  m_detail->setWordWrap(true);
  m_detail->setAlignment(Qt::AlignRight | Qt::AlignVCenter);
  m_detail->setTextInteractionFlags(Qt::TextSelectableByMouse);
  facts->addWidget(m_detail, 1);
  list->addLayout(facts);
  return card;
}

void RunStep::showEvent(QShowEvent* event) {
  StepPage::showEvent(event);
  m_drawnModules = m_drawnLayers = -1;
  refresh();
}

void RunStep::refresh() {
  QuantizeController& run = m_context.run;
  const QuantizeFacts& facts = run.facts();
  QString stage = facts.stage;
  if (!stage.isEmpty()) stage[0] = stage[0].toUpper();
  if (run.state() == State::kPaused) stage = tr("Paused. %1").arg(stage);
  if (run.state() == State::kStopping) stage = tr("Stopping after this module …");
  if (!run.busy()) stage = facts.share >= 1 ? tr("Done") : tr("Not running");
  m_stage->setText(stage);
  m_progress->setValue(static_cast<int>(facts.share * kProgressSteps));
  QString time = tr("%1 done, %2 so far")
                     .arg(format::percent(facts.share), format::duration(run.elapsedSeconds()));
  if (const auto left = run.secondsLeft())
    time += tr(", about %1 left").arg(format::duration(*left));
  m_time->setText(time);

  QStringList details;
  if (facts.calibration) {
    details << tr("%1 calibration tokens").arg(format::count(facts.calibration->tokens));
  }
  const quant::RotationTrial* best = nullptr;
  for (const quant::RotationTrial& trial : facts.trials) {
    if (best == nullptr || trial.kld < best->kld) best = &trial;
  }
  if (best != nullptr) {
    details << (best->rotated ? tr("rotation %1 best of %2 so far (KL %3)")
                                    .arg(best->seed)
                                    .arg(facts.trials.size())
                                    .arg(format::number(best->kld))
                              : tr("no rotation best of %1 so far (KL %2)")
                                    .arg(facts.trials.size())
                                    .arg(format::number(best->kld)));
  }
  if (facts.layersResumed > 0) {
    details << tr("%1 taken over from before")
                   .arg(format::counted(facts.layersResumed, tr("layer"), tr("layers")));
  }
  m_detail->setText(details.join(QStringLiteral(" · ")));

  if (run.errors().known() != m_drawnModules) {
    m_drawnModules = run.errors().known();
    showCurves(*m_curve, run.layerErrors(), std::max(facts.layers, run.errors().rowCount()));
    const int all = run.errors().rowCount() * run.errors().columnCount();
    const quant::ModuleReport* worst = run.errors().worst();
    m_heatmapFrame->setNote(worst == nullptr ? QString()
                                             : tr("%1 of %2 modules; worst %3 (%4)")
                                                   .arg(m_drawnModules)
                                                   .arg(std::max(all, m_drawnModules))
                                                   .arg(format::percent(worst->error_final),
                                                        QString::fromStdString(worst->name)));
  }
  if (run.coverage().rowCount() != m_drawnLayers) {
    m_drawnLayers = run.coverage().rowCount();
    m_coverageFrame->setVisible(m_drawnLayers > 0 || run.busy());
    const int weak = run.coverage().weak();
    m_coverageFrame->setNote(weak > 0
                                 ? tr("%1 hardly or never seen; dotted: an even split").arg(weak)
                                 : tr("dotted: an even split"));
  }
}

void RunStep::refreshState() {
  const State state = m_context.run.state();
  m_pause->setText(state == State::kPaused ? tr("Resume") : tr("Pause"));
  m_pause->setEnabled(state == State::kRunning || state == State::kPaused);
  m_cancel->setEnabled(state == State::kRunning || state == State::kPaused);
  refresh();
}

void RunStep::showFailure(const QString& message, const QString& hint, bool cancelled) {
  if (cancelled) {
    m_banner->show(Banner::Kind::kInfo, tr("Stopped. The finished layers are kept."),
                   tr("Continue goes on from there, now or after the program was closed."));
  } else {
    m_banner->show(Banner::Kind::kError, message, hint);
  }
  QPushButton* again = m_banner->addButton(tr("Continue"));
  connect(again, &QPushButton::clicked, this, &RunStep::continueAsked);
}

}  // namespace haq::ui
