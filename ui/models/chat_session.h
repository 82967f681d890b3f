// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QHash>
#include <QObject>
#include <map>
#include <memory>

#include "ui/models/chat_options.h"
#include "ui/models/chat_service.h"
#include "ui/models/message_tree.h"
#include "ui/models/settings.h"

namespace haq::ui {

/// The conversation on show and the answers being written: what Send, Stop, Regenerate, Edit,
/// Continue and Reproduce do, each stored as it happens. An answer goes on when another
/// conversation is opened. Nothing is destroyed: every action adds a message or a sibling.
class ChatSession : public QObject {
  Q_OBJECT
 public:
  ChatSession(EngineController& engine, ChatService& chats, const Settings& settings,
              QObject* parent = nullptr);

  /// Shows a conversation; 0 is a new one, which is stored with its first message.
  void open(profile::Id conversation);
  profile::Id conversation() const { return m_conversation; }
  bool isLoading() const { return m_loading; }
  const MessageTree& tree() const { return *m_tree; }

  /// Sends, or queues when this conversation is being answered or the model is still loading.
  void send(const QString& text);
  void stop();
  /// An answer is being written, or waits for its turn, in the conversation on show.
  bool isAnswering() const;

  void regenerate(profile::Id answer);  ///< or answers a question that has no answer
  void edit(profile::Id message, const QString& text);  ///< a question is answered anew
  void continueAnswer(profile::Id answer);
  /// Another answer with the stored seed and sampling; says whether it came out the same.
  void reproduce(profile::Id answer);
  void showSibling(profile::Id message, int step);
  bool showMessage(profile::Id message);  ///< the branch through it
  bool canAct() const { return !isAnswering() && m_engine.model().has_value(); }

  QStringList queue() const { return m_queues.value(m_conversation); }
  void setQueue(const QStringList& texts);
  void sendQueued();

  QString systemPrompt() const;
  void setSystemPrompt(const QString& text);
  ChatOptions options() const;
  void setOptions(const ChatOptions& options);
  /// What the next answer would be written with; none while there is no model.
  std::optional<GenerationRequest> effectiveRequest() const;
  /// Asks how many tokens the conversation takes now (contextMeasured).
  void measure();

  EngineController& engine() { return m_engine; }
  ChatService& chats() { return m_chats; }
  const Settings& settings() const { return m_settings; }

 Q_SIGNALS:
  void opened();                 ///< another conversation, or its messages have arrived
  void branchChanged();          ///< other messages are on show
  void messageAdded(qint64 id);  ///< at the end of the branch on show
  void textAppended(qint64 id, const QString& text);
  void messageFinished(qint64 id);
  void prefill(qint64 id, qint64 done, qint64 total);
  void queueChanged();
  void answeringChanged();
  void optionsChanged();
  void contextMeasured(qint64 tokens, qint64 limit);
  void titleGiven(qint64 conversation);

 private:
  struct Running {
    profile::Id conversation = 0;
    profile::Id message = 0;
    profile::Id reproduces = 0;
  };
  struct Answer {
    profile::Id parent = 0;
    QString prefix = {};
    std::optional<session::SamplingOptions> sampling = {};
    std::optional<int> maxTokens = {};
    profile::Id reproduces = 0;
  };

  bool ensureConversation(const QString& firstText);
  profile::Id addMessage(profile::Role role, profile::Id parent, const QString& text,
                         profile::MessageState state);
  void answer(const Answer& what);
  void finished(quint64 generation, const GenerationSummary& summary);
  nlohmann::ordered_json messagesTo(profile::Id leaf) const;
  GenerationRequest request() const;
  const Running* runningHere() const;

  EngineController& m_engine;
  ChatService& m_chats;
  const Settings& m_settings;
  profile::Id m_conversation = 0;
  bool m_loading = false;
  std::shared_ptr<MessageTree> m_tree;  ///< never null
  std::map<profile::Id, std::shared_ptr<MessageTree>>
      m_busyTrees;  ///< of conversations in m_running
  std::map<quint64, Running> m_running;
  QHash<profile::Id, QStringList> m_queues;
  QString m_draftSystemPrompt;  ///< of a conversation that is not stored yet
  ChatOptions m_draftOptions;
  qint64 m_contextTokens = 0;
  qint64 m_contextLimit = 0;
};

}  // namespace haq::ui
