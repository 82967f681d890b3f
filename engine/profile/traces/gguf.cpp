// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/traces/gguf.h"

#include <bit>
#include <cstring>

#include "engine/base/error.h"

namespace haq::profile {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read as the values lie");

enum ValueType : std::uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kText,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

constexpr std::uint64_t kMaxEntries = 1 << 16, kMaxTensors = 1 << 18;
constexpr std::uint64_t kMaxTextBytes = 1 << 20;
constexpr std::uint32_t kMaxDimensions = 4;
constexpr std::uint64_t kMaxValues = std::uint64_t{1} << 48;

/// Takes values off the front of the file.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::string what)
      : bytes_(bytes), what_(std::move(what)) {}

  template <typename Value>
  Value take() {
    Value value;
    std::memcpy(&value, need(sizeof value), sizeof value);
    return value;
  }
  std::string take_text() {
    const auto size = take<std::uint64_t>();
    if (size > kMaxTextBytes) {
      fail(ErrorCode::kLimit, "{}: a text of {} bytes at byte {}, at most {} are read", what_, size,
           at_, kMaxTextBytes);
    }
    const std::byte* data = need(static_cast<std::size_t>(size));
    return {reinterpret_cast<const char*>(data), static_cast<std::size_t>(size)};
  }
  /// Goes past one value of an entry; arrays hold no arrays in files that occur.
  void skip(std::uint32_t type) {
    if (type == kText) {
      take_text();
    } else if (type == kArray) {
      const auto element = take<std::uint32_t>();
      const auto count = take<std::uint64_t>();
      if (element == kArray) {
        fail(ErrorCode::kUnsupported, "{}: an array of arrays at byte {}", what_, at_);
      }
      if (element == kText) {
        // Each text takes eight bytes at least, so a lying count ends at the end of the file.
        for (std::uint64_t i = 0; i < count; ++i) take_text();
      } else {
        const std::size_t size = scalar_bytes(element);
        if (count > (bytes_.size() - at_) / size) truncated();
        need(static_cast<std::size_t>(count) * size);
      }
    } else {
      need(scalar_bytes(type));
    }
  }
  std::size_t at() const { return at_; }
  const std::string& what() const { return what_; }

 private:
  const std::byte* need(std::size_t size) {
    if (size > bytes_.size() - at_) truncated();
    const std::byte* data = bytes_.data() + at_;
    at_ += size;
    return data;
  }
  [[noreturn]] void truncated() const {
    fail(ErrorCode::kCorrupt, "{}: the file ends within what byte {} begins", what_, at_);
  }
  std::size_t scalar_bytes(std::uint32_t type) const {
    switch (type) {
      case kUint8:
      case kInt8:
      case kBool:
        return 1;
      case kUint16:
      case kInt16:
        return 2;
      case kUint32:
      case kInt32:
      case kFloat32:
        return 4;
      case kUint64:
      case kInt64:
      case kFloat64:
        return 8;
      default:
        fail(ErrorCode::kCorrupt, "{}: value type {} at byte {}, expected 0 to 12", what_, type,
             at_);
    }
  }

  std::span<const std::byte> bytes_;
  std::string what_;
  std::size_t at_ = 0;
};

std::uint64_t take_count(Cursor& cursor, const char* name, std::uint64_t most) {
  const auto count = cursor.take<std::uint64_t>();
  if (count > most) {
    fail(ErrorCode::kLimit, "{}: {} {}, at most {} are read", cursor.what(), count, name, most);
  }
  return count;
}

