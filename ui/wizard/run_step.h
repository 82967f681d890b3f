// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/wizard/parts.h"
#include "ui/wizard/wizard_context.h"

class QComboBox;
class QProgressBar;

namespace haq::ui {

class ChartFrame;
class HeatmapView;
class LinePlot;

/// Step 4: the run as it happens. The heatmap fills module by module, the curve layer by layer, the
/// coverage of the experts with each layer; views read the models 30 times a second, only while
/// they are seen.
class RunStep : public StepPage {
  Q_OBJECT
 public:
  explicit RunStep(WizardContext& context, QWidget* parent = nullptr);

  QString timeText() const { return m_time->text(); }
  Banner& banner() { return *m_banner; }
  HeatmapView& heatmap() { return *m_heatmap; }
  /// What ended the run, in place; cleared by the next start.
  void showFailure(const QString& message, const QString& hint, bool cancelled);

 Q_SIGNALS:
  void continueAsked();

 protected:
  void showEvent(QShowEvent* event) override;

 private:
  QWidget* makeHead();
  void refresh();
  void refreshState();

  WizardContext& m_context;
  TextLabel* m_stage;
  TextLabel* m_time;
  TextLabel* m_detail;
  QProgressBar* m_progress;
  QPushButton *m_pause, *m_cancel;
  Banner* m_banner;
  HeatmapView* m_heatmap;
  ChartFrame* m_heatmapFrame;
  LinePlot* m_curve;
  ChartFrame* m_curveFrame;
  ChartFrame* m_coverageFrame;
  int m_drawnModules = -1;
  int m_drawnLayers = -1;
};

/// Sets up a heatmap over the model: titles, groups, scale, written as shares.
void showErrors(HeatmapView& view, QuantizeHeatmapModel& model);
/// The three curves of the errors per layer.
void showCurves(LinePlot& plot, const LayerErrorsModel& model, int layers);

}  // namespace haq::ui
