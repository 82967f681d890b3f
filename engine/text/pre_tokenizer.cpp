// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/pre_tokenizer.h"

#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/text/splitter.h"
#include "engine/text/unicode.h"

namespace haq::text {
namespace {

/// Steps of one sequence; published files have a handful.
constexpr std::size_t kMaxSteps = 256;

class Step final : public PreTokenizer {
 public:
  explicit Step(std::function<void(Pieces&)> step) : step_(std::move(step)) {}
  void apply(Pieces& pieces) const override { step_(pieces); }

 private:
  std::function<void(Pieces&)> step_;
};

std::unique_ptr<const PreTokenizer> make(std::function<void(Pieces&)> step) {
  return std::make_unique<Step>(std::move(step));
}

/// Covers a text with stretches: every character for which `test` holds is a match of its own.
template <typename Test>
auto char_finder(Test test) {
  return [test](std::string_view text, std::vector<Stretch>& out) {
    std::size_t last = 0;
    for (std::size_t pos = 0; pos < text.size();) {
      const std::size_t begin = pos;
      if (!test(next_char(text, pos))) continue;
      if (last < begin) out.push_back({last, begin, false});
      out.push_back({begin, pos, true});
      last = pos;
    }
    if (last < text.size()) out.push_back({last, text.size(), false});
  };
}

void split_by_pattern(Pieces& pieces, const Pattern& pattern, SplitBehavior behavior, bool invert) {
  Pattern::Finder finder(pattern);
  split_pieces(pieces, behavior, [&](std::string_view text, std::vector<Stretch>& out) {
    finder.find(text, out);
    if (!invert) return;
    for (Stretch& stretch : out) stretch.is_match = !stretch.is_match;
  });
}

/// Copies every piece into a new buffer; `put(text, piece, out)` appends what becomes of one piece
/// and returns its new lead.
template <typename Put>
void rewrite_pieces(Pieces& pieces, Put put) {
  std::string out;
  out.reserve(pieces.text.size() + pieces.text.size() / 4 + 16);
  for (Piece& piece : pieces.list) {
    if (piece.is_token()) continue;
    const std::size_t begin = out.size();
    piece.lead = put(pieces.view(piece), piece, out);
    piece.begin = begin;
    piece.end = out.size();
  }
  pieces.text = std::move(out);
}

/// GPT-2's split: contractions, words, numbers and other signs, each with the blank before it.
const Pattern& gpt2_pattern() {
  static const Pattern pattern = Pattern::regex(
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)");
  return pattern;
}

void add_prefix_space(Pieces& pieces) {
  rewrite_pieces(pieces, [](std::string_view text, const Piece& piece, std::string& out) {
    const bool add = !text.starts_with(' ');
    if (add) out += ' ';
    out += text;
    return piece.lead > 0 && add ? piece.lead + 1 : piece.lead;
  });
}

void bytes_to_visible(Pieces& pieces) {
  rewrite_pieces(pieces, [](std::string_view text, const Piece& piece, std::string& out) {
    std::size_t lead = 0;
    const std::size_t begin = out.size();
    for (std::size_t i = 0; i < text.size(); ++i) {
      out += byte_to_visible(static_cast<unsigned char>(text[i]));
      if (i < piece.lead) lead = out.size() - begin;
    }
    return lead;
  });
}

std::unique_ptr<const PreTokenizer> make_byte_level(const Fields& fields) {
  fields.allow({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  const bool prefix = fields.flag("add_prefix_space", true);
  const bool regex = fields.flag("use_regex", true);
  return make([=](Pieces& pieces) {
    if (prefix) add_prefix_space(pieces);
    if (regex) split_by_pattern(pieces, gpt2_pattern(), SplitBehavior::kIsolated, false);
    bytes_to_visible(pieces);
  });
}

enum class PrependScheme { kFirst, kNever, kAlways };

PrependScheme parse_prepend_scheme(const Fields& fields) {
  PrependScheme scheme = PrependScheme::kAlways;
  if (const auto name = fields.optional_text("prepend_scheme")) {
    if (*name == "first") {
      scheme = PrependScheme::kFirst;
    } else if (*name == "never") {
      scheme = PrependScheme::kNever;
    } else if (*name != "always") {
      fields.wrong("prepend_scheme", "first, never or always");
    }
  }
  // Older files say only whether a mark is put in front.
  if (!fields.flag("add_prefix_space", true)) {
    if (fields.has("prepend_scheme") && scheme != PrependScheme::kNever) {
      fields.wrong("prepend_scheme", "never, because add_prefix_space is false");
    }
    scheme = PrependScheme::kNever;
  }
  return scheme;
}

std::unique_ptr<const PreTokenizer> make_metaspace(const Fields& fields) {
  fields.allow({"type", "replacement", "str_rep", "prepend_scheme", "add_prefix_space", "split"});
  const char32_t mark = fields.has("replacement") ? fields.character("replacement") : U'\u2581';
  std::string mark_text;
  append_utf8(mark_text, mark);
  const PrependScheme scheme = parse_prepend_scheme(fields);
  const bool split = fields.flag("split", true);
  return make([=](Pieces& pieces) {
    rewrite_pieces(pieces, [&](std::string_view text, const Piece& piece, std::string& out) {
      const bool wanted =
          scheme == PrependScheme::kAlways || (scheme == PrependScheme::kFirst && piece.lead > 0);
      const bool add = wanted && !text.starts_with(' ') && !text.starts_with(mark_text);
      const std::size_t begin = out.size();
      if (add) out += mark_text;
      std::size_t lead = 0;
      for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == ' ') {
          out += mark_text;
        } else {
          out += text[i];
        }
        if (i < piece.lead) lead = out.size() - begin;
      }
      return lead;
    });
    if (split) {
      split_pieces(pieces, SplitBehavior::kMergedWithNext,
                   char_finder([mark](char32_t c) { return c == mark; }));
    }
  });
}

std::unique_ptr<const PreTokenizer> make_split(const Fields& fields) {
  fields.allow({"type", "pattern", "behavior", "invert"});
  return make([pattern = Pattern::parse(fields),
               behavior = parse_split_behavior(fields, "behavior"),
               invert = fields.flag("invert", false)](Pieces& pieces) {
    split_by_pattern(pieces, pattern, behavior, invert);
  });
}

std::unique_ptr<const PreTokenizer> make_digits(const Fields& fields) {
  fields.allow({"type", "individual_digits"});
  const auto behavior = fields.flag("individual_digits", false) ? SplitBehavior::kIsolated
                                                                : SplitBehavior::kContiguous;
  return make(
      [behavior](Pieces& pieces) { split_pieces(pieces, behavior, char_finder(is_numeric)); });
}

std::unique_ptr<const PreTokenizer> make_punctuation(const Fields& fields) {
  fields.allow({"type", "behavior"});
  const auto behavior = parse_split_behavior(fields, "behavior", SplitBehavior::kIsolated);
  return make(
      [behavior](Pieces& pieces) { split_pieces(pieces, behavior, char_finder(is_punctuation)); });
}

/// Runs of word characters and runs of other visible ones; blanks are dropped.
void split_words(std::string_view text, std::vector<Stretch>& out) {
  enum class Kind { kBlank, kWord, kOther };
  const auto kind_of = [](char32_t c) {
    if (is_word(c)) return Kind::kWord;
    return is_white_space(c) ? Kind::kBlank : Kind::kOther;
  };
  Kind run = Kind::kBlank;
  std::size_t begin = 0;
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t at = pos;
    const Kind kind = kind_of(next_char(text, pos));
    if (kind != run) {
      if (run != Kind::kBlank) out.push_back({begin, at, false});
      begin = at;
      run = kind;
    }
  }
  if (run != Kind::kBlank) out.push_back({begin, text.size(), false});
}

std::unique_ptr<const PreTokenizer> make_fixed_length(const Fields& fields) {
  fields.allow({"type", "length"});
  const auto length = fields.number("length", 1, std::numeric_limits<std::int32_t>::max(), 5);
  return make([length](Pieces& pieces) {
    split_pieces(pieces, SplitBehavior::kIsolated,
                 [length](std::string_view text, std::vector<Stretch>& out) {
                   for (std::size_t pos = 0; pos < text.size();) {
                     const std::size_t begin = pos;
                     for (std::int64_t i = 0; i < length && pos < text.size(); ++i) {
                       next_char(text, pos);
                     }
                     out.push_back({begin, pos, false});
                   }
                 });
  });
}

std::unique_ptr<const PreTokenizer> make_sequence(const Fields& fields) {
  fields.allow({"type", "pretokenizers"});
  std::vector<std::shared_ptr<const PreTokenizer>> steps;
  for (const Fields& step : fields.children("pretokenizers")) {
    if (steps.size() == kMaxSteps) fields.wrong("pretokenizers", "a shorter list");
    steps.push_back(PreTokenizer::parse(step));
  }
  return make([steps = std::move(steps)](Pieces& pieces) {
    for (const auto& step : steps) {
      step->apply(pieces);
      check_work_size(pieces.text.size());
    }
  });
}

std::unique_ptr<const PreTokenizer> make_simple(const Fields& fields,
                                                std::function<void(Pieces&)> step) {
  fields.allow({"type"});
  return make(std::move(step));
}

}  // namespace

