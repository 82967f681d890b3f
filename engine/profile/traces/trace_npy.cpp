// SPDX-License-Identifier: GPL-3.0-or-later
#include <charconv>
#include <cstring>
#include <string>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/profile/traces/trace_reader.h"

namespace haq::profile {
namespace {

/// The value of a key in the header's Python dictionary, up to (not including) `end`.
std::string_view value_of(std::string_view header, std::string_view key, char end,
                          const std::string& what) {
  const std::string quoted = fmt::format("'{}':", key);
  const std::size_t at = header.find(quoted);
  const std::size_t begin = at == std::string_view::npos ? at : at + quoted.size();
  const std::size_t stop = begin == std::string_view::npos ? begin : header.find(end, begin);
  if (stop == std::string_view::npos) {
    fail(ErrorCode::kCorrupt, "{}: the header has no \"{}\"", what, key);
  }
  std::string_view value = header.substr(begin, stop - begin);
  while (!value.empty() && (value.front() == ' ' || value.front() == '(')) value.remove_prefix(1);
  return value;
}

/// "(10, 24, 4" as three numbers.
std::vector<std::int64_t> parse_shape(std::string_view text, const std::string& what) {
  std::vector<std::int64_t> shape;
  while (!text.empty()) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || number < 1 || number > kMaxChoices) break;
    shape.push_back(number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    while (!text.empty() && (text.front() == ' ' || text.front() == ',')) text.remove_prefix(1);
  }
  if (shape.size() != 3 || !text.empty()) {
    fail(ErrorCode::kCorrupt, "{}: expected the shape [tokens, layers, top_k]", what);
  }
  return shape;
}

}  // namespace

// Format: NumPy Enhancement Proposal 1 ("A Simple File Format for NumPy Arrays").
Trace read_trace_npy(const std::filesystem::path& file, const TraceHints& hints) {
  const std::string what = file.string();
  const auto mapping = MappedFile::open(file);
  const std::string_view bytes(reinterpret_cast<const char*>(mapping->bytes().data()),
                               mapping->size());
  constexpr std::string_view kMagic("\x93NUMPY", 6);
  if (bytes.size() < 12 || bytes.substr(0, 6) != kMagic) {
    fail(ErrorCode::kCorrupt, "{}: not a .npy file", what);
  }
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const bool first_version = byte(6) == 1;
  const std::size_t start = first_version ? 10 : 12;
  std::size_t length = byte(8) | std::size_t{byte(9)} << 8;
  if (!first_version) length |= std::size_t{byte(10)} << 16 | std::size_t{byte(11)} << 24;
  if (length > bytes.size() - start) {
    fail(ErrorCode::kCorrupt, "{}: the header reaches beyond the file", what);
  }
  const std::string_view header = bytes.substr(start, length);
  const std::string_view type = value_of(header, "descr", ',', what);
  if (type != "'<i2'" && type != "'<u2'") {
    fail(ErrorCode::kUnsupported, "{}: elements are {}, expected '<i2' (int16)", what, type);
  }
  if (value_of(header, "fortran_order", ',', what) != "False") {
    fail(ErrorCode::kUnsupported, "{}: Fortran order, expected C order", what);
  }
  const std::vector<std::int64_t> shape = parse_shape(value_of(header, "shape", ')', what), what);
  const std::string_view data = bytes.substr(start + length);
  if (shape[1] > experts::kMaxLayers || shape[2] > experts::kMaxTopK ||
      shape[0] > kMaxChoices / (shape[1] * shape[2])) {
    fail(ErrorCode::kLimit, "{}: shape [{}, {}, {}] is too large", what, shape[0], shape[1],
         shape[2]);
  }
  const auto count = static_cast<std::size_t>(shape[0] * shape[1] * shape[2]);
  if (data.size() != count * 2) {
    fail(ErrorCode::kCorrupt, "{}: {} bytes of data, the shape needs {}", what, data.size(),
         count * 2);
  }
  Trace trace;
  trace.shape.layers = static_cast<int>(shape[1]);
  trace.shape.top_k = static_cast<int>(shape[2]);
  trace.ids.resize(count);
  std::memcpy(trace.ids.data(), data.data(), data.size());  // -1 is Trace::kAbsent
  finish_trace(trace, hints, what);
  return trace;
}

}  // namespace haq::profile
