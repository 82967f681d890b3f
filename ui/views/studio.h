// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QTemporaryDir>
#include <memory>

#include "ui/models/chat_service.h"
#include "ui/models/engine_controller.h"
#include "ui/models/model_catalog.h"
#include "ui/models/settings.h"
#include "ui/views/main_window.h"
#include "ui/views/studio_options.h"

namespace haq::ui {

class ChatPage;
class ModelsPage;
class QuantizePage;
class SettingsPage;

/// Everything the program consists of, put together: settings, engine, store, window and pages.
/// Used by the program, its tour and the tests of the whole window.
class Studio {
 public:
  /// `settingsFile` and `database` name the files to use.
  Studio(const QString& settingsFile, const QString& database);
  ~Studio();

  Settings& settings() { return *m_settings; }
  EngineController& engine() { return *m_engine; }
  ModelCatalog& catalog() { return *m_catalog; }
  ChatService& chats() { return *m_chats; }
  MainWindow& window() { return *m_window; }
  ChatPage& chatPage() { return *m_chatPage; }
  ModelsPage& modelsPage() { return *m_modelsPage; }
  QuantizePage& quantizePage() { return *m_quantizePage; }
  SettingsPage& settingsPage() { return *m_settingsPage; }

  /// Shows the window; once its first frame is on the screen the model is loaded and the model
  /// folders are scanned, so that neither delays the start.
  void start(const QString& model);

 private:
  std::unique_ptr<Settings> m_settings;
  std::unique_ptr<EngineController> m_engine;
  std::unique_ptr<ModelCatalog> m_catalog;
  std::unique_ptr<ChatService> m_chats;
  std::unique_ptr<MainWindow> m_window;  ///< owns the pages
  ChatPage* m_chatPage = nullptr;
  ModelsPage* m_modelsPage = nullptr;
  QuantizePage* m_quantizePage = nullptr;
  SettingsPage* m_settingsPage = nullptr;
};

/// The program: reads the arguments, opens the window (or drives the tour) and returns the exit
/// code of CLI conventions: 0 done, 1 failed with one line on stderr, 2 wrong usage.
int runStudio(int& argc, char** argv);

}  // namespace haq::ui