std::unique_ptr<const PreTokenizer> PreTokenizer::parse(const Fields& fields) {
  const std::string type = fields.type();
  if (type == "ByteLevel") return make_byte_level(fields);
  if (type == "Metaspace") return make_metaspace(fields);
  if (type == "Split") return make_split(fields);
  if (type == "Sequence") return make_sequence(fields);
  if (type == "Digits") return make_digits(fields);
  if (type == "Punctuation") return make_punctuation(fields);
  if (type == "FixedLength") return make_fixed_length(fields);
  if (type == "Whitespace") {
    return make_simple(fields, [](Pieces& pieces) {
      split_pieces(pieces, SplitBehavior::kIsolated, split_words);
    });
  }
  if (type == "WhitespaceSplit") {
    return make_simple(fields, [](Pieces& pieces) {
      split_pieces(pieces, SplitBehavior::kRemoved, char_finder(is_white_space));
    });
  }
  if (type == "BertPreTokenizer") {
    return make_simple(fields, [](Pieces& pieces) {
      split_pieces(pieces, SplitBehavior::kRemoved, char_finder(is_white_space));
      split_pieces(pieces, SplitBehavior::kIsolated, char_finder(is_punctuation));
    });
  }
  if (type == "CharDelimiterSplit") {
    fields.allow({"type", "delimiter"});
    return make([delimiter = fields.character("delimiter")](Pieces& pieces) {
      split_pieces(pieces, SplitBehavior::kRemoved,
                   char_finder([delimiter](char32_t c) { return c == delimiter; }));
    });
  }
  fields.refuse_type("pre-tokenizer");
}

}  // namespace haq::text
