// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/main_window.h"

#include <QActionGroup>
#include <QApplication>
#include <QCloseEvent>
#include <QDir>
#include <QFileDialog>
#include <QFileInfo>
#include <QMenu>
#include <QMimeData>
#include <QPushButton>
#include <QStackedWidget>
#include <QTimer>
#include <QVBoxLayout>

#include "ui/models/model_catalog.h"
#include "ui/models/request_defaults.h"
#include "ui/shared/widgets.h"
#include "ui/views/command_palette.h"
#include "ui/views/model_bar.h"
#include "ui/views/rail.h"
#include "ui/views/status_strip.h"

namespace haq::ui {

namespace {

constexpr int kMenuModels = 12;
constexpr int kFontStep = 10;
const QString kGeometry = QStringLiteral("window.geometry");
const QString kLastPage = QStringLiteral("window.page");
const QString kLastModel = QStringLiteral("models.last");
const QString kWelcomed = QStringLiteral("hints.welcome");

Theme::Mode modeOf(const QString& name) {
  return name == QLatin1String("light")  ? Theme::Mode::kLight
         : name == QLatin1String("dark") ? Theme::Mode::kDark
                                         : Theme::Mode::kSystem;
}

QString droppedFolder(const QMimeData* data) {
  if (!data->hasUrls() || data->urls().size() != 1 || !data->urls().first().isLocalFile())
    return {};
  const QFileInfo info(data->urls().first().toLocalFile());
  return info.isDir() ? info.absoluteFilePath() : info.absolutePath();
}

}  // namespace

MainWindow::MainWindow(EngineController& engine, Settings& settings, ModelCatalog& catalog)
    : m_engine(engine),
      m_settings(settings),
      m_catalog(catalog),
      m_pageGroup(new QActionGroup(this)) {
  setWindowTitle(QStringLiteral("HAQ Studio"));
  setAcceptDrops(true);
  makeCommands();
  makeLayout();
  applySettings({});
  connect(&settings, &Settings::changed, this, &MainWindow::applySettings);
  connect(&settings, &Settings::saveFailed, this, [this](const QString& message) {
    report(message, tr("Changes last until the program is closed."), true);
  });
  connect(&engine, &EngineController::modelFailed, this, &MainWindow::showLoadFailure);
  connect(&engine, &EngineController::modelLoaded, this, &MainWindow::rememberModel);
  const auto refresh = [this] {
    m_cancelAction->setEnabled(m_engine.state() == EngineController::State::kLoading);
    m_unloadAction->setEnabled(m_engine.model().has_value());
  };
  connect(&engine, &EngineController::stateChanged, this, refresh);
  refresh();
  if (!settings.problems().isEmpty()) {
    report(tr("Some settings could not be read."), settings.problems().join(QLatin1Char('\n')));
  }
  if (!settings.state(kWelcomed).toBool()) showWelcome();
}

MainWindow::~MainWindow() = default;

QAction* MainWindow::command(const QString& text, Icon which, const QList<QKeySequence>& keys) {
  auto* action = new QAction(icon(which, Role::kMuted), text, this);
  action->setShortcuts(keys);
  addAction(action);
  m_commands.append(action);
  return action;
}

void MainWindow::makeCommands() {
  m_pageGroup->setExclusive(true);
  m_paletteAction =
      command(tr("Commands"), Icon::kSearch,
              {QKeySequence(Qt::CTRL | Qt::Key_K), QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_P)});
  connect(m_paletteAction, &QAction::triggered, this, &MainWindow::openPalette);
  m_keysAction = command(tr("Keys"), Icon::kKeyboard,
                         {QKeySequence(Qt::Key_Question), QKeySequence(Qt::Key_F1)});
  connect(m_keysAction, &QAction::triggered, this, &MainWindow::openKeySheet);
  QAction* open =
      command(tr("Open a model folder…"), Icon::kFolder, {QKeySequence(Qt::CTRL | Qt::Key_O)});
  connect(open, &QAction::triggered, this, &MainWindow::chooseFolder);
  QAction* demo = command(tr("Load the demo model"), Icon::kSpark, {});
  connect(demo, &QAction::triggered, this, [this] { loadModel({}); });
  m_cancelAction = command(tr("Cancel loading"), Icon::kClose, {});
  connect(m_cancelAction, &QAction::triggered, &m_engine, &EngineController::cancelLoad);
  m_unloadAction = command(tr("Unload the model"), Icon::kTrash, {});
  connect(m_unloadAction, &QAction::triggered, &m_engine, &EngineController::unload);
  m_themeAction =
      command(tr("Dark colours"), Icon::kMoon, {QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_L)});
  connect(m_themeAction, &QAction::triggered, this, [this] {
    m_settings.setValue("appearance.theme", Theme::instance().isDark() ? QStringLiteral("light")
                                                                       : QStringLiteral("dark"));
  });
  const auto scaleBy = [this](int step) {
    const int scale = m_settings.integer("appearance.font_scale") + step;
    m_settings.setValue("appearance.font_scale", scale);
  };
  QAction* larger =
      command(tr("Larger text"), Icon::kPlus,
              {QKeySequence(Qt::CTRL | Qt::Key_Plus), QKeySequence(Qt::CTRL | Qt::Key_Equal)});
  connect(larger, &QAction::triggered, this, [scaleBy] { scaleBy(kFontStep); });
  QAction* smaller =
      command(tr("Smaller text"), Icon::kChevronDown, {QKeySequence(Qt::CTRL | Qt::Key_Minus)});
  connect(smaller, &QAction::triggered, this, [scaleBy] { scaleBy(-kFontStep); });
  QAction* normal =
      command(tr("Normal text size"), Icon::kUndo, {QKeySequence(Qt::CTRL | Qt::Key_0)});
  connect(normal, &QAction::triggered, this, [this] { m_settings.reset("appearance.font_scale"); });
  QAction* quit = command(tr("Quit"), Icon::kClose, {QKeySequence(Qt::CTRL | Qt::Key_Q)});
  connect(quit, &QAction::triggered, this, &QWidget::close);
}

