// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/chat/chat_page.h"

#include <QAction>
#include <QDesktopServices>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QListView>
#include <QMessageBox>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QStackedWidget>
#include <QUrl>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/chat/composer.h"
#include "ui/chat/context_meter.h"
#include "ui/chat/conversation_panel.h"
#include "ui/chat/empty_chat.h"
#include "ui/chat/side_sheet.h"
#include "ui/chat/transcript_view.h"
#include "ui/shared/widgets.h"

namespace haq::ui {
namespace {

constexpr int kPanelWidth = 248;
constexpr auto kLastConversation = "chat.conversation";
constexpr auto kSheetShown = "chat.sheet";

}  // namespace

ChatPage::ChatPage(EngineController& engine, ChatService& chats, Settings& settings,
                   QWidget* parent)
    : QWidget(parent),
      m_engine(engine),
      m_chats(chats),
      m_settings(settings),
      m_session(new ChatSession(engine, chats, settings, this)),
      m_panel(new ConversationPanel(chats, this)),
      m_stack(new QStackedWidget(this)),
      m_transcript(new TranscriptView(*m_session)),
      m_empty(new EmptyChat),
      m_banner(new Banner(this)),
      m_composer(new Composer),
      m_composerFrame(new QWidget(this)),
      m_sheet(new SideSheet(*m_session, this)) {
  auto* row = new QHBoxLayout(this);
  row->setContentsMargins(0, 0, 0, 0);
  row->setSpacing(0);
  row->addWidget(m_panel);
  auto* middle = new QVBoxLayout;
  middle->setContentsMargins(0, 0, 0, 0);
  middle->setSpacing(0);
  middle->addWidget(m_banner);
  m_stack->addWidget(m_empty);
  m_stack->addWidget(m_transcript);
  middle->addWidget(m_stack, 1);
  auto* foot = new QHBoxLayout(m_composerFrame);
  foot->setContentsMargins(space::kXl, space::kS, space::kXl, space::kL);
  foot->addStretch(1);
  foot->addWidget(m_composer, 100);
  foot->addStretch(1);
  middle->addWidget(m_composerFrame);
  row->addLayout(middle, 1);
  row->addWidget(m_sheet);
  m_sheet->setVisible(settings.state(QLatin1String(kSheetShown)).toBool());
  m_composer->optionsButton()->setChecked(!m_sheet->isHidden());

  connect(m_panel, &ConversationPanel::newAsked, this, &ChatPage::newConversation);
  connect(m_panel, &ConversationPanel::openAsked, this,
          [this](qint64 conversation, qint64 message) { openConversation(conversation, message); });
  connect(m_panel, &ConversationPanel::removed, this, [this](qint64 id) {
    m_engine.forget(QString::number(id));
    m_undoAction->setEnabled(true);
    if (id == m_session->conversation()) newConversation();
  });
  connect(m_panel, &ConversationPanel::exported, this,
          [this](const QString& file, const QString& error) {
            if (error.isEmpty()) {
              m_banner->show(Banner::Kind::kInfo, tr("Exported to %1").arg(file));
            } else {
              m_banner->show(Banner::Kind::kError, tr("The export was not written."), error);
            }
          });
  connect(m_empty, &EmptyChat::sampleChosen, m_session, &ChatSession::send);
  connect(m_empty, &EmptyChat::modelsAsked, this, &ChatPage::modelsAsked);
  connect(m_composer, &Composer::sendAsked, m_session, &ChatSession::send);
  connect(m_composer, &Composer::sendQueuedAsked, m_session, &ChatSession::sendQueued);
  connect(m_composer, &Composer::stopAsked, m_session, &ChatSession::stop);
  connect(m_composer, &Composer::queueEdited, m_session, &ChatSession::setQueue);
  connect(m_composer, &Composer::editLastAsked, m_transcript, &TranscriptView::editLastQuestion);
  connect(m_composer->optionsButton(), &QToolButton::toggled, this, &ChatPage::showSheet);
  connect(m_sheet, &SideSheet::closed, this, [this] { showSheet(false); });
  connect(m_transcript, &TranscriptView::linkActivated, this, &ChatPage::confirmLink);
  connect(m_session, &ChatSession::queueChanged, this,
          [this] { m_composer->setQueue(m_session->queue()); });
  connect(m_session, &ChatSession::contextMeasured, this,
          [this](qint64 tokens, qint64 limit) { m_composer->meter().set(tokens, limit); });
  connect(m_session, &ChatSession::titleGiven, this, [this](qint64 id) {
    m_panel->select(id);
    m_settings.setState(QLatin1String(kLastConversation), static_cast<qlonglong>(id));
  });
  connect(m_session, &ChatSession::opened, this, [this] {
    updateState();
    if (m_wantedMessage == 0 || m_session->isLoading()) return;
    m_session->showMessage(m_wantedMessage);
    m_transcript->scrollToMessage(std::exchange(m_wantedMessage, 0));
  });
  for (const auto signal : {&ChatSession::branchChanged, &ChatSession::answeringChanged}) {
    connect(m_session, signal, this, &ChatPage::updateState);
  }
  connect(m_session, &ChatSession::messageAdded, this, &ChatPage::updateState);
  connect(&engine, &EngineController::stateChanged, this, &ChatPage::updateState);
  connect(&chats, &ChatService::failed, this, [this](const QString& message, const QString& hint) {
    m_banner->show(Banner::Kind::kError, tr("Not stored: %1").arg(message), hint);
  });
  connect(&settings, &Settings::changed, this, [this](const QString& key) {
    if (key == u"chat.send_key") updateState();
  });
  connect(&Theme::instance(), &Theme::changed, this, &ChatPage::updateState);
  makeActions();
  setFocusProxy(&m_composer->editor());
  setTabOrder(&m_panel->list(), m_transcript);
  setTabOrder(m_transcript, &m_composer->editor());
  if (!chats.notices().isEmpty()) {
    m_banner->show(Banner::Kind::kWarning, chats.notices().join(u' '));
  }
  m_session->open(0);
  updateState();
}

QAction* ChatPage::command(const QString& text, int which, const QKeySequence& keys,
                           const std::function<void()>& run) {
  QAction* action = pageAction(this, text, static_cast<Icon>(which), keys, Role::kText);
  connect(action, &QAction::triggered, this, run);
  return action;
}

void ChatPage::makeActions() {
  const auto key = [](int code) { return QKeySequence(code); };
  const auto of = [](Icon which) { return static_cast<int>(which); };
  command(tr("New conversation"), of(Icon::kPlus), QKeySequence::New,
          [this] { newConversation(); });
  command(tr("Search conversations"), of(Icon::kSearch), QKeySequence(tr("Ctrl+Shift+F")),
          [this] { m_panel->focusSearch(); });
  command(tr("Write a message"), of(Icon::kEdit), QKeySequence(tr("Ctrl+L")),
          [this] { m_composer->editor().setFocus(); });
  m_stopAction = command(tr("Stop the answer"), of(Icon::kStop), QKeySequence(tr("Ctrl+.")),
                         [this] { m_session->stop(); });
  command(tr("Regenerate the last answer"), of(Icon::kRegenerate), QKeySequence(tr("Ctrl+R")),
          [this] { m_session->regenerate(m_session->tree().leaf()); });
  command(tr("Continue the last answer"), of(Icon::kContinue), QKeySequence(tr("Ctrl+Shift+R")),
          [this] { m_session->continueAnswer(m_session->tree().leaf()); });
  command(tr("Reproduce the last answer"), of(Icon::kSpark), {},
          [this] { m_session->reproduce(m_session->tree().leaf()); });
  command(tr("Edit your last message"), of(Icon::kEdit), QKeySequence(tr("Ctrl+Up")),
          [this] { m_transcript->editLastQuestion(); });
  command(tr("Previous version of the last answer"), of(Icon::kChevronLeft),
          QKeySequence(tr("Alt+Left")),
          [this] { m_session->showSibling(m_session->tree().leaf(), -1); });
  command(tr("Next version of the last answer"), of(Icon::kChevronRight),
          QKeySequence(tr("Alt+Right")),
          [this] { m_session->showSibling(m_session->tree().leaf(), 1); });
  command(tr("Previous message"), of(Icon::kChevronUp), QKeySequence(tr("Alt+Up")),
          [this] { m_transcript->focusNeighbour(-1); });
  command(tr("Next message"), of(Icon::kChevronDown), QKeySequence(tr("Alt+Down")),
          [this] { m_transcript->focusNeighbour(1); });
  command(tr("Rename the conversation"), of(Icon::kEdit), key(Qt::Key_F2),
          [this] { m_panel->renameSelected(); });
  command(tr("Delete the conversation"), of(Icon::kTrash), QKeySequence(tr("Ctrl+Shift+D")),
          [this] { m_panel->removeSelected(); });
  m_undoAction = command(tr("Undo deleting the conversation"), of(Icon::kUndo),
                         QKeySequence(tr("Ctrl+Shift+Z")), [this] { m_panel->undoRemove(); });
  m_undoAction->setEnabled(false);
  command(tr("Export as Markdown"), of(Icon::kExport), QKeySequence(tr("Ctrl+Shift+E")),
          [this] { m_panel->exportSelected(profile::ExportFormat::kMarkdown); });
  command(tr("Export as a web page"), of(Icon::kExport), {},
          [this] { m_panel->exportSelected(profile::ExportFormat::kHtml); });
  command(tr("Export as JSON"), of(Icon::kExport), {},
          [this] { m_panel->exportSelected(profile::ExportFormat::kJson); });
  command(tr("System prompt and sampling"), of(Icon::kSliders), QKeySequence(tr("Ctrl+Shift+S")),
          [this] { showSheet(m_sheet->isHidden()); });
}

void ChatPage::showSheet(bool shown) {
  m_sheet->setVisible(shown);
  m_composer->optionsButton()->setChecked(shown);
  m_settings.setState(QLatin1String(kSheetShown), shown);
}

void ChatPage::restore() {
  const profile::Id last = m_settings.state(QLatin1String(kLastConversation)).toLongLong();
  if (m_chats.find(last) != nullptr) openConversation(last);
}

void ChatPage::openConversation(profile::Id conversation, profile::Id message) {
  m_wantedMessage = message;
  m_panel->select(conversation);
  m_settings.setState(QLatin1String(kLastConversation), static_cast<qlonglong>(conversation));
  if (conversation == m_session->conversation()) {
    if (message != 0) {
      m_session->showMessage(message);
      m_transcript->scrollToMessage(message);
      m_wantedMessage = 0;
    }
    return;
  }
  m_session->open(conversation);
}

void ChatPage::newConversation() {
  m_wantedMessage = 0;
  m_session->open(0);
  m_panel->select(0);
  m_settings.setState(QLatin1String(kLastConversation), 0);
  m_composer->editor().setFocus();
}

void ChatPage::updateState() {
  const bool answering = m_session->isAnswering();
  const bool model = m_engine.model().has_value();
  const bool loading = m_engine.state() == EngineController::State::kLoading;
  m_composer->setAnswering(answering);
  m_composer->setSendWithEnter(m_settings.text("chat.send_key") == u"enter");
  m_composer->setBlocked(model || loading ? QString()
                                          : tr("Load a model on the Models page first"));
  m_stopAction->setEnabled(answering);
  m_undoAction->setEnabled(m_panel->canUndo());
  m_empty->show(m_engine.state(), model ? &*m_engine.model() : nullptr);
  const bool empty = m_session->tree().empty() && !m_session->isLoading();
  m_stack->setCurrentWidget(empty ? static_cast<QWidget*>(m_empty) : m_transcript);
  // Titles need more room when the text is large.
  m_panel->setFixedWidth(static_cast<int>(
      kPanelWidth * std::clamp((1 + Theme::instance().fontScale()) / 2, 1.0, 1.5)));
  m_composer->setMaximumWidth(m_transcript->columnWidth() + 2 * space::kM);
}

void ChatPage::resizeEvent(QResizeEvent*) {
  updateState();
}

void ChatPage::confirmLink(const QUrl& url) {
  const QString scheme = url.scheme();
  if (scheme != u"https" && scheme != u"http" && scheme != u"mailto") {
    m_banner->show(Banner::Kind::kWarning, tr("This link is not opened: %1").arg(url.toString()),
                   tr("Only web and mail addresses are."));
    return;
  }
  QMessageBox box(QMessageBox::Question, tr("Open this link?"),
                  tr("The model wrote this address. It is opened in your browser:"),
                  QMessageBox::Open | QMessageBox::Cancel, this);
  box.setTextFormat(Qt::PlainText);
  box.setInformativeText(url.toString(QUrl::FullyEncoded));
  box.setDefaultButton(QMessageBox::Cancel);
  if (box.exec() == QMessageBox::Open) QDesktopServices::openUrl(url);
}

void ChatPage::keyPressEvent(QKeyEvent* event) {
  if (event->key() == Qt::Key_Escape && m_session->isAnswering()) {
    m_session->stop();
    return;
  }
  QWidget::keyPressEvent(event);
}

}  // namespace haq::ui
