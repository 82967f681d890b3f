// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/tour.h"

#include <QApplication>
#include <QDialog>
#include <QDir>
#include <QElapsedTimer>
#include <QLineEdit>
#include <QListView>
#include <QPainter>
#include <QPlainTextEdit>
#include <QSpinBox>
#include <QTemporaryDir>
#include <cstdio>
#include <functional>

#include "engine/base/file.h"
#include "ui/chat/chat_page.h"
#include "ui/chat/composer.h"
#include "ui/chat/conversation_panel.h"
#include "ui/chat/empty_chat.h"
#include "ui/chat/side_sheet.h"
#include "ui/shared/format.h"
#include "ui/shared/widgets.h"
#include "ui/views/command_palette.h"
#include "ui/views/loop_watchdog.h"
#include "ui/views/memory_bar.h"
#include "ui/views/model_bar.h"
#include "ui/views/model_details.h"
#include "ui/views/models_page.h"
#include "ui/views/settings_page.h"
#include "ui/views/status_strip.h"
#include "ui/views/studio.h"
#include "ui/views/tour_tools.h"
#include "ui/views/wizard_tour.h"
#include "ui/wizard/quantize_page.h"

namespace haq::ui {

using namespace tour;

namespace {

constexpr QSize kWindow{1280, 720};
class Tour {
 public:
  Tour(Studio& studio, const QString& folder)
      : m_studio(studio), m_window(studio.window()), m_folder(folder), m_wizard(studio) {}

  int run();

 private:
  void step(const QString& name, const std::function<QString()>& act, bool picture = true);
  void picture(const QString& name);
  QPixmap grab() const;
  QDialog* keySheet() const;

  QString start();
  QString load();
  QString ask(const QString& question);
  QString finishAnswer();
  QString branch();
  QString sideSheet();
  QString search();
  QString models();
  void quantize();
  QString settings();
  QString palette();
  QString keys();
  QString refusal();
  QString largeText();
  profile::Message lastAnswer() const;
  void trigger(const QWidget& owner, const QString& command) const;

