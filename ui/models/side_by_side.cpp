// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/side_by_side.h"

#include <algorithm>

namespace haq::ui {

qsizetype firstDifference(const QString& a, const QString& b) {
  if (a == b) return -1;
  const qsizetype most = std::min(a.size(), b.size());
  qsizetype at = 0;
  while (at < most && a[at] == b[at]) ++at;
  while (at > 0 && !a[at - 1].isSpace()) --at;
  return at;
}

SideBySide::SideBySide(EngineController& engine, QObject* parent)
    : QObject(parent), m_engine(engine) {
  connect(&engine, &EngineController::modelLoaded, this, [this](const ModelInfo& info) {
    if (m_stage == Stage::kLoading && info.folder == now().folder) answer();
  });
  connect(&engine, &EngineController::modelFailed, this,
          [this](const QString& message, const QString& hint, bool cancelled) {
            if (m_stage != Stage::kLoading) return;
            end();
            if (!cancelled) Q_EMIT failed(message, hint);
          });
  connect(&engine, &EngineController::tokensReady, this, [this](quint64 id, const QString& text) {
    if (id != m_generation || m_stage != Stage::kAnswering) return;
    now().text += text;
    Q_EMIT changed();
  });
  connect(&engine, &EngineController::generationFinished, this,
          [this](quint64 id, const GenerationSummary& summary) {
            if (id != m_generation || m_stage != Stage::kAnswering) return;
            now().summary = summary;
            now().done = true;
            if (summary.finish == Finish::kError || summary.finish == Finish::kCancelled) {
              end();
              if (!summary.error.isEmpty()) Q_EMIT failed(summary.error, summary.hint);
            } else if (m_current == 0) {
              m_current = 1;
              load();
            } else {
              end();
              Q_EMIT finished();
            }
          });
}

void SideBySide::start(const QString& prompt, const Side& first, const Side& second, int maxTokens,
                       const LoadRequest& load) {
  if (running()) return;
  m_sides = {first, second};
  m_prompt = prompt;
  m_maxTokens = maxTokens;
  m_load = load;
  m_current = 0;
  this->load();
}

void SideBySide::cancel() {
  if (!running()) return;
  const Stage before = m_stage;
  end();
  before == Stage::kLoading ? m_engine.cancelLoad() : m_engine.stop();
}

void SideBySide::load() {
  m_stage = Stage::kLoading;
  Q_EMIT changed();
  const bool loaded = m_engine.state() == EngineController::State::kReady && m_engine.model() &&
                      m_engine.model()->folder == now().folder;
  loaded ? answer() : m_engine.loadModel(now().folder, m_load);
}

void SideBySide::answer() {
  m_stage = Stage::kAnswering;
  GenerationRequest request;
  request.conversation = QStringLiteral("side-by-side");
  request.messages =
      nlohmann::ordered_json::array({{{"role", "user"}, {"content", m_prompt.toStdString()}}});
  request.sampling = session::SamplingOptions{};  // greedy
  request.maxTokens = m_maxTokens;
  m_generation = m_engine.generate(request);
  Q_EMIT changed();
}

void SideBySide::end() {
  m_stage = Stage::kIdle;
  m_engine.forget(QStringLiteral("side-by-side"));
  Q_EMIT changed();
}

qsizetype SideBySide::firstDifference() const {
  return ui::firstDifference(m_sides[0].text, m_sides[1].text);
}

}  // namespace haq::ui
