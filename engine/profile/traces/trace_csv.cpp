// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/profile/traces/trace_reader.h"

namespace haq::profile {
namespace {

/// Lines of a file, without their ends.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {}
  bool next(std::string_view& line) {
    if (at_ >= text_.size()) return false;
    const std::size_t end = std::min(text_.find('\n', at_), text_.size());
    line = text_.substr(at_, end - at_);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    at_ = end + 1;
    ++number_;
    return true;
  }
  std::size_t number() const { return number_; }

 private:
  std::string_view text_;
  std::size_t at_ = 0, number_ = 0;
};

/// Takes a whole number and the comma behind it off the front.
std::int64_t take_number(std::string_view& rest, const char* column, const std::string& what,
                         std::size_t line) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  const bool ended = end == rest.data() + rest.size() || *end == ',';
  if (error != std::errc() || !ended) {
    fail(ErrorCode::kCorrupt, "{} line {}: column {} is \"{}\", expected a whole number", what,
         line, column, std::string(rest.substr(0, 20)));
  }
  rest.remove_prefix(std::min(rest.size(), static_cast<std::size_t>(end - rest.data()) + 1));
  return value;
}

/// One expert chosen by one token.
struct Row {
  std::int64_t token, layer, expert;
};

/// "n_layer=48" in the comment lines of a route trace; 0 when absent.
int header_number(std::string_view line, std::string_view key) {
  const std::size_t at = line.find(key);
  if (at == std::string_view::npos) return 0;
  int value = 0;
  std::from_chars(line.data() + at + key.size(), line.data() + line.size(), value);
  return value;
}

class CsvReader {
 public:
  CsvReader(std::string_view text, std::string what) : lines_(text), what_(std::move(what)) {}

  Trace read(const TraceHints& hints) {
    std::string_view line;
    while (lines_.next(line)) {
      if (line.empty()) continue;
      if (line.front() == '#') {
        read_comment(line);
      } else if (columns_ == Columns::kUnknown) {
        read_header(line);
      } else {
        read_row(line);
      }
    }
    return assemble(hints);
  }

 private:
  enum class Columns { kUnknown, kPairs, kRoute };

  void read_comment(std::string_view line) {
    if (const int layers = header_number(line, "n_layer="); layers > 0) layers_ = layers;
    if (const int experts = header_number(line, "n_expert="); experts > 0) experts_ = experts;
    if (const int used = header_number(line, "n_expert_used="); used > 0) top_k_ = used;
  }

  void read_header(std::string_view line) {
    if (line.substr(0, 29) == "turn,phase,step,layer,slot,ex") {
      columns_ = Columns::kRoute;
    } else if (line == "layer,expert" || line.substr(0, 13) == "layer,expert,") {
      columns_ = Columns::kPairs;
    } else {
      const bool number = !line.empty() && line.front() >= '0' && line.front() <= '9';
      const auto commas = std::count(line.begin(), line.end(), ',');
      if (!number || (commas != 1 && commas != 8)) {
        fail(ErrorCode::kCorrupt,
             "{} line {}: expected the columns layer,expert or "
             "turn,phase,step,layer,slot,expert,...",
             what_, lines_.number());
      }
      columns_ = commas == 1 ? Columns::kPairs : Columns::kRoute;
      read_row(line);
    }
  }

  void read_row(std::string_view line) {
    if (columns_ == Columns::kPairs) {
      read_pair(line);
    } else {
      read_route(line);
    }
  }

  void read_pair(std::string_view line) {
    const std::int64_t layer = take_number(line, "layer", what_, lines_.number());
    const std::int64_t expert = take_number(line, "expert", what_, lines_.number());
    if (rows_.empty() || layer < rows_.back().layer) ++token_;
    add({token_, layer, expert});
  }

