// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QtGlobal>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/progress.h"

namespace haq::ui {

/// What the engine thread has to say between two looks of the GUI thread: progress overwrites
/// itself, text is joined. Thread-safe.
class EngineMailbox {
 public:
  struct Text {
    quint64 id = 0;
    std::string text;
    int tokens = 0;
  };
  struct Prefill {
    quint64 id = 0;
    qint64 done = 0, total = 0;
  };
  struct Content {
    std::optional<Progress> load;
    std::optional<Prefill> prefill;
    std::vector<Text> texts;
  };

  void putLoad(const Progress& progress) {
    const std::lock_guard lock(m_mutex);
    m_content.load = progress;
  }
  void putPrefill(const Prefill& prefill) {
    const std::lock_guard lock(m_mutex);
    m_content.prefill = prefill;
  }
  void putText(quint64 id, const std::string& text) {
    const std::lock_guard lock(m_mutex);
    if (m_content.texts.empty() || m_content.texts.back().id != id) {
      m_content.texts.push_back({id, {}, 0});
    }
    m_content.texts.back().text += text;
    ++m_content.texts.back().tokens;
  }
  Content take() {
    const std::lock_guard lock(m_mutex);
    return std::exchange(m_content, Content{});
  }

 private:
  std::mutex m_mutex;
  Content m_content;
};

}  // namespace haq::ui
