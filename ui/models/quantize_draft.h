// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QObject>
#include <QTimer>

#include "ui/models/quantize_order.h"
#include "ui/models/settings.h"

namespace haq::ui {

/// The order being put together in the wizard and the step on show. Every change is kept in the
/// settings' state soon after, so that closing the program loses nothing.
class QuantizeDraft : public QObject {
  Q_OBJECT
 public:
  explicit QuantizeDraft(Settings& settings, QObject* parent = nullptr);
  ~QuantizeDraft() override;

  const QuantizeOrder& order() const { return m_order; }
  void setOrder(const QuantizeOrder& order);
  /// Changes the order through a function: draft.change([&](QuantizeOrder& o) { o.seed = 1; }).
  template <typename Change>
  void change(Change&& change) {
    QuantizeOrder order = m_order;
    change(order);
    setOrder(order);
  }
  int step() const { return m_step; }
  void setStep(int step);
  /// The user has begun: a source was chosen.
  bool begun() const { return m_begun; }
  void begin();

 Q_SIGNALS:
  void changed();

 private:
  void save();
  Settings& m_settings;
  QuantizeOrder m_order;
  int m_step = 0;
  bool m_begun = false;
  QTimer m_saveTimer;
};

}  // namespace haq::ui
