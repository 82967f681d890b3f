// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QMainWindow>
#include <QVector>

#include "ui/models/engine_controller.h"
#include "ui/models/settings.h"
#include "ui/shared/icons.h"
#include "ui/views/key_sheet.h"

class QActionGroup;
class QStackedWidget;
class QVBoxLayout;

namespace haq::ui {

class Banner;
class CommandPalette;
class ModelBar;
class ModelCatalog;
class Rail;
class StatusStrip;

/// The window: rail, model bar, pages, status. Pages are added by whoever builds the window; it
/// knows nothing of them but their actions.
class MainWindow : public QMainWindow {
  Q_OBJECT
 public:
  MainWindow(EngineController& engine, Settings& settings, ModelCatalog& catalog);
  ~MainWindow() override;

  /// Adds a page (owned by the window) under the next number of Ctrl+1 ... `id` is the name that
  /// --page takes.
  void addPage(const QString& id, const QString& title, Icon icon, QWidget* page,
               bool atBottom = false);
  bool showPage(const QString& id);
  QString currentPage() const;
  QStringList pageIds() const;
  QWidget* page(const QString& id) const;

  /// Loads a model with the user's settings; an empty folder is the demo model.
  void loadModel(const QString& folder);
  /// The model to begin with: the last one when the settings say so and it is still there.
  QString startModel() const;
  void restoreWindow();

  void openPalette();
  void openKeySheet();
  CommandPalette& palette() { return *m_palette; }
  ModelBar& modelBar() { return *m_modelBar; }
  StatusStrip& statusStrip() { return *m_status; }
  Banner& problemBanner() { return *m_problem; }
  Banner& welcomeBanner() { return *m_welcome; }
  /// Shows a message that is not about a page, with what to do.
  void report(const QString& text, const QString& detail, bool error = false);

 Q_SIGNALS:
  void shownFirst();  ///< the first frame has been painted

 protected:
  void closeEvent(QCloseEvent* event) override;
  void dragEnterEvent(QDragEnterEvent* event) override;
  void dropEvent(QDropEvent* event) override;
  void paintEvent(QPaintEvent* event) override;

 private:
  struct Page {
    QString id, title;
    QAction* action = nullptr;
    QWidget* widget = nullptr;
  };

  QAction* command(const QString& text, Icon icon, const QList<QKeySequence>& keys);
  void makeCommands();
  void makeLayout();
  void fillModelMenu(QMenu& menu);
  void chooseFolder();
  void applySettings(const QString& key);
  void showLoadFailure(const QString& message, const QString& hint, bool cancelled);
  void showWelcome();
  void rememberModel(const ModelInfo& info);

  EngineController& m_engine;
  Settings& m_settings;
  ModelCatalog& m_catalog;
  QVector<Page> m_pages;
  QList<QAction*> m_commands;
  QActionGroup* m_pageGroup;
  Rail* m_rail = nullptr;
  ModelBar* m_modelBar = nullptr;
  Banner* m_welcome = nullptr;
  Banner* m_problem = nullptr;
  QStackedWidget* m_stack = nullptr;
  StatusStrip* m_status = nullptr;
  CommandPalette* m_palette = nullptr;
  QAction* m_paletteAction = nullptr;
  QAction* m_keysAction = nullptr;
  QAction* m_themeAction = nullptr;
  QAction* m_cancelAction = nullptr;
  QAction* m_unloadAction = nullptr;
  bool m_painted = false;
};

}  // namespace haq::ui
