// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QPlainTextEdit>

#include "ui/shared/widgets.h"

namespace haq::ui {

class ContextMeter;

/// Where the user writes: a text field that grows to eight lines, Send or Stop, how full the
/// context is, and what waits to be sent. Emits what is asked for; knows nothing of conversations.
class Composer : public QWidget {
  Q_OBJECT
 public:
  explicit Composer(QWidget* parent = nullptr);

  QPlainTextEdit& editor() { return *m_editor; }
  ContextMeter& meter() { return *m_meter; }
  void setAnswering(bool answering);
  /// Why nothing can be sent now (shown instead of the placeholder); empty: it can.
  void setBlocked(const QString& reason);
  void setQueue(const QStringList& texts);
  /// Enter sends, or Ctrl+Enter does.
  void setSendWithEnter(bool enter);
  QToolButton* optionsButton() { return m_options; }
  int chipCount() const;

 Q_SIGNALS:
  void sendAsked(const QString& text);
  void sendQueuedAsked();
  void stopAsked();
  void queueEdited(const QStringList& texts);
  void editLastAsked();

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;
  void paintEvent(QPaintEvent* event) override;

 private:
  void send();
  void fitHeight();
  void updateButtons();

  QPlainTextEdit* m_editor;
  ContextMeter* m_meter;
  QToolButton* m_options;
  TextLabel* m_hint;
  QPushButton* m_send;
  QPushButton* m_stop;
  QWidget* m_chips;
  QStringList m_queue;
  QString m_blocked;
  bool m_answering = false;
  bool m_sendWithEnter = true;
};

}  // namespace haq::ui
