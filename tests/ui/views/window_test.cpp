// SPDX-License-Identifier: GPL-3.0-or-later
#include <QComboBox>
#include <QDialog>
#include <QLineEdit>
#include <QListView>
#include <QMimeData>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSpinBox>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>

#include "engine/base/file.h"
#include "ui/chat/chat_page.h"
#include "ui/chat/composer.h"
#include "ui/shared/install_theme.h"
#include "ui/shared/widgets.h"
#include "ui/views/command_palette.h"
#include "ui/views/model_bar.h"
#include "ui/views/model_details.h"
#include "ui/views/models_page.h"
#include "ui/views/settings_page.h"
#include "ui/views/studio.h"

using namespace haq::ui;

namespace {
constexpr int kLoadMs = 120'000;
constexpr int kAnswerMs = 120'000;
}  // namespace

/// The real window with the real engine on the demo model, driven by keys and clicks.
class WindowTest : public QObject {
  Q_OBJECT

 private:
  std::unique_ptr<QTemporaryDir> m_home;
  std::unique_ptr<Studio> m_studio;

  MainWindow& window() { return m_studio->window(); }
  ChatSession& session() { return m_studio->chatPage().session(); }
  QPlainTextEdit* editor() { return &m_studio->chatPage().composer().editor(); }

  void open() {
    m_studio = std::make_unique<Studio>(m_home->filePath(QStringLiteral("settings.json")),
                                        m_home->filePath(QStringLiteral("haq.db")));
    window().resize(1280, 720);
  }
  void openLoaded() {
    open();
    m_studio->start({});
    QVERIFY(QTest::qWaitForWindowActive(&window()));
    QTRY_VERIFY_WITH_TIMEOUT(m_studio->engine().model().has_value(), kLoadMs);
  }
  void send(const QString& text) {
    editor()->setFocus();
    QTest::keyClicks(editor(), text);
    QTest::keyClick(editor(), Qt::Key_Return);
  }
  QString lastText() {
    const auto& branch = session().tree().branch();
    return branch.empty() ? QString()
                          : QString::fromStdString(session().tree().find(branch.back())->content);
  }
  QDialog* keySheet() { return window().findChild<QDialog*>(QStringLiteral("keySheet")); }

 private Q_SLOTS:
  void initTestCase() { installTheme(); }
  void init() { m_home = std::make_unique<QTemporaryDir>(); }
  void cleanup() {
    m_studio.reset();
    Theme::instance().setFontScale(1);
  }

  void firstStartLoadsTheDemoModelAndAnswers() {
    openLoaded();
    QVERIFY(window().welcomeBanner().isVisible());
    QCOMPARE(window().currentPage(), QStringLiteral("chat"));
    QTRY_VERIFY(window().modelBar().chipText().contains(QStringLiteral("6L×16E top-2")));
    send(QStringLiteral("What is the capital of France?"));
    QTRY_COMPARE(session().tree().branch().size(), std::size_t{2});
    QTRY_VERIFY_WITH_TIMEOUT(!session().isAnswering(), kAnswerMs);
    QVERIFY2(!lastText().trimmed().isEmpty(), "the answer is empty");
  }

  void escapeStopsAnAnswer() {
    openLoaded();
    m_studio->settings().setValue("chat.max_tokens", 900);
    send(QStringLiteral("Tell me a long story about a dog and a ball."));
    QTRY_VERIFY_WITH_TIMEOUT(lastText().size() > 3, kAnswerMs);
    QTest::keyClick(editor(), Qt::Key_Escape);
    QTRY_VERIFY_WITH_TIMEOUT(!session().isAnswering(), 5000);
    QVERIFY(m_studio->engine().model().has_value());
  }

  void conversationsSurviveARestart() {
    openLoaded();
    send(QStringLiteral("What is the capital of France?"));
    QTRY_VERIFY_WITH_TIMEOUT(!lastText().isEmpty() && !session().isAnswering(), kAnswerMs);
    const QString answer = lastText();
    window().close();
    m_studio.reset();
    openLoaded();
    QCOMPARE(m_studio->chats().conversations().size(), std::size_t{1});
    QTRY_COMPARE(lastText(), answer);
  }

