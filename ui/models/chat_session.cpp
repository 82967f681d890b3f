// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/chat_session.h"

#include <QRandomGenerator>

#include "ui/models/request_defaults.h"

namespace haq::ui {

using profile::Id;
using profile::Message;
using profile::MessageState;

namespace {

constexpr qsizetype kTitleLength = 60;
/// Fresh seeds stay short enough to read aloud.
constexpr quint32 kSeeds = 1'000'000'000;

/// The first line, cut at a word.
QString titleOf(const QString& text) {
  QString title = text.trimmed().section(u'\n', 0, 0).simplified();
  if (title.size() > kTitleLength) {
    const qsizetype space = title.lastIndexOf(u' ', kTitleLength);
    title = title.left(space > kTitleLength / 2 ? space : kTitleLength) + u'…';
  }
  return title.isEmpty() ? QObject::tr("New conversation") : title;
}

MessageState stateOf(Finish finish) {
  switch (finish) {
    case Finish::kError:
      return MessageState::kFailed;
    case Finish::kCancelled:
      return MessageState::kStopped;
    default:
      return MessageState::kDone;
  }
}

QString keyOf(Id conversation) {
  return QString::number(conversation);
}

}  // namespace

ChatSession::ChatSession(EngineController& engine, ChatService& chats, const Settings& settings,
                         QObject* parent)
    : QObject(parent),
      m_engine(engine),
      m_chats(chats),
      m_settings(settings),
      m_tree(std::make_shared<MessageTree>()) {
  connect(&engine, &EngineController::tokensReady, this,
          [this](quint64 id, const QString& text, int tokens) {
            const auto at = m_running.find(id);
            if (at == m_running.end()) return;
            const Running& running = at->second;
            m_chats.append(running.message, text);
            m_busyTrees.at(running.conversation)->append(running.message, text.toStdString());
            if (running.conversation != m_conversation) return;
            m_contextTokens += tokens;
            Q_EMIT textAppended(running.message, text);
            Q_EMIT contextMeasured(m_contextTokens, m_contextLimit);
          });
  connect(&engine, &EngineController::prefillProgress, this,
          [this](quint64 id, qint64 done, qint64 total) {
            const auto at = m_running.find(id);
            if (at == m_running.end() || at->second.conversation != m_conversation) return;
            m_contextTokens = total;
            Q_EMIT prefill(at->second.message, done, total);
          });
  connect(&engine, &EngineController::generationFinished, this, &ChatSession::finished);
  connect(&engine, &EngineController::promptMeasured, this,
          [this](quint64 tag, qint64 tokens, qint64 limit) {
            if (static_cast<Id>(tag) != m_conversation || isAnswering()) return;
            m_contextTokens = tokens;
            m_contextLimit = limit;
            Q_EMIT contextMeasured(tokens, limit);
          });
  connect(&engine, &EngineController::modelLoaded, this, [this] {
    m_contextLimit = m_engine.model() ? m_engine.model()->maxContext : 0;
    Q_EMIT optionsChanged();
    measure();
    if (!isAnswering()) sendQueued();
  });
  connect(&engine, &EngineController::stateChanged, this, [this] { Q_EMIT answeringChanged(); });
  connect(&chats, &ChatService::conversationChanged, this, [this](qint64 id) {
    if (id == m_conversation) Q_EMIT optionsChanged();
  });
  connect(&settings, &Settings::changed, this, [this](const QString& key) {
    if (key.startsWith(u"sampling.") || key.startsWith(u"chat.")) Q_EMIT optionsChanged();
  });
}

void ChatSession::open(Id conversation) {
  if (conversation == m_conversation && conversation != 0) return;
  m_conversation = conversation;
  m_draftSystemPrompt.clear();
  m_draftOptions = {};
  m_loading = false;
  const auto busy = m_busyTrees.find(conversation);
  if (busy != m_busyTrees.end()) {
    m_tree = busy->second;
  } else {
    m_tree = std::make_shared<MessageTree>();
    if (conversation != 0) {
      m_loading = true;
      m_chats.load(conversation, this, [this, conversation](std::vector<Message> messages) {
        if (m_conversation != conversation || !m_loading) return;
        m_loading = false;
        const profile::Conversation* chat = m_chats.find(conversation);
        m_tree = std::make_shared<MessageTree>(std::move(messages),
                                               chat == nullptr ? 0 : chat->active_leaf);
        Q_EMIT opened();
        measure();
      });
    }
  }
  Q_EMIT opened();
  Q_EMIT optionsChanged();
  Q_EMIT queueChanged();
  Q_EMIT answeringChanged();
  if (!m_loading) measure();
}

const ChatSession::Running* ChatSession::runningHere() const {
  for (const auto& [id, running] : m_running) {
    if (running.conversation == m_conversation) return &running;
  }
  return nullptr;
}

bool ChatSession::isAnswering() const {
  return runningHere() != nullptr;
}

bool ChatSession::ensureConversation(const QString& firstText) {
  if (m_conversation != 0) return false;
  const QString model = m_engine.model() ? m_engine.model()->name : QString();
  const Id id =
      m_chats.create(titleOf(firstText), model, m_draftSystemPrompt, m_draftOptions.toJson());
  m_conversation = id;
  Q_EMIT titleGiven(id);
  return true;
}

Id ChatSession::addMessage(profile::Role role, Id parent, const QString& text, MessageState state) {
  Message message;
  message.conversation = m_conversation;
  message.parent = parent;
  message.role = role;
  message.content = text.toStdString();
  message.state = state;
  if (state == MessageState::kStreaming && m_engine.model()) {
    message.metrics = nlohmann::json({{"model", m_engine.model()->name.toStdString()}}).dump();
  }
  message = m_chats.add(std::move(message));
  // Within the branch on show only what is below `parent` changes.
  const bool atEnd = m_tree->leaf() == parent;
  m_tree->add(message);
  if (atEnd) {
    Q_EMIT messageAdded(message.id);
  } else {
    Q_EMIT branchChanged();
  }
  return message.id;
}

void ChatSession::send(const QString& text) {
  if (text.trimmed().isEmpty() || m_loading) return;
  if (isAnswering() || m_engine.state() == EngineController::State::kLoading) {
    ensureConversation(text);
    m_queues[m_conversation].append(text);
    Q_EMIT queueChanged();
    return;
  }
  ensureConversation(text);
  const Id question = addMessage(profile::Role::kUser, m_tree->leaf(), text, MessageState::kDone);
  answer({.parent = question});
}

void ChatSession::sendQueued() {
  const auto queue = m_queues.find(m_conversation);
  if (queue == m_queues.end() || queue->isEmpty() || isAnswering() || m_loading) return;
  const QString text = queue->takeFirst();
  Q_EMIT queueChanged();
  send(text);
}

void ChatSession::setQueue(const QStringList& texts) {
  m_queues[m_conversation] = texts;
  Q_EMIT queueChanged();
}

void ChatSession::stop() {
  m_engine.stop();
}

void ChatSession::regenerate(Id answerId) {
  const Message* message = m_tree->find(answerId);
  if (message == nullptr || !canAct()) return;
  answer({.parent = message->role == profile::Role::kUser ? message->id : message->parent});
}

void ChatSession::edit(Id id, const QString& text) {
  const Message* message = m_tree->find(id);
  if (message == nullptr || isAnswering() || text.trimmed().isEmpty()) return;
  const profile::Role role = message->role;
  const Id sibling = addMessage(role, message->parent, text, MessageState::kDone);
  if (role == profile::Role::kUser) answer({.parent = sibling});
}

void ChatSession::continueAnswer(Id id) {
  const Message* message = m_tree->find(id);
  if (message == nullptr || message->role != profile::Role::kAssistant || !canAct()) return;
  answer({.parent = message->parent, .prefix = QString::fromStdString(message->content)});
}

void ChatSession::reproduce(Id id) {
  const Message* message = m_tree->find(id);
  if (message == nullptr || !canAct()) return;
  Answer what{.parent = message->parent, .reproduces = id};
  what.sampling = storedSampling(message->metrics, what.maxTokens);
  if (what.sampling) answer(what);
}

void ChatSession::answer(const Answer& what) {
  GenerationRequest job = request();
  if (what.sampling) {
    job.sampling = what.sampling;
    job.maxTokens = what.maxTokens.value_or(job.maxTokens);
  } else if (!options().seed && job.sampling && job.sampling->temperature > 0) {
    job.sampling->seed = QRandomGenerator::global()->bounded(kSeeds);
  }
  job.conversation = keyOf(m_conversation);
  job.messages = messagesTo(what.parent);
  job.answerPrefix = what.prefix;
  const Id message =
      addMessage(profile::Role::kAssistant, what.parent, what.prefix, MessageState::kStreaming);
  if (m_engine.model()) m_chats.setModel(m_conversation, m_engine.model()->name);
  m_busyTrees[m_conversation] = m_tree;
  m_running[m_engine.generate(job)] = {m_conversation, message, what.reproduces};
  Q_EMIT answeringChanged();
}

void ChatSession::finished(quint64 generation, const GenerationSummary& summary) {
  const auto at = m_running.find(generation);
  if (at == m_running.end()) return;
  const Running running = at->second;
  m_running.erase(at);
  const std::shared_ptr<MessageTree> tree = m_busyTrees.at(running.conversation);
  m_busyTrees.erase(running.conversation);
  nlohmann::ordered_json metrics = metricsOf(summary);
  if (running.reproduces != 0 && summary.finish != Finish::kError) {
    const Message* original = tree->find(running.reproduces);
    const Message* copy = tree->find(running.message);
    metrics["reproduces"] = running.reproduces;
    metrics["identical"] =
        original != nullptr && copy != nullptr && original->content == copy->content;
  }
  const std::string stored =
      metrics.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  m_chats.finish(running.message, stateOf(summary.finish), stored);
  tree->finish(running.message, stateOf(summary.finish), stored);
  if (running.conversation != m_conversation) return;
  Q_EMIT messageFinished(running.message);
  Q_EMIT answeringChanged();
  if (summary.finish != Finish::kError) {
    m_contextTokens = summary.contextTokens;
    m_contextLimit = summary.contextLimit;
    Q_EMIT contextMeasured(m_contextTokens, m_contextLimit);
  }
  // What the user stopped, or what failed, is not followed by the rest of the queue by itself.
  if (stateOf(summary.finish) == MessageState::kDone) sendQueued();
}

void ChatSession::showSibling(Id id, int step) {
  if (isAnswering()) return;
  const std::vector<Id> siblings = m_tree->siblings(id);
  for (std::size_t i = 0; i < siblings.size(); ++i) {
    const auto target = static_cast<std::ptrdiff_t>(i) + step;
    if (siblings[i] != id || target < 0 || target >= static_cast<std::ptrdiff_t>(siblings.size())) {
      continue;
    }
    showMessage(siblings[static_cast<std::size_t>(target)]);
    return;
  }
}

bool ChatSession::showMessage(Id id) {
  if (m_tree->find(id) == nullptr || isAnswering()) return false;
  for (const Id shown : m_tree->branch()) {
    if (shown == id) return true;
  }
  m_tree->show(m_tree->leafBelow(id));
  m_chats.setActiveLeaf(m_conversation, m_tree->leaf());
  Q_EMIT branchChanged();
  measure();
  return true;
}

nlohmann::ordered_json ChatSession::messagesTo(Id leaf) const {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  const QString system = systemPrompt();
  if (!system.trimmed().isEmpty()) {
    messages.push_back({{"role", "system"}, {"content", system.toStdString()}});
  }
  for (const Id id : m_tree->branch()) {
    const Message* message = m_tree->find(id);
    // An answer that failed before its first word says nothing to the model.
    if (message->role == profile::Role::kUser || !message->content.empty()) {
      messages.push_back(
          {{"role", profile::to_string(message->role)}, {"content", message->content}});
    }
    if (id == leaf) break;
  }
  return messages;
}

QString ChatSession::systemPrompt() const {
  const profile::Conversation* chat = m_chats.find(m_conversation);
  return chat == nullptr ? m_draftSystemPrompt : QString::fromStdString(chat->system_prompt);
}

void ChatSession::setSystemPrompt(const QString& text) {
  if (m_conversation == 0) {
    m_draftSystemPrompt = text;
    Q_EMIT optionsChanged();
  } else {
    m_chats.setSystemPrompt(m_conversation, text);
  }
  measure();
}

ChatOptions ChatSession::options() const {
  const profile::Conversation* chat = m_chats.find(m_conversation);
  return chat == nullptr ? m_draftOptions : ChatOptions::fromJson(chat->sampling);
}

void ChatSession::setOptions(const ChatOptions& options) {
  if (m_conversation == 0) {
    m_draftOptions = options;
    Q_EMIT optionsChanged();
  } else {
    m_chats.setSampling(m_conversation, options.toJson());
  }
}

GenerationRequest ChatSession::request() const {
  const ModelInfo* model = m_engine.model() ? &*m_engine.model() : nullptr;
  GenerationRequest job = defaultRequest(m_settings, model);
  const ChatOptions own = options();
  if (job.sampling) own.applyTo(*job.sampling);
  job.maxTokens = own.maxTokens.value_or(job.maxTokens);
  return job;
}

std::optional<GenerationRequest> ChatSession::effectiveRequest() const {
  if (!m_engine.model()) return std::nullopt;
  return request();
}

void ChatSession::measure() {
  if (!m_engine.model() || isAnswering() || m_loading) return;
  if (m_tree->empty()) {
    m_contextTokens = 0;
    m_contextLimit = m_engine.model()->maxContext;
    Q_EMIT contextMeasured(m_contextTokens, m_contextLimit);
    return;
  }
  m_engine.measure(static_cast<quint64>(m_conversation), messagesTo(m_tree->leaf()));
}

}  // namespace haq::ui
