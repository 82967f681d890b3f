// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>
#include <memory>

#include "ui/wizard/wizard_context.h"

class QPushButton;
class QStackedWidget;
class QToolButton;

namespace haq::ui {

class Banner;
class ChatService;
class DataStep;
class DoneStep;
class ElidedLabel;
class ReviewStep;
class RunStep;
class RunsView;
class SchemeStep;
class SourceStep;
class StepList;
class TextLabel;

/// The Quantize page: a wizard with its steps at the left, the list of all runs, and at the foot
/// the command that does the same in a terminal. Going back never loses anything: choices live in
/// the draft, a run goes on whatever is on show, finished layers stay on the disk.
class QuantizePage : public QWidget {
  Q_OBJECT
 public:
  enum Step { kSource, kScheme, kData, kRun, kReview, kDone, kSteps };

  QuantizePage(EngineController& engine, ModelCatalog& catalog, ChatService& store,
               Settings& settings, QuantizeServices services = QuantizeServices::engine(),
               QWidget* parent = nullptr);
  ~QuantizePage() override;

  /// False when the step cannot be shown yet.
  bool showStep(int step);
  void showRuns();
  int step() const;  ///< -1 while the list of runs is on show
  bool canGoNext() const;
  void next();
  void back();
  /// Starts or continues the draft's run.
  void start(quant::ResumeMode resume);
  void openRun(qint64 id);
  void continueRun(qint64 id);
  void runAgain(qint64 id);
  void begin();  ///< a new order

  QuantizeController& controller() { return *m_run; }
  QuantizeDraft& draft() { return *m_draft; }
  QuantizationRunList& runList() { return *m_runList; }
  SourceStep& source() { return *m_source; }
  SchemeStep& scheme() { return *m_scheme; }
  DataStep& data() { return *m_data; }
  RunStep& running() { return *m_running; }
  ReviewStep& review() { return *m_review; }
  DoneStep& done() { return *m_done; }
  RunsView& runs() { return *m_runs; }
  StepList& steps() { return *m_steps; }
  QPushButton& nextButton() { return *m_next; }
  Banner& unfinishedBanner() { return *m_unfinished; }
  QString commandText() const;

 Q_SIGNALS:
  void chatAsked(const QString& folder);

 private:
  QWidget* makeFoot();
  void makeActions();
  void connectRun();
  bool reachable(int step) const;
  const QuantizeOrder& shownOrder() const;
  void refresh();
  void refreshSummaries();
  void refreshCommand();
  void showTarget(const TargetCheck& check);
  void setReport(const std::shared_ptr<const quant::Report>& report, const QuantizeOrder& order);
  void listResult(const QString& target);

  Settings& m_settings;
  std::unique_ptr<QuantizationRunList> m_runList;
  std::unique_ptr<QuantizeDraft> m_draft;
  std::unique_ptr<QuantizeChecks> m_checks;
  std::unique_ptr<QuantizeController> m_run;
  std::unique_ptr<WizardContext> m_context;
  StepList* m_steps = nullptr;
  QStackedWidget* m_stack = nullptr;
  SourceStep* m_source = nullptr;
  SchemeStep* m_scheme = nullptr;
  DataStep* m_data = nullptr;
  RunStep* m_running = nullptr;
  ReviewStep* m_review = nullptr;
  DoneStep* m_done = nullptr;
  RunsView* m_runs = nullptr;
  Banner* m_unfinished = nullptr;
  QWidget* m_foot = nullptr;
  ElidedLabel* m_command = nullptr;
  QPushButton* m_back = nullptr;
  QPushButton* m_next = nullptr;
  QAction *m_nextAction = nullptr, *m_backAction = nullptr, *m_pauseAction = nullptr,
          *m_stopAction = nullptr;
  QuantizeOrder m_reportOrder;
  bool m_hasReport = false;
  bool m_everRan = false;
  quant::ResumeMode m_resume = quant::ResumeMode::kFresh;  ///< of the run on show
  bool m_bannerWanted = false;  ///< it is about the draft: shown on its steps only
  bool m_targetTaken = false;   ///< holds a finished model, or another run works on it
  bool m_canContinue = false;   ///< the draft's target holds an unfinished run
};

}  // namespace haq::ui
