// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/wizard/done_step.h"

#include <QClipboard>
#include <QDesktopServices>
#include <QFileInfo>
#include <QGuiApplication>
#include <QHBoxLayout>
#include <QPushButton>
#include <QTextBrowser>
#include <QTextDocument>
#include <QUrl>
#include <QVBoxLayout>

#include "engine/base/file.h"
#include "ui/wizard/side_by_side_view.h"

namespace haq::ui {

namespace {

constexpr std::size_t kMaxCardBytes = std::size_t{1} << 20;

/// Shows Markdown and fetches nothing: no picture, no link leaves the program.
class CardView : public QTextBrowser {
 public:
  CardView() {
    setOpenLinks(false);
    setFrameShape(QFrame::NoFrame);
    connect(&Theme::instance(), &Theme::changed, this, [this] { showCard(m_text); });
  }
  void showCard(const QString& text) {
    m_text = text;
    document()->setMarkdown(text,
                            QTextDocument::MarkdownFeatures(QTextDocument::MarkdownDialectGitHub) |
                                QTextDocument::MarkdownNoHTML);
  }

 protected:
  QVariant loadResource(int, const QUrl&) override { return {}; }

 private:
  QString m_text;
};

/// The card without the front matter that is meant for machines.
QString withoutFrontMatter(const QString& card) {
  if (!card.startsWith(QLatin1String("---\n"))) return card;
  const qsizetype end = card.indexOf(QLatin1String("\n---\n"), 4);
  return end < 0 ? card : card.mid(end + 5).trimmed();
}

}  // namespace

DoneStep::DoneStep(WizardContext& context, QWidget* parent)
    : StepPage(
          tr("The model is ready"),
          tr("A Hugging Face folder in compressed-tensors format: it runs here and in programs "
             "that read that format."),
          parent),
      m_context(context) {
  auto* place = new Card;
  auto* row = new QHBoxLayout(place);
  row->setContentsMargins(space::kM, space::kS, space::kS, space::kS);
  row->setSpacing(space::kS);
  row->addWidget(new TextLabel(tr("Folder"), FontRole::kBody, Role::kMuted));
  m_path = new ElidedLabel(FontRole::kBody);
  row->addWidget(m_path, 1);
  QToolButton* copy = iconButton(Icon::kCopy, tr("Copy the path"));
  connect(copy, &QToolButton::clicked, this,
          [this] { QGuiApplication::clipboard()->setText(m_target); });
  row->addWidget(copy);
  QPushButton* open = pushButton(tr("Show folder"));
  connect(open, &QPushButton::clicked, this,
          [this] { QDesktopServices::openUrl(QUrl::fromLocalFile(m_target)); });
  row->addWidget(open);
  column()->addWidget(place);
  m_problem = new Banner;
  column()->addWidget(m_problem);

  auto* actions = new QHBoxLayout;
  actions->setSpacing(space::kS);
  m_chat = pushButton(tr("Chat with it now"), true);
  connect(m_chat, &QPushButton::clicked, this, [this] { Q_EMIT chatAsked(m_target); });
  m_compare = pushButton(tr("Compare side by side with the original"));
  m_compare->setCheckable(true);
  connect(m_compare, &QPushButton::toggled, this, [this](bool on) {
    m_sides->setVisible(on);
    m_cardFrame->setVisible(!on);
    if (on) m_sides->focusPrompt();
  });
  actions->addWidget(m_chat);
  actions->addWidget(m_compare);
  actions->addStretch(1);
  column()->addLayout(actions);

  m_sides = new SideBySideView(context.engine, context.settings);
  m_sides->hide();
  column()->addWidget(m_sides, 1);
  auto* frame = new Card;
  m_cardFrame = frame;
  auto* list = new QVBoxLayout(frame);
  list->setContentsMargins(space::kM, space::kS, space::kM, space::kS);
  list->addWidget(new TextLabel(tr("Model card (README.md)"), FontRole::kStrong));
  m_card = new CardView;
  m_card->setAccessibleName(tr("Model card"));
  m_card->setMinimumHeight(120);
  list->addWidget(m_card, 1);
  column()->addWidget(frame, 1);
  setFocusProxy(m_chat);
}

void DoneStep::setReport(const std::shared_ptr<const quant::Report>& report,
                         const QString& source) {
  if (report == nullptr) return;
  m_target = QString::fromStdString(report->target);
  m_path->setFullText(m_target);
  const bool there = QFileInfo::exists(m_target + QStringLiteral("/config.json"));
  m_chat->setEnabled(there);
  m_compare->setEnabled(there);
  QString card;
  if (there) {
    m_problem->hide();
    try {
      card = QString::fromStdString(
          read_text_file(report->target + std::string("/README.md"), kMaxCardBytes));
    } catch (const Error& error) {
      m_problem->show(Banner::Kind::kWarning, tr("The model card cannot be read."),
                      QString::fromUtf8(error.what()));
    }
  } else {
    m_problem->show(Banner::Kind::kWarning, tr("The folder is not there any more."),
                    tr("It was moved or deleted; the report of the run is kept."));
  }
  static_cast<CardView*>(m_card)->showCard(withoutFrontMatter(card));
  m_sides->setModels({source, QString::fromStdString(report->model_name), {}, {}, false},
                     {m_target, QFileInfo(m_target).fileName(), {}, {}, false});
}

}  // namespace haq::ui