  void read_route(std::string_view line) {
    std::array<std::int64_t, 6> value{};
    constexpr const char* kNames[] = {"turn", "phase", "step", "layer", "slot", "expert"};
    for (std::size_t i = 0; i < value.size(); ++i) {
      value[i] = take_number(line, kNames[i], what_, lines_.number());
    }
    if (value[1] != 1) {
      ++prefill_rows_;
      return;
    }
    const std::array<std::int64_t, 2> key{value[0], value[2]};
    if (rows_.empty() || key != last_key_ || value[3] < rows_.back().layer) ++token_;
    last_key_ = key;
    add({token_, value[3], value[5]});
  }

  void add(const Row& row) {
    if (row.layer < 0 || row.layer >= experts::kMaxLayers) {
      fail(ErrorCode::kCorrupt, "{} line {}: layer {}, expected 0 to {}", what_, lines_.number(),
           row.layer, experts::kMaxLayers - 1);
    }
    if (row.expert < -1 || row.expert >= experts::kMaxExperts) {
      fail(ErrorCode::kCorrupt, "{} line {}: expert {}, expected 0 to {}", what_, lines_.number(),
           row.expert, experts::kMaxExperts - 1);
    }
    const bool same =
        !rows_.empty() && rows_.back().token == row.token && rows_.back().layer == row.layer;
    ranks_ = same ? ranks_ + 1 : 1;
    widest_ = std::max(widest_, ranks_);
    if (widest_ > experts::kMaxTopK) {
      fail(ErrorCode::kLimit, "{} line {}: more than {} experts of one token in layer {}", what_,
           lines_.number(), experts::kMaxTopK, row.layer);
    }
    highest_layer_ = std::max(highest_layer_, row.layer);
    rows_.push_back(row);
  }

  Trace assemble(const TraceHints& hints) {
    if (rows_.empty()) fail(ErrorCode::kCorrupt, "{}: no decode row", what_);
    Trace trace;
    trace.shape.layers = std::max(layers_, static_cast<int>(highest_layer_) + 1);
    if (hints.layers > trace.shape.layers) trace.shape.layers = hints.layers;
    trace.shape.top_k = std::max(top_k_, widest_);
    if (hints.top_k > trace.shape.top_k) trace.shape.top_k = hints.top_k;
    trace.shape.experts = experts_;
    const std::int64_t row_width = std::int64_t{trace.shape.layers} * trace.shape.top_k;
    if (token_ + 1 > kMaxChoices / row_width) {
      fail(ErrorCode::kLimit, "{}: {} tokens of {} layers and top-{} are too many", what_,
           token_ + 1, trace.shape.layers, trace.shape.top_k);
    }
    trace.ids.assign(static_cast<std::size_t>((token_ + 1) * row_width), Trace::kAbsent);
    std::int64_t place = -1, rank = 0;
    for (const Row& row : rows_) {
      const std::int64_t here = row.token * row_width + row.layer * std::int64_t{trace.shape.top_k};
      rank = here == place ? rank + 1 : 0;
      place = here;
      trace.ids[static_cast<std::size_t>(here + rank)] =
          row.expert < 0 ? Trace::kAbsent : static_cast<std::uint16_t>(row.expert);
    }
    if (prefill_rows_ > 0) {
      trace.notices.push_back(fmt::format("{}: {} prefill rows were left out; decode is replayed.",
                                          what_, prefill_rows_));
    }
    finish_trace(trace, hints, what_);
    return trace;
  }

  Lines lines_;
  std::string what_;
  Columns columns_ = Columns::kUnknown;
  std::vector<Row> rows_;
  std::array<std::int64_t, 2> last_key_{};
  std::int64_t token_ = -1, highest_layer_ = 0, prefill_rows_ = 0;
  int ranks_ = 0, widest_ = 0;
  int layers_ = 0, experts_ = 0, top_k_ = 0;
};

}  // namespace

Trace read_trace_csv(const std::filesystem::path& file, const TraceHints& hints) {
  const auto mapping = MappedFile::open(file);
  const std::string_view text(reinterpret_cast<const char*>(mapping->bytes().data()),
                              mapping->size());
  return CsvReader(text, file.string()).read(hints);
}

}  // namespace haq::profile
