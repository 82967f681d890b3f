// SPDX-License-Identifier: GPL-3.0-or-later
// The real page over the real engine and the demo model, driven as a person would.
#include <QApplication>
#include <QClipboard>
#include <QFile>
#include <QLineEdit>
#include <QListView>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QScrollBar>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QtTest>

#include "ui/chat/chat_page.h"
#include "ui/chat/composer.h"
#include "ui/chat/context_meter.h"
#include "ui/chat/conversation_panel.h"
#include "ui/chat/empty_chat.h"
#include "ui/chat/markdown_view.h"
#include "ui/chat/side_sheet.h"
#include "ui/chat/transcript_view.h"
#include "ui/shared/install_theme.h"

using namespace haq::ui;
using haq::profile::Id;
using haq::profile::Message;
using haq::profile::MessageState;

namespace {

constexpr int kAnswerMs = 30000;

/// One running program: stored conversations, settings and the page.
struct Program {
  Program(EngineController& engine, const QString& folder)
      : chats(ChatService::open(std::filesystem::path(folder.toStdString()) / "haq.db")),
        settings(folder + QStringLiteral("/settings.json")),
        page(engine, *chats, settings) {
    page.resize(1180, 720);
    page.show();
    page.restore();
    // Lays everything out, so that clicks find their widgets.
    exposed = QTest::qWaitForWindowExposed(&page);
  }

  std::unique_ptr<ChatService> chats;
  Settings settings;
  ChatPage page;
  bool exposed = false;
};

}  // namespace

class TestChatPage : public QObject {
  Q_OBJECT

 private:
  ChatSession& session() { return m_program->page.session(); }
  ChatPage& page() { return m_program->page; }
  const Message& last() { return *session().tree().find(session().tree().leaf()); }
  QPlainTextEdit& editor() { return page().composer().editor(); }

  void type(const QString& text) {
    editor().setFocus();
    QTest::keyClicks(&editor(), text);
    QTest::keyClick(&editor(), Qt::Key_Return);
  }
  bool waitAnswer() {
    return QTest::qWaitFor(
        [this] { return !session().isAnswering() && session().queue().isEmpty(); }, kAnswerMs);
  }
  /// Short answers, always the same.
  void beQuick(int tokens = 24) {
    ChatOptions options;
    options.maxTokens = tokens;
    options.temperature = 0.7F;
    session().setOptions(options);
  }
  void restart() {
    m_program.reset();
    m_program = std::make_unique<Program>(*m_engine, m_folder->path());
  }

  std::unique_ptr<EngineController> m_engine;
  std::unique_ptr<QTemporaryDir> m_folder;
  std::unique_ptr<Program> m_program;

 private Q_SLOTS:
  void initTestCase() {
    installTheme();
    m_engine = std::make_unique<EngineController>();
    m_engine->loadModel({});
    QVERIFY(QTest::qWaitFor([this] { return m_engine->model().has_value(); }, kAnswerMs));
  }
  void cleanupTestCase() { m_engine.reset(); }
  void init() {
    m_folder = std::make_unique<QTemporaryDir>();
    m_program = std::make_unique<Program>(*m_engine, m_folder->path());
    QVERIFY(m_program->exposed);
  }
  void cleanup() {
    m_engine->stop();
    m_program.reset();
  }

  void aSampleIsAnswered() {
    beQuick();
    const auto buttons = page().emptyChat().findChildren<QPushButton*>();
    QVERIFY(page().emptyChat().isVisible());
    QPushButton* capital = nullptr;
    for (QPushButton* button : buttons) {
      if (button->text().contains(u"France")) capital = button;
    }
    QVERIFY(capital != nullptr);
    QTest::mouseClick(capital, Qt::LeftButton);
    QVERIFY(waitAnswer());
    QCOMPARE(session().tree().branch().size(), 2U);
    QVERIFY(QString::fromStdString(last().content).contains(u"Paris"));
    QVERIFY(page().transcript().isVisible());
    QTRY_VERIFY(page().composer().meter().tokens() > 0);
    MessageView* view = page().transcript().viewOf(last().id);
    QVERIFY(view != nullptr);
    QVERIFY(view->body().toPlainText().contains(u"Paris"));
    QVERIFY(view->footerText().contains(u"seed"));
    QVERIFY(view->footerText().contains(u"TTFT"));
  }

  void typingSendsAndShiftEnterDoesNot() {
    beQuick(4);
    editor().setFocus();
    QTest::keyClicks(&editor(), QStringLiteral("one"));
    QTest::keyClick(&editor(), Qt::Key_Return, Qt::ShiftModifier);
    QTest::keyClicks(&editor(), QStringLiteral("two"));
    QVERIFY(!session().isAnswering());
    QTest::keyClick(&editor(), Qt::Key_Return);
    QVERIFY(session().isAnswering());
    QVERIFY(editor().toPlainText().isEmpty());
    QCOMPARE(session().tree().find(session().tree().branch().front())->content,
             std::string("one\ntwo"));
    QVERIFY(waitAnswer());
  }

