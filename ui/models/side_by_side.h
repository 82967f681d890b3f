// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QObject>
#include <array>

#include "ui/models/engine_controller.h"

namespace haq::ui {

/// One prompt answered by two models, one after the other, so that two never need memory together:
/// the first is loaded, answers, makes room for the second, which stays loaded. Greedy, so that the
/// answers differ only by the models.
class SideBySide : public QObject {
  Q_OBJECT
 public:
  struct Side {
    QString folder;  ///< empty: the demo model
    QString name;
    QString text;
    GenerationSummary summary;
    bool done = false;
  };
  enum class Stage { kIdle, kLoading, kAnswering };

  explicit SideBySide(EngineController& engine, QObject* parent = nullptr);

  /// Ignored while it runs.
  void start(const QString& prompt, const Side& first, const Side& second, int maxTokens,
             const LoadRequest& load);
  void cancel();

  bool running() const { return m_stage != Stage::kIdle; }
  Stage stage() const { return m_stage; }
  int current() const { return m_current; }  ///< 0 or 1
  const Side& side(int which) const { return m_sides.at(static_cast<std::size_t>(which)); }
  /// Letters that both answers begin with, cut back to the start of a word; -1 when they are equal.
  qsizetype firstDifference() const;

 Q_SIGNALS:
  void changed();  ///< stage, text or result of a side
  void finished();
  void failed(const QString& message, const QString& hint);

 private:
  void load();
  void answer();
  void end();
  Side& now() { return m_sides.at(static_cast<std::size_t>(m_current)); }

  EngineController& m_engine;
  std::array<Side, 2> m_sides;
  QString m_prompt;
  int m_maxTokens = 128;
  LoadRequest m_load;
  int m_current = 0;
  Stage m_stage = Stage::kIdle;
  quint64 m_generation = 0;
};

/// Where two texts part: the number of letters both begin with, cut back to the start of the word
/// that differs; -1 when they are equal.
qsizetype firstDifference(const QString& a, const QString& b);

}  // namespace haq::ui
