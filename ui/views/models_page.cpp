// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/models_page.h"

#include <QAction>
#include <QDir>
#include <QFileDialog>
#include <QHeaderView>
#include <QLineEdit>
#include <QPainter>
#include <QProgressBar>
#include <QPushButton>

#include <QStackedWidget>
#include <QTableView>
#include <QVBoxLayout>

#include "ui/shared/format.h"
#include "ui/shared/row_delegate.h"
#include "ui/shared/widgets.h"
#include "ui/views/model_details.h"

namespace haq::ui {

namespace {

constexpr int kMark = 14;
constexpr int kTableRows = 3;  ///< that stay visible however large the text is

/// "fits" and its opposites with a mark before them, so that colour is not all that tells.
class FitDelegate : public RowDelegate {
 public:
  using RowDelegate::RowDelegate;

  QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override {
    return RowDelegate::sizeHint(option, index) + QSize(mark() + space::kS, 0);
  }

  void paint(QPainter* painter, const QStyleOptionViewItem& option,
             const QModelIndex& index) const override {
    QStyleOptionViewItem text(option);
    if (option.state & QStyle::State_Selected) {
      painter->fillRect(option.rect, Theme::instance().tint(Role::kAccent, Role::kRaised, 0.18));
    }
    text.rect.setLeft(text.rect.left() + mark() + space::kS);
    RowDelegate::paint(painter, text, index);
    const bool fits = index.data(ModelCatalog::kFitsRole).toBool();
    const bool broken = !index.data(ModelCatalog::kProblemRole).toString().isEmpty();
    const QRectF square(option.rect.left() + space::kS,
                        option.rect.center().y() - mark() / 2.0 + 0.5, mark(), mark());
    const Role role = fits ? Role::kHit : broken ? Role::kError : Role::kWarning;
    paintIcon(*painter,
              fits     ? Icon::kCheck
              : broken ? Icon::kError
                       : Icon::kWarning,
              square, Theme::instance().color(role));
  }

