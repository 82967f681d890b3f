// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/wizard/data_step.h"

#include <QCheckBox>
#include <QDir>
#include <QDragEnterEvent>
#include <QFileDialog>
#include <QFileInfo>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLineEdit>
#include <QListWidget>
#include <QMimeData>
#include <QPushButton>
#include <QSpinBox>
#include <QVBoxLayout>

#include "engine/model/checkpoint.h"
#include "ui/shared/format.h"

namespace haq::ui {

namespace {

constexpr int kDelayMs = 400;
using Mark = CheckLine::Mark;

QString filter() {
  return DataStep::tr("Text (*.txt *.md *.jsonl *.raw);;All files (*)");
}

QStringList droppedFiles(const QMimeData* data) {
  QStringList files;
  for (const QUrl& url : data->urls()) {
    if (url.isLocalFile() && QFileInfo(url.toLocalFile()).isFile()) files << url.toLocalFile();
  }
  return files;
}

}  // namespace

DataStep::DataStep(WizardContext& context, QWidget* parent)
    : StepPage(
          tr("Which text shall it be calibrated on?"),
          tr("Text like that the model will be used with: plain text, or chats as .jsonl. It "
             "decides which activations are kept sharp, so a mixture is better than one book."),
          parent),
      m_context(context) {
  setAcceptDrops(true);
  column()->addWidget(makeFiles());
  m_problem = new Banner;
  column()->addWidget(m_problem);
  column()->addWidget(new Columns({makeAmounts(), makeEvaluation()}, 320));
  column()->addStretch(1);
  m_delay.setSingleShot(true);
  m_delay.setInterval(kDelayMs);
  connect(&m_delay, &QTimer::timeout, this, &DataStep::recheck);
  connect(&context.draft, &QuantizeDraft::changed, this, qOverload<>(&DataStep::show));
  connect(&context.checks, &QuantizeChecks::textChecked, this,
          qOverload<const TextCheck&>(&DataStep::show));
  show();
  if (!context.draft.order().calibration.isEmpty()) m_delay.start();
}

QWidget* DataStep::makeFiles() {
  auto* card = new Card;
  auto* list = new QVBoxLayout(card);
  list->setContentsMargins(space::kM, space::kM, space::kM, space::kM);
  list->setSpacing(space::kS);
  m_files = new QListWidget;
  m_files->setAccessibleName(tr("Calibration files"));
  m_files->setFrameShape(QFrame::NoFrame);
  m_files->setTextElideMode(Qt::ElideMiddle);
  m_files->setSelectionMode(QAbstractItemView::ExtendedSelection);
  const auto resize = [this] {
    m_files->setFixedHeight(
        4 * (QFontMetrics(Theme::instance().font(FontRole::kBody)).height() + space::kXs));
  };
  connect(&Theme::instance(), &Theme::changed, this, resize);
  resize();
  list->addWidget(m_files);
  auto* buttons = new QHBoxLayout;
  buttons->setSpacing(space::kS);
  QPushButton* add = pushButton(tr("Add files…"));
  connect(add, &QPushButton::clicked, this, &DataStep::browse);
  QPushButton* remove = pushButton(tr("Remove"));
  remove->setAccessibleName(tr("Remove the selected files"));
  connect(remove, &QPushButton::clicked, this, &DataStep::removeSelected);
  connect(m_files, &QListWidget::itemSelectionChanged, remove,
          [this, remove] { remove->setEnabled(!m_files->selectedItems().isEmpty()); });
  remove->setEnabled(false);
  m_sample = pushButton(tr("Use the demo model's sample text"));
  m_sample->setToolTip(tr("A page of stories: enough to try the program, not to judge a model"));
  connect(m_sample, &QPushButton::clicked, this,
          [this] { addFiles({QString::fromStdString(model::demo_sample_text().string())}); });
  buttons->addWidget(add);
  buttons->addWidget(m_sample);
  buttons->addWidget(remove);
  buttons->addWidget(new TextLabel(tr("or drop them here"), FontRole::kSmall, Role::kMuted));
  buttons->addStretch(1);
  list->addLayout(buttons);
  m_finding = new CheckLine(tr("Text"));
  list->addWidget(m_finding);
  return card;
}

QWidget* DataStep::makeAmounts() {
  auto* card = new Card;
  auto* form = new QFormLayout(card);
  form->setContentsMargins(space::kM, space::kM, space::kM, space::kM);
  form->setHorizontalSpacing(space::kL);
  form->setLabelAlignment(Qt::AlignLeft | Qt::AlignVCenter);
  form->setVerticalSpacing(space::kS);
  const auto box = [&](const QString& name, int low, int high, int step, const QString& unit,
                       const QString& help, int QuantizeOrder::*field) {
    auto* spin = new QSpinBox;
    spin->setRange(low, high);
    spin->setSingleStep(step);
    spin->setAlignment(Qt::AlignRight);
    spin->setAccessibleName(name);
    spin->setToolTip(help);
    spin->setKeyboardTracking(false);
    spin->setGroupSeparatorShown(false);
    if (!unit.isEmpty()) spin->setSuffix(QString(format::kThinSpace) + unit);
    connect(spin, &QSpinBox::valueChanged, this, [this, field](int value) {
      m_context.draft.change([&](QuantizeOrder& order) { order.*field = value; });
      m_delay.start();
    });
    form->addRow(new TextLabel(name), spin);
    return spin;
  };
  m_tokens = box(tr("Calibration text"), 256, 1 << 24, 4096, tr("tokens"),
                 tr("More cover more experts and take longer; 65 536 is a good start."),
                 &QuantizeOrder::tokens);
  m_length = box(tr("Sequence length"), 16, 131072, 64, tr("tokens"),
                 tr("The text is cut into sequences of this length; at most the model's context."),
                 &QuantizeOrder::sequenceLength);
  m_seed = box(tr("Seed of the sample"), 0, 0x7fffffff, 1, {},
               tr("The same seed draws the same sequences."), &QuantizeOrder::seed);
  return card;
}

QWidget* DataStep::makeEvaluation() {
  auto* card = new Card;
  auto* list = new QVBoxLayout(card);
  list->setContentsMargins(space::kM, space::kM, space::kM, space::kM);
  list->setSpacing(space::kS);
  m_measure = new QCheckBox(tr("Measure the quality afterwards"));
  m_measure->setToolTip(tr("Perplexity, KL divergence and agreement of both models"));
  list->addWidget(m_measure);
  auto* row = new QHBoxLayout;
  row->setSpacing(space::kS);
  m_evalText = new QLineEdit;
  m_evalText->setAccessibleName(tr("Text to measure on"));
  m_evalText->setPlaceholderText(tr("calibration sequences kept aside"));
  m_evalText->setClearButtonEnabled(true);
  row->addWidget(m_evalText, 1);
  QPushButton* choose = pushButton(tr("Choose…"));
  choose->setAccessibleName(tr("Choose a text to measure on"));
  connect(choose, &QPushButton::clicked, this, [this] {
    const QString file = QFileDialog::getOpenFileName(this, tr("Choose a text to measure on"),
                                                      QDir::homePath(), filter());
    if (!file.isEmpty()) m_evalText->setText(file);
  });
  row->addWidget(choose);
  list->addLayout(row);
  auto* form = new QFormLayout;
  form->setHorizontalSpacing(space::kL);
  form->setLabelAlignment(Qt::AlignLeft | Qt::AlignVCenter);
  m_evalTokens = new QSpinBox;
  m_evalTokens->setRange(0, 1 << 30);
  m_evalTokens->setSingleStep(1024);
  m_evalTokens->setSpecialValueText(tr("all of it"));
  m_evalTokens->setSuffix(QString(format::kThinSpace) + tr("tokens"));
  m_evalTokens->setAlignment(Qt::AlignRight);
  m_evalTokens->setAccessibleName(tr("Tokens to measure on"));
  form->addRow(new TextLabel(tr("Of that text")), m_evalTokens);
  list->addLayout(form);
  list->addStretch(1);
  connect(m_measure, &QCheckBox::toggled, this, [this](bool on) {
    m_context.draft.change([&](QuantizeOrder& order) {
      order.measureQuality = on;
      order.ablate = order.ablate && on;
    });
  });
  connect(m_evalText, &QLineEdit::textChanged, this, [this](const QString& text) {
    m_context.draft.change([&](QuantizeOrder& order) { order.evalText = text.trimmed(); });
    Q_EMIT checked();
  });
  connect(m_evalTokens, &QSpinBox::valueChanged, this, [this](int tokens) {
    m_context.draft.change([&](QuantizeOrder& order) { order.evalTokens = tokens; });
  });
  return card;
}

void DataStep::show() {
  const QuantizeOrder& order = m_context.draft.order();
  QStringList shown;
  for (int row = 0; row < m_files->count(); ++row) {
    shown << m_files->item(row)->data(Qt::UserRole).toString();
  }
  if (shown != order.calibration) {
    m_files->clear();
    for (const QString& file : order.calibration) {
      const QFileInfo info(file);
      const QString size =
          info.exists() ? format::bytes(static_cast<double>(info.size())) : tr("is not there");
      auto* item = new QListWidgetItem(QStringLiteral("%1   (%2)").arg(file, size), m_files);
      item->setData(Qt::UserRole, file);
      item->setToolTip(file);
    }
    m_checked = false;
    m_delay.start();
  }
  m_sample->setVisible(order.source.isEmpty() && order.calibration.isEmpty() &&
                       !model::demo_sample_text().empty());
  m_tokens->setValue(order.tokens);
  m_length->setValue(order.sequenceLength);
  m_seed->setValue(order.seed);
  m_measure->setChecked(order.measureQuality);
  if (m_evalText->text().trimmed() != order.evalText) m_evalText->setText(order.evalText);
  m_evalTokens->setValue(order.evalTokens);
  m_evalText->setEnabled(order.measureQuality);
  m_evalTokens->setEnabled(order.measureQuality && !order.evalText.isEmpty());
}

void DataStep::addFiles(const QStringList& files) {
  m_context.draft.change([&](QuantizeOrder& order) {
    for (const QString& file : files) {
      const QString clean = QDir::cleanPath(file);
      if (!order.calibration.contains(clean)) order.calibration << clean;
    }
  });
}

void DataStep::removeSelected() {
  QStringList gone;
  for (const QListWidgetItem* item : m_files->selectedItems()) {
    gone << item->data(Qt::UserRole).toString();
  }
  m_context.draft.change([&](QuantizeOrder& order) {
    for (const QString& file : gone) order.calibration.removeAll(file);
  });
}

void DataStep::browse() {
  addFiles(
      QFileDialog::getOpenFileNames(this, tr("Add calibration files"), QDir::homePath(), filter()));
}

void DataStep::recheck() {
  m_delay.stop();
  m_checked = false;
  if (m_context.draft.order().calibration.isEmpty()) {
    m_finding->set(Mark::kPending, tr("no file yet"));
    m_problem->hide();
  } else {
    m_finding->set(Mark::kPending, tr("reading …"));
    m_context.checks.checkText(m_context.draft.order());
  }
  Q_EMIT checked();
}

bool DataStep::passed() const {
  const QuantizeOrder& order = m_context.draft.order();
  return m_checked && !m_check.problem.any() && m_check.files == order.calibration &&
         (order.evalText.isEmpty() || QFileInfo(order.evalText).isFile());
}

void DataStep::show(const TextCheck& check) {
  if (check.files != m_context.draft.order().calibration) return;
  m_check = check;
  m_checked = true;
  if (check.problem.any()) {
    m_finding->set(Mark::kBad, tr("cannot be used"));
    m_problem->show(Banner::Kind::kError, check.problem.message, check.problem.hint);
  } else {
    const CalibrationFacts& facts = *check.facts;
    QStringList notices;
    for (const std::string& notice : facts.notices) notices << QString::fromStdString(notice);
    m_finding->set(notices.isEmpty() ? Mark::kGood : Mark::kWarning,
                   tr("%1 tokens in %2 of the %3 available; %4 kept aside for measuring; %5 bytes "
                      "per token")
                       .arg(format::count(facts.tokens),
                            format::counted(facts.sequences, tr("sequence"), tr("sequences")),
                            format::count(facts.availableTokens),
                            format::counted(facts.heldOut, tr("sequence"), tr("sequences")),
                            format::number(facts.bytesPerToken)));
    if (notices.isEmpty()) {
      m_problem->hide();
    } else {
      m_problem->show(Banner::Kind::kWarning, notices.first(),
                      notices.mid(1).join(QLatin1Char('\n')));
    }
  }
  Q_EMIT checked();
}

void DataStep::dragEnterEvent(QDragEnterEvent* event) {
  if (!droppedFiles(event->mimeData()).isEmpty()) event->acceptProposedAction();
}

void DataStep::dropEvent(QDropEvent* event) {
  const QStringList files = droppedFiles(event->mimeData());
  if (files.isEmpty()) return;
  event->acceptProposedAction();
  addFiles(files);
}

}  // namespace haq::ui
