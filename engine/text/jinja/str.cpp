// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/jinja/str.h"

#include <algorithm>

#include "engine/text/jinja/unicode.h"

namespace haq::text::jinja {

Str::Rep::Rep(std::string the_bytes, std::vector<Run> the_runs)
    : bytes(std::move(the_bytes)),
      runs(std::move(the_runs)),
      length(count_code_points(bytes)),
      lease(sizeof(Rep) + bytes.size() + runs.size() * sizeof(Run)) {
  charge(1 + bytes.size() / 256);
}

Str::Str(std::string bytes, Origin origin) {
  if (bytes.empty()) return;
  std::vector<Run> runs{{bytes.size(), origin}};
  rep_ = std::make_shared<const Rep>(std::move(bytes), std::move(runs));
}

Str::Str(std::string bytes, std::vector<Run> runs) {
  if (bytes.empty()) return;
  rep_ = std::make_shared<const Rep>(std::move(bytes), std::move(runs));
}

const std::vector<Run>& Str::runs() const {
  static const std::vector<Run> none;
  return rep_ ? rep_->runs : none;
}

Origin Str::origin() const {
  Origin origin = Origin::kTemplate;
  for (const Run& run : runs()) origin = origin | run.origin;
  return origin;
}

Origin Str::origin_at(std::size_t position) const {
  const auto& all = runs();
  const auto run = std::upper_bound(all.begin(), all.end(), position,
                                    [](std::size_t at, const Run& r) { return at < r.end; });
  return run == all.end() ? Origin::kTemplate : run->origin;
}

Str Str::slice(std::size_t begin, std::size_t end) const {
  if (begin >= end) return {};
  if (begin == 0 && end == size()) return *this;
  StrBuilder builder;
  builder.append(*this, begin, end);
  return builder.finish();
}

std::size_t Str::offset_of(std::size_t code_point) const {
  if (ascii()) return std::min(code_point, size());
  charge(code_point / 64);
  return byte_offset(view(), code_point);
}

Str Str::slice_code_points(std::size_t begin, std::size_t end) const {
  if (begin >= end) return {};
  const std::size_t from = offset_of(begin);
  const std::size_t to =
      end >= length() ? size() : from + byte_offset(view().substr(from), end - begin);
  return slice(from, to);
}

Str Str::with_origin(Origin origin) const {
  if (runs().size() == 1 && runs().front().origin == origin) return *this;
  return Str(std::string(view()), origin);
}

void StrBuilder::append(std::string_view bytes, Origin origin) {
  if (bytes.empty()) return;
  check_size(bytes_.size() + bytes.size());
  bytes_.append(bytes);
  if (!runs_.empty() && runs_.back().origin == origin) {
    runs_.back().end = bytes_.size();
  } else {
    runs_.push_back({bytes_.size(), origin});
  }
}

void StrBuilder::append(const Str& text) {
  append(text, 0, text.size());
}

void StrBuilder::append(const Str& text, std::size_t begin, std::size_t end) {
  if (begin >= end) return;
  const auto& all = text.runs();
  auto run = std::upper_bound(all.begin(), all.end(), begin,
                              [](std::size_t at, const Run& r) { return at < r.end; });
  for (; run != all.end() && begin < end; ++run) {
    const std::size_t stop = std::min(run->end, end);
    append(text.view().substr(begin, stop - begin), run->origin);
    begin = stop;
  }
}

Str StrBuilder::finish() {
  Str text(std::move(bytes_), std::move(runs_));
  bytes_.clear();
  runs_.clear();
  return text;
}

}  // namespace haq::text::jinja
