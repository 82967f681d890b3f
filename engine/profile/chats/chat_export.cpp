// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/chats/chat_export.h"

#include <md4c-html.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/json.h"

namespace haq::profile {
namespace {

using nlohmann::ordered_json;

/// Stored JSON is untrusted: whatever does not parse counts as an empty object.
ordered_json object_of(const std::string& text) {
  try {
    auto value = parse_ordered_json(text, "stored metrics");
    return value.is_object() ? value : ordered_json::object();
  } catch (const Error&) {
    return ordered_json::object();
  }
}

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

const char* speaker(const Message& message) {
  return message.role == Role::kUser ? "You" : "Model";
}

/// A word about an answer that did not end by itself; empty otherwise.
std::string state_note(const Message& message) {
  switch (message.state) {
    case MessageState::kStopped:
      return "stopped";
    case MessageState::kFailed:
      return "failed";
    case MessageState::kInterrupted:
      return "interrupted";
    default:
      return {};
  }
}

std::string footer_of(const Message& message) {
  const std::string facts = metrics_line(message.metrics);
  const std::string note = state_note(message);
  return note.empty() ? facts : facts.empty() ? note : fmt::format("{} · {}", note, facts);
}

std::string to_markdown(const Conversation& conversation,
                        const std::vector<const Message*>& branch) {
  std::string out = fmt::format("# {}\n\n", conversation.title);
  out += fmt::format("*{}", local_text(conversation.created_ms));
  if (!conversation.model.empty()) out += fmt::format(" · {}", conversation.model);
  out += "*\n";
  if (!conversation.system_prompt.empty())
    out += fmt::format("\n## System\n\n{}\n", conversation.system_prompt);
  for (const Message* message : branch) {
    out += fmt::format("\n## {}\n\n{}\n", speaker(*message), message->content);
    const std::string footer = footer_of(*message);
    if (!footer.empty()) out += fmt::format("\n*{}*\n", footer);
  }
  return out;
}

// Colours and measures follow the program's own light and dark tokens.
constexpr const char* kStyle =
    ":root{color-scheme:light dark;--page:#f7f7f5;--card:#e6eef2;--well:#eeeeea;--text:#1d1f21;"
    "--muted:#5b6166;--accent:#0b6e99}"
    "@media(prefers-color-scheme:dark){:root{--page:#1b1d1f;--card:#24323a;--well:#141618;"
    "--text:#e8e6e3;--muted:#a3a9ae;--accent:#5cb8e6}}"
    "body{background:var(--page);color:var(--text);font:16px/1.55 system-ui,sans-serif;margin:0}"
    "main{max-width:80ch;margin:0 auto;padding:24px}"
    "h1{font-size:1.4em}.facts,.speaker{color:var(--muted);font-size:.85em}"
    "article{margin:24px 0}.user .body{background:var(--card);border-radius:6px;padding:4px 16px;"
    "margin-left:12%}.user .speaker{text-align:right}"
    "pre{background:var(--well);border-radius:6px;padding:12px;overflow-x:auto}"
    "code{font-family:ui-monospace,monospace;font-size:.92em}"
    "table{border-collapse:collapse}td,th{border:1px solid var(--muted);padding:4px 8px}"
    "blockquote{border-left:2px solid var(--muted);margin-left:0;padding-left:12px}"
    "a{color:var(--accent)}";

void append_html(const MD_CHAR* text, MD_SIZE size, void* out) {
  static_cast<std::string*>(out)->append(text, size);
}

/// The parser writes a link's target unchanged. Only web and mail addresses stay links.
std::string without_unsafe_targets(const std::string& html) {
  constexpr std::string_view kAttribute = "<a href=\"";
  std::string out;
  std::size_t at = 0;
  for (std::size_t found = html.find(kAttribute); found != std::string::npos;
       found = html.find(kAttribute, at)) {
    const std::size_t begin = found + kAttribute.size();
    const std::size_t end = std::min(html.find('"', begin), html.size());
    const std::string_view target = std::string_view(html).substr(begin, end - begin);
    bool safe = false;
    for (const std::string_view scheme : {"https://", "http://", "mailto:", "#"}) {
      safe = safe || target.starts_with(scheme);
    }
    out.append(html, at, begin - at);
    out.append(safe ? target : std::string_view("#"));
    at = end;
  }
  return out.append(html, at);
}

std::string render_html(const std::string& markdown) {
  std::string html;
  const int result = md_html(markdown.data(), static_cast<MD_SIZE>(markdown.size()), append_html,
                             &html, MD_DIALECT_GITHUB | MD_FLAG_NOHTML, MD_HTML_FLAG_SKIP_UTF8_BOM);
  if (result != 0) return fmt::format("<pre>{}</pre>", escape(markdown));
  return without_unsafe_targets(html);
}

std::string to_html(const Conversation& conversation, const std::vector<const Message*>& branch) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n";
  const std::string title = escape(conversation.title);
  out += fmt::format("<title>{}</title>\n<style>{}</style>\n</head>\n", title, kStyle);
  out += fmt::format("<body><main>\n<h1>{}</h1>\n<p class=\"facts\">{}", title,
                     local_text(conversation.created_ms));
  if (!conversation.model.empty()) out += fmt::format(" · {}", escape(conversation.model));
  out += "</p>\n";
  if (!conversation.system_prompt.empty()) {
    out += fmt::format(
        "<article class=\"system\"><div class=\"speaker\">System</div><div class=\"body\">{}</div>"
        "</article>\n",
        render_html(conversation.system_prompt));
  }
  for (const Message* message : branch) {
    out += fmt::format("<article class=\"{}\"><div class=\"speaker\">{}</div><div class=\"body\">",
                       to_string(message->role), speaker(*message));
    out += render_html(message->content) + "</div>";
    const std::string footer = footer_of(*message);
    if (!footer.empty()) out += fmt::format("<div class=\"facts\">{}</div>", escape(footer));
    out += "</article>\n";
  }
  return out + "</main></body>\n</html>\n";
}

std::string to_json(const Conversation& conversation, const std::vector<Message>& messages,
                    const std::vector<const Message*>& branch) {
  ordered_json out;
  out["schema"] = "haq-chat/1";
  out["id"] = conversation.id;
  out["title"] = conversation.title;
  out["created"] = utc_text(conversation.created_ms);
  out["updated"] = utc_text(conversation.updated_ms);
  out["model"] = conversation.model;
  out["system_prompt"] = conversation.system_prompt;
  out["sampling"] = object_of(conversation.sampling);
  out["active_branch"] = ordered_json::array();
  for (const Message* message : branch) out["active_branch"].push_back(message->id);
  out["messages"] = ordered_json::array();
  for (const Message& message : messages) {
    ordered_json item;
    item["id"] = message.id;
    item["parent"] = message.parent == 0 ? ordered_json(nullptr) : ordered_json(message.parent);
    item["role"] = to_string(message.role);
    item["content"] = message.content;
    item["state"] = to_string(message.state);
    item["created"] = utc_text(message.created_ms);
    item["metrics"] = object_of(message.metrics);
    out["messages"].push_back(std::move(item));
  }
  // Text that is not UTF-8 (a damaged file) is replaced rather than refused.
  return out.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

/// Three significant figures.
std::string figure(double value) {
  if (!std::isfinite(value) || value <= 0) return "–";
  const int digits = std::max(0, 2 - static_cast<int>(std::floor(std::log10(value))));
  return fmt::format("{:.{}f}", value, digits);
}

}  // namespace

ExportFormat export_format_from(std::string_view name) {
  if (name == "md" || name == "markdown") return ExportFormat::kMarkdown;
  if (name == "html") return ExportFormat::kHtml;
  if (name == "json") return ExportFormat::kJson;
  fail(ErrorCode::kInvalidArgument, "export format \"{}\": expected md, html or json", name);
}

const char* file_suffix(ExportFormat format) {
  switch (format) {
    case ExportFormat::kMarkdown:
      return ".md";
    case ExportFormat::kHtml:
      return ".html";
    case ExportFormat::kJson:
      return ".json";
  }
  return "";
}

std::string metrics_line(const std::string& metrics_json) {
  const ordered_json metrics = object_of(metrics_json);
  const auto number = [&](const char* key) {
    const auto at = metrics.find(key);
    return at != metrics.end() && at->is_number() ? at->get<double>() : -1.0;
  };
  std::vector<std::string> parts;
  if (number("prompt_tokens") >= 0)
    parts.push_back(fmt::format("{:.0f} prompt", number("prompt_tokens")));
  if (number("generated_tokens") >= 0) {
    parts.push_back(fmt::format("{:.0f} tokens", number("generated_tokens")));
  }
  if (number("decode_tokens_per_s") > 0) {
    parts.push_back(figure(number("decode_tokens_per_s")) + "\u2009tok/s");
  }
  if (number("ttft_s") >= 0) {
    const double seconds = number("ttft_s");
    parts.push_back(seconds < 1 ? fmt::format("TTFT {}\u2009ms", figure(seconds * 1000))
                                : fmt::format("TTFT {}\u2009s", figure(seconds)));
  }
  if (const auto sampling = metrics.find("sampling");
      sampling != metrics.end() && sampling->is_object() && sampling->contains("seed") &&
      (*sampling)["seed"].is_number_integer()) {
    parts.push_back(fmt::format("seed {}", (*sampling)["seed"].dump()));
  }
  std::string line;
  for (const std::string& part : parts) line += (line.empty() ? "" : " · ") + part;
  return line;
}

std::string export_conversation(const Conversation& conversation,
                                const std::vector<Message>& messages, ExportFormat format) {
  const auto branch = branch_to(messages, conversation.active_leaf);
  switch (format) {
    case ExportFormat::kMarkdown:
      return to_markdown(conversation, branch);
    case ExportFormat::kHtml:
      return to_html(conversation, branch);
    case ExportFormat::kJson:
      return to_json(conversation, messages, branch);
  }
  return {};
}

}  // namespace haq::profile
