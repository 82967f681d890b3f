// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/decode_steps.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "engine/text/model.h"
#include "engine/text/pattern.h"
#include "engine/text/pieces.h"
#include "engine/text/unicode.h"

namespace haq::text {
namespace {

using Sink = DecodeStep::Sink;

/// A step that looks at one token at a time; `rewrite(token, index)` returns what becomes of it.
template <typename Rewrite>
class PerToken final : public DecodeStep {
 public:
  explicit PerToken(Rewrite rewrite) : rewrite_(std::move(rewrite)) {}
  void push(std::string&& token, const Sink& next) override {
    next(rewrite_(std::move(token), index_++));
  }

 private:
  Rewrite rewrite_;
  std::size_t index_ = 0;
};

template <typename Rewrite>
Decoder::Step per_token(Rewrite rewrite) {
  return {[rewrite](bool) { return std::make_unique<PerToken<Rewrite>>(rewrite); }, nullptr, false};
}

template <typename Step, typename... Settings>
std::function<std::unique_ptr<DecodeStep>()> maker(Settings... settings) {
  return [=] { return std::make_unique<Step>(settings...); };
}

class Gather final : public DecodeStep {
 public:
  void push(std::string&& token, const Sink&) override {
    any_ = true;
    text_ += token;
  }
  void finish(const Sink& next) override {
    if (any_) next(std::exchange(text_, {}));
    any_ = false;
  }

 private:
  std::string text_;
  bool any_ = false;
};

class PassOn final : public DecodeStep {
 public:
  void push(std::string&& token, const Sink& next) override { next(std::move(token)); }
};

/// Visible characters to the bytes they stand for, bytes to text.
class ByteLevel final : public DecodeStep {
 public:
  void push(std::string&& token, const Sink& next) override {
    std::string bytes;
    for (std::size_t pos = 0; pos < token.size();) {
      const int byte = visible_to_byte(next_char(token, pos));
      if (byte < 0) {  // an added token with other characters: taken as it is
        bytes = std::move(token);
        break;
      }
      bytes.push_back(static_cast<char>(byte));
    }
    std::string out;
    text_.push(bytes, out);
    next(std::move(out));
  }
  void finish(const Sink& next) override {
    std::string out;
    text_.finish(out);
    next(std::move(out));
  }

 private:
  LossyUtf8 text_;
};

/// Runs of "<0x0A>" tokens to the text their bytes spell. As a whole: a run that is not UTF-8
/// becomes one U+FFFD per byte. As a stream: what is complete comes out at once.
class ByteFallback final : public DecodeStep {
 public:
  explicit ByteFallback(bool streaming) : streaming_(streaming) {}
  void push(std::string&& token, const Sink& next) override {
    if (const auto byte = byte_of_token(token)) {
      const char c = static_cast<char>(*byte);
      if (streaming_) {
        std::string out;
        partial_.push({&c, 1}, out);
        next(std::move(out));
      } else {
        run_.push_back(c);
      }
      return;
    }
    finish(next);
    next(std::move(token));
  }
  void finish(const Sink& next) override {
    std::string out;
    if (streaming_) {
      partial_.finish(out);
    } else if (is_valid_utf8(run_)) {
      out = run_;
    } else {
      for (std::size_t i = 0; i < run_.size(); ++i) out += kReplacementCharacter;
    }
    run_.clear();
    if (!out.empty()) next(std::move(out));
  }

 private:
  bool streaming_;
  LossyUtf8 partial_;
  std::string run_;
};

/// End-of-word marks become blanks, except in the last token.
class WordEnds final : public DecodeStep {
 public:
  explicit WordEnds(std::string suffix) : suffix_(std::move(suffix)) {}
  void push(std::string&& token, const Sink& next) override {
    std::string out = std::exchange(followed_, {});
    last_.clear();
    std::string_view rest = token;
    std::size_t at = rest.find(suffix_);
    out += rest.substr(0, at);
    while (at != std::string_view::npos) {
      rest.remove_prefix(at + suffix_.size());
      at = rest.find(suffix_);
      followed_ += ' ';
      followed_ += rest.substr(0, at);
      last_ += rest.substr(0, at);
    }
    next(std::move(out));
  }
  void finish(const Sink& next) override {
    followed_.clear();
    if (!last_.empty()) next(std::exchange(last_, {}));
  }

