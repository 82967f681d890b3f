// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>

#include "engine/profile/chats/chat_types.h"

namespace haq::ui {

/// What a message's footer says, from its state and stored metrics.
struct MessageFacts {
  QString model;   ///< who answered
  QString line;    ///< "12 prompt · 412 tokens · 38.2 tok/s · TTFT 90 ms · seed 42"
  QString detail;  ///< every figure with its name, for the tool tip
  QString note;    ///< left-out turns, a full context, an interruption; empty when all is well
  QString error, hint;
  bool resumable = false;     ///< ended before its natural end
  bool reproducible = false;  ///< seed and sampling are stored
};
MessageFacts factsOf(const profile::Message& message);

}  // namespace haq::ui
