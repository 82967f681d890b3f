// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/profile/chats/chat_types.h"

namespace haq::profile {

enum class ExportFormat { kMarkdown, kHtml, kJson };
/// "md", "markdown", "html", "json"; throws kInvalidArgument for another word.
ExportFormat export_format_from(std::string_view name);
const char* file_suffix(ExportFormat format);  ///< ".md", ".html", ".json"

/// One conversation as a document, UTF-8. Markdown and HTML hold the branch on show; JSON holds
/// every message with its parent, and which branch is active. HTML is one self-contained page: text
/// is escaped, raw HTML in messages stays text, and its content policy allows neither scripts nor
/// anything from elsewhere (images become their description).
std::string export_conversation(const Conversation& conversation,
                                const std::vector<Message>& messages, ExportFormat format);

/// Facts of an answer as one line, from its metrics: "412 tokens · 38.2 tok/s · TTFT 90 ms · seed
/// 0". Empty when there are none.
std::string metrics_line(const std::string& metrics_json);

}  // namespace haq::profile
