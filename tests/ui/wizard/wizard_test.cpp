// SPDX-License-Identifier: GPL-3.0-or-later
#include <QButtonGroup>
#include <QLineEdit>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QRadioButton>
#include <QSignalSpy>
#include <QSpinBox>
#include <QTemporaryDir>
#include <QTest>

#include "engine/base/file.h"
#include "ui/models/chat_service.h"
#include "ui/shared/data_table.h"
#include "ui/shared/install_theme.h"
#include "ui/wizard/data_step.h"
#include "ui/wizard/done_step.h"
#include "ui/wizard/quantize_page.h"
#include "ui/wizard/review_step.h"
#include "ui/wizard/run_step.h"
#include "ui/wizard/runs_view.h"
#include "ui/wizard/scheme_step.h"
#include "ui/wizard/side_by_side_view.h"
#include "ui/wizard/source_step.h"

using namespace haq::ui;

namespace {

constexpr int kShortMs = 20'000;
constexpr int kRunMs = 200'000;

/// Small stories, different from line to line, for a model that was trained on such.
std::string stories(int count) {
  const char* const who[] = {"Tom", "Lily", "the dog", "a little cat", "the big bear"};
  const char* const what[] = {"found a ball", "wanted to play", "was very sad", "saw a bird",
                              "ran to the park"};
  const char* const then[] = {"Then mom came.", "It was fun.", "They all smiled.",
                              "The sun was warm.", "He said sorry."};
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += std::string("Once upon a time, ") + who[i % 5] + ' ' + what[i / 5 % 5] + ". " +
            then[i / 25 % 5] + ' ' + who[(i + 2) % 5] + ' ' + what[(i * 7 + 1) % 5] + ". " +
            then[(i * 3) % 5] + "\n";
  }
  return text;
}

}  // namespace

/// The page with the real engine on the demo model, driven through its widgets.
class WizardTest : public QObject {
  Q_OBJECT

 private:
  std::unique_ptr<QTemporaryDir> m_home;
  std::unique_ptr<Settings> m_settings;
  std::unique_ptr<EngineController> m_engine;
  std::unique_ptr<ModelCatalog> m_catalog;
  std::unique_ptr<ChatService> m_store;
  std::unique_ptr<QuantizePage> m_page;

  QString file(const char* name) const { return m_home->filePath(QString::fromLatin1(name)); }
  void open() {
    m_settings = std::make_unique<Settings>(file("settings.json"));
    m_engine = std::make_unique<EngineController>();
    m_catalog = std::make_unique<ModelCatalog>(*m_settings);
    m_store = ChatService::open(file("haq.db").toStdString());
    m_page = std::make_unique<QuantizePage>(*m_engine, *m_catalog, *m_store, *m_settings);
    m_page->resize(1100, 680);
    m_page->show();
    m_catalog->rescan();
    QTRY_VERIFY_WITH_TIMEOUT(!m_catalog->scanning(), kShortMs);
  }
  void close() {
    m_page.reset();
    m_store.reset();
    m_catalog.reset();
    m_engine.reset();
    m_settings.reset();
  }
  void click(QPushButton& button) { QTest::mouseClick(&button, Qt::LeftButton); }
  /// Through the first three pages, up to the start.
  void order(haq::quant::Method method, const char* target, int tokens) {
    m_page->begin();
    QTest::mouseClick(m_page->source().table().viewport(), Qt::LeftButton, {}, QPoint(20, 10));
    m_page->source().target().setText(file(target));
    QTRY_VERIFY_WITH_TIMEOUT(m_page->source().passed(), kShortMs);
    click(m_page->nextButton());
    QCOMPARE(m_page->step(), int(QuantizePage::kScheme));
    m_page->scheme().methods().button(static_cast<int>(method))->click();
    click(m_page->nextButton());
    QCOMPARE(m_page->step(), int(QuantizePage::kData));
    haq::write_file_atomically(file("stories.txt").toStdString(), stories(900));
    m_page->data().addFiles({file("stories.txt")});
    m_page->data().tokens().setValue(tokens);
    m_page->data().sequenceLength().setValue(64);
    QTRY_VERIFY_WITH_TIMEOUT(m_page->canGoNext(), kShortMs);
  }
  void awaitReview() {
    QTRY_VERIFY_WITH_TIMEOUT(!m_page->controller().busy(), kRunMs);
    QVERIFY2(m_page->step() == QuantizePage::kReview,
             qPrintable(m_page->running().banner().text() + QLatin1Char(' ') +
                        m_page->running().banner().detail()));
  }

 private Q_SLOTS:
  void initTestCase() { installTheme(); }
  void init() { m_home = std::make_unique<QTemporaryDir>(); }
  void cleanup() { close(); }

  void beginsWithAnEmptyState() {
    open();
    QCOMPARE(m_page->step(), -1);
    QVERIFY(m_page->runs().empty().isVisible());
    m_page->runs().empty().findChild<QPushButton*>()->click();
    QCOMPARE(m_page->step(), int(QuantizePage::kSource));
    QVERIFY(!m_page->nextButton().isEnabled());
    QVERIFY(!m_page->showStep(QuantizePage::kReview));
  }

