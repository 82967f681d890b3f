// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/wizard/quantize_page.h"

#include <QAction>
#include <QClipboard>
#include <QDir>
#include <QFileInfo>
#include <QGuiApplication>
#include <QHBoxLayout>
#include <QPushButton>
#include <QStackedWidget>
#include <QToolButton>
#include <QVBoxLayout>

#include "ui/models/chat_service.h"
#include "ui/models/request_defaults.h"
#include "ui/shared/format.h"
#include "ui/shared/widgets.h"
#include "ui/wizard/data_step.h"
#include "ui/wizard/done_step.h"
#include "ui/wizard/review_step.h"
#include "ui/wizard/run_step.h"
#include "ui/wizard/runs_view.h"
#include "ui/wizard/scheme_step.h"
#include "ui/wizard/source_step.h"
#include "ui/wizard/step_list.h"

namespace haq::ui {

using State = QuantizeController::State;

QuantizePage::QuantizePage(EngineController& engine, ModelCatalog& catalog, ChatService& store,
                           Settings& settings, QuantizeServices services, QWidget* parent)
    : QWidget(parent),
      m_settings(settings),
      m_runList(std::make_unique<QuantizationRunList>(store)),
      m_draft(std::make_unique<QuantizeDraft>(settings)),
      m_checks(std::make_unique<QuantizeChecks>(services)),
      m_run(std::make_unique<QuantizeController>(services)) {
  m_context = std::make_unique<WizardContext>(
      WizardContext{settings, catalog, engine, *m_run, *m_checks, *m_draft, *m_runList});
  m_steps =
      new StepList({tr("Model"), tr("Method"), tr("Text"), tr("Run"), tr("Review"), tr("Done")},
                   tr("All quantizations"));
  m_source = new SourceStep(*m_context);
  m_scheme = new SchemeStep(*m_context);
  m_data = new DataStep(*m_context);
  m_running = new RunStep(*m_context);
  m_review = new ReviewStep;
  m_done = new DoneStep(*m_context);
  m_runs = new RunsView(*m_context);
  auto* row = new QHBoxLayout(this);
  row->setContentsMargins(0, 0, 0, 0);
  row->setSpacing(0);
  row->addWidget(m_steps);
  auto* column = new QVBoxLayout;
  column->setSpacing(0);
  row->addLayout(column, 1);
  m_unfinished = new Banner;
  connect(m_unfinished, &Banner::dismissed, this, [this] { m_bannerWanted = false; });
  auto* banner = new QHBoxLayout;
  banner->setContentsMargins(space::kL, space::kM, space::kL, 0);
  banner->addWidget(m_unfinished);
  column->addLayout(banner);
  m_stack = new QStackedWidget;
  for (QWidget* page : {static_cast<QWidget*>(m_source), static_cast<QWidget*>(m_scheme),
                        static_cast<QWidget*>(m_data), static_cast<QWidget*>(m_running),
                        static_cast<QWidget*>(m_review), static_cast<QWidget*>(m_done),
                        static_cast<QWidget*>(m_runs)}) {
    m_stack->addWidget(page);
  }
  column->addWidget(m_stack, 1);
  m_foot = makeFoot();
  column->addWidget(m_foot);
  makeActions();

  connect(m_steps, &StepList::chosen, this, &QuantizePage::showStep);
  connect(m_steps, &StepList::runsChosen, this, &QuantizePage::showRuns);
  connect(m_draft.get(), &QuantizeDraft::changed, this, &QuantizePage::refresh);
  connect(m_source, &SourceStep::checked, this, &QuantizePage::refresh);
  connect(m_data, &DataStep::checked, this, &QuantizePage::refresh);
  connect(m_checks.get(), &QuantizeChecks::targetChecked, this, &QuantizePage::showTarget);
  connect(m_done, &DoneStep::chatAsked, this, &QuantizePage::chatAsked);
  connect(m_runs, &RunsView::newAsked, this, &QuantizePage::begin);
  connect(m_runs, &RunsView::openAsked, this, &QuantizePage::openRun);
  connect(m_runs, &RunsView::continueAsked, this, &QuantizePage::continueRun);
  connect(m_runs, &RunsView::againAsked, this, &QuantizePage::runAgain);
  connect(m_running, &RunStep::continueAsked, this, [this] {
    m_draft->setOrder(m_run->order());
    start(quant::ResumeMode::kResume);
  });
  connectRun();
  m_runList->reload();
  m_draft->begun() ? static_cast<void>(showStep(std::min<int>(m_draft->step(), kData)))
                   : showRuns();
}

QuantizePage::~QuantizePage() = default;

void QuantizePage::connectRun() {
  QuantizeController* run = m_run.get();
  connect(run, &QuantizeController::stateChanged, this, &QuantizePage::refresh);
  connect(run, &QuantizeController::advanced, this, &QuantizePage::refreshSummaries);
  connect(run, &QuantizeController::finished, this,
          [this](const std::shared_ptr<const quant::Report>& report) {
            m_runList->finish(*report, m_run->elapsedSeconds());
            m_canContinue = false;
            m_checks->checkTarget(m_draft->order().target);
            listResult(m_run->order().target);
            setReport(report, m_run->order());
            // Who is looking at another step is not torn away from it.
            if (step() == kRun) showStep(kReview);
            refresh();
          });
  connect(run, &QuantizeController::failed, this,
          [this](const QString& message, const QString& hint, bool cancelled) {
            const double seconds = m_run->elapsedSeconds();
            cancelled ? m_runList->stop(seconds) : m_runList->fail(message, seconds);
            m_running->showFailure(message, hint, cancelled);
            m_checks->checkTarget(m_draft->order().target);
            refresh();
          });
}

QWidget* QuantizePage::makeFoot() {
  auto* foot = new QWidget;
  auto* around = new QHBoxLayout(foot);
  around->setContentsMargins(space::kL, 0, space::kL, space::kM);
  auto* card = new Card;
  around->addWidget(card);
  auto* row = new QHBoxLayout(card);
  row->setContentsMargins(space::kM, space::kS, space::kS, space::kS);
  row->setSpacing(space::kS);
  m_command = new ElidedLabel(FontRole::kMono, Role::kMuted);
  row->addWidget(m_command, 1);
  QToolButton* copy = iconButton(Icon::kCopy, tr("Copy the command"));
  connect(copy, &QToolButton::clicked, this,
          [this] { QGuiApplication::clipboard()->setText(commandText()); });
  row->addWidget(copy);
  m_back = pushButton(tr("Back"));
  m_next = pushButton(tr("Next"), true);
  connect(m_back, &QPushButton::clicked, this, &QuantizePage::back);
  connect(m_next, &QPushButton::clicked, this, &QuantizePage::next);
  row->addWidget(m_back);
  row->addWidget(m_next);
  return foot;
}

void QuantizePage::makeActions() {
  m_nextAction =
      pageAction(this, tr("Next step"), Icon::kChevronRight, QKeySequence(Qt::ALT | Qt::Key_Right));
  connect(m_nextAction, &QAction::triggered, this, &QuantizePage::next);
  m_backAction =
      pageAction(this, tr("Step before"), Icon::kChevronLeft, QKeySequence(Qt::ALT | Qt::Key_Left));
  connect(m_backAction, &QAction::triggered, this, &QuantizePage::back);
  m_pauseAction = pageAction(this, tr("Pause or resume the run"), Icon::kContinue,
                             QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_Space));
  connect(m_pauseAction, &QAction::triggered, this,
          [this] { m_run->state() == State::kPaused ? m_run->resume() : m_run->pause(); });
  m_stopAction = pageAction(this, tr("Stop the run"), Icon::kStop, {});
  connect(m_stopAction, &QAction::triggered, m_run.get(), &QuantizeController::cancel);
  connect(pageAction(this, tr("All quantizations"), Icon::kQueue,
                     QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_R)),
          &QAction::triggered, this, &QuantizePage::showRuns);
  connect(pageAction(this, tr("Quantize another model"), Icon::kPlus, {}), &QAction::triggered,
          this, &QuantizePage::begin);
  connect(pageAction(this, tr("Copy the command"), Icon::kCopy,
                     QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_C)),
          &QAction::triggered, this,
          [this] { QGuiApplication::clipboard()->setText(commandText()); });
}

