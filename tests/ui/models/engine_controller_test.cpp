// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/engine_controller.h"

#include <QElapsedTimer>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>
#include <QThread>

#include "engine/base/file.h"

using namespace haq::ui;

namespace {

constexpr int kLoadMs = 120'000;
constexpr int kAnswerMs = 120'000;

GenerationRequest question(const QString& text, int maxTokens = 24) {
  GenerationRequest request;
  request.conversation = QStringLiteral("test");
  request.messages =
      nlohmann::ordered_json::array({{{"role", "user"}, {"content", text.toStdString()}}});
  request.maxTokens = maxTokens;
  request.sampling = haq::session::SamplingOptions{};  // greedy
  return request;
}

/// What one answer reported.
struct Heard {
  QString text;
  int tokens = 0;
  bool offThread = false;
  std::vector<std::pair<quint64, GenerationSummary>> finished;

  explicit Heard(EngineController& engine) {
    QObject::connect(&engine, &EngineController::tokensReady, &engine,
                     [this](quint64, const QString& part, int count) {
                       text += part;
                       tokens += count;
                       offThread = offThread || QThread::currentThread() != qApp->thread();
                     });
    QObject::connect(&engine, &EngineController::generationFinished, &engine,
                     [this](quint64 id, const GenerationSummary& summary) {
                       finished.emplace_back(id, summary);
                     });
  }
};

}  // namespace

class EngineControllerTest : public QObject {
  Q_OBJECT

 private:
  std::unique_ptr<EngineController> m_engine;

  void load() {
    m_engine->loadModel({});
    QTRY_VERIFY_WITH_TIMEOUT(m_engine->state() == EngineController::State::kReady, kLoadMs);
  }

 private Q_SLOTS:
  void init() { m_engine = std::make_unique<EngineController>(); }
  void cleanup() { m_engine.reset(); }

  void loadsTheDemoModelAndTellsItsFacts() {
    QSignalSpy states(m_engine.get(), &EngineController::stateChanged);
    QSignalSpy loaded(m_engine.get(), &EngineController::modelLoaded);
    QElapsedTimer clock;
    clock.start();
    m_engine->loadModel({});
    QCOMPARE(m_engine->state(), EngineController::State::kLoading);
    QVERIFY(loaded.wait(kLoadMs));
    QCOMPARE(states.size(), 2);
    const ModelInfo info = *m_engine->model();
    QVERIFY(info.isDemo);
    QCOMPARE(info.experts, 16);
    QCOMPARE(info.layers, 6);
    QCOMPARE(info.topK, 2);
    QCOMPARE(info.maxContext, 1024);
    QVERIFY(info.hasChatTemplate);
    QVERIFY(!info.device.isEmpty());
  }

  void answersAndReportsEachTokenOnce() {
    load();
    Heard heard(*m_engine);
    const quint64 id =
        m_engine->generate(question(QStringLiteral("What is the capital of France?")));
    QVERIFY(id != 0);
    QCOMPARE(m_engine->state(), EngineController::State::kGenerating);
    QTRY_COMPARE_WITH_TIMEOUT(heard.finished.size(), std::size_t{1}, kAnswerMs);
    const auto& [finishedId, summary] = heard.finished.front();
    QCOMPARE(finishedId, id);
    QVERIFY2(heard.text.contains(QStringLiteral("Paris")), qPrintable(heard.text));
    QVERIFY(!heard.offThread);
    QVERIFY(heard.tokens == summary.generatedTokens || heard.tokens == summary.generatedTokens + 1);
    QCOMPARE(summary.finish, Finish::kEos);
    QVERIFY(summary.promptTokens > 0);
    QCOMPARE(summary.contextTokens, summary.promptTokens + summary.generatedTokens);
    QCOMPARE(m_engine->state(), EngineController::State::kReady);
  }

  void aSecondTurnReusesWhatTheFirstComputed() {
    load();
    Heard heard(*m_engine);
    GenerationRequest request = question(QStringLiteral("What is the capital of France?"));
    m_engine->generate(request);
    QTRY_COMPARE_WITH_TIMEOUT(heard.finished.size(), std::size_t{1}, kAnswerMs);
    QCOMPARE(heard.finished[0].second.reusedTokens, 0);
    request.messages.push_back({{"role", "assistant"}, {"content", heard.text.toStdString()}});
    request.messages.push_back({{"role", "user"}, {"content", "And of Spain?"}});
    m_engine->generate(request);
    QTRY_COMPARE_WITH_TIMEOUT(heard.finished.size(), std::size_t{2}, kAnswerMs);
    QVERIFY(heard.finished[1].second.reusedTokens >= heard.finished[0].second.promptTokens);
    m_engine->forget(request.conversation);
    m_engine->generate(request);
    QTRY_COMPARE_WITH_TIMEOUT(heard.finished.size(), std::size_t{3}, kAnswerMs);
    QCOMPARE(heard.finished[2].second.reusedTokens, 0);
  }