 private:
  std::string suffix_;
  std::string followed_;  ///< rest of the last token if another one follows
  std::string last_;      ///< and if none does
};

/// Cuts up to `start` leading and `stop` trailing occurrences of a character off every token.
std::string strip_token(std::string token, const std::string& mark, std::size_t start,
                        std::size_t stop) {
  std::string_view rest = token;
  for (std::size_t i = 0; i < start && rest.starts_with(mark); ++i) rest.remove_prefix(mark.size());
  for (std::size_t i = 0; i < stop && rest.ends_with(mark); ++i) rest.remove_suffix(mark.size());
  return std::string(rest);
}

/// The same for one token that comes bit by bit.
class StripBits final : public DecodeStep {
 public:
  StripBits(std::string mark, std::size_t start, std::size_t stop)
      : mark_(std::move(mark)), start_(start), stop_(stop) {}
  void push(std::string&& bit, const Sink& next) override {
    std::string_view rest = bit;
    while (start_ > 0 && rest.starts_with(mark_)) {
      rest.remove_prefix(mark_.size());
      --start_;
    }
    if (!rest.empty()) start_ = 0;
    std::string text = std::exchange(held_, {}) + std::string(rest);
    std::size_t end = text.size();
    const std::string_view view = text;
    for (std::size_t i = 0; i < stop_ && view.substr(0, end).ends_with(mark_); ++i) {
      end -= mark_.size();
    }
    held_ = text.substr(end);
    text.resize(end);
    next(std::move(text));
  }

 private:
  std::string mark_;
  std::size_t start_;
  std::size_t stop_;
  std::string held_;  ///< trailing marks that go if nothing follows
};

/// Replaces a plain string in one token that comes bit by bit.
class ReplaceBits final : public DecodeStep {
 public:
  ReplaceBits(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
  void push(std::string&& bit, const Sink& next) override {
    const std::string text = std::exchange(held_, {}) + bit;
    std::string out;
    std::size_t done = 0;
    for (std::size_t at = text.find(from_); at != std::string::npos; at = text.find(from_, done)) {
      out.append(text, done, at - done);
      out += to_;
      check_work_size(out.size());
      done = at + from_.size();
    }
    // Keep what may be the beginning of an occurrence.
    std::size_t keep = std::min(text.size() - done, from_.size() - 1);
    while (keep > 0 && !from_.starts_with(std::string_view(text).substr(text.size() - keep)))
      --keep;
    out.append(text, done, text.size() - keep - done);
    held_ = text.substr(text.size() - keep);
    next(std::move(out));
  }
  void finish(const Sink& next) override {
    if (!held_.empty()) next(std::exchange(held_, {}));
  }

 private:
  std::string from_;
  std::string to_;
  std::string held_;
};

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::string out;
  std::size_t done = 0;
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, done)) {
    out.append(text, done, at - done);
    out += to;
    done = at + from.size();
  }
  if (done == 0) return;
  out.append(text, done, std::string::npos);
  text = std::move(out);
}

/// Joins punctuation and contractions that were cut off their words (English).
void clean_up(std::string& text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kRules{
      {{" .", "."},
       {" ?", "?"},
       {" !", "!"},
       {" ,", ","},
       {" ' ", "'"},
       {" n't", "n't"},
       {" 'm", "'m"},
       {" do not", " don't"},
       {" 's", "'s"},
       {" 've", "'ve"},
       {" 're", "'re"}}};
  for (const auto& [from, to] : kRules) replace_all(text, from, to);
}

/// Connectionist temporal classification: repeated tokens count once, padding vanishes.
class Ctc final : public DecodeStep {
 public:
  Ctc(std::string pad, std::string delimiter, bool clean)
      : pad_(std::move(pad)), delimiter_(std::move(delimiter)), clean_(clean) {}
  void push(std::string&& token, const Sink& next) override {
    if (any_ && token == previous_) return;
    any_ = true;
    previous_ = token;
    if (!pad_.empty()) replace_all(token, pad_, "");
    if (clean_) {
      clean_up(token);
      if (!delimiter_.empty()) replace_all(token, delimiter_, " ");
    }
    if (!token.empty()) next(std::move(token));
  }

 private:
  std::string pad_;
  std::string delimiter_;
  bool clean_;
  bool any_ = false;
  std::string previous_;
};

