// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/layers/activation_store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "engine/base/error.h"

namespace haq::quant {
namespace {

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

std::string reason(int error) {
  return std::generic_category().message(error);
}

int open_nameless(const std::filesystem::path& folder) {
  const int descriptor = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor >= 0) return descriptor;
  // Not every file system has O_TMPFILE: a name that is gone at once does as well.
  std::string name = (folder / "activations-XXXXXX").string();
  const int named = mkostemp(name.data(), O_CLOEXEC);
  if (named < 0) {
    fail(ErrorCode::kIo, "{}: cannot make a temporary file: {}", folder.string(), reason(errno));
  }
  unlink(name.c_str());
  return named;
}

float* map_file(std::size_t bytes, const std::filesystem::path& folder) {
  const Descriptor file(open_nameless(folder));
  // Reserving the blocks now turns a full disk into an error here, not into a signal later.
  if (const int error = posix_fallocate(file.get(), 0, static_cast<off_t>(bytes)); error != 0) {
    fail(error == ENOSPC ? ErrorCode::kNoSpace : ErrorCode::kIo,
         "{}: cannot reserve {} MiB for activations: {}", folder.string(), bytes >> 20,
         reason(error));
  }
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) {
    fail(ErrorCode::kIo, "{}: cannot map the file of activations: {}", folder.string(),
         reason(errno));
  }
  return static_cast<float*>(data);
}

float* map_memory(std::size_t bytes) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    fail(ErrorCode::kOutOfMemory, "no memory for {} MiB of activations", bytes >> 20);
  }
  return static_cast<float*>(data);
}

}  // namespace

ActivationStore::ActivationStore(std::int64_t rows, std::int64_t cols, std::size_t budget,
                                 const std::filesystem::path& spill_folder)
    : rows_(rows), cols_(cols) {
  if (rows < 1 || cols < 1) {
    fail(ErrorCode::kInvalidArgument, "activations of {} rows and {} columns", rows, cols);
  }
  bytes_ = static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols) * sizeof(float);
  spilled_ = bytes_ > budget;
  data_ = spilled_ ? map_file(bytes_, spill_folder) : map_memory(bytes_);
}

ActivationStore::~ActivationStore() {
  munmap(data_, bytes_);
}

void ActivationStore::release(std::int64_t first, std::int64_t count) const {
  if (!spilled_) return;
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const auto row_bytes = static_cast<std::size_t>(cols_) * sizeof(float);
  const std::size_t begin = (static_cast<std::size_t>(first) * row_bytes + page - 1) / page * page;
  const std::size_t end = static_cast<std::size_t>(first + count) * row_bytes / page * page;
  if (end <= begin) return;
  auto* address = reinterpret_cast<std::byte*>(data_) + begin;
  // Of a shared mapping this only drops the pages from this process; the file keeps the values.
  madvise(address, end - begin, MADV_DONTNEED);
}

}  // namespace haq::quant