GgufFile::Tensor take_tensor(Cursor& cursor, const std::string& name) {
  GgufFile::Tensor tensor;
  const auto dimensions = cursor.take<std::uint32_t>();
  if (dimensions > kMaxDimensions) {
    fail(ErrorCode::kCorrupt, "{}: tensor {} has {} dimensions, expected up to {}", cursor.what(),
         name, dimensions, kMaxDimensions);
  }
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    const auto size = cursor.take<std::uint64_t>();
    if (size == 0 || size > kMaxValues / tensor.count) {
      fail(ErrorCode::kCorrupt,
           "{}: tensor {} has a dimension of {}, expected 1 to {} values in all", cursor.what(),
           name, size, kMaxValues);
    }
    tensor.count *= size;
    tensor.shape.push_back(size);
  }
  tensor.type = cursor.take<std::uint32_t>();
  tensor.offset = cursor.take<std::uint64_t>();
  return tensor;
}

}  // namespace

GgufFile GgufFile::open(const std::filesystem::path& path) {
  GgufFile gguf;
  gguf.file_ = MappedFile::open(path);
  Cursor cursor(gguf.file_->bytes(), path.string());
  constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
  if (cursor.take<std::uint32_t>() != kMagic) {
    fail(ErrorCode::kCorrupt, "{}: not a GGUF file", path.string());
  }
  const auto version = cursor.take<std::uint32_t>();
  if (version != 2 && version != 3) {
    fail(ErrorCode::kUnsupported, "{}: GGUF version {}, expected 2 or 3", path.string(), version);
  }
  const std::uint64_t tensors = take_count(cursor, "tensors", kMaxTensors);
  const std::uint64_t entries = take_count(cursor, "entries", kMaxEntries);
  std::uint64_t alignment = 32;
  for (std::uint64_t i = 0; i < entries; ++i) {
    const std::string key = cursor.take_text();
    const auto type = cursor.take<std::uint32_t>();
    if (type == kText) {
      gguf.texts_[key] = cursor.take_text();
    } else if (key == "general.alignment" && type == kUint32) {
      alignment = cursor.take<std::uint32_t>();
      if (!std::has_single_bit(alignment)) {
        fail(ErrorCode::kCorrupt, "{}: general.alignment is {}, expected a power of two",
             path.string(), alignment);
      }
    } else {
      cursor.skip(type);
    }
  }
  for (std::uint64_t i = 0; i < tensors; ++i) {
    const std::string name = cursor.take_text();
    if (!gguf.tensors_.emplace(name, take_tensor(cursor, name)).second) {
      fail(ErrorCode::kCorrupt, "{}: tensor {} occurs twice", path.string(), name);
    }
  }
  gguf.data_ = (cursor.at() + alignment - 1) / alignment * alignment;
  const std::uint64_t size = gguf.file_->size();
  for (const auto& [name, tensor] : gguf.tensors_) {
    const std::uint64_t bytes = tensor.type == 0 ? tensor.count * sizeof(float) : 0;
    if (gguf.data_ <= size && tensor.offset <= size - gguf.data_ &&
        bytes <= size - gguf.data_ - tensor.offset) {
      continue;
    }
    fail(ErrorCode::kCorrupt, "{}: tensor {} reaches beyond the end of the file", path.string(),
         name);
  }
  return gguf;
}

std::string GgufFile::text(const std::string& key) const {
  const auto found = texts_.find(key);
  return found == texts_.end() ? std::string() : found->second;
}

std::vector<float> GgufFile::values(const std::string& name, std::size_t most) const {
  const std::string what = file_->path().string();
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) fail(ErrorCode::kNotFound, "{}: no tensor {}", what, name);
  const Tensor& tensor = found->second;
  if (tensor.type != 0) {
    fail(ErrorCode::kUnsupported, "{}: tensor {} has type {}, expected 0 (float32)", what, name,
         tensor.type);
  }
  if (tensor.count > most) {
    fail(ErrorCode::kLimit, "{}: tensor {} has {} values, expected at most {}", what, name,
         tensor.count, most);
  }
  std::vector<float> values(static_cast<std::size_t>(tensor.count));
  std::memcpy(values.data(),
              file_->bytes().data() + data_ + static_cast<std::size_t>(tensor.offset),
              values.size() * sizeof(float));
  return values;
}

}  // namespace haq::profile
