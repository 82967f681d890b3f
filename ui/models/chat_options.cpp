// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/chat_options.h"

#include "engine/base/json.h"

namespace haq::ui {
namespace {

using nlohmann::ordered_json;

ordered_json objectOf(const std::string& text) {
  try {
    ordered_json value = parse_ordered_json(text, "stored options");
    return value.is_object() ? value : ordered_json::object();
  } catch (const Error&) {
    return ordered_json::object();
  }
}

template <typename T>
std::optional<T> number(const ordered_json& object, const char* key, double least, double most) {
  const auto at = object.find(key);
  if (at == object.end() || !at->is_number()) return std::nullopt;
  const double value = at->get<double>();
  if (!(value >= least && value <= most)) return std::nullopt;
  return at->get<T>();
}

/// Seeds are kept below 2^53, so that every JSON reader agrees on them.
constexpr double kLargestSeed = 9007199254740991.0;

}  // namespace

ChatOptions ChatOptions::fromJson(const std::string& json) {
  const ordered_json object = objectOf(json);
  ChatOptions options;
  options.temperature = number<float>(object, "temperature", 0, 10);
  options.topK = number<int>(object, "top_k", 0, 1e6);
  options.topP = number<float>(object, "top_p", 0, 1);
  options.minP = number<float>(object, "min_p", 0, 1);
  options.repetitionPenalty = number<float>(object, "repetition_penalty", 0.01, 10);
  options.seed = number<quint64>(object, "seed", 0, kLargestSeed);
  options.maxTokens = number<int>(object, "max_tokens", 1, 1e7);
  return options;
}

std::string ChatOptions::toJson() const {
  ordered_json object = ordered_json::object();
  const auto put = [&object](const char* key, const auto& value) {
    if (value) object[key] = *value;
  };
  put("temperature", temperature);
  put("top_k", topK);
  put("top_p", topP);
  put("min_p", minP);
  put("repetition_penalty", repetitionPenalty);
  put("seed", seed);
  put("max_tokens", maxTokens);
  return object.dump();
}

void ChatOptions::applyTo(session::SamplingOptions& sampling) const {
  sampling.temperature = temperature.value_or(sampling.temperature);
  sampling.top_k = topK.value_or(sampling.top_k);
  sampling.top_p = topP.value_or(sampling.top_p);
  sampling.min_p = minP.value_or(sampling.min_p);
  sampling.repetition_penalty = repetitionPenalty.value_or(sampling.repetition_penalty);
  sampling.seed = seed.value_or(sampling.seed);
}

std::optional<session::SamplingOptions> storedSampling(const std::string& metrics,
                                                       std::optional<int>& maxTokens) {
  const ordered_json object = objectOf(metrics);
  const auto stored = object.find("sampling");
  if (stored == object.end() || !stored->is_object()) return std::nullopt;
  const ChatOptions options = ChatOptions::fromJson(stored->dump());
  if (!options.temperature || !options.topK || !options.topP || !options.minP ||
      !options.repetitionPenalty || !options.seed) {
    return std::nullopt;
  }
  session::SamplingOptions sampling;
  options.applyTo(sampling);
  maxTokens = number<int>(object, "max_tokens", 1, 1e7);
  return sampling;
}

ordered_json metricsOf(const GenerationSummary& summary) {
  ordered_json metrics;
  metrics["model"] = summary.model.toStdString();
  metrics["finish_reason"] = finishName(summary.finish).toStdString();
  if (summary.finish == Finish::kError) {
    metrics["error"] = summary.error.toStdString();
    metrics["hint"] = summary.hint.toStdString();
    return metrics;
  }
  metrics["prompt_tokens"] = summary.promptTokens;
  metrics["reused_tokens"] = summary.reusedTokens;
  metrics["generated_tokens"] = summary.generatedTokens;
  metrics["ttft_s"] = summary.ttftSeconds;
  metrics["prefill_tokens_per_s"] = summary.prefillTokensPerSecond;
  metrics["decode_tokens_per_s"] = summary.decodeTokensPerSecond;
  metrics["max_tokens"] = summary.maxTokens;
  metrics["dropped_messages"] = summary.droppedMessages;
  metrics["context_tokens"] = summary.contextTokens;
  metrics["context_limit"] = summary.contextLimit;
  const session::SamplingOptions& sampling = summary.sampling;
  metrics["sampling"] = {{"temperature", sampling.temperature},
                         {"top_k", sampling.top_k},
                         {"top_p", sampling.top_p},
                         {"min_p", sampling.min_p},
                         {"repetition_penalty", sampling.repetition_penalty},
                         {"seed", sampling.seed}};
  return metrics;
}

}  // namespace haq::ui
