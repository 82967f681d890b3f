// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

#include "ui/models/chat_session.h"
#include "ui/models/settings.h"

class QStackedWidget;
class QUrl;

namespace haq::ui {

class Banner;
class Composer;
class ConversationPanel;
class EmptyChat;
class SideSheet;
class TranscriptView;

/// The Chat page: conversations, transcript, composer, side sheet. What it can do is in actions().
class ChatPage : public QWidget {
  Q_OBJECT
 public:
  ChatPage(EngineController& engine, ChatService& chats, Settings& settings,
           QWidget* parent = nullptr);

  /// Opens the conversation that was on show when the program ended, if it is still there.
  void restore();
  void openConversation(profile::Id conversation, profile::Id message = 0);
  void newConversation();

  ChatSession& session() { return *m_session; }
  ConversationPanel& panel() { return *m_panel; }
  TranscriptView& transcript() { return *m_transcript; }
  Composer& composer() { return *m_composer; }
  SideSheet& sheet() { return *m_sheet; }
  EmptyChat& emptyChat() { return *m_empty; }
  void showSheet(bool shown);

 Q_SIGNALS:
  /// The page cannot go on without a model; the window shows where to load one.
  void modelsAsked();

 protected:
  void keyPressEvent(QKeyEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;

 private:
  QAction* command(const QString& text, int icon, const QKeySequence& keys,
                   const std::function<void()>& run);
  void makeActions();
  void updateState();
  void confirmLink(const QUrl& url);

  EngineController& m_engine;
  ChatService& m_chats;
  Settings& m_settings;
  ChatSession* m_session;
  ConversationPanel* m_panel;
  QStackedWidget* m_stack;
  TranscriptView* m_transcript;
  EmptyChat* m_empty;
  Banner* m_banner;
  Composer* m_composer;
  QWidget* m_composerFrame;
  SideSheet* m_sheet;
  QAction* m_stopAction = nullptr;
  QAction* m_undoAction = nullptr;
  profile::Id m_wantedMessage = 0;
};

}  // namespace haq::ui