void MainWindow::makeLayout() {
  auto* central = new QWidget(this);
  auto* row = new QHBoxLayout(central);
  row->setContentsMargins(0, 0, 0, 0);
  row->setSpacing(0);
  m_rail = new Rail(central);
  m_rail->addTool(Icon::kKeyboard, m_keysAction);
  row->addWidget(m_rail);
  auto* column = new QVBoxLayout;
  column->setSpacing(0);
  row->addLayout(column, 1);
  m_modelBar = new ModelBar(m_engine, m_paletteAction, central);
  m_modelBar->setMenuSource([this](QMenu& menu) { fillModelMenu(menu); });
  column->addWidget(m_modelBar);
  auto* banners = new QVBoxLayout;
  banners->setContentsMargins(space::kM, space::kS, space::kM, 0);
  banners->setSpacing(space::kS);
  m_problem = new Banner(central);
  m_welcome = new Banner(central);
  for (Banner* banner : {m_problem, m_welcome}) banners->addWidget(banner);
  column->addLayout(banners);
  m_stack = new QStackedWidget(central);
  column->addWidget(m_stack, 1);
  m_status = new StatusStrip(m_engine, central);
  column->addWidget(m_status);
  setCentralWidget(central);
  m_palette = new CommandPalette(this);
}

void MainWindow::addPage(const QString& id, const QString& title, Icon which, QWidget* page,
                         bool atBottom) {
  auto* action = new QAction(icon(which, Role::kMuted), title, this);
  action->setCheckable(true);
  action->setShortcut(QKeySequence(Qt::CTRL | static_cast<Qt::Key>(Qt::Key_1 + m_pages.size())));
  addAction(action);
  m_pageGroup->addAction(action);
  m_rail->add(which, action, atBottom);
  m_stack->addWidget(page);
  connect(action, &QAction::triggered, this, [this, id] { showPage(id); });
  m_pages.append({id, title, action, page});
  if (m_pages.size() == 1) showPage(id);
}

