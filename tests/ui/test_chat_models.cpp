// SPDX-License-Identifier: GPL-3.0-or-later
#include <QAbstractItemModelTester>
#include <QFile>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QtTest>

#include "ui/models/chat_service.h"
#include "ui/models/conversation_list_model.h"
#include "ui/models/message_tree.h"

using namespace haq::ui;
using haq::profile::Id;
using haq::profile::Message;
using haq::profile::MessageState;
using haq::profile::Role;

namespace {

Message message(Id id, Id parent, Role role, const char* text = "") {
  return {id, 1, parent, role, text, MessageState::kDone, 1000 + id, "{}"};
}

}  // namespace

class TestChatModels : public QObject {
  Q_OBJECT

 private:
  std::filesystem::path file() const {
    return std::filesystem::path(m_folder->path().toStdString()) / "haq.db";
  }
  std::unique_ptr<QTemporaryDir> m_folder;

 private Q_SLOTS:
  void init() { m_folder = std::make_unique<QTemporaryDir>(); }

  void treeKeepsEveryVersion() {
    MessageTree tree({message(1, 0, Role::kUser), message(2, 1, Role::kAssistant),
                      message(3, 1, Role::kAssistant), message(4, 3, Role::kUser),
                      message(5, 4, Role::kAssistant), message(6, 0, Role::kUser)},
                     2);
    QCOMPARE(tree.branch(), (std::vector<Id>{1, 2}));
    QCOMPARE(tree.siblings(3), (std::vector<Id>{2, 3}));
    QCOMPARE(tree.siblings(1), (std::vector<Id>{1, 6}));
    QVERIFY(tree.show(tree.leafBelow(3)));
    QCOMPARE(tree.branch(), (std::vector<Id>{1, 3, 4, 5}));
    QVERIFY(tree.show(6));
    QCOMPARE(tree.leafBelow(1), 5);  // what was last shown there
    QVERIFY(!tree.show(99));
    tree.add(message(7, 6, Role::kAssistant));
    QCOMPARE(tree.branch(), (std::vector<Id>{6, 7}));
    tree.append(7, "a");
    tree.append(7, "b");
    tree.finish(7, MessageState::kStopped, "{}");
    QCOMPARE(tree.find(7)->content, std::string("ab"));
    QCOMPARE(tree.find(7)->state, MessageState::kStopped);
  }

  void treeOfADamagedFileEnds() {
    MessageTree loop({message(1, 2, Role::kUser), message(2, 1, Role::kAssistant)}, 2);
    QVERIFY(loop.branch().size() <= 2);
    QVERIFY(MessageTree({}, 5).branch().empty());
    QCOMPARE(MessageTree({message(1, 0, Role::kUser)}, 99).leaf(), 1);
  }

  void daysHaveNames() {
    const QDate today(2026, 3, 15);
    QCOMPARE(dayGroup(today, today), QStringLiteral("Today"));
    QCOMPARE(dayGroup(today.addDays(1), today), QStringLiteral("Today"));
    QCOMPARE(dayGroup(today.addDays(-1), today), QStringLiteral("Yesterday"));
    QCOMPARE(dayGroup(today.addDays(-6), today), QStringLiteral("Last 7 days"));
    QCOMPARE(dayGroup(today.addDays(-29), today), QStringLiteral("Last 30 days"));
    QCOMPARE(dayGroup(QDate(2026, 1, 2), today), QLocale().standaloneMonthName(1));
    QVERIFY(dayGroup(QDate(2025, 1, 2), today).endsWith(u"2025"));
  }

  void listModelIsSound() {
    const auto chats = ChatService::open(file());
    ConversationListModel model(*chats);
    QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
    QCOMPARE(model.rowCount(), 0);
    const Id first = chats->create(QStringLiteral("About dogs"), {}, {}, "{}");
    const Id second = chats->create(QStringLiteral("About cats"), {}, {}, "{}");
    QCOMPARE(model.rowCount(), 3);  // one heading
    QCOMPARE(model.index(0).data().toString(), QStringLiteral("Today"));
    QVERIFY(!(model.index(0).flags() & Qt::ItemIsSelectable));
    QCOMPARE(model.indexOf(second).row(), 1);
    QVERIFY(model.setData(model.indexOf(first), QStringLiteral("  Of   dogs "), Qt::EditRole));
    QCOMPARE(model.indexOf(first).data().toString(), QStringLiteral("Of dogs"));
    QVERIFY(!model.setData(model.indexOf(first), QStringLiteral("  "), Qt::EditRole));
    QVERIFY(!model.setData(model.index(0), QStringLiteral("x"), Qt::EditRole));
    chats->add({0, first, 0, Role::kUser, "What do puppies eat?", MessageState::kDone, 0, "{}"});
    QCOMPARE(model.indexOf(first).row(), 1);  // moved to the top

    QSignalSpy searched(&model, &ConversationListModel::searched);
    model.setSearch(QStringLiteral("nothing like it"));
    model.setSearch(QStringLiteral("pupp"));  // only the later question is answered
    QVERIFY(searched.wait());
    QCOMPARE(searched.size(), 1);
    QCOMPARE(model.rowCount(), 1);
    QCOMPARE(model.index(0).data(ConversationListModel::kConversationRole).toLongLong(), first);
    QVERIFY(model.index(0).data(Qt::AccessibleTextRole).toString().contains(u"puppies"));
    model.setSearch({});
    QCOMPARE(model.rowCount(), 3);
    chats->remove(second);
    QCOMPARE(model.rowCount(), 2);
    chats->restore(second);
    QCOMPARE(model.rowCount(), 3);
  }

