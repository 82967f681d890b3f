// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/setting_control.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDir>
#include <QDoubleSpinBox>
#include <QFileDialog>
#include <QHBoxLayout>
#include <QListWidget>
#include <QPushButton>
#include <QSpinBox>
#include <QWheelEvent>

#include "ui/shared/format.h"
#include "ui/shared/widgets.h"

namespace haq::ui {

namespace {

constexpr int kControlWidth = 230;
constexpr int kListRows = 4;

/// A wheel that scrolls the page must not change the value it happens to pass over.
class IgnoreWheel : public QObject {
 public:
  using QObject::QObject;
  bool eventFilter(QObject* watched, QEvent* event) override {
    if (event->type() == QEvent::Wheel && !static_cast<QWidget*>(watched)->hasFocus()) {
      event->ignore();
      return true;
    }
    return false;
  }
};

void prepare(QWidget* control, const SettingSpec& spec) {
  control->setMinimumWidth(kControlWidth);
  control->setFocusPolicy(Qt::StrongFocus);
  control->setAccessibleName(QString::fromLatin1(spec.title));
  control->setAccessibleDescription(QString::fromLatin1(spec.help));
  control->setObjectName(QString::fromLatin1(spec.key));
  control->installEventFilter(new IgnoreWheel(control));
}

/// Calls `show` now and whenever the key changes.
template <typename F>
void follow(Settings& settings, const SettingSpec& spec, QWidget* control, F show) {
  QObject::connect(&settings, &Settings::changed, control, [&spec, show](const QString& key) {
    if (key == QLatin1String(spec.key)) show();
  });
  show();
}

QWidget* makeCheck(Settings& settings, const SettingSpec& spec, QWidget* parent) {
  auto* box = new QCheckBox(parent);
  prepare(box, spec);
  box->setMinimumWidth(0);
  follow(settings, spec, box,
         [box, &settings, &spec] { box->setChecked(settings.boolean(spec.key)); });
  QObject::connect(box, &QCheckBox::toggled, box,
                   [&settings, &spec](bool on) { settings.setValue(spec.key, on); });
  return box;
}

template <typename Box>
void fillSpin(Box* box, const SettingSpec& spec) {
  prepare(box, spec);
  box->setAlignment(Qt::AlignRight);
  box->setKeyboardTracking(false);
  if (*spec.unit != '\0') box->setSuffix(format::kThinSpace + QString::fromUtf8(spec.unit));
  if (*spec.special != '\0') box->setSpecialValueText(QString::fromUtf8(spec.special));
}

QWidget* makeInt(Settings& settings, const SettingSpec& spec, QWidget* parent) {
  auto* box = new QSpinBox(parent);
  fillSpin(box, spec);
  box->setRange(static_cast<int>(spec.minimum), static_cast<int>(spec.maximum));
  box->setSingleStep(static_cast<int>(spec.step));
  follow(settings, spec, box,
         [box, &settings, &spec] { box->setValue(settings.integer(spec.key)); });
  QObject::connect(box, &QSpinBox::valueChanged, box,
                   [&settings, &spec](int value) { settings.setValue(spec.key, value); });
  return box;
}

QWidget* makeReal(Settings& settings, const SettingSpec& spec, QWidget* parent) {
  auto* box = new QDoubleSpinBox(parent);
  fillSpin(box, spec);
  box->setDecimals(2);
  box->setRange(spec.minimum, spec.maximum);
  box->setSingleStep(spec.step);
  follow(settings, spec, box, [box, &settings, &spec] { box->setValue(settings.real(spec.key)); });
  QObject::connect(box, &QDoubleSpinBox::valueChanged, box,
                   [&settings, &spec](double value) { settings.setValue(spec.key, value); });
  return box;
}

QWidget* makeChoice(Settings& settings, const SettingSpec& spec, QWidget* parent) {
  auto* box = new QComboBox(parent);
  prepare(box, spec);
  for (const SettingChoice& choice : spec.choices) {
    box->addItem(QString::fromUtf8(choice.label), QString::fromLatin1(choice.value));
  }
  follow(settings, spec, box,
         [box, &settings, &spec] { box->setCurrentIndex(box->findData(settings.text(spec.key))); });
  QObject::connect(box, &QComboBox::currentIndexChanged, box,
                   [box, &settings, &spec] { settings.setValue(spec.key, box->currentData()); });
  return box;
}

QWidget* makeFolders(Settings& settings, const SettingSpec& spec, QWidget* parent) {
  auto* holder = new QWidget(parent);
  auto* column = new QVBoxLayout(holder);
  column->setContentsMargins(0, 0, 0, 0);
  column->setSpacing(space::kXs);
  auto* list = new QListWidget;
  prepare(list, spec);
  list->setMinimumWidth(2 * kControlWidth - 100);
  list->setTextElideMode(Qt::ElideMiddle);
  list->setFixedHeight(kListRows * (list->fontMetrics().height() + space::kXs));
  column->addWidget(list);
  auto* buttons = new QHBoxLayout;
  buttons->setSpacing(space::kS);
  buttons->addStretch(1);
  QPushButton* add = pushButton(QObject::tr("Add…"));
  add->setAccessibleName(QObject::tr("Add a model folder"));
  QPushButton* remove = pushButton(QObject::tr("Remove"));
  remove->setAccessibleName(QObject::tr("Remove the chosen folder from the list"));
  buttons->addWidget(add);
  buttons->addWidget(remove);
  column->addLayout(buttons);
  follow(settings, spec, holder, [list, remove, &settings, &spec] {
    list->clear();
    list->addItems(settings.list(spec.key));
    remove->setEnabled(list->count() > 0);
  });
  QObject::connect(add, &QPushButton::clicked, holder, [holder, &settings, &spec] {
    const QString folder = QFileDialog::getExistingDirectory(
        holder, QObject::tr("Add a folder of models"), QDir::homePath());
    if (!folder.isEmpty()) settings.setValue(spec.key, settings.list(spec.key) << folder);
  });
  QObject::connect(remove, &QPushButton::clicked, holder, [list, &settings, &spec] {
    QStringList folders = settings.list(spec.key);
    const int row = std::max(0, list->currentRow());
    if (row < folders.size()) folders.removeAt(row);
    settings.setValue(spec.key, folders);
  });
  return holder;
}

}  // namespace

QWidget* makeSettingControl(Settings& settings, const SettingSpec& spec, QWidget* parent) {
  switch (spec.type) {
    case SettingType::kBool:
      return makeCheck(settings, spec, parent);
    case SettingType::kInt:
      return makeInt(settings, spec, parent);
    case SettingType::kReal:
      return makeReal(settings, spec, parent);
    case SettingType::kChoice:
      return makeChoice(settings, spec, parent);
    case SettingType::kFolders:
      break;
  }
  return makeFolders(settings, spec, parent);
}

}  // namespace haq::ui
