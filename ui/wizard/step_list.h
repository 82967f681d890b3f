// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractButton>
#include <QVector>
#include <QWidget>

namespace haq::ui {

/// One step at the left: its number or a tick, its name, and in one line what was decided.
class StepButton : public QAbstractButton {
  Q_OBJECT
 public:
  enum class State { kOpen, kDone, kBusy };
  /// `number` 0: an entry that is no step.
  StepButton(int number, const QString& title, QWidget* parent = nullptr);
  void setState(State state, const QString& summary);
  State state() const { return m_state; }
  QString summary() const { return m_summary; }
  QSize sizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  int m_number;
  State m_state = State::kOpen;
  QString m_summary;
};

/// The steps of the wizard, one below the other, and the list of runs at the foot.
class StepList : public QWidget {
  Q_OBJECT
 public:
  explicit StepList(const QStringList& titles, const QString& runsTitle, QWidget* parent = nullptr);

  StepButton& step(int index) { return *m_steps[index]; }
  StepButton& runs() { return *m_runs; }
  int count() const { return static_cast<int>(m_steps.size()); }
  void setCurrent(int index);  ///< -1: the runs

 Q_SIGNALS:
  void chosen(int index);
  void runsChosen();

 protected:
  void keyPressEvent(QKeyEvent* event) override;

 private:
  QVector<StepButton*> m_steps;
  StepButton* m_runs;
};

}  // namespace haq::ui
