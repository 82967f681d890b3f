// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/normalizer.h"

#include <functional>
#include <utility>
#include <vector>

#include "engine/text/pattern.h"
#include "engine/text/unicode.h"

namespace haq::text {
namespace {

/// Steps of one sequence; published files have a handful.
constexpr std::size_t kMaxSteps = 256;

/// Rewrites character by character; `put` appends what becomes of one character.
template <typename Put>
void map_chars(Normalized& in, Put put) {
  std::string out;
  out.reserve(in.text.size() + 16);
  std::size_t lead = 0;
  for (std::size_t pos = 0; pos < in.text.size();) {
    const std::size_t begin = pos;
    const char32_t c = next_char(in.text, pos);
    put(out, c);
    if (begin < in.lead) lead = out.size();
  }
  in.text = std::move(out);
  in.lead = lead;
}

template <typename Drop>
void drop_chars(Normalized& text, Drop drop) {
  map_chars(text, [&](std::string& out, char32_t c) {
    if (!drop(c)) append_utf8(out, c);
  });
}

void lower_case(Normalized& text) {
  map_chars(text, [](std::string& out, char32_t c) { append_lower(out, c); });
}

/// A step without settings or with settings bound into a function.
class Step final : public Normalizer {
 public:
  explicit Step(std::function<void(Normalized&)> step) : step_(std::move(step)) {}
  void apply(Normalized& text) const override { step_(text); }

 private:
  std::function<void(Normalized&)> step_;
};

std::unique_ptr<const Normalizer> make(std::function<void(Normalized&)> step) {
  return std::make_unique<Step>(std::move(step));
}

bool is_cjk_ideograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

std::unique_ptr<const Normalizer> make_bert(const Fields& fields) {
  fields.allow({"type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"});
  const bool clean = fields.flag("clean_text", true);
  const bool chinese = fields.flag("handle_chinese_chars", true);
  const bool lower = fields.flag("lowercase", true);
  const bool strip = fields.optional_flag("strip_accents").value_or(lower);
  return make([=](Normalized& text) {
    if (clean) {
      map_chars(text, [](std::string& out, char32_t c) {
        const bool blank = is_white_space(c);
        if (c == '\t' || c == '\n' || c == '\r') {
          out += ' ';
        } else if (c != 0 && c != 0xFFFD && !is_control_like(c)) {
          append_utf8(out, blank ? U' ' : c);
        }
      });
    }
    if (chinese) {
      map_chars(text, [](std::string& out, char32_t c) {
        const bool spaced = is_cjk_ideograph(c);
        if (spaced) out += ' ';
        append_utf8(out, c);
        if (spaced) out += ' ';
      });
    }
    if (strip) {
      normalize_unicode(text, false, false);
      drop_chars(text, is_nonspacing_mark);
    }
    if (lower) lower_case(text);
  });
}

/// The character rules of neural machine translation in SentencePiece.
void nmt(Normalized& text) {
  map_chars(text, [](std::string& out, char32_t c) {
    if ((c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
        c == 0x8F || c == 0x9F) {
      return;
    }
    const bool blank = c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
                       (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                       c == 0xFEFF || c == 0xFFFD;
    append_utf8(out, blank ? U' ' : c);
  });
}

void strip_white_space(Normalized& text, bool left, bool right) {
  std::size_t begin = 0;
  std::size_t end = text.text.size();
  while (left && begin < end) {
    std::size_t pos = begin;
    if (!is_white_space(next_char(text.text, pos))) break;
    begin = pos;
  }
  while (right && end > begin) {
    const std::size_t last = last_char_begin(std::string_view(text.text).substr(0, end));
    std::size_t pos = last;
    if (!is_white_space(next_char(text.text, pos))) break;
    end = last;
  }
  text.text = text.text.substr(begin, end - begin);
  text.lead = text.lead > begin ? std::min(text.lead - begin, text.text.size()) : 0;
}

std::unique_ptr<const Normalizer> make_replace(const Fields& fields) {
  fields.allow({"type", "pattern", "content"});
  return make(
      [pattern = Pattern::parse(fields), content = fields.text("content")](Normalized& text) {
        std::string out;
        out.reserve(text.text.size());
        pattern.replace(text.text, content, out, &text.lead);
        text.text = std::move(out);
      });
}

void prepend(Normalized& text, const std::string& prefix) {
  if (text.text.empty()) return;
  text.text.insert(0, prefix);
  if (text.lead > 0) text.lead += prefix.size();
}

void byte_level(Normalized& text) {
  map_chars(text, [](std::string& out, char32_t c) {
    std::string bytes;
    append_utf8(bytes, c);
    for (const char byte : bytes) out += byte_to_visible(static_cast<unsigned char>(byte));
  });
}

std::unique_ptr<const Normalizer> make_sequence(const Fields& fields) {
  fields.allow({"type", "normalizers"});
  std::vector<std::shared_ptr<const Normalizer>> steps;
  for (const Fields& step : fields.children("normalizers")) {
    if (steps.size() == kMaxSteps) fields.wrong("normalizers", "a shorter list");
    steps.push_back(Normalizer::parse(step));
  }
  return make([steps = std::move(steps)](Normalized& text) {
    for (const auto& step : steps) {
      step->apply(text);
      check_work_size(text.text.size());
    }
  });
}

std::unique_ptr<const Normalizer> make_simple(const Fields& fields,
                                              std::function<void(Normalized&)> step) {
  fields.allow({"type"});
  return make(std::move(step));
}

}  // namespace

std::unique_ptr<const Normalizer> Normalizer::parse(const Fields& fields) {
  const std::string type = fields.type();
  for (const auto& [name, compose, compatibility] :
       {std::tuple("NFC", true, false), std::tuple("NFD", false, false),
        std::tuple("NFKC", true, true), std::tuple("NFKD", false, true)}) {
    if (type != name) continue;
    return make_simple(fields,
                       [compose = compose, compatibility = compatibility](Normalized& text) {
                         normalize_unicode(text, compose, compatibility);
                       });
  }
  if (type == "Lowercase") return make_simple(fields, lower_case);
  if (type == "StripAccents") {
    return make_simple(fields, [](Normalized& text) { drop_chars(text, is_mark); });
  }
  if (type == "Nmt") return make_simple(fields, nmt);
  if (type == "ByteLevel") return make_simple(fields, byte_level);
  if (type == "Sequence") return make_sequence(fields);
  if (type == "BertNormalizer") return make_bert(fields);
  if (type == "Replace") return make_replace(fields);
  if (type == "Precompiled") return make_precompiled_normalizer(fields);
  if (type == "Prepend") {
    fields.allow({"type", "prepend"});
    return make([prefix = fields.text("prepend")](Normalized& text) { prepend(text, prefix); });
  }
  if (type == "Strip") {
    fields.allow({"type", "strip_left", "strip_right"});
    return make([left = fields.flag("strip_left", true), right = fields.flag("strip_right", true)](
                    Normalized& text) { strip_white_space(text, left, right); });
  }
  fields.refuse_type("normalizer");
}

}  // namespace haq::text