  void pagesByKeyboard() {
    openLoaded();
    QTest::keyClick(&window(), Qt::Key_2, Qt::ControlModifier);
    QCOMPARE(window().currentPage(), QStringLiteral("models"));
    QTest::keyClick(&window(), Qt::Key_3, Qt::ControlModifier);
    QCOMPARE(window().currentPage(), QStringLiteral("quantize"));
    QTest::keyClick(&window(), Qt::Key_4, Qt::ControlModifier);
    QCOMPARE(window().currentPage(), QStringLiteral("settings"));
    QTest::keyClick(&window(), Qt::Key_1, Qt::ControlModifier);
    QCOMPARE(window().currentPage(), QStringLiteral("chat"));
    QVERIFY(!window().showPage(QStringLiteral("placement")));
  }

  void paletteRunsWhatIsTyped_data() {
    QTest::addColumn<int>("key");
    QTest::addColumn<Qt::KeyboardModifiers>("modifiers");
    QTest::newRow("Ctrl+K") << int(Qt::Key_K) << Qt::KeyboardModifiers(Qt::ControlModifier);
    QTest::newRow("Ctrl+Shift+P") << int(Qt::Key_P) << (Qt::ControlModifier | Qt::ShiftModifier);
  }
  void paletteRunsWhatIsTyped() {
    QFETCH(int, key);
    QFETCH(Qt::KeyboardModifiers, modifiers);
    openLoaded();
    QTest::keyClick(&window(), static_cast<Qt::Key>(key), modifiers);
    QTRY_VERIFY(window().palette().isVisible());
    QTest::keyClicks(&window().palette().field(), QStringLiteral("models"));
    QVERIFY(window().palette().actions().rowCount() > 0);
    QTest::keyClick(&window().palette().field(), Qt::Key_Return);
    QTRY_COMPARE(window().currentPage(), QStringLiteral("models"));
    QVERIFY(!window().palette().isVisible());
  }

  void noShortcutIsGivenTwice() {
    openLoaded();
    for (const QString& id : window().pageIds()) {
      QHash<QString, QString> taken;
      QList<QAction*> actions = window().actions() + window().page(id)->actions();
      for (const QAction* action : actions) {
        for (const QKeySequence& key : action->shortcuts()) {
          const QString name = key.toString();
          QVERIFY2(!taken.contains(name),
                   qPrintable(name + ": " + taken.value(name) + ", " + action->text()));
          taken.insert(name, action->text());
        }
      }
    }
  }

  void keySheetOpensAndCloses() {
    openLoaded();
    window().showPage(QStringLiteral("models"));
    QTest::keyClick(&m_studio->modelsPage().table(), Qt::Key_Question);
    QTRY_VERIFY(keySheet() != nullptr && keySheet()->isVisible());
    QTest::keyClick(keySheet(), Qt::Key_Question);
    QTRY_VERIFY(keySheet() == nullptr || !keySheet()->isVisible());
  }

  void colourModeFollowsTheSetting() {
    openLoaded();
    m_studio->settings().setValue("appearance.theme", QStringLiteral("dark"));
    QTRY_COMPARE(window().QWidget::palette().color(QPalette::Window),
                 Theme::tableColor(Role::kWindow, true));
    auto* box = m_studio->settingsPage().findChild<QComboBox*>(QStringLiteral("appearance.theme"));
    QVERIFY(box != nullptr);
    QCOMPARE(box->currentData().toString(), QStringLiteral("dark"));
    box->setCurrentIndex(box->findData(QStringLiteral("light")));
    QCOMPARE(m_studio->settings().text("appearance.theme"), QStringLiteral("light"));
    QTRY_COMPARE(window().QWidget::palette().color(QPalette::Window),
                 Theme::tableColor(Role::kWindow, false));
  }

  void aRefusedModelIsExplainedAndCostsNothing() {
    openLoaded();
    haq::write_file_atomically(m_home->filePath(QStringLiteral("config.json")).toStdString(),
                               "{\"model_type\": \"no_such_model\"}");
    window().loadModel(m_home->path());
    QTRY_VERIFY(window().problemBanner().isVisible());
    QVERIFY(window().problemBanner().detail().contains(QStringLiteral("no_such_model")));
    QVERIFY(m_studio->engine().model().has_value());
  }

