// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/engine_worker.h"

#include <algorithm>

#include "engine/base/threads.h"
#include "ui/models/model_scan.h"

namespace haq::ui {

namespace {

/// Conversations whose keys and values stay in memory; an older one is computed afresh.
constexpr std::size_t kKeptConversations = 3;
/// Largest share of the context that is kept free for the answer when turns must be dropped.
constexpr qint64 kReserveDivisor = 4;

std::filesystem::path toPath(const QString& folder) {
  return folder.isEmpty() ? model::demo_model_dir() : std::filesystem::path(folder.toStdString());
}

QString computeName(const nn::Decoder& decoder) {
  if (decoder.int8()) return QStringLiteral("int8");
  return decoder.compute() == nn::Compute::kFp32 ? QStringLiteral("fp32") : QStringLiteral("bf16");
}

Finish fromEngine(session::FinishReason reason) {
  switch (reason) {
    case session::FinishReason::kEos:
      return Finish::kEos;
    case session::FinishReason::kStop:
      return Finish::kStop;
    case session::FinishReason::kLength:
      return Finish::kLength;
    case session::FinishReason::kContext:
      return Finish::kContext;
    case session::FinishReason::kCancelled:
      break;
  }
  return Finish::kCancelled;
}

/// A base model has no chat template: the texts of the messages are simply joined, and the model
/// goes on writing.
std::string plainText(const nlohmann::ordered_json& messages) {
  std::string text;
  for (const auto& message : messages) {
    const auto content = message.find("content");
    if (content == message.end() || !content->is_string()) continue;
    if (!text.empty()) text += '\n';
    text += content->get<std::string>();
  }
  return text;
}

}  // namespace

EngineWorker::EngineWorker(std::shared_ptr<EngineMailbox> mailbox)
    : m_mailbox(std::move(mailbox)), m_thread([this](const std::stop_token& stop) { run(stop); }) {}

EngineWorker::~EngineWorker() {
  m_thread.request_stop();
  m_thread.join();
}

void EngineWorker::submit(Task task) {
  {
    const std::lock_guard lock(m_mutex);
    m_tasks.push_back(std::move(task));
  }
  m_wake.notify_one();
}

void EngineWorker::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Task task;
    {
      std::unique_lock lock(m_mutex);
      if (!m_wake.wait(lock, stop, [this] { return !m_tasks.empty(); })) return;
      task = std::move(m_tasks.front());
      m_tasks.pop_front();
    }
    task(*this);
  }
}

void EngineWorker::inspect(const QString& folder) {
  model::Checkpoint::open(toPath(folder));
}

ModelInfo EngineWorker::load(const QString& folder, const LoadRequest& request,
                             const CancelToken& cancel) {
  session::LoadOptions options;
  options.folder = toPath(folder);
  options.compute = request.compute;
  options.threads = request.threads;
  options.prefill_chunk = request.prefillChunk;
  m_model = session::Model::load(
      options, [this](const Progress& progress) { m_mailbox->putLoad(progress); }, cancel);

  const model::Checkpoint& checkpoint = m_model->checkpoint();
  const model::ModelConfig& config = checkpoint.config();
  const model::ParameterSummary parameters = checkpoint.parameters();
  const nn::DecoderStats stats = m_model->decoder().stats();
  ModelInfo info;
  info.folder = folder;
  info.name =
      folder.isEmpty() ? QString::fromStdString(checkpoint.name()) : modelDisplayName(folder);
  info.architecture = QString::fromStdString(config.architecture);
  info.family = QString::fromStdString(config.model_type);
  info.precision = QString::fromStdString(checkpoint.precision());
  info.compute = computeName(m_model->decoder());
  info.layers = config.layer_count();
  info.experts = config.experts;
  info.topK = config.top_k;
  info.maxContext = m_model->max_context();
  info.parameters = parameters.total;
  info.activeParameters = parameters.active;
  info.mappedBytes = static_cast<qint64>(stats.mapped_bytes);
  info.packedBytes = static_cast<qint64>(stats.packed_bytes);
  info.ownedBytes = static_cast<qint64>(stats.owned_bytes);
  info.hasChatTemplate = m_model->chat_template() != nullptr;
  info.threads = request.threads > 0 ? request.threads : available_cores();
  info.device = QString::fromStdString(m_model->decoder().device().info().isa);
  info.loadSeconds = m_model->load_seconds();
  info.sampling = m_model->chat_sampling();
  info.isDemo = folder.isEmpty();
  m_modelName = info.name;
  return info;
}