int QuantizePage::step() const {
  const int shown = m_stack->currentIndex();
  return shown < kSteps ? shown : -1;
}

bool QuantizePage::reachable(int step) const {
  switch (step) {
    case kSource:
      return true;
    case kScheme:
    case kData:
      return m_draft->begun();
    case kRun:
      return m_everRan;
    default:
      return m_hasReport && step < kSteps;
  }
}

bool QuantizePage::showStep(int step) {
  if (step < 0 || !reachable(step)) return false;
  m_stack->setCurrentIndex(step);
  m_draft->setStep(step);
  refresh();
  m_stack->currentWidget()->setFocus(Qt::OtherFocusReason);
  return true;
}

void QuantizePage::showRuns() {
  m_stack->setCurrentWidget(m_runs);
  refresh();
}

bool QuantizePage::canGoNext() const {
  switch (step()) {
    case kSource:
      return m_source->passed();
    case kScheme:
      return true;
    case kData:
      return m_source->passed() && m_data->passed() && !m_run->busy() && !m_targetTaken;
    case kRun:
      return m_hasReport && !m_run->busy();
    case kReview:
      return true;
    default:
      return false;
  }
}

void QuantizePage::next() {
  if (!canGoNext()) return;
  if (step() == kData) {
    start(m_canContinue ? quant::ResumeMode::kResume : quant::ResumeMode::kFresh);
  } else {
    showStep(step() + 1);
  }
}