  void escapeStopsAndContinueGoesOn() {
    beQuick(400);
    type(QStringLiteral("Tell me a long story about a dog."));
    QVERIFY(QTest::qWaitFor([this] { return !last().content.empty(); }, kAnswerMs));
    QTest::keyClick(&editor(), Qt::Key_Escape);
    QVERIFY(waitAnswer());
    const Id stopped = last().id;
    const std::string text = last().content;
    if (last().state == MessageState::kDone) QSKIP("the answer ended before it could be stopped");
    QCOMPARE(last().state, MessageState::kStopped);
    beQuick(6);
    session().continueAnswer(stopped);
    QVERIFY(waitAnswer());
    QVERIFY(last().id != stopped);
    QVERIFY(QByteArray::fromStdString(last().content).startsWith(QByteArray::fromStdString(text)));
    QVERIFY(last().content.size() > text.size());
    QCOMPARE(session().tree().siblings(stopped).size(), 2U);
    QCOMPARE(session().tree().find(stopped)->content, text);
  }

  void regenerateEditAndSwitchDestroyNothing() {
    beQuick(6);
    type(QStringLiteral("What is 3 plus 4?"));
    QVERIFY(waitAnswer());
    const Id first = last().id;
    session().regenerate(first);
    QVERIFY(waitAnswer());
    const Id second = last().id;
    QVERIFY(second != first);
    QCOMPARE(session().tree().siblings(second), (std::vector<Id>{first, second}));
    session().showSibling(second, -1);
    QCOMPARE(session().tree().leaf(), first);
    QVERIFY(page().transcript().viewOf(first) != nullptr);
    QVERIFY(page().transcript().viewOf(second) == nullptr);

    const Id question = session().tree().branch().front();
    MessageView* view = page().transcript().viewOf(question);
    QVERIFY(view != nullptr);
    view->startEdit();
    auto* field = view->findChild<QPlainTextEdit*>();
    QVERIFY(field != nullptr);
    field->selectAll();
    QTest::keyClicks(field, QStringLiteral("What is 2 plus 2?"));
    QTest::keyClick(field, Qt::Key_Return, Qt::ControlModifier);
    QTRY_VERIFY(session().tree().branch().front() != question);
    QVERIFY(waitAnswer());
    QCOMPARE(session().tree().siblings(question).size(), 2U);
    QCOMPARE(session().tree().find(question)->content, std::string("What is 3 plus 4?"));
  }

  void whatIsTypedMeanwhileIsQueuedEditableAndSent() {
    beQuick(60);
    type(QStringLiteral("Tell me a story about a cat."));
    QVERIFY(session().isAnswering());
    type(QStringLiteral("And what is 1 plus 1?"));
    type(QStringLiteral("Never sent"));
    QCOMPARE(session().queue().size(), 2);
    QCOMPARE(page().composer().chipCount(), 2);
    QStringList queue = session().queue();
    queue.removeLast();
    session().setQueue(queue);
    QVERIFY(waitAnswer());
    QTRY_COMPARE(session().tree().branch().size(), 4U);
    QVERIFY(waitAnswer());
    QCOMPARE(session().tree().find(session().tree().branch()[2])->content,
             std::string("And what is 1 plus 1?"));
  }

  void reproduceComesOutTheSame() {
    beQuick(16);
    type(QStringLiteral("Tell me a story about a bird."));
    QVERIFY(waitAnswer());
    const Message original = last();
    session().reproduce(original.id);
    QVERIFY(waitAnswer());
    QVERIFY(last().id != original.id);
    const auto metrics = nlohmann::json::parse(last().metrics);
    QCOMPARE(metrics["reproduces"].get<Id>(), original.id);
    QCOMPARE(metrics["identical"].get<bool>(), last().content == original.content);
    QCOMPARE(metrics["sampling"], nlohmann::json::parse(original.metrics)["sampling"]);
  }

  void renameDeleteUndoSearchAndRestart() {
    beQuick(6);
    type(QStringLiteral("What is the opposite of hot?"));
    QVERIFY(waitAnswer());
    const Id chat = session().conversation();
    QListView& list = page().panel().list();
    page().panel().renameSelected();
    auto* field = list.findChild<QLineEdit*>();
    QVERIFY(field != nullptr);
    field->selectAll();
    QTest::keyClicks(field, QStringLiteral("Opposites"));
    QTest::keyClick(field, Qt::Key_Return);
    QTRY_COMPARE(m_program->chats->find(chat)->title, std::string("Opposites"));

    page().panel().removeSelected();
    QVERIFY(m_program->chats->find(chat) == nullptr);
    QCOMPARE(session().conversation(), 0);
    QVERIFY(page().emptyChat().isVisible());
    page().panel().undoRemove();
    QVERIFY(m_program->chats->find(chat) != nullptr);
    QTRY_COMPARE(session().tree().branch().size(), 2U);

    page().panel().search().setText(QStringLiteral("opposite hot"));
    QTRY_VERIFY(
        page().panel().model().index(0).data(ConversationListModel::kMessageRole).toLongLong() !=
        0);
    page().newConversation();
    list.setFocus();
    const QModelIndex hit = page().panel().model().index(0);
    QTest::mouseClick(list.viewport(), Qt::LeftButton, {}, list.visualRect(hit).center());
    QTRY_COMPARE(session().conversation(), chat);
    QTRY_COMPARE(session().tree().branch().size(), 2U);
    const std::string answer = last().content;

    restart();
    QTRY_COMPARE(session().conversation(), chat);
    QTRY_COMPARE(session().tree().branch().size(), 2U);
    QCOMPARE(last().content, answer);
    QCOMPARE(m_program->chats->find(chat)->title, std::string("Opposites"));
  }

