// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QObject>
#include <QThreadPool>
#include <optional>

#include "engine/model/checkpoint.h"
#include "ui/models/quantize_order.h"
#include "ui/models/quantize_services.h"

namespace haq::ui {

/// What stands in the way, and what to do; both empty when nothing does.
struct CheckProblem {
  QString message, hint;
  bool any() const { return !message.isEmpty(); }
};

/// Whether a source can be quantized, and what that takes.
struct SourceCheck {
  QString source;
  QString name, architecture, precision;
  int layers = 0, experts = 0, topK = 0;
  qint64 parameters = 0, bytes16 = 0, bytes8 = 0;
  qint64 maxContext = 0;
  std::shared_ptr<const model::Checkpoint> checkpoint;
  std::optional<quant::Preflight> needs;
  CheckProblem problem;
};

struct TextCheck {
  QStringList files;
  std::optional<CalibrationFacts> facts;
  CheckProblem problem;
};

struct TargetCheck {
  QString target;
  quant::WorkFolder::Status status;
  CheckProblem problem;
};

/// Answers the wizard's questions about files on a thread of its own. Of each kind of question only
/// the latest is answered. GUI thread only.
class QuantizeChecks : public QObject {
  Q_OBJECT
 public:
  explicit QuantizeChecks(QuantizeServices services, QObject* parent = nullptr);
  ~QuantizeChecks() override;

  void checkSource(const QuantizeOrder& order);
  void checkText(const QuantizeOrder& order);
  void checkTarget(const QString& target);

 Q_SIGNALS:
  void sourceChecked(const haq::ui::SourceCheck& check);
  void textChecked(const haq::ui::TextCheck& check);
  void targetChecked(const haq::ui::TargetCheck& check);

 private:
  QuantizeServices m_services;
  QThreadPool m_pool;
  CancelToken m_textCancel;
  quint64 m_source = 0, m_text = 0, m_target = 0;
};

/// Runs `work` and turns an engine error into a problem.
CheckProblem problemOf(const std::function<void()>& work);

}  // namespace haq::ui
