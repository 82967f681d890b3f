// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/safetensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "engine/base/error.h"
#include "engine/base/json.h"

namespace haq::model {
namespace {

static_assert(std::endian::native == std::endian::little,
              "safetensors data is little-endian and used in place");

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kMaxDimensions = 8;
constexpr std::string_view kMetadataKey = "__metadata__";

/// Bits of one element; 0 for a type this program has never heard of (its size cannot be checked).
std::size_t bits_of(std::string_view dtype) {
  struct Entry {
    std::string_view name;
    std::size_t bits;
  };
  static constexpr std::array<Entry, 20> kSizes = {{
      {"BOOL", 8},    {"U8", 8},   {"I8", 8},   {"F8_E4M3", 8}, {"F8_E5M2", 8},
      {"F8_E8M0", 8}, {"F4", 4},   {"I16", 16}, {"U16", 16},    {"F16", 16},
      {"BF16", 16},   {"I32", 32}, {"U32", 32}, {"F32", 32},    {"C64", 64},
      {"F64", 64},    {"I64", 64}, {"U64", 64}, {"F6_E2M3", 6}, {"F6_E3M2", 6},
  }};
  const auto* found = std::find_if(kSizes.begin(), kSizes.end(),
                                   [&](const Entry& entry) { return entry.name == dtype; });
  return found == kSizes.end() ? 0 : found->bits;
}

std::optional<DType> readable(std::string_view dtype) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8}) {
    if (dtype == haq::to_string(type)) return type;
  }
  return {};
}

std::string clipped(const std::string& name) {
  return name.size() <= 200 ? name : name.substr(0, 200) + "...";
}

/// A non-negative integer that fits int64, else nothing.
std::optional<std::int64_t> count_of(const nlohmann::json& value) {
  if (!value.is_number_unsigned()) return {};
  const auto number = value.get<std::uint64_t>();
  if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return {};
  return static_cast<std::int64_t>(number);
}

TensorInfo read_tensor(const nlohmann::json& json, const std::string& name, std::size_t data_size,
                       const std::string& what) {
  const auto corrupt = [&](const std::string& why) {
    fail(ErrorCode::kCorrupt, "{}: tensor \"{}\": {}", what, clipped(name), why);
  };
  if (!json.is_object() || !json.contains("dtype") || !json.contains("shape") ||
      !json.contains("data_offsets")) {
    corrupt("expected an object with dtype, shape and data_offsets");
  }
  TensorInfo tensor;
  if (!json["dtype"].is_string()) corrupt("dtype is not a string");
  tensor.dtype_name = clipped(json["dtype"].get<std::string>());
  tensor.dtype = readable(tensor.dtype_name);

  const auto& shape = json["shape"];
  if (!shape.is_array() || shape.size() > kMaxDimensions) {
    corrupt(fmt::format("shape is not a list of at most {} sizes", kMaxDimensions));
  }
  std::uint64_t elements = 1;
  for (const auto& item : shape) {
    const auto size = count_of(item);
    if (!size) corrupt("shape holds something that is not a size");
    tensor.shape.push_back(*size);
    if (__builtin_mul_overflow(elements, static_cast<std::uint64_t>(*size), &elements)) {
      corrupt(fmt::format("shape {} overflows", to_string(tensor.shape)));
    }
  }

  const auto& offsets = json["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) corrupt("data_offsets is not a pair");
  const auto begin = count_of(offsets[0]);
  const auto end = count_of(offsets[1]);
  if (!begin || !end || *begin > *end) corrupt("data_offsets is not an ascending pair of offsets");
  if (static_cast<std::uint64_t>(*end) > data_size) {
    corrupt(fmt::format("ends at byte {} of the data section, which has only {} bytes", *end,
                        data_size));
  }
  tensor.begin = static_cast<std::size_t>(*begin);
  tensor.end = static_cast<std::size_t>(*end);

  if (const std::size_t bits = bits_of(tensor.dtype_name); bits != 0) {
    std::uint64_t total_bits = 0;
    if (__builtin_mul_overflow(elements, static_cast<std::uint64_t>(bits), &total_bits) ||
        total_bits % 8 != 0 || total_bits / 8 != tensor.bytes()) {
      corrupt(fmt::format("has {} bytes, which does not fit dtype {} and shape {}", tensor.bytes(),
                          tensor.dtype_name, to_string(tensor.shape)));
    }
  }
  return tensor;
}

/// The format demands that the tensors cover the data section exactly: no overlap, no hole.
void check_layout(const SafetensorsHeader& header, std::size_t data_size, const std::string& what) {
  std::vector<std::pair<const TensorInfo*, const std::string*>> order;
  order.reserve(header.tensors.size());
  for (const auto& [name, tensor] : header.tensors) order.emplace_back(&tensor, &name);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first->begin, a.first->end) < std::pair(b.first->begin, b.first->end);
  });
  std::size_t position = 0;
  for (const auto& [tensor, name] : order) {
    if (tensor->begin != position) {
      fail(ErrorCode::kCorrupt,
           "{}: tensor \"{}\" starts at byte {} of the data section, expected {} ({})", what,
           clipped(*name), tensor->begin, position,
           tensor->begin < position ? "it overlaps the tensor before it"
                                    : "there is a hole before it");
    }
    position = tensor->end;
  }
  if (position != data_size) {
    fail(ErrorCode::kCorrupt, "{}: the data section has {} bytes, the tensors cover {}", what,
         data_size, position);
  }
}

}  // namespace

std::string to_string(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

SafetensorsHeader SafetensorsHeader::parse(std::span<const std::byte> file,
                                           const std::string& what) {
  if (file.size() < kLengthBytes) {
    fail(ErrorCode::kCorrupt, "{}: {} bytes, too short for a safetensors file", what, file.size());
  }
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > kMaxHeaderBytes) {
    fail(ErrorCode::kLimit, "{}: header length {} exceeds the format's limit of {} bytes", what,
         length, kMaxHeaderBytes);
  }
  if (length > file.size() - kLengthBytes) {
    fail(ErrorCode::kCorrupt, "{}: header length {} exceeds the file of {} bytes (truncated?)",
         what, length, file.size());
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  if (text.empty() || text.front() != '{') {
    fail(ErrorCode::kCorrupt, "{}: the header does not start with '{{'", what);
  }
  JsonLimits limits;
  limits.max_bytes = kMaxHeaderBytes;
  limits.max_depth = 8;
  const nlohmann::json json = parse_json(text, what, limits);

  SafetensorsHeader header;
  header.data_start = kLengthBytes + static_cast<std::size_t>(length);
  const std::size_t data_size = file.size() - header.data_start;
  header.tensors.reserve(json.size());
  for (const auto& [name, value] : json.items()) {
    if (name != kMetadataKey) {
      header.tensors.emplace(name, read_tensor(value, name, data_size, what));
      continue;
    }
    if (!value.is_object()) fail(ErrorCode::kCorrupt, "{}: {} is not an object", what, name);
    for (const auto& [key, entry] : value.items()) {
      if (!entry.is_string()) {
        fail(ErrorCode::kCorrupt, "{}: {} \"{}\" is not a string", what, name, clipped(key));
      }
      header.metadata.emplace(key, entry.get<std::string>());
    }
  }
  check_layout(header, data_size, what);
  return header;
}

std::shared_ptr<const SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  auto file = std::make_shared<SafetensorsFile>();
  file->mapping_ = MappedFile::open(path);
  file->header_ = SafetensorsHeader::parse(file->mapping_->bytes(), path.string());
  return file;
}

}  // namespace haq::model
