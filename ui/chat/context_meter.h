// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

namespace haq::ui {

/// How much of the model's context the conversation takes: a small bar and a figure.
class ContextMeter : public QWidget {
  Q_OBJECT
 public:
  explicit ContextMeter(QWidget* parent = nullptr);
  /// A limit of 0: not known.
  void set(qint64 tokens, qint64 limit);
  qint64 tokens() const { return m_tokens; }
  QSize sizeHint() const override;
  QSize minimumSizeHint() const override { return sizeHint(); }

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  QString text() const;
  qint64 m_tokens = 0;
  qint64 m_limit = 0;
};

}  // namespace haq::ui
