// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/chat_service.h"

#include <QPointer>
#include <algorithm>

#include "engine/base/clock.h"
#include "engine/base/file.h"

namespace haq::ui {

using profile::ChatStore;
using profile::Conversation;
using profile::Id;
using profile::Message;

namespace {

/// What is deleted can be brought back for this long, should the program end before the undo.
constexpr std::int64_t kKeepRemovedMs = std::int64_t{24} * 3600 * 1000;

QString sentence(const Error& error) {
  QString text = QString::fromStdString(error.what());
  if (!error.hint().empty())
    text += QStringLiteral(" (%1)").arg(QString::fromStdString(error.hint()));
  return text;
}

}  // namespace

std::unique_ptr<ChatService> ChatService::open(const std::filesystem::path& path) {
  QStringList notices;
  std::unique_ptr<QTemporaryDir> temporary;
  const auto openStore = [&]() -> ChatStore {
    try {
      return ChatStore::open(path);
    } catch (const Error& error) {
      notices.append(
          QObject::tr("Conversations of this window are not kept: %1").arg(sentence(error)));
    }
    temporary = std::make_unique<QTemporaryDir>();
    return ChatStore::open(std::filesystem::path(temporary->path().toStdString()) / "haq.db");
  };
  ChatStore store = openStore();
  for (const std::string& notice : store.notices()) notices.append(QString::fromStdString(notice));
  return std::unique_ptr<ChatService>(
      new ChatService(std::move(store), std::move(notices), std::move(temporary)));
}

ChatService::ChatService(ChatStore store, QStringList notices,
                         std::unique_ptr<QTemporaryDir> temporary)
    : m_notices(std::move(notices)), m_temporary(std::move(temporary)) {
  store.purge_removed(now_ms() - kKeepRemovedMs);
  m_conversations = store.conversations();
  m_nextConversation = store.next_conversation_id();
  m_nextMessage = store.next_message_id();
  m_thread = std::make_unique<profile::StoreThread>(std::move(store), [this](const Error& error) {
    const QString message = QString::fromStdString(error.what());
    const QString hint = QString::fromStdString(error.hint());
    // The thread is joined before this object goes, so `this` is alive here.
    QMetaObject::invokeMethod(
        this, [this, message, hint] { Q_EMIT failed(message, hint); }, Qt::QueuedConnection);
  });
}

ChatService::~ChatService() {
  m_thread.reset();
}

const Conversation* ChatService::find(Id id) const {
  const auto at = std::find_if(m_conversations.begin(), m_conversations.end(),
                               [id](const Conversation& entry) { return entry.id == id; });
  return at == m_conversations.end() ? nullptr : &*at;
}

Conversation* ChatService::findMutable(Id id) {
  return const_cast<Conversation*>(find(id));
}

void ChatService::touch(Id id, std::int64_t time) {
  const auto at = std::find_if(m_conversations.begin(), m_conversations.end(),
                               [id](const Conversation& entry) { return entry.id == id; });
  if (at == m_conversations.end()) return;
  at->updated_ms = time;
  std::rotate(m_conversations.begin(), at, at + 1);
  Q_EMIT listChanged();
}

Id ChatService::create(const QString& title, const QString& model, const QString& systemPrompt,
                       const std::string& sampling) {
  Conversation fresh;
  fresh.id = m_nextConversation++;
  fresh.title = title.toStdString();
  fresh.created_ms = fresh.updated_ms = now_ms();
  fresh.model = model.toStdString();
  fresh.system_prompt = systemPrompt.toStdString();
  fresh.sampling = sampling;
  m_conversations.insert(m_conversations.begin(), fresh);
  m_thread->post([fresh](ChatStore& store) { store.add(fresh); });
  Q_EMIT listChanged();
  return fresh.id;
}

void ChatService::rename(Id id, const QString& title) {
  Conversation* chat = findMutable(id);
  if (chat == nullptr) return;
  chat->title = title.toStdString();
  m_thread->post([id, text = chat->title](ChatStore& store) { store.rename(id, text); });
  Q_EMIT conversationChanged(id);
}

void ChatService::setModel(Id id, const QString& model) {
  Conversation* chat = findMutable(id);
  if (chat == nullptr || chat->model == model.toStdString()) return;
  chat->model = model.toStdString();
  m_thread->post([id, text = chat->model](ChatStore& store) { store.set_model(id, text); });
}

void ChatService::setSystemPrompt(Id id, const QString& text) {
  Conversation* chat = findMutable(id);
  if (chat == nullptr || chat->system_prompt == text.toStdString()) return;
  chat->system_prompt = text.toStdString();
  m_thread->post([id, prompt = chat->system_prompt](ChatStore& store) {
    store.set_system_prompt(id, prompt);
  });
  Q_EMIT conversationChanged(id);
}

void ChatService::setSampling(Id id, const std::string& json) {
  Conversation* chat = findMutable(id);
  if (chat == nullptr || chat->sampling == json) return;
  chat->sampling = json;
  m_thread->post([id, json](ChatStore& store) { store.set_sampling(id, json); });
  Q_EMIT conversationChanged(id);
}

void ChatService::setActiveLeaf(Id id, Id leaf) {
  Conversation* chat = findMutable(id);
  if (chat == nullptr || chat->active_leaf == leaf) return;
  chat->active_leaf = leaf;
  m_thread->post([id, leaf](ChatStore& store) { store.set_active_leaf(id, leaf); });
}

void ChatService::remove(Id id) {
  const auto at = std::find_if(m_conversations.begin(), m_conversations.end(),
                               [id](const Conversation& entry) { return entry.id == id; });
  if (at == m_conversations.end()) return;
  m_removed.push_back(*at);
  m_conversations.erase(at);
  m_thread->post([id](ChatStore& store) { store.remove(id); });
  Q_EMIT listChanged();
}

void ChatService::restore(Id id) {
  const auto at = std::find_if(m_removed.begin(), m_removed.end(),
                               [id](const Conversation& entry) { return entry.id == id; });
  if (at == m_removed.end()) return;
  const auto place =
      std::find_if(m_conversations.begin(), m_conversations.end(),
                   [&](const Conversation& entry) { return entry.updated_ms <= at->updated_ms; });
  m_conversations.insert(place, *at);
  m_removed.erase(at);
  m_thread->post([id](ChatStore& store) { store.restore(id); });
  Q_EMIT listChanged();
}

Message ChatService::add(Message message) {
  message.id = m_nextMessage++;
  message.created_ms = now_ms();
  if (Conversation* chat = findMutable(message.conversation)) chat->active_leaf = message.id;
  m_thread->post([message](ChatStore& store) { store.add(message); });
  touch(message.conversation, message.created_ms);
  return message;
}

void ChatService::append(Id message, const QString& text) {
  m_thread->post(
      [message, utf8 = text.toStdString()](ChatStore& store) { store.append(message, utf8); });
}

void ChatService::finish(Id message, profile::MessageState state, const std::string& metrics) {
  m_thread->post(
      [message, state, metrics](ChatStore& store) { store.finish(message, state, metrics); });
}

template <typename Result>
void ChatService::ask(QObject* context, std::function<Result(ChatStore&)> job,
                      std::function<void(Result)> done) {
  // Delivery goes through this object, which outlives the thread; the guard is read on the GUI
  // thread.
  m_thread->post([this, guard = QPointer<QObject>(context), job = std::move(job),
                  done = std::move(done)](ChatStore& store) {
    auto result = std::make_shared<Result>(job(store));
    QMetaObject::invokeMethod(
        this,
        [guard, done, result] {
          if (guard) done(std::move(*result));
        },
        Qt::QueuedConnection);
  });
}

void ChatService::load(Id conversation, QObject* context,
                       std::function<void(std::vector<Message>)> done) {
  ask<std::vector<Message>>(
      context, [conversation](ChatStore& store) { return store.messages(conversation); },
      std::move(done));
}

void ChatService::search(const QString& text, QObject* context,
                         std::function<void(std::vector<profile::SearchHit>)> done) {
  ask<std::vector<profile::SearchHit>>(
      context, [utf8 = text.toStdString()](ChatStore& store) { return store.search(utf8); },
      std::move(done));
}

void ChatService::exportTo(Id conversation, profile::ExportFormat format, const QString& file,
                           QObject* context, std::function<void(QString)> done) {
  ask<QString>(
      context,
      [conversation, format, path = file.toStdString()](ChatStore& store) {
        try {
          write_file_atomically(path, export_conversation(store.conversation(conversation),
                                                          store.messages(conversation), format));
        } catch (const Error& error) {
          return sentence(error);
        }
        return QString();
      },
      std::move(done));
}

void ChatService::run(QObject* context, std::function<void(ChatStore&)> job,
                      std::function<void()> done) {
  ask<bool>(
      context,
      [job = std::move(job)](ChatStore& store) {
        job(store);
        return true;
      },
      [done = std::move(done)](bool) { done(); });
}

void ChatService::flush() {
  m_thread->flush();
}

}  // namespace haq::ui