void QuantizePage::back() {
  if (step() < 0) {
    showStep(m_draft->step());
  } else if (step() > 0) {
    for (int before = step() - 1; before >= 0; --before) {
      if (showStep(before)) return;
    }
  }
}

void QuantizePage::begin() {
  if (m_draft->begun()) {
    // A finished order is not repeated into its own folder.
    const QString parent = QFileInfo(m_draft->order().target).absolutePath();
    if (QFileInfo::exists(m_draft->order().target + QStringLiteral("/config.json"))) {
      m_draft->change([&](QuantizeOrder& order) {
        order.target = suggestedTarget(parent, order.sourceName, order.method);
      });
    }
  }
  showStep(kSource);
}

void QuantizePage::start(quant::ResumeMode resume) {
  if (m_run->busy()) return;
  const QuantizeOrder& order = m_draft->order();
  m_bannerWanted = false;
  m_resume = resume;
  m_everRan = true;
  const SourceCheck& check = m_source->check();
  const bool known = check.checkpoint != nullptr && check.source == order.source;
  m_runList->begin(order, resume == quant::ResumeMode::kResume);
  m_run->start(order, loadRequest(m_settings).threads, resume,
               known ? &check.checkpoint->config() : nullptr);
  showStep(kRun);
}

void QuantizePage::openRun(qint64 id) {
  m_runList->loadReport(id, this, [this, id](const auto& report, const QString& problem) {
    const profile::QuantizationRun* run = m_runList->find(id);
    if (report == nullptr || run == nullptr) {
      m_bannerWanted = true;
      m_unfinished->show(Banner::Kind::kError, problem);
      return;
    }
    setReport(report, QuantizationRunList::orderOf(*run));
    showStep(kReview);
  });
}

void QuantizePage::continueRun(qint64 id) {
  const profile::QuantizationRun* run = m_runList->find(id);
  if (run == nullptr || m_run->busy()) return;
  m_draft->begin();
  m_draft->setOrder(QuantizationRunList::orderOf(*run));
  start(quant::ResumeMode::kResume);
}

void QuantizePage::runAgain(qint64 id) {
  const profile::QuantizationRun* run = m_runList->find(id);
  if (run == nullptr) return;
  QuantizeOrder order = QuantizationRunList::orderOf(*run);
  order.target =
      suggestedTarget(QFileInfo(order.target).absolutePath(), order.sourceName, order.method);
  m_draft->begin();
  m_draft->setOrder(order);
  m_source->choose(order.source);
  showStep(kSource);
}

void QuantizePage::setReport(const std::shared_ptr<const quant::Report>& report,
                             const QuantizeOrder& order) {
  m_hasReport = true;
  m_reportOrder = order;
  m_review->setReport(report);
  m_done->setReport(report, order.source);
  refresh();
}

void QuantizePage::listResult(const QString& target) {
  for (const QString& root : m_settings.list("models.folders")) {
    if (target == root || target.startsWith(root + QLatin1Char('/'))) {
      m_context->catalog.rescan();
      return;
    }
  }
  m_context->catalog.addFolder(QDir::cleanPath(target));
}

void QuantizePage::showTarget(const TargetCheck& check) {
  if (check.target != m_draft->order().target || m_run->busy()) return;
  const quant::WorkFolder::Status& status = check.status;
  // An unfinished run knows how many layers it has, before the first one is done too.
  m_canContinue = status.exists && !status.finished && !status.running && status.layers > 0;
  m_targetTaken = status.running || status.finished;
  m_bannerWanted = m_targetTaken || m_canContinue;
  if (status.running) {
    m_unfinished->show(Banner::Kind::kWarning,
                       tr("Another program is quantizing into this folder right now."),
                       tr("Choose another folder, or wait for it."));
  } else if (status.finished) {
    m_unfinished->show(Banner::Kind::kInfo, tr("The folder already holds a finished model."),
                       check.target);
    QPushButton* other = m_unfinished->addButton(tr("Use another name"));
    connect(other, &QPushButton::clicked, this, [this] {
      m_bannerWanted = false;
      begin();
    });
  } else if (m_canContinue) {
    m_unfinished->show(Banner::Kind::kInfo,
                       tr("A quantization of this model stopped after %1 of %2 layers.")
                           .arg(status.layers_done)
                           .arg(status.layers),
                       tr("It can go on from there; nothing that was finished is lost."));
    QPushButton* go = m_unfinished->addButton(tr("Continue"));
    connect(go, &QPushButton::clicked, this, [this] { start(quant::ResumeMode::kResume); });
    QPushButton* over = m_unfinished->addButton(tr("Start over"));
    connect(over, &QPushButton::clicked, this, [this] { start(quant::ResumeMode::kRestart); });
  }
  refresh();
}

