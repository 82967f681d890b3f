// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QObject>
#include <QStringList>
#include <QTemporaryDir>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "engine/profile/chats/chat_export.h"
#include "engine/profile/chats/chat_store.h"
#include "engine/profile/chats/store_thread.h"

namespace haq::ui {

/// The stored conversations as the GUI sees them: a list in memory, and a thread that owns the
/// file. Every change returns at once and is stored in the order it was made; answers come back on
/// the GUI thread. Because there is one writer, ids are given here. GUI thread only.
class ChatService : public QObject {
  Q_OBJECT
 public:
  /// Opens the file. When it cannot be written (another window has it, a newer version wrote it, a
  /// full or read-only disk), a temporary one takes its place and notices() says so and why.
  static std::unique_ptr<ChatService> open(const std::filesystem::path& path);
  ~ChatService() override;  ///< stores what is left

  /// Sentences about opening, for the user; may be empty.
  const QStringList& notices() const { return m_notices; }
  /// What is written now is gone when the program ends.
  bool isTemporary() const { return m_temporary != nullptr; }

  /// Newest first.
  const std::vector<profile::Conversation>& conversations() const { return m_conversations; }
  const profile::Conversation* find(profile::Id id) const;

  profile::Id create(const QString& title, const QString& model, const QString& systemPrompt,
                     const std::string& sampling);
  void rename(profile::Id id, const QString& title);
  void setModel(profile::Id id, const QString& model);
  void setSystemPrompt(profile::Id id, const QString& text);
  void setSampling(profile::Id id, const std::string& json);
  void setActiveLeaf(profile::Id id, profile::Id leaf);
  void remove(profile::Id id);   ///< into the bin
  void restore(profile::Id id);  ///< the last removed; the list gets it back

  /// Stores a message; gives it an id and a time and returns it with both.
  profile::Message add(profile::Message message);
  void append(profile::Id message, const QString& text);
  void finish(profile::Id message, profile::MessageState state, const std::string& metrics);

  /// The callbacks run on the GUI thread, never after `context` is gone.
  void load(profile::Id conversation, QObject* context,
            std::function<void(std::vector<profile::Message>)> done);
  void search(const QString& text, QObject* context,
              std::function<void(std::vector<profile::SearchHit>)> done);
  /// `error` is empty when the file was written.
  void exportTo(profile::Id conversation, profile::ExportFormat format, const QString& file,
                QObject* context, std::function<void(QString error)> done);
  /// Other tables of the same database: runs `job` on the store's thread after what was asked
  /// before, then `done` as above (not after an error, which is reported by failed()).
  void run(QObject* context, std::function<void(profile::ChatStore&)> job,
           std::function<void()> done);
  void flush();  ///< waits for the disk: only at the end and in tests

 Q_SIGNALS:
  void listChanged();                                        ///< a conversation came, went or moved
  void conversationChanged(qint64 id);                       ///< title or options of one
  void failed(const QString& message, const QString& hint);  ///< something was not stored

 private:
  ChatService(profile::ChatStore store, QStringList notices,
              std::unique_ptr<QTemporaryDir> temporary);
  profile::Conversation* findMutable(profile::Id id);
  void touch(profile::Id id, std::int64_t time);
  template <typename Result>
  void ask(QObject* context, std::function<Result(profile::ChatStore&)> job,
           std::function<void(Result)> done);

  QStringList m_notices;
  std::unique_ptr<QTemporaryDir> m_temporary;
  std::vector<profile::Conversation> m_conversations;
  std::vector<profile::Conversation> m_removed;
  profile::Id m_nextConversation = 1;
  profile::Id m_nextMessage = 1;
  std::unique_ptr<profile::StoreThread> m_thread;  ///< last: its jobs use what is above
};

}  // namespace haq::ui