  void exportWritesTheFile() {
    beQuick(6);
    type(QStringLiteral("Hello!"));
    QVERIFY(waitAnswer());
    const QString target = m_folder->filePath(QStringLiteral("chat.json"));
    QSignalSpy exported(&page().panel(), &ConversationPanel::exported);
    page().panel().exportTo(session().conversation(), haq::profile::ExportFormat::kJson, target);
    QVERIFY(exported.wait());
    QFile file(target);
    QVERIFY(file.open(QIODevice::ReadOnly));
    const auto json = nlohmann::json::parse(file.readAll().toStdString());
    QCOMPARE(json["messages"].size(), 2U);
    QVERIFY(json["messages"][1]["metrics"].contains("decode_tokens_per_s"));
  }

  void systemPromptAndSamplingAreStoredAndEffective() {
    page().showSheet(true);
    page().sheet().systemPrompt().setPlainText(QStringLiteral("You are brief."));
    QTRY_COMPARE(session().systemPrompt(), QStringLiteral("You are brief."));
    ChatOptions options;
    options.temperature = 0;
    options.maxTokens = 3;
    session().setOptions(options);
    type(QStringLiteral("Hello!"));
    QVERIFY(waitAnswer());
    const auto metrics = nlohmann::json::parse(last().metrics);
    QCOMPARE(metrics["sampling"]["temperature"].get<double>(), 0.0);
    QVERIFY(metrics["generated_tokens"].get<int>() <= 3);
    const Id chat = session().conversation();
    restart();
    QTRY_COMPARE(session().conversation(), chat);
    QCOMPARE(session().systemPrompt(), QStringLiteral("You are brief."));
    QCOMPARE(session().options().maxTokens, std::optional<int>(3));
  }

  void aThousandMessagesStayCheap() {
    const Id chat = m_program->chats->create(QStringLiteral("Long"), {}, {}, "{}");
    Id parent = 0;
    for (int i = 0; i < 1000; ++i) {
      const bool user = i % 2 == 0;
      parent = m_program->chats
                   ->add({0, chat, parent,
                          user ? haq::profile::Role::kUser : haq::profile::Role::kAssistant,
                          user ? "A question" : "An answer with **some** words.\n\n- and\n- a list",
                          MessageState::kDone, 0, "{}"})
                   .id;
    }
    page().openConversation(chat);
    QTRY_COMPARE(session().tree().branch().size(), 1000U);
    QScrollBar* bar = page().transcript().verticalScrollBar();
    QTRY_COMPARE(bar->value(), bar->maximum());
    QVERIFY(page().transcript().viewOf(parent) != nullptr);
    QVERIFY(page().transcript().liveViews() < 60);
    bar->setValue(0);
    QVERIFY(page().transcript().viewOf(session().tree().branch().front()) != nullptr);
    for (int value = 0; value < bar->maximum(); value += 4000) bar->setValue(value);
    QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);
    QVERIFY(page().transcript().liveViews() < 120);
    page().resize(900, 600);
    QVERIFY(page().transcript().liveViews() < 120);
  }

  void everyControlHasAName() {
    page().showSheet(true);
    const auto widgets = page().findChildren<QWidget*>();
    for (const QWidget* widget : widgets) {
      if (widget->focusPolicy() == Qt::NoFocus || !widget->isVisible()) continue;
      const auto* button = qobject_cast<const QAbstractButton*>(widget);
      const bool named =
          !widget->accessibleName().isEmpty() || (button != nullptr && !button->text().isEmpty()) ||
          qobject_cast<const QScrollBar*>(widget) != nullptr ||
          widget->parentWidget()->focusProxy() == widget || widget->inherits("QLineEdit");
      QVERIFY2(named, qPrintable(QString::fromLatin1(widget->metaObject()->className()) + u' ' +
                                 widget->objectName()));
    }
  }

  void actionsAreDistinct() {
    QSet<QString> texts;
    QSet<QKeySequence> keys;
    for (const QAction* action : page().actions()) {
      QVERIFY2(!texts.contains(action->text()), qPrintable(action->text()));
      texts.insert(action->text());
      if (action->shortcut().isEmpty()) continue;
      QVERIFY2(!keys.contains(action->shortcut()), qPrintable(action->text()));
      keys.insert(action->shortcut());
    }
    QVERIFY(texts.size() > 12);
  }
};

QTEST_MAIN(TestChatPage)
#include "test_chat_page.moc"