 private:
  static int mark() { return Theme::instance().scaled(kMark); }
};

}  // namespace

ModelsPage::ModelsPage(EngineController& engine, Settings& settings, ModelCatalog& catalog,
                       QWidget* parent)
    : QWidget(parent), m_engine(engine), m_settings(settings), m_catalog(catalog) {
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(space::kL, space::kM, space::kL, space::kM);
  column->setSpacing(space::kM);
  auto* head = new QHBoxLayout;
  head->setSpacing(space::kS);
  auto* titles = new QVBoxLayout;
  titles->setSpacing(0);
  titles->addWidget(new TextLabel(tr("Models"), FontRole::kHeading));
  m_summary = new TextLabel({}, FontRole::kSmall, Role::kMuted);
  titles->addWidget(m_summary);
  head->addLayout(titles);
  m_busy = new QProgressBar;
  m_busy->setRange(0, 0);
  m_busy->setTextVisible(false);
  m_busy->setFixedWidth(100);
  m_busy->setAccessibleName(tr("Looking for models"));
  head->addWidget(m_busy);
  head->addStretch(1);
  m_filter = new QLineEdit;
  m_filter->setPlaceholderText(tr("Filter"));
  m_filter->setAccessibleName(tr("Filter models by name or family"));
  m_filter->setClearButtonEnabled(true);
  m_filter->addAction(icon(Icon::kSearch, Role::kMuted), QLineEdit::LeadingPosition);
  m_filter->setMinimumWidth(200);
  head->addWidget(m_filter);
  makeActions();
  for (QAction* action : actions().mid(0, 2)) {
    QPushButton* button = pushButton(action->text());
    button->setToolTip(action->toolTip());
    connect(button, &QPushButton::clicked, action, &QAction::trigger);
    head->addWidget(button);
  }
  column->addLayout(head);

  m_sorted.setSourceModel(&catalog);
  m_sorted.setSortRole(ModelCatalog::kSortRole);
  m_sorted.setFilterKeyColumn(-1);
  m_sorted.setFilterCaseSensitivity(Qt::CaseInsensitive);
  m_table = new QTableView;
  m_table->setModel(&m_sorted);
  m_table->setAccessibleName(tr("Models on this computer"));
  m_table->setSelectionBehavior(QAbstractItemView::SelectRows);
  m_table->setSelectionMode(QAbstractItemView::SingleSelection);
  m_table->setEditTriggers(QAbstractItemView::NoEditTriggers);
  m_table->setShowGrid(false);
  m_table->setSortingEnabled(true);
  m_table->sortByColumn(-1, Qt::AscendingOrder);
  m_table->setTabKeyNavigation(false);
  m_table->setWordWrap(false);
  m_table->verticalHeader()->hide();
  m_table->verticalHeader()->setSectionResizeMode(QHeaderView::Fixed);
  m_table->horizontalHeader()->setHighlightSections(false);
  m_table->horizontalHeader()->setSectionResizeMode(QHeaderView::ResizeToContents);
  m_table->horizontalHeader()->setSectionResizeMode(ModelCatalog::kName, QHeaderView::Stretch);
  m_table->horizontalHeader()->setMinimumSectionSize(96);
  m_table->setItemDelegate(new RowDelegate(m_table));
  m_table->setItemDelegateForColumn(ModelCatalog::kFits, new FitDelegate(m_table));
  m_nothing = new EmptyState(Icon::kSearch, tr("No model matches"),
                             tr("Clear the filter, or add a folder that holds models."));
  m_area = new QStackedWidget;
  m_area->addWidget(m_table);
  m_area->addWidget(m_nothing);
  m_details = new ModelDetails(engine, settings, catalog);
  auto* card = new Card;
  auto* cardLayout = new QVBoxLayout(card);
  cardLayout->setContentsMargins(1, 1, 1, 1);
  cardLayout->addWidget(new FittingScroll(m_details));
  column->addWidget(m_area, 1);
  column->addWidget(card);
  setFocusProxy(m_table);
  const auto restyle = [this] {
    const int row = QFontMetrics(Theme::instance().font(FontRole::kBody)).height() + space::kM;
    m_table->verticalHeader()->setDefaultSectionSize(row);
    m_table->setMinimumHeight((kTableRows + 1) * row);
  };
  connect(&Theme::instance(), &Theme::changed, this, restyle);
  restyle();

  connect(m_details, &ModelDetails::loadRequested, this, &ModelsPage::loadRequested);
  connect(m_filter, &QLineEdit::textChanged, this, [this](const QString& text) {
    m_sorted.setFilterFixedString(text);
    refresh();
  });
  connect(m_table->selectionModel(), &QItemSelectionModel::currentRowChanged, this,
          &ModelsPage::showSelection);
  connect(m_table, &QTableView::activated, this, [this](const QModelIndex& index) {
    if (index.data(ModelCatalog::kProblemRole).toString().isEmpty()) {
      Q_EMIT loadRequested(index.data(ModelCatalog::kFolderRole).toString());
    }
  });
  connect(&catalog, &ModelCatalog::scanStarted, this, &ModelsPage::refresh);
  connect(&catalog, &ModelCatalog::scanFinished, this, [this] {
    refresh();
    if (!m_hasSelection || !select(m_selected)) {
      select(m_engine.model() ? m_engine.model()->folder : QString());
    }
  });
  refresh();
}

void ModelsPage::makeActions() {
  QAction* add = pageAction(this, tr("Add a folder…"), Icon::kFolder,
                            QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_O));
  add->setToolTip(tr("Searched for models, sub-folders included"));
  connect(add, &QAction::triggered, this, &ModelsPage::chooseFolder);
  QAction* rescan = pageAction(this, tr("Rescan"), Icon::kRegenerate, QKeySequence(Qt::Key_F5));
  rescan->setToolTip(tr("Look through all folders again"));
  connect(rescan, &QAction::triggered, &m_catalog, &ModelCatalog::rescan);
  QAction* find =
      pageAction(this, tr("Filter the models"), Icon::kSearch, QKeySequence(Qt::CTRL | Qt::Key_F));
  connect(find, &QAction::triggered, this, [this] { m_filter->setFocus(Qt::ShortcutFocusReason); });
  m_removeAction = pageAction(this, tr("Forget this model's folder"), Icon::kTrash, {});
  connect(m_removeAction, &QAction::triggered, this, [this] {
    for (const QString& root : m_settings.list("models.folders")) {
      if (m_selected == root || m_selected.startsWith(root + QLatin1Char('/'))) {
        m_catalog.removeFolder(root);
        return;
      }
    }
  });
}

void ModelsPage::chooseFolder() {
  const QString folder =
      QFileDialog::getExistingDirectory(this, tr("Add a folder of models"), QDir::homePath());
  if (!folder.isEmpty()) m_catalog.addFolder(folder);
}

bool ModelsPage::select(const QString& folder) {
  const int row = m_catalog.rowOf(folder);
  const QModelIndex index = m_sorted.mapFromSource(m_catalog.index(row, 0));
  if (row < 0 || !index.isValid()) return false;
  m_table->selectRow(index.row());
  showSelection();
  return true;
}

void ModelsPage::showSelection() {
  const QModelIndex current = m_sorted.mapToSource(m_table->currentIndex());
  const ModelEntry* entry = m_catalog.entry(current.isValid() ? current.row() : -1);
  m_hasSelection = entry != nullptr;
  if (entry != nullptr) m_selected = entry->folder;
  m_removeAction->setEnabled(entry != nullptr && entry->source == ModelEntry::Source::kFolder);
  m_details->setEntry(entry);
}

void ModelsPage::refresh() {
  m_busy->setVisible(m_catalog.scanning());
  const QString folderText = format::counted(m_settings.list("models.folders").size(),
                                             tr("folder of yours"), tr("folders of yours"));
  const QString hub =
      m_settings.boolean("models.scan_hub_cache") ? tr(", the Hugging Face cache") : QString();
  m_summary->setText(m_catalog.scanning() ? tr("Looking through %1%2 …").arg(folderText, hub)
                                          : tr("%1 found in %2%3")
                                                .arg(format::counted(m_catalog.rowCount(),
                                                                     tr("model"), tr("models")),
                                                     folderText, hub));
  const bool nothing = m_sorted.rowCount() == 0 && !m_catalog.scanning();
  m_area->setCurrentWidget(nothing ? static_cast<QWidget*>(m_nothing) : m_table);
}

}  // namespace haq::ui
