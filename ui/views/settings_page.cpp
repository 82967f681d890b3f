// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/settings_page.h"

#include <QAction>
#include <QFormLayout>
#include <QLineEdit>
#include <QPushButton>
#include <QScrollArea>
#include <QToolButton>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/shared/widgets.h"
#include "ui/views/setting_control.h"

namespace haq::ui {

namespace {

constexpr int kPageWidth = 860;

QString sectionTitle(const QString& section) {
  if (section == QLatin1String("appearance")) return SettingsPage::tr("Appearance");
  if (section == QLatin1String("chat")) return SettingsPage::tr("Chat");
  if (section == QLatin1String("sampling"))
    return SettingsPage::tr("Sampling of new conversations");
  if (section == QLatin1String("models")) return SettingsPage::tr("Models");
  return SettingsPage::tr("Engine");
}

QString sectionOf(const SettingSpec& spec) {
  return QString::fromLatin1(spec.key).section(QLatin1Char('.'), 0, 0);
}

}  // namespace

SettingsPage::SettingsPage(Settings& settings, const QVector<QPair<QString, QString>>& facts,
                           QWidget* parent)
    : QWidget(parent), m_settings(settings) {
  auto* outer = new QVBoxLayout(this);
  outer->setContentsMargins(0, 0, 0, 0);
  auto* scroll = new QScrollArea;
  scroll->setFrameShape(QFrame::NoFrame);
  scroll->setWidgetResizable(true);
  scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  outer->addWidget(scroll);
  auto* page = new QWidget;
  auto* center = new QHBoxLayout(page);
  center->setContentsMargins(space::kL, space::kM, space::kL, space::kXl);
  auto* content = new QWidget;
  content->setMaximumWidth(kPageWidth);
  center->addStretch(1);
  center->addWidget(content, 100);
  center->addStretch(1);
  scroll->setWidget(page);
  auto* column = new QVBoxLayout(content);
  column->setContentsMargins(0, 0, 0, 0);
  column->setSpacing(space::kS);

  auto* head = new QHBoxLayout;
  head->setSpacing(space::kS);
  head->addWidget(new TextLabel(tr("Settings"), FontRole::kHeading));
  head->addStretch(1);
  m_search = new QLineEdit;
  m_search->setPlaceholderText(tr("Search the settings"));
  m_search->setAccessibleName(m_search->placeholderText());
  m_search->setClearButtonEnabled(true);
  m_search->setMinimumWidth(220);
  m_search->addAction(icon(Icon::kSearch, Role::kMuted), QLineEdit::LeadingPosition);
  head->addWidget(m_search);
  auto* resetAll = new QAction(icon(Icon::kUndo, Role::kMuted), tr("Reset all settings"), this);
  connect(resetAll, &QAction::triggered, &m_settings, &Settings::resetAll);
  addAction(resetAll);
  QPushButton* resetButton = pushButton(tr("Reset all"));
  connect(resetButton, &QPushButton::clicked, resetAll, &QAction::trigger);
  head->addWidget(resetButton);
  column->addLayout(head);
  QAction* find = pageAction(this, tr("Search the settings"), Icon::kSearch,
                             QKeySequence(Qt::CTRL | Qt::Key_F));
  connect(find, &QAction::triggered, this, [this] { m_search->setFocus(Qt::ShortcutFocusReason); });

  QVBoxLayout* cardRows = nullptr;
  QWidget* section = nullptr;
  QString current;
  for (const SettingSpec& spec : Settings::specs()) {
    if (sectionOf(spec) != current) {
      current = sectionOf(spec);
      section = new QWidget;
      auto* block = new QVBoxLayout(section);
      block->setContentsMargins(0, space::kM, 0, 0);
      block->setSpacing(space::kS);
      block->addWidget(new TextLabel(sectionTitle(current), FontRole::kStrong));
      auto* card = new Card;
      cardRows = new QVBoxLayout(card);
      cardRows->setContentsMargins(space::kL, space::kXs, space::kM, space::kXs);
      cardRows->setSpacing(0);
      block->addWidget(card);
      column->addWidget(section);
    }
    QWidget* row = makeRow(spec);
    cardRows->addWidget(row);
    m_rows.append({row, section,
                   (QString::fromUtf8(spec.title) + QLatin1Char(' ') +
                    QString::fromUtf8(spec.help) + QLatin1Char(' ') +
                    QString::fromLatin1(spec.key) + QLatin1Char(' ') + sectionTitle(current))
                       .toLower()});
  }
  m_nothing = new EmptyState(Icon::kSearch, tr("No setting matches"), tr("Try another word."));
  m_nothing->hide();
  column->addWidget(m_nothing);

  m_factsCard = new QWidget;
  auto* form = new QFormLayout(m_factsCard);
  form->setContentsMargins(0, space::kL, 0, 0);
  form->setHorizontalSpacing(space::kL);
  form->addRow(new TextLabel(tr("Where things are"), FontRole::kStrong));
  for (const auto& [name, value] : facts) {
    auto* label = new TextLabel(value, FontRole::kSmall, Role::kMuted);
    label->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    label->setWordWrap(true);
    form->addRow(new TextLabel(name, FontRole::kSmall), label);
  }
  column->addWidget(m_factsCard);
  column->addStretch(1);
  connect(m_search, &QLineEdit::textChanged, this, &SettingsPage::filter);
  setFocusProxy(m_search);
}

QWidget* SettingsPage::makeRow(const SettingSpec& spec) {
  auto* row = new QWidget;
  auto* line = new QHBoxLayout(row);
  line->setContentsMargins(0, space::kS, 0, space::kS);
  line->setSpacing(space::kM);
  auto* texts = new QVBoxLayout;
  texts->setSpacing(1);
  texts->addWidget(new TextLabel(QString::fromUtf8(spec.title)));
  auto* help = new TextLabel(QString::fromUtf8(spec.help), FontRole::kSmall, Role::kMuted);
  help->setWordWrap(true);
  texts->addWidget(help);
  line->addLayout(texts, 1);
  line->addWidget(makeSettingControl(m_settings, spec, row), 0, Qt::AlignVCenter);
  QToolButton* reset = iconButton(Icon::kUndo, tr("Reset “%1”").arg(QString::fromUtf8(spec.title)));
  QSizePolicy keepsPlace = reset->sizePolicy();
  keepsPlace.setRetainSizeWhenHidden(true);
  reset->setSizePolicy(keepsPlace);
  connect(reset, &QToolButton::clicked, this, [this, &spec] { m_settings.reset(spec.key); });
  const auto refresh = [this, reset, &spec] { reset->setVisible(!m_settings.isDefault(spec.key)); };
  connect(&m_settings, &Settings::changed, reset, [refresh, &spec](const QString& key) {
    if (key == QLatin1String(spec.key)) refresh();
  });
  line->addWidget(reset, 0, Qt::AlignVCenter);
  refresh();
  return row;
}

int SettingsPage::visibleRows() const {
  return static_cast<int>(std::count_if(m_rows.begin(), m_rows.end(),
                                        [](const Row& row) { return !row.widget->isHidden(); }));
}

void SettingsPage::filter(const QString& text) {
  const QStringList words = text.toLower().split(QLatin1Char(' '), Qt::SkipEmptyParts);
  const auto fits = [&](const Row& row) {
    return std::all_of(words.begin(), words.end(),
                       [&](const QString& word) { return row.words.contains(word); });
  };
  for (const Row& row : m_rows) row.section->hide();
  bool any = false;
  for (const Row& row : m_rows) {
    const bool shown = fits(row);
    row.widget->setVisible(shown);
    if (shown) row.section->show();
    any = any || shown;
  }
  m_nothing->setVisible(!any);
  m_factsCard->setVisible(words.isEmpty());
}

}  // namespace haq::ui