bool MainWindow::showPage(const QString& id) {
  for (const Page& candidate : m_pages) {
    if (candidate.id != id) continue;
    candidate.action->setChecked(true);
    m_stack->setCurrentWidget(candidate.widget);
    candidate.widget->setFocus(Qt::OtherFocusReason);
    return true;
  }
  return false;
}

QString MainWindow::currentPage() const {
  for (const Page& candidate : m_pages) {
    if (candidate.widget == m_stack->currentWidget()) return candidate.id;
  }
  return {};
}

QStringList MainWindow::pageIds() const {
  QStringList ids;
  for (const Page& candidate : m_pages) ids << candidate.id;
  return ids;
}

QWidget* MainWindow::page(const QString& id) const {
  for (const Page& candidate : m_pages) {
    if (candidate.id == id) return candidate.widget;
  }
  return nullptr;
}

void MainWindow::loadModel(const QString& folder) {
  m_problem->hide();
  m_engine.loadModel(folder, loadRequest(m_settings));
}

QString MainWindow::startModel() const {
  if (!m_settings.boolean("models.load_last")) return {};
  const QString last = m_settings.state(kLastModel).toString();
  return QFileInfo(last + QStringLiteral("/config.json")).exists() ? last : QString();
}

void MainWindow::rememberModel(const ModelInfo& info) {
  m_problem->hide();
  m_settings.setState(kLastModel, info.folder);
}

void MainWindow::restoreWindow() {
  resize(1280, 800);
  restoreGeometry(QByteArray::fromBase64(m_settings.state(kGeometry).toString().toLatin1()));
  showPage(m_settings.state(kLastPage).toString());
}

void MainWindow::openPalette() {
  ActionModel& list = m_palette->actions();
  list.clear();
  for (const Page& candidate : m_pages) list.add(tr("Page"), candidate.action);
  const QWidget* current = m_stack->currentWidget();
  for (const Page& candidate : m_pages) {
    // Actions of a page that is not shown act on what nobody sees: they are left out.
    if (candidate.widget != current) continue;
    for (QAction* action : candidate.widget->actions()) list.add(candidate.title, action);
  }
  for (QAction* action : m_commands) {
    if (action != m_paletteAction) list.add(tr("Window"), action);
  }
  m_palette->popUp();
}

void MainWindow::openKeySheet() {
  QList<QAction*> window = m_commands;
  for (const Page& candidate : m_pages) window.append(candidate.action);
  QVector<KeyGroup> groups{keyGroup(tr("Window"), window)};
  for (const Page& candidate : m_pages) {
    groups.append(keyGroup(candidate.title, candidate.widget->actions()));
  }
  // What the composer handles itself, without an action.
  const bool enterSends = m_settings.text("chat.send_key") == u"enter";
  groups.append(
      {tr("Writing"),
       {{enterSends ? tr("Enter") : tr("Ctrl+Enter"), tr("Send, or queue while it answers")},
        {enterSends ? tr("Shift+Enter") : tr("Enter"), tr("New line")},
        {tr("Esc"), tr("Stop the answer")}}});
  auto* sheet = new KeySheet(groups, this);
  sheet->setAttribute(Qt::WA_DeleteOnClose);
  sheet->open();
}

void MainWindow::fillModelMenu(QMenu& menu) {
  int shown = 0;
  for (const ModelEntry& entry : m_catalog.entries()) {
    if (!entry.problem.isEmpty() || shown == kMenuModels) continue;
    ++shown;
    QAction* action = menu.addAction(
        icon(entry.isDemo ? Icon::kSpark : Icon::kModels, Role::kMuted),
        QStringLiteral("%1   %2 · %3").arg(entry.name, entry.precision, entry.shape()));
    action->setCheckable(true);
    action->setChecked(m_engine.model() && m_engine.model()->folder == entry.folder);
    connect(action, &QAction::triggered, this,
            [this, folder = entry.folder] { loadModel(folder); });
  }
  if (shown > 0) menu.addSeparator();
  for (QAction* action : m_commands) {
    if (action->text() == tr("Open a model folder…")) menu.addAction(action);
  }
  if (page(QStringLiteral("models")) != nullptr) {
    QAction* all = menu.addAction(icon(Icon::kModels, Role::kMuted), tr("All models"));
    connect(all, &QAction::triggered, this, [this] { showPage(QStringLiteral("models")); });
  }
  menu.addAction(m_unloadAction);
}

