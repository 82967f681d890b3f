// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/studio.h"

#include <QApplication>
#include <QMessageBox>
#include <QPushButton>
#include <cstdio>

#include "engine/profile/store/store_file.h"
#include "ui/chat/chat_page.h"
#include "ui/shared/install_theme.h"
#include "ui/views/models_page.h"
#include "ui/views/settings_page.h"
#include "ui/views/tour.h"
#include "ui/wizard/quantize_page.h"

namespace haq::ui {

namespace {

int failWith(const QString& line) {
  std::fprintf(stderr, "%s\n", qPrintable(line));
  return 1;
}

/// Without a display Qt aborts; this says what to do instead.
bool displayMissing(const QStringList& arguments) {
  for (const char* name : {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}) {
    if (!qEnvironmentVariableIsEmpty(name)) return false;
  }
  return !arguments.contains(QStringLiteral("-platform")) &&
         !arguments.contains(QStringLiteral("--platform"));
}

/// Whether another window writes to this database now.
bool isTaken(const QString& database) {
  try {
    const profile::WriterLock probe(database.toStdString());
    return false;
  } catch (const Error& error) {
    // Whatever else is wrong with the place is reported when it is opened.
    return error.code() == ErrorCode::kConflict;
  }
}

/// Tells that the conversations are open elsewhere; true: go on with a temporary store.
bool chooseTemporaryStore(const QString& database) {
  QMessageBox box(QMessageBox::NoIcon, QStringLiteral("HAQ Studio"),
                  QApplication::tr("HAQ Studio is already open with these conversations."));
  box.setInformativeText(
      QApplication::tr(
          "Another window writes to\n%1\n\nYou can go on in this one with an empty, temporary "
          "store: its conversations are gone when the window closes.")
          .arg(database));
  QPushButton* temporary =
      box.addButton(QApplication::tr("Go on without storing"), QMessageBox::AcceptRole);
  QPushButton* quit = box.addButton(QApplication::tr("Quit"), QMessageBox::RejectRole);
  box.setDefaultButton(quit);
  box.setEscapeButton(quit);
  box.exec();
  return box.clickedButton() == temporary;
}

int runTourIn(const QString& folder) {
  QTemporaryDir home;
  if (!home.isValid())
    return failWith(QStringLiteral("haq-studio: no temporary folder: %1").arg(home.errorString()));
  Studio studio(home.filePath(QStringLiteral("settings.json")),
                home.filePath(QStringLiteral("haq.db")));
  return runTour(studio, folder);
}

}  // namespace

Studio::Studio(const QString& settingsFile, const QString& database)
    : m_settings(std::make_unique<Settings>(settingsFile)),
      m_engine(std::make_unique<EngineController>()),
      m_catalog(std::make_unique<ModelCatalog>(*m_settings)),
      m_chats(ChatService::open(database.toStdString())),
      m_window(std::make_unique<MainWindow>(*m_engine, *m_settings, *m_catalog)) {
  m_chatPage = new ChatPage(*m_engine, *m_chats, *m_settings);
  m_modelsPage = new ModelsPage(*m_engine, *m_settings, *m_catalog);
  m_quantizePage = new QuantizePage(*m_engine, *m_catalog, *m_chats, *m_settings);
  const QString store =
      m_chats->isTemporary() ? QApplication::tr("temporary, gone at the end") : database;
  m_settingsPage = new SettingsPage(*m_settings, {{QApplication::tr("Conversations"), store},
                                                  {QApplication::tr("Settings"), settingsFile}});
  m_window->addPage(QStringLiteral("chat"), QApplication::tr("Chat"), Icon::kChat, m_chatPage);
  m_window->addPage(QStringLiteral("models"), QApplication::tr("Models"), Icon::kModels,
                    m_modelsPage);
  m_window->addPage(QStringLiteral("quantize"), QApplication::tr("Quantize"), Icon::kQuantize,
                    m_quantizePage);
  m_window->addPage(QStringLiteral("settings"), QApplication::tr("Settings"), Icon::kSettings,
                    m_settingsPage, true);
  QObject::connect(m_modelsPage, &ModelsPage::loadRequested, m_window.get(),
                   &MainWindow::loadModel);
  QObject::connect(m_quantizePage, &QuantizePage::chatAsked, m_window.get(),
                   [this](const QString& folder) {
                     m_window->loadModel(folder);
                     m_chatPage->newConversation();
                     m_window->showPage(QStringLiteral("chat"));
                   });
  QObject::connect(m_chatPage, &ChatPage::modelsAsked, m_window.get(),
                   [this] { m_window->showPage(QStringLiteral("models")); });
  QObject::connect(m_chats.get(), &ChatService::failed, m_window.get(),
                   [this](const QString& message, const QString& hint) {
                     m_window->report(message, hint, true);
                   });
  if (!m_chats->notices().isEmpty()) {
    m_window->report(m_chats->notices().first(), m_chats->notices().mid(1).join(QLatin1Char('\n')));
  }
}

Studio::~Studio() {
  m_engine->stop();
  m_engine->cancelLoad();
}

void Studio::start(const QString& model) {
  m_chatPage->restore();
  QObject::connect(m_window.get(), &MainWindow::shownFirst, m_window.get(), [this, model] {
    m_window->loadModel(model);
    m_catalog->rescan();
  });
  m_window->show();
}

int runStudio(int& argc, char** argv) {
  QStringList arguments;
  for (int i = 0; i < argc; ++i) arguments << QString::fromLocal8Bit(argv[i]);
  const StudioArguments parsed = parseStudioArguments(arguments);
  if (parsed.exits) {
    std::fprintf(parsed.exitCode == 0 ? stdout : stderr, "%s\n",
                 qPrintable(parsed.message.trimmed()));
    return parsed.exitCode;
  }
  if (displayMissing(arguments)) {
    return failWith(QStringLiteral(
        "haq-studio: there is no display: neither DISPLAY nor WAYLAND_DISPLAY is set; "
        "use 'haq chat' in the terminal, or set QT_QPA_PLATFORM=offscreen for a tour"));
  }
  QApplication application(argc, argv);
  QApplication::setApplicationName(QStringLiteral("haq-studio"));
  QApplication::setApplicationDisplayName(QStringLiteral("HAQ Studio"));
  QApplication::setApplicationVersion(QStringLiteral(HAQ_VERSION));
  QApplication::setDesktopFileName(QStringLiteral("haq-studio"));
  installTheme();
  try {
    if (!parsed.options.tour.isEmpty()) return runTourIn(parsed.options.tour);
    const QString database =
        parsed.options.database.isEmpty()
            ? QString::fromStdString(profile::ChatStore::default_path().string())
            : parsed.options.database;
    if (isTaken(database) && !chooseTemporaryStore(database)) return 0;
    Studio studio(Settings::standardFile(), database);
    studio.window().restoreWindow();
    if (!parsed.options.page.isEmpty()) studio.window().showPage(parsed.options.page);
    studio.start(parsed.options.model.isEmpty() ? studio.window().startModel()
                                                : parsed.options.model);
    return QApplication::exec();
  } catch (const std::exception& error) {
    return failWith(QStringLiteral("haq-studio: %1").arg(QString::fromUtf8(error.what())));
  }
}

}  // namespace haq::ui