const QuantizeOrder& QuantizePage::shownOrder() const {
  if (step() == kRun) return m_run->order();
  if (step() == kReview || step() == kDone) return m_reportOrder;
  return m_draft->order();
}

void QuantizePage::refreshCommand() {
  const QuantizeOrder& order = shownOrder();
  const bool ready = !order.target.isEmpty() && !order.calibration.isEmpty();
  QString text = tr("The command for a terminal appears here once model and text are chosen.");
  if (step() < 0) text = {};
  if (ready && step() >= 0) {
    text = m_run->commandLine(order, step() == kRun ? m_resume : quant::ResumeMode::kFresh);
  }
  m_command->setFullText(text);
}

QString QuantizePage::commandText() const {
  return m_command->toolTip();
}

void QuantizePage::refreshSummaries() {
  using Mark = StepButton::State;
  const QuantizeOrder& order = m_draft->order();
  const bool begun = m_draft->begun();
  m_steps->step(kSource).setState(m_source->passed() ? Mark::kDone : Mark::kOpen,
                                  begun ? order.sourceName : tr("not chosen"));
  QString method = methodTitle(order.method);
  if (order.method == quant::Method::kHaq && order.rotate != quant::RotateMode::kAuto) {
    method += order.rotate == quant::RotateMode::kOn ? tr(", rotated") : tr(", not rotated");
  }
  if (order.expertsOnly) method += tr(", experts only");
  m_steps->step(kScheme).setState(m_source->passed() ? Mark::kDone : Mark::kOpen,
                                  begun ? method : QString());
  m_steps->step(kData).setState(
      m_data->passed() ? Mark::kDone : Mark::kOpen,
      order.calibration.isEmpty()
          ? (begun ? tr("no file yet") : QString())
          : tr("%1, %2 tokens")
                .arg(format::counted(order.calibration.size(), tr("file"), tr("files")),
                     format::count(order.tokens)));
  QString running;
  if (m_run->busy()) {
    running = format::percent(m_run->facts().share);
    if (m_run->state() == State::kPaused) {
      running = tr("paused at %1").arg(running);
    } else if (const auto left = m_run->secondsLeft()) {
      running += tr(", %1 left").arg(format::duration(*left));
    }
  } else if (m_everRan) {
    running = m_hasReport && m_run->facts().share >= 1 ? tr("done") : tr("stopped");
  }
  m_steps->step(kRun).setState(
      m_run->busy() ? Mark::kBusy : (m_everRan && m_hasReport ? Mark::kDone : Mark::kOpen),
      running);
  const auto& report = m_review->report();
  QString review;
  if (report != nullptr && report->quality) {
    const double change = report->quality->ppl_ratio - 1;
    review = tr("perplexity %1%2")
                 .arg(change > 0 ? QStringLiteral("+") : QString(), format::percent(change));
  }
  m_steps->step(kReview).setState(m_hasReport ? Mark::kDone : Mark::kOpen, review);
  m_steps->step(kDone).setState(
      m_hasReport ? Mark::kDone : Mark::kOpen,
      m_hasReport ? QFileInfo(m_reportOrder.target).fileName() : QString());
  const int runs = m_runList->rowCount();
  m_steps->runs().setState(Mark::kOpen,
                           runs > 0 ? format::counted(runs, tr("run"), tr("runs")) : QString());
}

void QuantizePage::refresh() {
  if (m_steps == nullptr || m_next == nullptr) return;
  m_steps->setCurrent(step());
  for (int index = 0; index < kSteps; ++index) m_steps->step(index).setEnabled(reachable(index));
  refreshSummaries();
  refreshCommand();
  const bool inSteps = step() >= 0;
  m_back->setVisible(inSteps && step() > 0);
  m_next->setVisible(inSteps && step() < kDone);
  m_next->setText(step() != kData ? tr("Next")
                  : m_canContinue ? tr("Continue quantizing")
                                  : tr("Start quantizing"));
  m_next->setEnabled(canGoNext());
  m_foot->setVisible(inSteps);
  m_unfinished->setVisible(m_bannerWanted && inSteps && step() <= kData && !m_run->busy());
  m_nextAction->setEnabled(canGoNext());
  m_backAction->setEnabled(step() != 0);
  const bool running = m_run->state() == State::kRunning || m_run->state() == State::kPaused;
  m_pauseAction->setEnabled(running);
  m_stopAction->setEnabled(running);
}

}  // namespace haq::ui