void MainWindow::chooseFolder() {
  const QString folder =
      QFileDialog::getExistingDirectory(this, tr("Open a model folder"), QDir::homePath());
  if (!folder.isEmpty()) loadModel(folder);
}

void MainWindow::applySettings(const QString& key) {
  Theme& theme = Theme::instance();
  if (key.isEmpty() || key.startsWith(QLatin1String("appearance."))) {
    theme.setFontScale(m_settings.integer("appearance.font_scale") / 100.0);
    theme.setMode(modeOf(m_settings.text("appearance.theme")));
    m_themeAction->setText(theme.isDark() ? tr("Light colours") : tr("Dark colours"));
    m_themeAction->setIcon(icon(theme.isDark() ? Icon::kSun : Icon::kMoon, Role::kMuted));
  }
}

void MainWindow::showLoadFailure(const QString& message, const QString& hint, bool cancelled) {
  if (cancelled) {
    if (!m_engine.model() && m_engine.state() == EngineController::State::kNoModel) {
      report(tr("Loading was cancelled; no model is loaded."),
             tr("Choose one from the chip above."));
    }
    return;
  }
  const QString kept =
      m_engine.model() ? tr(" %1 stays loaded.").arg(m_engine.model()->name) : QString();
  report(tr("The model cannot be loaded.") + kept,
         hint.isEmpty() ? message : message + QLatin1Char('\n') + hint, true);
  if (page(QStringLiteral("models")) != nullptr) {
    QPushButton* models = m_problem->addButton(tr("Choose another"));
    connect(models, &QPushButton::clicked, this, [this] {
      m_problem->hide();
      showPage(QStringLiteral("models"));
    });
  }
}

void MainWindow::report(const QString& text, const QString& detail, bool error) {
  m_problem->show(error ? Banner::Kind::kError : Banner::Kind::kWarning, text, detail);
}

void MainWindow::showWelcome() {
  m_welcome->show(
      Banner::Kind::kInfo,
      tr("Welcome. This program runs Mixture-of-Experts language models on this computer; "
         "nothing you write leaves it."),
      tr("A small demo model loads by itself: write to it below. Ctrl+K lists everything "
         "else, and a folder dropped on the window opens as a model."));
  connect(m_welcome, &Banner::dismissed, this, [this] { m_settings.setState(kWelcomed, true); });
}

void MainWindow::closeEvent(QCloseEvent* event) {
  m_settings.setState(kGeometry, QString::fromLatin1(saveGeometry().toBase64()));
  m_settings.setState(kLastPage, currentPage());
  m_engine.stop();
  m_engine.cancelLoad();
  QMainWindow::closeEvent(event);
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event) {
  if (!droppedFolder(event->mimeData()).isEmpty()) event->acceptProposedAction();
}

void MainWindow::dropEvent(QDropEvent* event) {
  const QString folder = droppedFolder(event->mimeData());
  if (folder.isEmpty()) return;
  event->acceptProposedAction();
  if (QFileInfo(folder + QStringLiteral("/config.json")).exists()) {
    loadModel(folder);
    return;
  }
  // A folder of models, or a mistake: the catalogue tells which.
  m_catalog.addFolder(folder);
  showPage(QStringLiteral("models"));
}

void MainWindow::paintEvent(QPaintEvent* event) {
  QMainWindow::paintEvent(event);
  if (m_painted) return;
  m_painted = true;
  QTimer::singleShot(0, this, &MainWindow::shownFirst);
}

}  // namespace haq::ui
