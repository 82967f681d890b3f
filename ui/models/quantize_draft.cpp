// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/quantize_draft.h"

#include <algorithm>

namespace haq::ui {

namespace {

constexpr int kSaveMs = 300;
constexpr int kSteps = 6;
const QString kKey = QStringLiteral("quantize.draft");

}  // namespace

QuantizeDraft::QuantizeDraft(Settings& settings, QObject* parent)
    : QObject(parent), m_settings(settings) {
  const QJsonObject kept = QJsonObject::fromVariantMap(settings.state(kKey).toMap());
  m_order = orderFromJson(kept.value(QStringLiteral("order")).toObject());
  m_step = std::clamp(kept.value(QStringLiteral("step")).toInt(), 0, kSteps - 1);
  m_begun = kept.value(QStringLiteral("begun")).toBool();
  m_saveTimer.setInterval(kSaveMs);
  m_saveTimer.setSingleShot(true);
  connect(&m_saveTimer, &QTimer::timeout, this, &QuantizeDraft::save);
}

QuantizeDraft::~QuantizeDraft() {
  if (m_saveTimer.isActive()) save();
}

void QuantizeDraft::setOrder(const QuantizeOrder& order) {
  if (order == m_order) return;
  m_order = order;
  m_saveTimer.start();
  Q_EMIT changed();
}

void QuantizeDraft::setStep(int step) {
  if (step == m_step) return;
  m_step = step;
  m_saveTimer.start();
}

void QuantizeDraft::begin() {
  if (m_begun) return;
  m_begun = true;
  m_saveTimer.start();
  Q_EMIT changed();
}

void QuantizeDraft::save() {
  m_saveTimer.stop();
  m_settings.setState(kKey, QJsonObject{{QStringLiteral("order"), toJson(m_order)},
                                        {QStringLiteral("step"), m_step},
                                        {QStringLiteral("begun"), m_begun}}
                                .toVariantMap());
}

}  // namespace haq::ui
