// SPDX-License-Identifier: GPL-3.0-or-later
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>
#include <QThread>
#include <atomic>

#include "tests/ui/wizard/reports.h"
#include "ui/models/chat_service.h"
#include "ui/models/quantization_run_list.h"
#include "ui/models/quantize_checks.h"
#include "ui/models/quantize_controller.h"

using namespace haq;
using namespace haq::ui;
using State = QuantizeController::State;

namespace {

constexpr int kShortMs = 20'000;

/// A run of made-up modules that obeys pause and cancel as the engine does.
struct Script {
  std::atomic<int> modules{0};
  std::atomic<bool> hold{false};  ///< stay before the last module
  std::atomic<bool> fails{false};
  std::atomic<bool> onGuiThread{false};

  QuantizeServices services() {
    QuantizeServices services;
    services.estimate = [](const session::QuantizeJobOptions& job) {
      quant::Preflight needs;
      needs.disk_weights = job.quantize.target == "/full" ? 2000 : 0;
      needs.disk_free = 1000;
      return needs;
    };
    services.check = [](const quant::Preflight& needs, const session::QuantizeJobOptions&) {
      if (needs.disk() > needs.disk_free) {
        throw Error(ErrorCode::kNoSpace, "needs 2000 B, 1000 B are free", "Free some space.");
      }
    };
    services.readText = [](const session::QuantizeJobOptions& job, const CancelToken&) {
      if (job.quantize.calibration.files.front() == "/missing") {
        throw Error(ErrorCode::kNotFound, "/missing: not found");
      }
      CalibrationFacts facts;
      facts.tokens = 100;
      facts.availableTokens = 200;
      return facts;
    };
    services.commandLine = [](const session::QuantizeJobOptions& job) {
      return "haq quantize " + job.quantize.target.string();
    };
    services.run = [this](const session::QuantizeJobOptions&,
                          const session::QuantizeJobEvents& events, const CancelToken& cancel,
                          const quant::PauseToken& pause) { return run(events, cancel, pause); };
    return services;
  }

  quant::Report run(const session::QuantizeJobEvents& events, const CancelToken& cancel,
                    const quant::PauseToken& pause) {
    onGuiThread = QThread::currentThread() == qApp->thread();
    if (fails) throw Error(ErrorCode::kNumeric, "layer 1, q: NaN", "Check the source.");
    const quant::Report report = test::report();
    modules = 0;
    events.run.layer_started(0, 2);
    for (const quant::ModuleReport& module : report.modules) {
      while (hold && modules == 9 && !cancel.cancelled()) {
        pause.wait(cancel);
        QThread::msleep(1);
      }
      pause.wait(cancel);
      cancel.check();
      events.run.module_done(module);
      ++modules;
      events.run.progress({"quantizing", static_cast<std::uint64_t>(100 * modules), 1000, ""});
    }
    quant::LayerOutput done;
    done.layer = 0;
    done.experts = report.experts;
    events.run.layer_done(done, false);
    events.quality(*report.quality);
    return report;
  }
};

QuantizeOrder order(const QString& target) {
  QuantizeOrder order;
  order.sourceName = QStringLiteral("made-up");
  order.target = target;
  order.calibration = QStringList{QStringLiteral("/text.txt")};
  return order;
}

}  // namespace

class QuantizeRunTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void aRunFillsTheModels() {
    Script script;
    QuantizeController controller(script.services());
    QSignalSpy states(&controller, &QuantizeController::stateChanged);
    QSignalSpy finished(&controller, &QuantizeController::finished);
    controller.start(order(QStringLiteral("/out")), 1, quant::ResumeMode::kFresh);
    QVERIFY(controller.busy());
    QVERIFY(finished.wait(kShortMs));
    QVERIFY(!script.onGuiThread);
    QCOMPARE(states.size(), 2);
    QVERIFY(controller.state() == State::kIdle);
    QCOMPARE(controller.errors().known(), 10);
    QCOMPARE(controller.layerErrors().rowCount(), 2);
    QCOMPARE(controller.coverage().rowCount(), 2);
    QCOMPARE(controller.facts().share, 1.0);
    QCOMPARE(controller.facts().layersDone, 1);
    QVERIFY(controller.facts().quality.has_value());
    QCOMPARE(controller.commandLine(order(QStringLiteral("/x")), quant::ResumeMode::kFresh),
             QStringLiteral("haq quantize /x"));
  }

  void pauseHoldsAndResumeGoesOn() {
    Script script;
    script.hold = true;
    QuantizeController controller(script.services());
    QSignalSpy finished(&controller, &QuantizeController::finished);
    controller.start(order(QStringLiteral("/out")), 1, quant::ResumeMode::kFresh);
    QTRY_COMPARE_WITH_TIMEOUT(script.modules.load(), 9, kShortMs);
    controller.pause();
    QVERIFY(controller.state() == State::kPaused);
    script.hold = false;
    const double stopped = controller.elapsedSeconds();
    QTest::qWait(60);
    QCOMPARE(controller.elapsedSeconds(), stopped);
    QCOMPARE(script.modules.load(), 9);
    controller.resume();
    QVERIFY(finished.wait(kShortMs));
    QCOMPARE(controller.errors().known(), 10);
  }

  void cancelEndsAlsoAPausedRun() {
    Script script;
    script.hold = true;
    QuantizeController controller(script.services());
    QSignalSpy failed(&controller, &QuantizeController::failed);
    controller.start(order(QStringLiteral("/out")), 1, quant::ResumeMode::kFresh);
    QTRY_COMPARE_WITH_TIMEOUT(script.modules.load(), 9, kShortMs);
    controller.pause();
    controller.cancel();
    QVERIFY(controller.state() == State::kStopping);
    QVERIFY(failed.wait(kShortMs));
    QVERIFY(failed.first().at(2).toBool());
    QVERIFY(controller.state() == State::kIdle);
  }

  void aFailureTellsWhyAndTheNextRunWorks() {
    Script script;
    script.fails = true;
    QuantizeController controller(script.services());
    QSignalSpy failed(&controller, &QuantizeController::failed);
    QSignalSpy finished(&controller, &QuantizeController::finished);
    controller.start(order(QStringLiteral("/out")), 1, quant::ResumeMode::kFresh);
    QVERIFY(failed.wait(kShortMs));
    QCOMPARE(failed.first().at(0).toString(), QStringLiteral("layer 1, q: NaN"));
    QCOMPARE(failed.first().at(1).toString(), QStringLiteral("Check the source."));
    QVERIFY(!failed.first().at(2).toBool());
    script.fails = false;
    controller.start(order(QStringLiteral("/out")), 1, quant::ResumeMode::kFresh);
    QVERIFY(finished.wait(kShortMs));
  }

  void closingTheProgramEndsTheRun() {
    Script script;
    script.hold = true;
    auto controller = std::make_unique<QuantizeController>(script.services());
    controller->start(order(QStringLiteral("/out")), 1, quant::ResumeMode::kFresh);
    QTRY_COMPARE_WITH_TIMEOUT(script.modules.load(), 9, kShortMs);
    controller.reset();
    QCOMPARE(script.modules.load(), 9);
  }

  void checksRefuseWithTheNumbers() {
    Script script;
    QuantizeChecks checks(script.services());
    SourceCheck found;
    int answers = 0;
    connect(&checks, &QuantizeChecks::sourceChecked, this, [&](const SourceCheck& check) {
      found = check;
      ++answers;
    });
    checks.checkSource(order(QStringLiteral("/full")));
    QTRY_COMPARE_WITH_TIMEOUT(answers, 1, kShortMs);
    QVERIFY(found.problem.message.contains(QStringLiteral("2000 B")));
    QCOMPARE(found.problem.hint, QStringLiteral("Free some space."));
    QVERIFY(found.experts > 0);  // the demo model was opened
    checks.checkSource(order(QStringLiteral("/a")));
    checks.checkSource(order(QStringLiteral("/b")));
    QTRY_COMPARE_WITH_TIMEOUT(answers, 2, kShortMs);
    QTest::qWait(100);
    QCOMPARE(answers, 2);  // of two questions at once only the latest is answered
    QVERIFY(!found.problem.any());
  }

  void textChecksTellFactsOrWhyNot() {
    Script script;
    QuantizeChecks checks(script.services());
    TextCheck found;
    int answers = 0;
    connect(&checks, &QuantizeChecks::textChecked, this, [&](const TextCheck& check) {
      found = check;
      ++answers;
    });
    checks.checkText(order({}));
    QTRY_COMPARE_WITH_TIMEOUT(answers, 1, kShortMs);
    QCOMPARE(found.facts->availableTokens, std::int64_t{200});
    QuantizeOrder missing = order({});
    missing.calibration = QStringList{QStringLiteral("/missing")};
    checks.checkText(missing);
    QTRY_COMPARE_WITH_TIMEOUT(answers, 2, kShortMs);
    QVERIFY(found.problem.message.contains(QStringLiteral("not found")));
  }

  void runsAreListedAndComeBack() {
    QTemporaryDir home;
    const auto store = ChatService::open(home.filePath(QStringLiteral("haq.db")).toStdString());
    QuantizationRunList list(*store);
    list.begin(order(QStringLiteral("/out/a")), false);
    QTRY_VERIFY(list.rowCount() == 1 && list.run(0)->state == "running");
    list.stop(3);
    QTRY_COMPARE(list.run(0)->state, std::string("stopped"));
    // Going on keeps the row.
    list.begin(order(QStringLiteral("/out/a")), true);
    QTRY_COMPARE(list.run(0)->state, std::string("running"));
    QCOMPARE(list.rowCount(), 1);
    list.finish(test::report(), 5);
    QTRY_COMPARE(list.run(0)->state, std::string("done"));
    const profile::QuantizationRun run = *list.run(0);
    QCOMPARE(run.seconds, 8.0);
    QCOMPARE(QuantizationRunList::perplexityChange(run).left(2), QStringLiteral("+0"));
    QVERIFY(QuantizationRunList::orderOf(run) == order(QStringLiteral("/out/a")));
    QVERIFY(list.ofTarget(QStringLiteral("/out/a")) != nullptr);
    QuantizationRunList::ReportPtr report;
    list.loadReport(run.id, this, [&](const auto& read, const QString&) { report = read; });
    QTRY_VERIFY(report != nullptr);
    QCOMPARE(report->modules.size(), std::size_t{10});
    list.remove(run.id);
    QTRY_COMPARE(list.rowCount(), 0);
  }

  void aRunWithoutAReportSaysSo() {
    QTemporaryDir home;
    const auto store = ChatService::open(home.filePath(QStringLiteral("haq.db")).toStdString());
    QuantizationRunList list(*store);
    list.begin(order(QStringLiteral("/out/a")), false);
    list.fail(QStringLiteral("disk full"), 1);
    QTRY_VERIFY(list.rowCount() == 1 && list.run(0)->state == "failed");
    QString problem;
    list.loadReport(list.run(0)->id, this,
                    [&](const auto&, const QString& text) { problem = text; });
    QTRY_VERIFY(problem.contains(QStringLiteral("did not finish")));
    QVERIFY(list.index(0, QuantizationRunList::kState)
                .data(Qt::ToolTipRole)
                .toString()
                .contains(QStringLiteral("disk full")));
  }
};

QTEST_GUILESS_MAIN(QuantizeRunTest)
#include "quantize_run_test.moc"