  Studio& m_studio;
  MainWindow& m_window;
  QString m_folder;
  WizardTour m_wizard;
  LoopWatchdog m_watchdog;
  int m_number = 0;
  int m_failures = 0;
  int m_steps = 0;
};

QPixmap Tour::grab() const {
  QPixmap shot = m_window.grab();
  QPainter painter(&shot);
  for (QWidget* other : QApplication::topLevelWidgets()) {
    if (other == &m_window || !other->isVisible() || other->parentWidget() == nullptr) continue;
    painter.drawPixmap(other->pos() - m_window.pos(), other->grab());
  }
  return shot;
}

void Tour::picture(const QString& name) {
  const QVariant before = m_studio.settings().value("appearance.theme");
  for (const char* mode : {"light", "dark"}) {
    m_studio.settings().setValue("appearance.theme", QString::fromLatin1(mode));
    spin(kSettleMs);
    const QString file = QStringLiteral("%1/%2-%3-%4.png")
                             .arg(m_folder)
                             .arg(m_number, 2, 10, QLatin1Char('0'))
                             .arg(name, QString::fromLatin1(mode));
    require(grab().save(file), QStringLiteral("%1 cannot be written").arg(file));
  }
  m_studio.settings().setValue("appearance.theme", before);
}

void Tour::step(const QString& name, const std::function<QString()>& act, bool withPicture) {
  ++m_number;
  ++m_steps;
  m_watchdog.takeLongest();
  QElapsedTimer clock;
  clock.start();
  QString line;
  bool failed = false;
  try {
    line = act();
    const double stall = m_watchdog.takeLongest();
    line += QStringLiteral(" (%1, longest stall %2)")
                .arg(format::duration(static_cast<double>(clock.elapsed()) / 1000),
                     format::duration(stall / 1000));
    if (withPicture) picture(name);
  } catch (const Wrong& wrong) {
    failed = true;
    line = wrong.why;
  } catch (const Error& error) {
    failed = true;
    line = QString::fromUtf8(error.what());
  }
  if (failed) {
    ++m_failures;
    grab().save(QStringLiteral("%1/%2-%3-failed.png")
                    .arg(m_folder)
                    .arg(m_number, 2, 10, QLatin1Char('0'))
                    .arg(name));
  }
  std::printf("%s %02d %s: %s\n", failed ? "FAILED" : "ok", m_number, qPrintable(name),
              qPrintable(line));
  std::fflush(stdout);
}

void Tour::trigger(const QWidget& owner, const QString& command) const {
  for (QAction* action : owner.actions()) {
    if (ActionModel::plainText(*action) != command) continue;
    require(action->isEnabled(), QStringLiteral("the command '%1' is off").arg(command));
    action->trigger();
    return;
  }
  throw Wrong{QStringLiteral("there is no command '%1'").arg(command)};
}

profile::Message Tour::lastAnswer() const {
  const auto path = m_studio.chatPage().session().tree().branch();
  require(!path.empty(), QStringLiteral("the conversation is empty"));
  return *m_studio.chatPage().session().tree().find(path.back());
}

QString Tour::start() {
  m_window.resize(kWindow);
  QElapsedTimer clock;
  clock.start();
  bool painted = false;
  QObject::connect(&m_window, &MainWindow::shownFirst, &m_window, [&painted] { painted = true; });
  m_studio.start({});
  await([&] { return painted; }, kShortMs, QStringLiteral("the window was not painted"));
  const double seconds = static_cast<double>(clock.elapsed()) / 1000;
  require(m_window.size() == kWindow, QStringLiteral("the window does not fit 1280 x 720"));
  require(m_window.welcomeBanner().isVisible(), QStringLiteral("the welcome line is not shown"));
  return QStringLiteral("first frame after %1").arg(format::duration(seconds));
}

QString Tour::load() {
  await([&] { return m_studio.engine().model().has_value(); }, kLoadMs,
        QStringLiteral("the demo model was not loaded: ") + m_window.problemBanner().text());
  const ModelInfo& info = *m_studio.engine().model();
  require(info.isDemo && info.experts > 0, QStringLiteral("another model was loaded"));
  await([&] { return m_window.modelBar().chipText().contains(info.name); }, kShortMs,
        QStringLiteral("the model chip does not name the model"));
  require(m_studio.chatPage().emptyChat().isVisible() &&
              !m_studio.chatPage().emptyChat().samples().isEmpty(),
          QStringLiteral("the empty chat offers no prompts"));
  return QStringLiteral("%1 loaded in %2")
      .arg(modelSummary(info), format::duration(info.loadSeconds));
}

QString Tour::ask(const QString& question) {
  ChatPage& page = m_studio.chatPage();
  QPlainTextEdit& editor = page.composer().editor();
  editor.setFocus();
  const std::size_t before = page.session().tree().branch().size();
  QElapsedTimer clock;
  clock.start();
  typeText(&editor, question);
  require(editor.toPlainText() == question,
          QStringLiteral("the composer holds '%1'").arg(editor.toPlainText()));
  pressKey(&editor, Qt::Key_Return, QStringLiteral("\r"));
  await([&] { return page.session().tree().branch().size() == before + 2; }, kShortMs,
        QStringLiteral("the question was not sent"));
  await([&] { return lastAnswer().content.size() > 20 || !page.session().isAnswering(); },
        kAnswerMs, QStringLiteral("no text arrived"));
  return QStringLiteral("first words after %1")
      .arg(format::duration(static_cast<double>(clock.elapsed()) / 1000));
}

QString Tour::finishAnswer() {
  ChatPage& page = m_studio.chatPage();
  await([&] { return !page.session().isAnswering(); }, kAnswerMs,
        QStringLiteral("the answer did not end"));
  spin(kSettleMs);
  const profile::Message answer = lastAnswer();
  require(answer.role == profile::Role::kAssistant,
          QStringLiteral("the last message is no answer"));
  require(!QString::fromStdString(answer.content).trimmed().isEmpty(),
          QStringLiteral("the answer is empty"));
  require(answer.state == profile::MessageState::kDone,
          QStringLiteral("the answer did not end well"));
  const QString text = QString::fromStdString(answer.content).simplified();
  return QStringLiteral("%1 characters, %2: \"%3...\"")
      .arg(text.size())
      .arg(m_window.statusStrip().speedText(), text.left(48));
}

QString Tour::branch() {
  const profile::Id first = lastAnswer().id;
  trigger(m_studio.chatPage(), QStringLiteral("Regenerate the last answer"));
  await([&] { return lastAnswer().id != first; }, kShortMs,
        QStringLiteral("no second answer began"));
  const QString line = finishAnswer();
  const auto siblings = m_studio.chatPage().session().tree().siblings(lastAnswer().id);
  require(siblings.size() == 2,
          QStringLiteral("%1 answers stand side by side").arg(siblings.size()));
  require(m_studio.chatPage().session().tree().find(first) != nullptr,
          QStringLiteral("the first answer is gone"));
  return QStringLiteral("2 answers side by side; ") + line;
}

QString Tour::sideSheet() {
  ChatPage& page = m_studio.chatPage();
  page.showSheet(true);
  await([&] { return page.sheet().isVisible(); }, kShortMs,
        QStringLiteral("the side sheet is not shown"));
  require(!page.sheet().effectiveText().isEmpty(), QStringLiteral("no effective values are shown"));
  return page.sheet().effectiveText().simplified();
}

QString Tour::search() {
  ChatPage& page = m_studio.chatPage();
  page.showSheet(false);
  page.panel().focusSearch();
  typeText(&page.panel().search(), QStringLiteral("dog"));
  const ConversationListModel& list = page.panel().model();
  await(
      [&] {
        return list.rowCount() > 0 &&
               list.data(list.index(0), ConversationListModel::kKindRole).toInt() ==
                   ConversationListModel::kHit;
      },
      kShortMs, QStringLiteral("the search finds nothing"));
  spin(kSettleMs);
  return format::counted(list.rowCount(), QStringLiteral("place"), QStringLiteral("places"));
}

QString Tour::models() {
  m_studio.chatPage().panel().search().clear();
  require(m_window.showPage(QStringLiteral("models")), QStringLiteral("there is no Models page"));
  await([&] { return !m_studio.catalog().scanning(); }, kLoadMs,
        QStringLiteral("the scan does not end"));
  ModelsPage& page = m_studio.modelsPage();
  require(page.select({}), QStringLiteral("the demo model is not listed"));
  MemoryBar& bar = page.details().memoryBar();
  await([&] { return bar.plan().total() > 0; }, kShortMs, QStringLiteral("no memory is shown"));
  const qint64 before = bar.plan().total();
  QSpinBox& context = page.details().contextBox();
  context.setValue(context.maximum() / 2);
  require(bar.plan().total() < before,
          QStringLiteral("the memory bar does not follow the context"));
  context.setValue(context.maximum());
  return QStringLiteral("%1; %2").arg(
      format::counted(m_studio.catalog().rowCount(), QStringLiteral("model"),
                      QStringLiteral("models")),
      bar.plan().verdict());
}

void Tour::quantize() {
  const auto at = [this](const char* name, QString (WizardTour::*act)()) {
    step(QStringLiteral("quantize-") + QString::fromLatin1(name),
         [this, act] { return (m_wizard.*act)(); });
  };
  at("empty", &WizardTour::empty);
  at("source", &WizardTour::source);
  at("method", &WizardTour::method);
  at("text", &WizardTour::text);
  at("running", &WizardTour::running);
  at("review", &WizardTour::review);
  at("done", &WizardTour::done);
  at("side-by-side", &WizardTour::sideBySide);
  at("runs", &WizardTour::runs);
  at("comparison", &WizardTour::comparison);
  step(QStringLiteral("quantize-chat"), [this] {
    const QString loaded = m_wizard.chat();
    ask(QStringLiteral("Tell me a story about a cat"));
    return loaded + QStringLiteral("; ") + finishAnswer();
  });
}

QString Tour::settings() {
  require(m_window.showPage(QStringLiteral("settings")),
          QStringLiteral("there is no Settings page"));
  SettingsPage& page = m_studio.settingsPage();
  const int all = page.visibleRows();
  typeText(&page.search(), QStringLiteral("token"));
  const int found = page.visibleRows();
  require(found > 0 && found < all,
          QStringLiteral("the search shows %1 of %2 settings").arg(found).arg(all));
  page.search().clear();
  return QStringLiteral("%1 settings, %2 about tokens").arg(all).arg(found);
}

QString Tour::palette() {
  m_window.showPage(QStringLiteral("chat"));
  m_window.openPalette();
  CommandPalette& palette = m_window.palette();
  await([&] { return palette.isVisible(); }, kShortMs, QStringLiteral("the palette does not open"));
  const int all = palette.actions().rowCount();
  typeText(&palette.field(), QStringLiteral("ans"));
  const int found = palette.actions().rowCount();
  require(found > 0 && found < all,
          QStringLiteral("the palette shows %1 of %2 commands").arg(found).arg(all));
  return QStringLiteral("%1 commands, %2 for 'ans'").arg(all).arg(found);
}

QDialog* Tour::keySheet() const {
  return m_window.findChild<QDialog*>(QStringLiteral("keySheet"));
}

QString Tour::keys() {
  m_window.palette().close();
  m_window.openKeySheet();
  await([&] { return keySheet() != nullptr && keySheet()->isVisible(); }, kShortMs,
        QStringLiteral("the key sheet does not open"));
  return QStringLiteral("key sheet of %1 x %2").arg(keySheet()->width()).arg(keySheet()->height());
}

QString Tour::refusal() {
  if (keySheet() != nullptr) keySheet()->close();
  QTemporaryDir broken;
  require(broken.isValid(), broken.errorString());
  write_file_atomically(broken.filePath(QStringLiteral("config.json")).toStdString(),
                        R"({"architectures": ["NoSuchModel"], "model_type": "no_such_model"})");
  m_window.loadModel(broken.path());
  await([&] { return m_window.problemBanner().isVisible() && !m_studio.engine().busy(); }, kShortMs,
        QStringLiteral("a broken folder is not refused"));
  require(m_studio.engine().model().has_value(),
          QStringLiteral("the refusal cost the loaded model"));
  return m_window.problemBanner().text() + QLatin1Char(' ') + m_window.problemBanner().detail();
}

QString Tour::largeText() {
  m_window.problemBanner().hide();
  m_window.welcomeBanner().hide();
  m_studio.settings().setValue("appearance.font_scale", 200);
  spin(kSettleMs);
  for (const QString& id : m_window.pageIds()) {
    m_window.showPage(id);
    spin(kSettleMs);
    require(m_window.size() == kWindow, QStringLiteral("the page %1 needs %2 x %3")
                                            .arg(id)
                                            .arg(m_window.width())
                                            .arg(m_window.height()));
    picture(QStringLiteral("large-text-") + id);
  }
  m_window.showPage(QStringLiteral("quantize"));
  QuantizePage& wizard = m_studio.quantizePage();
  for (int number = 0; number < QuantizePage::kSteps; ++number) {
    require(wizard.showStep(number), QStringLiteral("step %1 cannot be shown").arg(number + 1));
    spin(kSettleMs);
    require(
        m_window.size() == kWindow,
        QStringLiteral("the wizard needs %1 x %2").arg(m_window.width()).arg(m_window.height()));
    picture(QStringLiteral("large-text-quantize-%1").arg(number + 1));
  }
  m_studio.settings().reset("appearance.font_scale");
  m_window.showPage(QStringLiteral("chat"));
  return QStringLiteral("every page fits 1280 x 720 at 200 %");
}

int Tour::run() {
  step(QStringLiteral("first-start"), [this] { return start(); });
  step(QStringLiteral("model-loaded"), [this] { return load(); });
  if (m_failures == 0) {
    const QString story = QStringLiteral("Tell me a story about a dog");
    step(QStringLiteral("streaming"), [this, story] { return ask(story); });
    step(QStringLiteral("answer"), [this] { return finishAnswer(); });
    step(QStringLiteral("second-turn"), [this] {
      const QString first = ask(QStringLiteral("What is the capital of France?"));
      return first + QStringLiteral("; ") + finishAnswer();
    });
    step(QStringLiteral("branch"), [this] { return branch(); });
    step(QStringLiteral("side-sheet"), [this] { return sideSheet(); });
    step(QStringLiteral("search"), [this] { return search(); });
    step(QStringLiteral("models"), [this] { return models(); });
    quantize();
    step(QStringLiteral("settings"), [this] { return settings(); });
    step(QStringLiteral("palette"), [this] { return palette(); });
    step(QStringLiteral("keys"), [this] { return keys(); });
    step(QStringLiteral("refusal"), [this] { return refusal(); });
    step(
        QStringLiteral("large-text"), [this] { return largeText(); }, false);
  }
  m_window.close();
  std::printf("%s: %d of %d steps worked; pictures are in %s\n", m_failures == 0 ? "ok" : "FAILED",
              m_steps - m_failures, m_steps, qPrintable(m_folder));
  return m_failures == 0 ? 0 : 1;
}

}  // namespace

int runTour(Studio& studio, const QString& folder) {
  if (!QDir().mkpath(folder)) {
    std::fprintf(stderr, "haq-studio: %s: cannot be created; name a folder that can\n",
                 qPrintable(folder));
    return 1;
  }
  return Tour(studio, folder).run();
}

}  // namespace haq::ui
