// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/wizard_tour.h"

#include <QAbstractItemView>
#include <QButtonGroup>
#include <QLineEdit>
#include <QListWidget>
#include <QPushButton>
#include <QRadioButton>
#include <QSpinBox>

#include "engine/base/file.h"
#include "ui/shared/data_table.h"
#include "ui/shared/format.h"
#include "ui/views/model_bar.h"
#include "ui/views/studio.h"
#include "ui/views/tour_tools.h"
#include "ui/wizard/data_step.h"
#include "ui/wizard/done_step.h"
#include "ui/wizard/quantize_page.h"
#include "ui/wizard/review_step.h"
#include "ui/wizard/run_step.h"
#include "ui/wizard/runs_view.h"
#include "ui/wizard/scheme_step.h"
#include "ui/wizard/side_by_side_view.h"
#include "ui/wizard/source_step.h"

namespace haq::ui {

using namespace tour;

namespace {

constexpr int kRunMs = 240'000;
constexpr int kTokens = 4096, kSequence = 128;

/// Small stories like those the demo model was trained on.
std::string stories() {
  const char* const who[] = {"Tom", "Lily", "Max", "The little dog", "A big bear", "Anna"};
  const char* const what[] = {"found a red ball in the garden", "wanted to play with a friend",
                              "saw a bird in the old tree",     "was sad because it was raining",
                              "ran to the park with mom",       "made a cake for the party",
                              "lost a toy under the bed"};
  const char* const said[] = {
      "\"Do not worry,\" said dad. \"We can fix it.\"", "\"Can I help you?\" asked the girl.",
      "\"Look at that!\" he said with a big smile.", "\"Thank you,\" she said and gave a hug.",
      "\"It is time to go home,\" said the cat."};
  const char* const end[] = {"They played until the sun went down.", "Everyone was happy again.",
                             "From that day on they were best friends.",
                             "The end of the day was warm and quiet."};
  std::string text;
  for (int i = 0; i < 420; ++i) {
    text += std::string("Once upon a time, ") + who[i % 6] + ' ' + what[(i * 5 + i / 6) % 7] +
            ". " + said[(i * 3 + i / 7) % 5] + " Then " + who[(i * 7 + 2) % 6] + ' ' +
            what[(i * 2 + 3) % 7] + ". " + said[(i + 1 + i / 5) % 5] + ' ' + end[(i / 3) % 4] +
            "\n\n";
  }
  return text;
}

}  // namespace

WizardTour::WizardTour(Studio& studio) : m_studio(studio) {}

QuantizePage& WizardTour::page() const {
  return m_studio.quantizePage();
}

QString WizardTour::empty() {
  require(m_home.isValid(), m_home.errorString());
  require(m_studio.window().showPage(QStringLiteral("quantize")),
          QStringLiteral("there is no Quantize page"));
  require(page().runs().empty().isVisible(), QStringLiteral("the empty state is not shown"));
  return QStringLiteral("no run yet");
}

QString WizardTour::source() {
  page().runs().empty().findChild<QPushButton*>()->click();
  SourceStep& step = page().source();
  step.choose({});
  step.target().setText(m_home.filePath(QStringLiteral("demo-moe-W8A8-haq")));
  await([&] { return step.passed(); }, kShortMs,
        QStringLiteral("the demo model does not pass the checks: ") + step.problem().text());
  return step.check().architecture + QStringLiteral(", needs ") +
         format::bytes(static_cast<double>(step.check().needs->memory()));
}

QString WizardTour::method() {
  page().next();
  require(page().step() == QuantizePage::kScheme, QStringLiteral("the method is not asked"));
  page().scheme().advanced().setOpen(true);
  return methodTitle(page().draft().order().method);
}

QString WizardTour::text() {
  page().next();
  DataStep& step = page().data();
  const QString file = m_home.filePath(QStringLiteral("stories.txt"));
  write_file_atomically(file.toStdString(), stories());
  step.addFiles({file});
  step.tokens().setValue(kTokens);
  step.sequenceLength().setValue(kSequence);
  await([&] { return page().canGoNext(); }, kShortMs,
        QStringLiteral("the text does not pass the check: ") + step.problem().text());
  require(page().commandText().startsWith(QStringLiteral("haq quantize")),
          QStringLiteral("the command is not shown"));
  return step.finding().text();
}

QString WizardTour::running() {
  page().next();
  require(page().step() == QuantizePage::kRun, QStringLiteral("the run does not start"));
  QuantizeController& run = page().controller();
  await([&] { return run.facts().layersDone >= 3 || !run.busy(); }, kRunMs,
        QStringLiteral("no layer was finished"));
  require(run.busy(), page().running().banner().text());
  // Held for the pictures, so that they show a run and not its end.
  run.pause();
  spin(kSettleMs);
  require(run.state() == QuantizeController::State::kPaused, QStringLiteral("it does not pause"));
  return page().running().timeText();
}

void WizardTour::finish() {
  QuantizeController& run = page().controller();
  await([&] { return !run.busy(); }, kRunMs, QStringLiteral("the run does not end"));
  require(page().step() == QuantizePage::kReview,
          page().running().banner().text() + QLatin1Char(' ') + page().running().banner().detail());
}

QString WizardTour::review() {
  page().controller().resume();
  finish();
  return page().review().verdict();
}

QString WizardTour::done() {
  page().next();
  require(page().step() == QuantizePage::kDone, QStringLiteral("the result is not shown"));
  require(page().done().chatButton().isEnabled(), QStringLiteral("the result is not there"));
  return m_home.filePath(QStringLiteral("demo-moe-W8A8-haq"));
}

QString WizardTour::sideBySide() {
  require(page().step() == QuantizePage::kDone, QStringLiteral("there is nothing to compare"));
  page().done().compareButton().click();
  SideBySideView& view = page().done().sideBySide();
  typeText(&view.prompt(), QStringLiteral("Tell me a story about a dog"));
  view.tokens().setValue(64);
  view.runButton().click();
  require(view.sides().running(), QStringLiteral("nothing is asked"));
  await([&] { return !view.sides().running(); }, kAnswerMs,
        QStringLiteral("the answers do not come"));
  require(view.sides().side(0).done && view.sides().side(1).done,
          QStringLiteral("one of both did not answer"));
  return view.verdict();
}

QString WizardTour::runs() {
  page().begin();
  page().source().target().setText(m_home.filePath(QStringLiteral("demo-moe-W8A8-rtn")));
  page().scheme().methods().button(static_cast<int>(quant::Method::kRtn))->click();
  await([&] { return page().source().passed(); }, kShortMs,
        QStringLiteral("the second order does not pass"));
  page().next();
  page().next();
  await([&] { return page().canGoNext(); }, kShortMs, QStringLiteral("the text does not pass"));
  page().next();
  require(page().controller().busy(), QStringLiteral("the second run does not start"));
  finish();
  page().showRuns();
  await(
      [&] {
        return page().runList().rowCount() == 2 && page().runList().run(0)->state == "done" &&
               page().runList().run(1)->state == "done";
      },
      kShortMs, QStringLiteral("the runs are not listed"));
  page().runs().selectRuns({page().runList().run(0)->id, page().runList().run(1)->id});
  return QStringLiteral("2 runs; second: ") + page().review().verdict();
}

QString WizardTour::comparison() {
  page().runs().compareButton().click();
  await([&] { return page().runs().isComparing(); }, kShortMs,
        QStringLiteral("the runs are not compared"));
  return format::counted(page().runs().comparison().rowCount(), QStringLiteral("figure"),
                         QStringLiteral("figures"));
}

QString WizardTour::chat() {
  const QString folder = m_home.filePath(QStringLiteral("demo-moe-W8A8-haq"));
  page().openRun(page().runList().run(1)->id);
  await([&] { return page().step() == QuantizePage::kReview; }, kShortMs,
        QStringLiteral("the first run does not open"));
  page().next();
  page().done().chatButton().click();
  require(m_studio.window().currentPage() == QStringLiteral("chat"),
          QStringLiteral("the chat is not shown"));
  await(
      [&] {
        const auto& model = m_studio.engine().model();
        return model && model->folder == folder && !m_studio.engine().busy();
      },
      kLoadMs, QStringLiteral("the quantized model is not loaded"));
  return modelSummary(*m_studio.engine().model());
}

}  // namespace haq::ui