  void aDroppedFolderIsLoaded() {
    open();
    window().show();
    QMimeData data;
    data.setUrls({QUrl::fromLocalFile(m_home->path())});
    haq::write_file_atomically(m_home->filePath(QStringLiteral("config.json")).toStdString(), "{}");
    QDragEnterEvent enter(QPoint(300, 300), Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
    QCoreApplication::sendEvent(&window(), &enter);
    QVERIFY(enter.isAccepted());
    QDropEvent drop(QPointF(300, 300), Qt::CopyAction, &data, Qt::LeftButton, Qt::NoModifier);
    QCoreApplication::sendEvent(&window(), &drop);
    QTRY_VERIFY(window().problemBanner().isVisible());
    QVERIFY(window().problemBanner().detail().contains(m_home->path()));
  }

  void aSecondWindowOnTheSameConversationsGetsATemporaryStore() {
    openLoaded();
    Studio second(m_home->filePath(QStringLiteral("other.json")),
                  m_home->filePath(QStringLiteral("haq.db")));
    QVERIFY(second.chats().isTemporary());
    second.window().show();
    QVERIFY(second.window().problemBanner().isVisible());
  }

  void everyControlHasAName() {
    openLoaded();
    QTRY_VERIFY(!m_studio->catalog().scanning());
    for (const QString& id : window().pageIds()) {
      window().showPage(id);
      for (QWidget* widget : window().findChildren<QWidget*>()) {
        if (!widget->isVisible() || widget->focusPolicy() == Qt::NoFocus) continue;
        const bool control =
            qobject_cast<QAbstractButton*>(widget) || qobject_cast<QLineEdit*>(widget) ||
            qobject_cast<QAbstractSpinBox*>(widget) || qobject_cast<QComboBox*>(widget) ||
            qobject_cast<QAbstractItemView*>(widget) || qobject_cast<QPlainTextEdit*>(widget);
        // The inner fields of spin boxes and the corner buttons of tables belong to their owners.
        if (!control || widget->objectName().startsWith(QLatin1String("qt_")) ||
            widget->inherits("QTableCornerButton")) {
          continue;
        }
        const auto* button = qobject_cast<QAbstractButton*>(widget);
        const bool named =
            !widget->accessibleName().isEmpty() || (button != nullptr && !button->text().isEmpty());
        QVERIFY2(named, qPrintable(id + ": " + widget->metaObject()->className() + " " +
                                   widget->objectName()));
      }
    }
  }

  void argumentsAreCheckedBeforeAnythingStarts() {
    const auto parse = [](const QStringList& words) {
      return parseStudioArguments(QStringList{QStringLiteral("haq-studio")} + words);
    };
    QVERIFY(!parse({}).exits);
    QCOMPARE(parse({QStringLiteral("--page"), QStringLiteral("models")}).options.page,
             QStringLiteral("models"));
    QVERIFY(parse({QStringLiteral("--model"), QStringLiteral("x")}).options.model.endsWith("/x"));
    const StudioArguments help = parse({QStringLiteral("--help")});
    QVERIFY(help.exits && help.exitCode == 0);
    QVERIFY(help.message.contains(QStringLiteral("--tour")));
    QCOMPARE(parse({QStringLiteral("--version")}).exitCode, 0);
    for (const QStringList& wrong : {QStringList{QStringLiteral("--page"), QStringLiteral("nope")},
                                     {QStringLiteral("--nope")},
                                     {QStringLiteral("stray")},
                                     {QStringLiteral("--tour")},
                                     {QStringLiteral("--db"), QString()}}) {
      QVERIFY2(parse(wrong).exits, qPrintable(wrong.join(QLatin1Char(' '))));
      QCOMPARE(parse(wrong).exitCode, 2);
      QVERIFY(parse(wrong).message.startsWith(QStringLiteral("haq-studio: ")));
    }
  }

  void settingsSearchAndReset() {
    open();
    SettingsPage& page = m_studio->settingsPage();
    const int all = page.visibleRows();
    QCOMPARE(all, static_cast<int>(Settings::specs().size()));
    page.search().setText(QStringLiteral("temperature"));
    QCOMPARE(page.visibleRows(), 1);
    page.search().setText(QStringLiteral("nothing has this name"));
    QCOMPARE(page.visibleRows(), 0);
    page.search().clear();
    QCOMPARE(page.visibleRows(), all);
    auto* box = page.findChild<QSpinBox*>(QStringLiteral("chat.max_tokens"));
    QVERIFY(box != nullptr);
    box->setValue(77);
    QCOMPARE(m_studio->settings().integer("chat.max_tokens"), 77);
    m_studio->settings().resetAll();
    QCOMPARE(box->value(), 512);
  }
};

QTEST_MAIN(WindowTest)
#include "window_test.moc"
