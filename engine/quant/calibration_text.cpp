// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/calibration_text.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/text/unicode.h"

namespace haq::quant {

namespace {

constexpr std::size_t kPartBytes = std::size_t{1} << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Lines of a text with their numbers, without line ends.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}
  bool next() {
    if (rest_.empty()) return false;
    const std::size_t end = rest_.find('\n');
    line_ = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    if (!line_.empty() && line_.back() == '\r') line_.remove_suffix(1);
    ++number_;
    return true;
  }
  std::string_view line() const { return line_; }
  int number() const { return number_; }

 private:
  std::string_view rest_, line_;
  int number_ = 0;
};

void check_utf8(std::string_view text, const std::string& name) {
  if (text::is_valid_utf8(text)) return;
  Lines lines(text);
  while (lines.next()) {
    if (text::is_valid_utf8(lines.line())) continue;
    throw Error(ErrorCode::kCorrupt,
                fmt::format("{}: line {} is not valid UTF-8", name, lines.number()),
                "convert the file to UTF-8");
  }
}

bool blank(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    if (!text::is_white_space(text::next_char(text, at))) return false;
  }
  return true;
}

std::vector<std::int32_t> encode_plain(const text::Tokenizer& tokenizer, std::string_view text) {
  text::Tokenizer::EncodeOptions options;
  options.add_special = false;
  return tokenizer.encode(text, options);
}

/// Where a part that begins at `begin` ends: behind the last line end within kPartBytes, and in
/// front of a character if a line is longer than that.
std::size_t part_end(std::string_view text, std::size_t begin) {
  if (text.size() - begin <= kPartBytes) return text.size();
  const std::size_t limit = begin + kPartBytes;
  const std::size_t line_end = text.rfind('\n', limit - 1);
  if (line_end != std::string_view::npos && line_end >= begin) return line_end + 1;
  std::size_t end = limit;
  while ((static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return end;
}

/// Tells how far the file is read.
struct Reader {
  const std::string name;
  const std::size_t total;
  const ProgressCallback& progress;
  const CancelToken& cancel;
  void at(std::size_t byte) const {
    cancel.check();
    if (progress) progress({"reading " + name, byte, total, "bytes"});
  }
};

CalibrationText encode_text(std::string_view text, const text::Tokenizer& tokenizer,
                            const Reader& reader) {
  CalibrationText result;
  result.bytes = static_cast<std::int64_t>(text.size());
  std::vector<std::int32_t> stream;
  for (std::size_t begin = 0; begin < text.size();) {
    reader.at(begin);
    const std::size_t end = part_end(text, begin);
    const auto ids = encode_plain(tokenizer, text.substr(begin, end - begin));
    stream.insert(stream.end(), ids.begin(), ids.end());
    begin = end;
  }
  result.tokens = static_cast<std::int64_t>(stream.size());
  result.streams.push_back(std::move(stream));
  return result;
}

[[noreturn]] void bad_line(const Reader& reader, int line, const std::string& found) {
  throw Error(ErrorCode::kCorrupt,
              fmt::format("{}: line {}: {}, expected {{\"messages\": [...]}} or {{\"text\": "
                          "\"...\"}}",
                          reader.name, line, found),
              "correct or remove the line");
}

void check_messages(const nlohmann::ordered_json& messages, const Reader& reader, int line) {
  if (!messages.is_array() || messages.empty()) {
    bad_line(reader, line, "\"messages\" is no list of messages");
  }
  for (const auto& message : messages) {
    const auto role = message.is_object() ? message.find("role") : message.end();
    if (!message.is_object() || role == message.end() || !role->is_string()) {
      bad_line(reader, line, "a message has no \"role\"");
    }
  }
}

std::vector<text::PromptPiece> render(nlohmann::ordered_json& messages,
                                      const text::ChatTemplate& chat_template, const Reader& reader,
                                      int line) {
  text::TemplateInput input;
  input.messages = &messages;
  input.add_generation_prompt = false;
  try {
    return chat_template.render(input);
  } catch (const Error& error) {
    throw Error(error.code(),
                fmt::format("{}: line {}: the chat template refuses the messages: {}", reader.name,
                            line, error.what()),
                error.hint());
  }
}

/// Encodes one line's object and adds the stream to `result`.
void encode_line(std::string_view line, int number, const text::Tokenizer& tokenizer,
                 const text::ChatTemplate* chat_template, const Reader& reader,
                 CalibrationText& result) {
  JsonLimits limits;
  limits.max_bytes = kMaxCalibrationLine;
  nlohmann::ordered_json json =
      parse_ordered_json(line, fmt::format("{}: line {}", reader.name, number), limits);
  if (!json.is_object()) bad_line(reader, number, "the line is no JSON object");
  std::vector<std::int32_t> ids;
  if (const auto messages = json.find("messages"); messages != json.end()) {
    check_messages(*messages, reader, number);
    if (chat_template == nullptr) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{}: line {} is a chat, but the model has no chat template",
                              reader.name, number),
                  "give plain text, or lines with \"text\"");
    }
    const auto pieces = render(*messages, *chat_template, reader, number);
    for (const auto& piece : pieces) result.bytes += static_cast<std::int64_t>(piece.text.size());
    ids = text::encode_prompt(tokenizer, pieces, false);
  } else if (const auto text = json.find("text"); text != json.end() && text->is_string()) {
    const auto& value = text->get_ref<const std::string&>();
    result.bytes += static_cast<std::int64_t>(value.size());
    if (!blank(value)) ids = encode_plain(tokenizer, value);
  } else {
    bad_line(reader, number, "the object has neither \"messages\" nor a \"text\"");
  }
  if (ids.empty()) return;
  result.tokens += static_cast<std::int64_t>(ids.size());
  result.streams.push_back(std::move(ids));
}

CalibrationText encode_lines(std::string_view text, const text::Tokenizer& tokenizer,
                             const text::ChatTemplate* chat_template, const Reader& reader) {
  CalibrationText result;
  Lines lines(text);
  while (lines.next()) {
    const std::string_view line = lines.line();
    reader.at(static_cast<std::size_t>(line.data() - text.data()));
    if (blank(line)) continue;
    if (line.size() > kMaxCalibrationLine) {
      fail(ErrorCode::kCorrupt, "{}: line {} has {} bytes, the limit is {}", reader.name,
           lines.number(), line.size(), kMaxCalibrationLine);
    }
    encode_line(line, lines.number(), tokenizer, chat_template, reader, result);
  }
  return result;
}

bool is_jsonl(const std::filesystem::path& file) {
  std::string extension = file.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".jsonl";
}

}  // namespace

CalibrationText read_calibration_file(const std::filesystem::path& file,
                                      const text::Tokenizer& tokenizer,
                                      const text::ChatTemplate* chat_template,
                                      const ProgressCallback& progress, const CancelToken& cancel) {
  const std::string contents = read_text_file(file, kMaxCalibrationFile);
  std::string_view text = contents;
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const Reader reader{file.string(), text.size(), progress, cancel};
  check_utf8(text, reader.name);
  CalibrationText result;
  if (!blank(text)) {
    result = is_jsonl(file) ? encode_lines(text, tokenizer, chat_template, reader)
                            : encode_text(text, tokenizer, reader);
  }
  if (result.tokens == 0) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: there is no text in it", reader.name),
                "give a text like what the model will be used for");
  }
  return result;
}

}  // namespace haq::quant