void EngineWorker::unload() {
  m_conversations.clear();
  m_model.reset();
}

session::Context& EngineWorker::contextOf(const QString& conversation) {
  const auto found =
      std::find_if(m_conversations.begin(), m_conversations.end(),
                   [&](const Conversation& entry) { return entry.key == conversation; });
  if (found != m_conversations.end()) {
    m_conversations.splice(m_conversations.begin(), m_conversations, found);
  } else {
    if (m_conversations.size() >= kKeptConversations) m_conversations.pop_back();
    m_conversations.push_front({conversation, std::make_unique<session::Context>(m_model)});
  }
  return *m_conversations.front().context;
}

std::vector<std::int32_t> EngineWorker::prompt(const GenerationRequest& request,
                                               GenerationSummary& summary) {
  const text::Tokenizer& tokenizer = m_model->tokenizer();
  const auto encodePlain = [&](const std::string& text, bool special) {
    return tokenizer.encode(text, {.add_special = special, .parse_special = request.parseSpecial});
  };
  std::vector<std::int32_t> prefix;
  if (!request.answerPrefix.isEmpty()) {
    prefix = encodePlain(request.answerPrefix.toStdString(), false);
  }
  std::vector<std::int32_t> ids;
  if (m_model->chat_template() == nullptr) {
    ids = encodePlain(plainText(request.messages), true);
  } else {
    const qint64 room = std::max<qint64>(1, m_model->max_context() / kReserveDivisor);
    const qint64 reserve =
        std::min<qint64>(request.maxTokens, room) + static_cast<qint64>(prefix.size());
    session::FittedPrompt fitted = session::fit_chat(*m_model, request.messages, reserve,
                                                     request.overflow, request.parseSpecial);
    summary.droppedMessages = fitted.dropped_messages;
    ids = std::move(fitted.ids);
  }
  ids.insert(ids.end(), prefix.begin(), prefix.end());
  return ids;
}

GenerationSummary EngineWorker::generate(quint64 id, const GenerationRequest& request,
                                         const CancelToken& cancel) {
  GenerationSummary summary;
  summary.sampling = request.sampling.value_or(m_model->chat_sampling());
  summary.maxTokens = request.maxTokens;
  summary.contextLimit = m_model->max_context();
  summary.model = m_modelName;

  const std::vector<std::int32_t> ids = prompt(request, summary);
  session::GenerateOptions options;
  options.sampling = summary.sampling;
  options.max_tokens = request.maxTokens;
  for (const QString& stop : request.stop) options.stop.push_back(stop.toStdString());
  session::Context& context = contextOf(request.conversation);
  const session::GenerateResult result = context.generate(
      ids, options,
      [&](const session::GeneratedToken& token) {
        m_mailbox->putText(id, token.text);
        return !cancel.cancelled();
      },
      cancel,
      [&](const Progress& progress) {
        m_mailbox->putPrefill(
            {id, static_cast<qint64>(progress.done), static_cast<qint64>(progress.total)});
      });
  summary.finish = fromEngine(result.finish);
  summary.promptTokens = result.prompt_tokens;
  summary.reusedTokens = result.reused_tokens;
  summary.generatedTokens = result.generated_tokens;
  summary.ttftSeconds = result.ttft_s;
  summary.prefillSeconds = result.prefill_s;
  summary.decodeSeconds = result.decode_s;
  summary.prefillTokensPerSecond = result.prefill_tokens_per_s;
  summary.decodeTokensPerSecond = result.decode_tokens_per_s;
  summary.contextTokens = result.prompt_tokens + result.generated_tokens;
  summary.kvBytes = static_cast<qint64>(context.kv_bytes());
  return summary;
}

void EngineWorker::forget(const QString& conversation) {
  m_conversations.remove_if([&](const Conversation& entry) { return entry.key == conversation; });
}

qint64 EngineWorker::measure(const nlohmann::ordered_json& messages) const {
  if (m_model->chat_template() == nullptr) {
    return static_cast<qint64>(
        m_model->tokenizer()
            .encode(plainText(messages), {.add_special = true, .parse_special = false})
            .size());
  }
  return static_cast<qint64>(m_model->chat_prompt(messages).size());
}

qint64 EngineWorker::contextLimit() const {
  return m_model->max_context();
}

}  // namespace haq::ui