  void stopEndsTheRunningAnswerAndThoseBehindIt() {
    load();
    Heard heard(*m_engine);
    QSignalSpy started(m_engine.get(), &EngineController::generationStarted);
    const quint64 first = m_engine->generate(question(QStringLiteral("Tell me a story."), 900));
    const quint64 second = m_engine->generate(question(QStringLiteral("Tell me another."), 900));
    QVERIFY(started.wait(kAnswerMs));
    m_engine->stop();
    QTRY_COMPARE_WITH_TIMEOUT(heard.finished.size(), std::size_t{2}, kAnswerMs);
    QCOMPARE(heard.finished[0].first, first);
    QCOMPARE(heard.finished[1].first, second);
    for (const auto& [id, summary] : heard.finished) QCOMPARE(summary.finish, Finish::kCancelled);
    QCOMPARE(m_engine->state(), EngineController::State::kReady);
  }

  void continuesAnAnswerWithoutRepeatingIt() {
    load();
    Heard heard(*m_engine);
    GenerationRequest request = question(QStringLiteral("What is the capital of France?"));
    request.answerPrefix = QStringLiteral("The capital of France");
    m_engine->generate(request);
    QTRY_COMPARE_WITH_TIMEOUT(heard.finished.size(), std::size_t{1}, kAnswerMs);
    QVERIFY2(
        !heard.text.contains(request.answerPrefix) && heard.text.contains(QStringLiteral("Paris")),
        qPrintable(heard.text));
  }

  void measuresAPrompt() {
    load();
    QSignalSpy measured(m_engine.get(), &EngineController::promptMeasured);
    m_engine->measure(7, question(QStringLiteral("one two three")).messages);
    QVERIFY(measured.wait(kAnswerMs));
    QCOMPARE(measured[0][0].toULongLong(), 7);
    QVERIFY(measured[0][1].toLongLong() > 3);
    QCOMPARE(measured[0][2].toLongLong(), 1024);
  }

  void withoutAModelAnAnswerFailsWithAReason() {
    Heard heard(*m_engine);
    m_engine->generate(question(QStringLiteral("hello")));
    QTRY_COMPARE(heard.finished.size(), std::size_t{1});
    QCOMPARE(heard.finished[0].second.finish, Finish::kError);
    QVERIFY(!heard.finished[0].second.error.isEmpty());
    QVERIFY(!heard.finished[0].second.hint.isEmpty());
  }

  void samplingOutsideItsRangeFailsWithAReason() {
    load();
    Heard heard(*m_engine);
    GenerationRequest request = question(QStringLiteral("hello"));
    request.sampling->top_p = -3;
    m_engine->generate(request);
    QTRY_COMPARE_WITH_TIMEOUT(heard.finished.size(), std::size_t{1}, kAnswerMs);
    QCOMPARE(heard.finished[0].second.finish, Finish::kError);
    QVERIFY(heard.finished[0].second.error.contains(QStringLiteral("top")));
  }

  void aBadFolderIsRefusedAndTheModelStays() {
    load();
    QTemporaryDir folder;
    haq::write_file_atomically(folder.filePath(QStringLiteral("config.json")).toStdString(),
                               "{\"model_type\": \"no_such_model\"}");
    QSignalSpy failed(m_engine.get(), &EngineController::modelFailed);
    m_engine->loadModel(folder.path());
    QVERIFY(failed.wait(kLoadMs));
    QVERIFY(failed[0][0].toString().contains(QStringLiteral("config.json")));
    QCOMPARE(failed[0][2].toBool(), false);
    QVERIFY(m_engine->model().has_value());
    QCOMPARE(m_engine->state(), EngineController::State::kReady);
  }

  void aMissingFolderIsRefused() {
    QSignalSpy failed(m_engine.get(), &EngineController::modelFailed);
    m_engine->loadModel(QStringLiteral("/no/such/folder"));
    QVERIFY(failed.wait(kLoadMs));
    QVERIFY(failed[0][0].toString().contains(QStringLiteral("/no/such/folder")));
    QCOMPARE(m_engine->state(), EngineController::State::kNoModel);
  }

  void aLoadCanBeCancelledAndAnotherBegun() {
    QSignalSpy failed(m_engine.get(), &EngineController::modelFailed);
    m_engine->loadModel({});
    m_engine->cancelLoad();
    QTRY_VERIFY_WITH_TIMEOUT(!m_engine->busy(), kLoadMs);
    if (failed.size() == 1) QVERIFY(failed[0][2].toBool());
    load();
    QVERIFY(m_engine->model().has_value());
  }

  void unloadForgetsTheModel() {
    load();
    m_engine->unload();
    QTRY_VERIFY(!m_engine->model().has_value());
    QCOMPARE(m_engine->state(), EngineController::State::kNoModel);
  }

  void canBeDestroyedAtAnyMoment() {
    m_engine->loadModel({});
    m_engine.reset(new EngineController);
    load();
    m_engine->generate(question(QStringLiteral("Tell me a story."), 900));
    m_engine.reset();
  }
};

QTEST_GUILESS_MAIN(EngineControllerTest)
#include "engine_controller_test.moc"