  void refusesWhatCannotBeRead() {
    open();
    m_page->begin();
    m_page->source().choose(file("nowhere"));
    QTRY_VERIFY_WITH_TIMEOUT(m_page->source().problem().isVisible(), kShortMs);
    QVERIFY(!m_page->canGoNext());
    m_page->source().choose({});
    QTRY_VERIFY_WITH_TIMEOUT(m_page->source().passed(), kShortMs);
    QVERIFY(!m_page->source().problem().isVisible());
    QVERIFY(m_page->showStep(QuantizePage::kData));
    haq::write_file_atomically(file("short.txt").toStdString(), "One line.");
    m_page->data().addFiles({file("short.txt")});
    QTRY_VERIFY_WITH_TIMEOUT(m_page->data().problem().isVisible(), kShortMs);
    QVERIFY(!m_page->canGoNext());
  }

  void quantizesAndTheResultChats() {
    open();
    order(haq::quant::Method::kHaq, "out", 2048);
    QVERIFY(m_page->commandText().startsWith(QStringLiteral("haq quantize ")));
    QVERIFY(m_page->commandText().contains(QStringLiteral("--calib")));
    click(m_page->nextButton());
    QCOMPARE(m_page->step(), int(QuantizePage::kRun));
    QVERIFY(m_page->controller().busy());
    awaitReview();
    QVERIFY(m_page->controller().errors().known() > 100);
    QVERIFY(m_page->review().verdict().contains(QStringLiteral("erplexity")));
    QVERIFY(m_page->review().worst().model()->rowCount() > 100);
    QTRY_COMPARE(m_page->runList().rowCount(), 1);
    QTRY_COMPARE(m_page->runList().run(0)->state, std::string("done"));
    click(m_page->nextButton());
    QCOMPARE(m_page->step(), int(QuantizePage::kDone));
    // Chat: the page asks, the window loads; here the engine does.
    QSignalSpy asked(m_page.get(), &QuantizePage::chatAsked);
    click(m_page->done().chatButton());
    QCOMPARE(asked.first().first().toString(), file("out"));
    // Side by side loads both in turn and lets both answer.
    m_page->done().compareButton().click();
    SideBySideView& sides = m_page->done().sideBySide();
    sides.prompt().setText(QStringLiteral("Tell me a story about a dog"));
    sides.tokens().setValue(12);
    QSignalSpy finished(&sides.sides(), &SideBySide::finished);
    click(sides.runButton());
    QVERIFY(finished.wait(kRunMs));
    QVERIFY(!sides.sides().side(0).text.trimmed().isEmpty());
    QVERIFY(!sides.sides().side(1).text.trimmed().isEmpty());
    QCOMPARE(m_engine->model()->folder, file("out"));
    QCOMPARE(m_engine->model()->precision, QStringLiteral("w8a8"));
    // The finished folder is not written into again.
    QVERIFY(m_page->showStep(QuantizePage::kData));
    QTRY_VERIFY_WITH_TIMEOUT(m_page->unfinishedBanner().isVisible(), kShortMs);
    QVERIFY(!m_page->canGoNext());
    m_page->unfinishedBanner().findChildren<QPushButton*>().last()->click();
    QVERIFY(m_page->draft().order().target != file("out"));
    QTRY_VERIFY_WITH_TIMEOUT(m_page->source().passed(), kShortMs);
    QVERIFY(m_page->showStep(QuantizePage::kData));
    QTRY_VERIFY_WITH_TIMEOUT(m_page->canGoNext(), kShortMs);
  }

  void stopsContinuesAndOutlivesTheProgram() {
    open();
    order(haq::quant::Method::kGptq, "out", 2048);
    click(m_page->nextButton());
    QTRY_VERIFY_WITH_TIMEOUT(m_page->controller().facts().layersDone >= 1, kRunMs);
    close();  // as if the program was closed
    open();
    QVERIFY(m_page->draft().begun());
    QTRY_VERIFY_WITH_TIMEOUT(m_page->unfinishedBanner().isVisible(), kShortMs);
    QTRY_COMPARE(m_page->runList().rowCount(), 1);
    QCOMPARE(m_page->runList().run(0)->state, std::string("stopped"));
    m_page->unfinishedBanner().findChildren<QPushButton*>().first()->click();
    QVERIFY(m_page->commandText().contains(QStringLiteral("--resume")));
    awaitReview();
    QVERIFY(m_page->controller().facts().layersResumed >= 1);
    QTRY_COMPARE(m_page->runList().run(0)->state, std::string("done"));
    QCOMPARE(m_page->runList().rowCount(), 1);
  }

  void twoRunsAreCompared() {
    open();
    order(haq::quant::Method::kRtn, "a", 512);
    click(m_page->nextButton());
    awaitReview();
    order(haq::quant::Method::kSmoothQuant, "b", 512);
    click(m_page->nextButton());
    awaitReview();
    QTRY_VERIFY(m_page->runList().rowCount() == 2 && m_page->runList().run(0)->state == "done");
    m_page->showRuns();
    m_page->runs().selectRuns({m_page->runList().run(0)->id, m_page->runList().run(1)->id});
    click(m_page->runs().compareButton());
    QTRY_VERIFY(m_page->runs().isComparing());
    QVERIFY(m_page->runs().comparison().rowCount() > 8);
    QCOMPARE(m_page->runs().comparison().columnCount(), 4);
    // Again with the same options: into a folder of its own.
    m_page->runAgain(m_page->runList().run(1)->id);
    QCOMPARE(m_page->step(), int(QuantizePage::kSource));
    QVERIFY(m_page->draft().order().method == haq::quant::Method::kRtn);
    QVERIFY(m_page->draft().order().target != file("a"));
  }
};

QTEST_MAIN(WizardTest)
#include "wizard_test.moc"
