// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/chat/conversation_panel.h"

#include <QContextMenuEvent>
#include <QFileDialog>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLineEdit>
#include <QListView>
#include <QMenu>
#include <QPainter>
#include <QPushButton>
#include <QRegularExpression>
#include <QStandardPaths>
#include <QTimer>
#include <QVBoxLayout>

namespace haq::ui {
namespace {

constexpr int kSearchDelayMs = 120;

struct ExportChoice {
  profile::ExportFormat format;
  const char* text;
};
constexpr ExportChoice kExports[] = {
    {profile::ExportFormat::kMarkdown,
     QT_TRANSLATE_NOOP("haq::ui::ConversationPanel", "Markdown…")},
    {profile::ExportFormat::kHtml,
     QT_TRANSLATE_NOOP("haq::ui::ConversationPanel", "Web page (HTML)…")},
    {profile::ExportFormat::kJson,
     QT_TRANSLATE_NOOP("haq::ui::ConversationPanel", "JSON with every version and figure…")},
};

}  // namespace

ConversationPanel::ConversationPanel(ChatService& chats, QWidget* parent)
    : QWidget(parent),
      m_chats(chats),
      m_model(new ConversationListModel(chats, this)),
      m_search(new QLineEdit(this)),
      m_list(new QListView(this)),
      m_empty(new TextLabel({}, FontRole::kSmall, Role::kMuted, this)),
      m_undoBar(new QWidget(this)),
      m_undoText(new ElidedLabel(FontRole::kSmall, Role::kText, m_undoBar)),
      m_searchTimer(new QTimer(this)) {
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(space::kS, space::kM, space::kS, space::kS);
  column->setSpacing(space::kS);
  auto* top = new QHBoxLayout;
  top->setSpacing(space::kXs);
  m_search->setPlaceholderText(tr("Search conversations"));
  m_search->setAccessibleName(tr("Search conversations"));
  m_search->setClearButtonEnabled(true);
  m_search->addAction(icon(Icon::kSearch, Role::kMuted), QLineEdit::LeadingPosition);
  m_search->installEventFilter(this);
  QToolButton* fresh = iconButton(Icon::kPlus, tr("New conversation"), this);
  top->addWidget(m_search, 1);
  top->addWidget(fresh);
  column->addLayout(top);

  m_list->setModel(m_model);
  m_list->setItemDelegate(new ConversationDelegate(m_list));
  m_list->setFrameShape(QFrame::NoFrame);
  m_list->viewport()->setAutoFillBackground(false);
  m_list->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  m_list->setVerticalScrollMode(QAbstractItemView::ScrollPerPixel);
  m_list->setEditTriggers(QAbstractItemView::NoEditTriggers);
  m_list->setContextMenuPolicy(Qt::CustomContextMenu);
  m_list->setMouseTracking(true);
  m_list->setAccessibleName(tr("Conversations"));
  m_list->installEventFilter(this);
  column->addWidget(m_list, 1);

  m_empty->setAlignment(Qt::AlignHCenter | Qt::AlignTop);
  m_empty->setWordWrap(true);
  column->addWidget(m_empty, 1);

  auto* undo = new QHBoxLayout(m_undoBar);
  undo->setContentsMargins(space::kXs, 0, 0, 0);
  undo->setSpacing(space::kXs);
  QPushButton* back = pushButton(tr("Undo"));
  back->setAccessibleName(tr("Undo deleting the conversation"));
  QToolButton* close = iconButton(Icon::kClose, tr("Dismiss"), m_undoBar);
  undo->addWidget(m_undoText, 1);
  undo->addWidget(back);
  undo->addWidget(close);
  m_undoBar->hide();
  column->addWidget(m_undoBar);

  m_searchTimer->setSingleShot(true);
  m_searchTimer->setInterval(kSearchDelayMs);
  connect(m_search, &QLineEdit::textChanged, m_searchTimer, qOverload<>(&QTimer::start));
  connect(m_searchTimer, &QTimer::timeout, this, [this] { m_model->setSearch(m_search->text()); });
  connect(fresh, &QToolButton::clicked, this, &ConversationPanel::newAsked);
  connect(back, &QPushButton::clicked, this, &ConversationPanel::undoRemove);
  connect(close, &QToolButton::clicked, this, [this] {
    m_removed = 0;
    m_undoBar->hide();
  });
  connect(m_list, &QListView::clicked, this, &ConversationPanel::openIndex);
  connect(m_list, &QListView::activated, this, &ConversationPanel::openIndex);
  connect(m_list, &QWidget::customContextMenuRequested, this, &ConversationPanel::showMenu);
  connect(m_model, &QAbstractItemModel::modelReset, this, [this] {
    select(m_current);
    updateEmpty(m_model->rowCount());
  });
  updateEmpty(m_model->rowCount());
}

void ConversationPanel::updateEmpty(int rows) {
  m_empty->setText(m_model->searchText().isEmpty() ? tr("No conversations yet.")
                                                   : tr("Nothing found. Every word must occur."));
  m_empty->setVisible(rows == 0);
  m_list->setVisible(rows > 0);
}

void ConversationPanel::select(profile::Id conversation) {
  m_current = conversation;
  const QModelIndex index = m_model->indexOf(conversation);
  if (index.isValid()) {
    m_list->setCurrentIndex(index);
  } else {
    m_list->clearSelection();
    m_list->setCurrentIndex({});
  }
}

profile::Id ConversationPanel::selected() const {
  const QModelIndex index = m_list->currentIndex();
  return index.isValid() ? index.data(ConversationListModel::kConversationRole).toLongLong()
                         : m_current;
}

void ConversationPanel::openIndex(const QModelIndex& index) {
  if (index.data(ConversationListModel::kKindRole).toInt() == ConversationListModel::kHeading)
    return;
  m_current = index.data(ConversationListModel::kConversationRole).toLongLong();
  Q_EMIT openAsked(m_current, index.data(ConversationListModel::kMessageRole).toLongLong());
}

void ConversationPanel::renameSelected() {
  const QModelIndex index = m_model->indexOf(selected());
  if (!index.isValid() || !(index.flags() & Qt::ItemIsEditable)) return;
  m_list->scrollTo(index);
  m_list->setCurrentIndex(index);
  m_list->edit(index);
}

void ConversationPanel::removeSelected() {
  const profile::Id id = selected();
  const profile::Conversation* chat = m_chats.find(id);
  if (chat == nullptr) return;
  const QString title = QString::fromStdString(chat->title);
  m_removed = id;
  m_undoText->setFullText(tr("Deleted"));
  m_undoText->setToolTip(title);
  m_undoText->setAccessibleName(tr("Deleted “%1”").arg(title));
  m_undoBar->show();
  m_chats.remove(id);
  Q_EMIT removed(id);
}

void ConversationPanel::undoRemove() {
  if (m_removed == 0) return;
  const profile::Id id = std::exchange(m_removed, 0);
  m_undoBar->hide();
  m_chats.restore(id);
  Q_EMIT openAsked(id, 0);
}

void ConversationPanel::focusSearch() {
  m_search->setFocus(Qt::ShortcutFocusReason);
  m_search->selectAll();
}

void ConversationPanel::exportSelected(profile::ExportFormat format) {
  const profile::Id id = selected();
  const profile::Conversation* chat = m_chats.find(id);
  if (chat == nullptr) return;
  static const QRegularExpression unsafe(QStringLiteral("[/\\\\:*?\"<>|\\x00-\\x1f]+"));
  QString name = QString::fromStdString(chat->title).replace(unsafe, QStringLiteral("-"));
  const QString folder = QStandardPaths::writableLocation(QStandardPaths::DocumentsLocation);
  const QString suffix = QString::fromLatin1(profile::file_suffix(format));
  const QString file = QFileDialog::getSaveFileName(this, tr("Export the conversation"),
                                                    folder + u'/' + name + suffix, u'*' + suffix);
  if (!file.isEmpty()) exportTo(id, format, file);
}

void ConversationPanel::exportTo(profile::Id conversation, profile::ExportFormat format,
                                 const QString& file) {
  m_chats.exportTo(conversation, format, file, this,
                   [this, file](const QString& error) { Q_EMIT exported(file, error); });
}

void ConversationPanel::showMenu(const QPoint& position) {
  const QModelIndex index = m_list->indexAt(position);
  if (!index.isValid() ||
      index.data(ConversationListModel::kKindRole).toInt() == ConversationListModel::kHeading) {
    return;
  }
  m_list->setCurrentIndex(index);
  QMenu menu(this);
  QAction* rename =
      menu.addAction(icon(Icon::kEdit), tr("Rename"), this, &ConversationPanel::renameSelected);
  rename->setShortcut(Qt::Key_F2);
  rename->setEnabled(index.flags() & Qt::ItemIsEditable);
  QMenu* exports = menu.addMenu(icon(Icon::kExport), tr("Export as"));
  for (const ExportChoice& choice : kExports) {
    connect(exports->addAction(tr(choice.text)), &QAction::triggered, this,
            [this, format = choice.format] { exportSelected(format); });
  }
  menu.addSeparator();
  menu.addAction(icon(Icon::kTrash), tr("Delete"), this, &ConversationPanel::removeSelected);
  menu.exec(m_list->viewport()->mapToGlobal(position));
}

bool ConversationPanel::eventFilter(QObject* watched, QEvent* event) {
  if (event->type() == QEvent::KeyPress) {
    const auto* key = static_cast<QKeyEvent*>(event);
    if (watched == m_search && key->key() == Qt::Key_Escape && !m_search->text().isEmpty()) {
      m_search->clear();
      return true;
    }
    if (watched == m_search && (key->key() == Qt::Key_Down || key->key() == Qt::Key_Return ||
                                key->key() == Qt::Key_Enter)) {
      if (m_searchTimer->isActive()) {
        m_searchTimer->stop();
        m_model->setSearch(m_search->text());
      }
      m_list->setFocus(Qt::OtherFocusReason);
      return true;
    }
    if (watched == m_list && key->key() == Qt::Key_Delete) {
      removeSelected();
      return true;
    }
  }
  return QWidget::eventFilter(watched, event);
}

void ConversationPanel::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  const Theme& theme = Theme::instance();
  painter.fillRect(QRect(width() - kHairline, 0, kHairline, height()), theme.hairline());
}

}  // namespace haq::ui