Decoder::Step parse_wordpiece(const Fields& fields) {
  fields.allow({"type", "prefix", "cleanup"});
  const std::string prefix = fields.optional_text("prefix").value_or("##");
  const bool clean = fields.flag("cleanup", true);
  return per_token([=](std::string&& token, std::size_t index) {
    if (index > 0) {
      if (token.starts_with(prefix)) {
        token.erase(0, prefix.size());
      } else {
        token.insert(token.begin(), ' ');
      }
    }
    if (clean) clean_up(token);
    return std::move(token);
  });
}

Decoder::Step parse_metaspace(const Fields& fields) {
  fields.allow({"type", "replacement", "str_rep", "prepend_scheme", "add_prefix_space", "split"});
  std::string mark;
  append_utf8(mark, fields.has("replacement") ? fields.character("replacement") : U'\u2581');
  const bool marks_first = fields.flag("add_prefix_space", true) &&
                           fields.optional_text("prepend_scheme").value_or("always") != "never";
  return per_token([=](std::string&& token, std::size_t index) {
    replace_all(token, mark, index == 0 && marks_first ? "" : " ");
    return std::move(token);
  });
}

Decoder::Step parse_strip(const Fields& fields) {
  fields.allow({"type", "content", "start", "stop"});
  std::string mark;
  append_utf8(mark, fields.character("content"));
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  const auto start = static_cast<std::size_t>(fields.number("start", 0, kMost, 0));
  const auto stop = static_cast<std::size_t>(fields.number("stop", 0, kMost, 0));
  Decoder::Step step = per_token([=](std::string&& token, std::size_t) {
    return strip_token(std::move(token), mark, start, stop);
  });
  step.make_chunked = maker<StripBits>(mark, start, stop);
  return step;
}

Decoder::Step parse_replace(const Fields& fields) {
  fields.allow({"type", "pattern", "content"});
  const Pattern pattern = Pattern::parse(fields);
  const std::string content = fields.text("content");
  Decoder::Step step = per_token([=](std::string&& token, std::size_t) {
    std::string out;
    pattern.replace(token, content, out);
    return out;
  });
  if (pattern.literal()) step.make_chunked = maker<ReplaceBits>(*pattern.literal(), content);
  return step;
}

}  // namespace

std::unique_ptr<DecodeStep> make_gather() {
  return std::make_unique<Gather>();
}

Decoder::Step join_with_blanks() {
  return per_token([](std::string&& token, std::size_t index) {
    if (index > 0) token.insert(token.begin(), ' ');
    return std::move(token);
  });
}

std::optional<Decoder::Step> parse_decode_step(const Fields& fields) {
  const std::string type = fields.type();
  if (type == "WordPiece") return parse_wordpiece(fields);
  if (type == "Metaspace") return parse_metaspace(fields);
  if (type == "Strip") return parse_strip(fields);
  if (type == "Replace") return parse_replace(fields);
  if (type == "ByteLevel") {
    fields.allow({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    return Decoder::Step{[](bool) { return std::make_unique<ByteLevel>(); }, nullptr, true};
  }
  if (type == "ByteFallback") {
    fields.allow({"type"});
    return Decoder::Step{[](bool streaming) { return std::make_unique<ByteFallback>(streaming); },
                         nullptr, false};
  }
  if (type == "Fuse") {
    fields.allow({"type"});
    return Decoder::Step{[](bool) { return std::make_unique<PassOn>(); }, maker<PassOn>(), true};
  }
  if (type == "BPEDecoder") {
    fields.allow({"type", "suffix"});
    const std::string suffix = fields.optional_text("suffix").value_or("</w>");
    if (suffix.empty()) fields.wrong("suffix", "not empty");
    return Decoder::Step{[suffix](bool) { return std::make_unique<WordEnds>(suffix); }, nullptr,
                         false};
  }
  if (type == "CTC") {
    fields.allow({"type", "pad_token", "word_delimiter_token", "cleanup"});
    const std::string pad = fields.optional_text("pad_token").value_or("<pad>");
    const std::string delimiter = fields.optional_text("word_delimiter_token").value_or("|");
    const bool clean = fields.flag("cleanup", true);
    return Decoder::Step{[=](bool) { return std::make_unique<Ctc>(pad, delimiter, clean); },
                         nullptr, false};
  }
  return std::nullopt;
}

}  // namespace haq::text
