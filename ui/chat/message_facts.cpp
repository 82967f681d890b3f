// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/chat/message_facts.h"

#include <QCoreApplication>
#include <QStringList>

#include "engine/base/json.h"
#include "engine/profile/chats/chat_export.h"
#include "ui/models/chat_options.h"
#include "ui/shared/format.h"

namespace haq::ui {
namespace {

QString tr(const char* text) {
  return QCoreApplication::translate("MessageFacts", text);
}

nlohmann::ordered_json objectOf(const std::string& text) {
  try {
    auto value = parse_ordered_json(text, "stored metrics");
    if (value.is_object()) return value;
  } catch (const Error&) {
    // Stored facts that cannot be read are shown as none.
  }
  return nlohmann::ordered_json::object();
}

}  // namespace

MessageFacts factsOf(const profile::Message& message) {
  MessageFacts facts;
  if (message.role == profile::Role::kUser) return facts;
  const nlohmann::ordered_json metrics = objectOf(message.metrics);
  const auto text = [&](const char* key) {
    const auto at = metrics.find(key);
    return at != metrics.end() && at->is_string() ? QString::fromStdString(at->get<std::string>())
                                                  : QString();
  };
  const auto number = [&](const char* key) {
    const auto at = metrics.find(key);
    return at != metrics.end() && at->is_number() ? at->get<double>() : -1.0;
  };
  facts.model = text("model");
  facts.line = QString::fromStdString(profile::metrics_line(message.metrics));
  const QString reason = text("finish_reason");
  QStringList notes;
  if (number("dropped_messages") > 0) {
    notes.append(tr("The oldest %1 messages were left out to fit the context.")
                     .arg(static_cast<int>(number("dropped_messages"))));
  }
  if (reason == u"context") {
    notes.append(
        tr("The context is full: the answer ends here. Start a new conversation, or let "
           "the oldest turns be left out (Settings)."));
  }
  if (message.state == profile::MessageState::kInterrupted) {
    notes.append(tr("The program ended while this was being written."));
  }
  facts.note = notes.join(u' ');
  QStringList parts;
  if (message.state == profile::MessageState::kStopped) parts.append(tr("stopped"));
  if (reason == u"length") parts.append(tr("longest answer reached"));
  if (!facts.line.isEmpty()) parts.append(facts.line);
  if (const auto same = metrics.find("identical"); same != metrics.end() && same->is_boolean()) {
    parts.append(same->get<bool>() ? tr("reproduced exactly") : tr("reproduction differs"));
  }
  facts.line = parts.join(QStringLiteral(" · "));
  facts.error = text("error");
  facts.hint = text("hint");
  if (message.state == profile::MessageState::kFailed && facts.error.isEmpty()) {
    facts.error = tr("No answer was written.");
  }
  if (message.state == profile::MessageState::kStreaming && message.content.empty()) {
    facts.line = tr("Waiting for the model");
  }
  facts.resumable = !message.content.empty() &&
                    (message.state == profile::MessageState::kStopped ||
                     message.state == profile::MessageState::kInterrupted || reason == u"length");
  std::optional<int> limit;
  const auto sampling = storedSampling(message.metrics, limit);
  facts.reproducible = sampling.has_value() && message.state == profile::MessageState::kDone;
  if (number("prompt_tokens") >= 0) {
    QStringList detail;
    detail.append(
        tr("Prompt: %1 tokens, %2 of them still in memory")
            .arg(format::count(static_cast<qint64>(number("prompt_tokens"))),
                 format::count(static_cast<qint64>(std::max(0.0, number("reused_tokens"))))));
    detail.append(tr("Prompt speed: %1")
                      .arg(format::rate(number("prefill_tokens_per_s"), QStringLiteral("tok/s"))));
    detail.append(tr("Answer: %1 tokens at %2")
                      .arg(format::count(static_cast<qint64>(number("generated_tokens"))),
                           format::rate(number("decode_tokens_per_s"), QStringLiteral("tok/s"))));
    detail.append(tr("Time to the first token: %1").arg(format::duration(number("ttft_s"))));
    if (sampling) {
      detail.append(
          tr("Temperature %1, top-k %2, top-p %3, min-p %4, repetition penalty %5, seed %6")
              .arg(format::number(sampling->temperature))
              .arg(sampling->top_k)
              .arg(format::number(sampling->top_p), format::number(sampling->min_p),
                   format::number(sampling->repetition_penalty))
              .arg(sampling->seed));
    }
    detail.append(tr("Ended by: %1").arg(reason));
    facts.detail = detail.join(u'\n');
  }
  return facts;
}

}  // namespace haq::ui