  void everythingIsThereAfterARestart() {
    Id chat = 0;
    {
      const auto chats = ChatService::open(file());
      chat = chats->create(QStringLiteral("Kept"), QStringLiteral("demo"),
                           QStringLiteral("Be kind."), R"({"seed":5})");
      const Message question =
          chats->add({0, chat, 0, Role::kUser, "Hi", MessageState::kDone, 0, "{}"});
      const Message answer = chats->add(
          {0, chat, question.id, Role::kAssistant, "", MessageState::kStreaming, 0, "{}"});
      for (int i = 0; i < 20; ++i) chats->append(answer.id, QStringLiteral("wörd%1 ").arg(i));
      chats->finish(answer.id, MessageState::kDone, R"({"generated_tokens":20})");
    }
    const auto chats = ChatService::open(file());
    QVERIFY(!chats->isTemporary());
    QCOMPARE(chats->conversations().size(), 1U);
    QCOMPARE(chats->find(chat)->system_prompt, std::string("Be kind."));
    std::vector<Message> messages;
    bool loaded = false;
    chats->load(chat, this, [&](std::vector<Message> all) {
      messages = std::move(all);
      loaded = true;
    });
    QTRY_VERIFY(loaded);
    QCOMPARE(messages.size(), 2U);
    QVERIFY(QString::fromStdString(messages[1].content).endsWith(QStringLiteral("wörd19 ")));
    const Id next = chats->create(QStringLiteral("Next"), {}, {}, "{}");
    QVERIFY(next > chat);
  }

  void aSecondWindowWritesElsewhereAndSaysSo() {
    const auto first = ChatService::open(file());
    const auto second = ChatService::open(file());
    QVERIFY(!first->isTemporary());
    QVERIFY(second->isTemporary());
    QCOMPARE(second->notices().size(), 1);
    QVERIFY(second->notices().first().contains(u"another running program"));
    second->create(QStringLiteral("Only here"), {}, {}, "{}");
    second->flush();
    QCOMPARE(first->conversations().size(), 0U);
  }

  void aDamagedFileIsNoticed() {
    QFile broken(QString::fromStdString(file().string()));
    QVERIFY(broken.open(QIODevice::WriteOnly));
    broken.write("rubbish");
    broken.close();
    const auto chats = ChatService::open(file());
    QVERIFY(!chats->isTemporary());
    QCOMPARE(chats->notices().size(), 1);
    QVERIFY(chats->notices().first().contains(u"corrupt-"));
  }

  void whatIsNotStoredIsReported() {
    const auto chats = ChatService::open(file());
    QSignalSpy failed(chats.get(), &ChatService::failed);
    chats->append(404, QStringLiteral("nowhere"));
    QVERIFY(failed.wait());
    QVERIFY(failed.first().first().toString().contains(u"404"));
  }

  void exportReportsWhatWentWrong() {
    const auto chats = ChatService::open(file());
    const Id chat = chats->create(QStringLiteral("Out"), {}, {}, "{}");
    chats->add({0, chat, 0, Role::kUser, "Words", MessageState::kDone, 0, "{}"});
    QStringList errors;
    const QString good = m_folder->filePath(QStringLiteral("out.md"));
    const QString bad = m_folder->filePath(QStringLiteral("no/such/folder/out.md"));
    for (const QString& target : {good, bad}) {
      chats->exportTo(chat, haq::profile::ExportFormat::kMarkdown, target, this,
                      [&](const QString& error) { errors.append(error); });
    }
    QTRY_COMPARE(errors.size(), 2);
    QVERIFY(errors[0].isEmpty());
    QVERIFY(!errors[1].isEmpty());
    QFile written(good);
    QVERIFY(written.open(QIODevice::ReadOnly));
    QVERIFY(written.readAll().contains("Words"));
  }
};

QTEST_GUILESS_MAIN(TestChatModels)
#include "test_chat_models.moc"
