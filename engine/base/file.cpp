// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine/base/error.h"

namespace haq {
namespace {

ErrorCode code_of_errno(int number) {
  if (number == ENOENT || number == ENOTDIR) return ErrorCode::kNotFound;
  if (number == ENOSPC || number == EDQUOT) return ErrorCode::kNoSpace;
  if (number == ENOMEM) return ErrorCode::kOutOfMemory;
  return ErrorCode::kIo;
}

[[noreturn]] void fail_errno(const std::filesystem::path& path, const char* action) {
  const int number = errno;
  fail(code_of_errno(number), "{}: cannot {}: {}", path.string(), action, std::strerror(number));
}

/// Closes the descriptor on every way out.
struct Descriptor {
  int value = -1;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

void sync_folder(const std::filesystem::path& folder) {
  Descriptor fd{::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  // Some file systems refuse fsync on folders; the rename itself has already happened then.
  if (fd.value >= 0) (void)::fsync(fd.value);
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  Descriptor fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (fd.value < 0) fail_errno(path, "open");
  struct stat info {};
  if (::fstat(fd.value, &info) != 0) fail_errno(path, "stat");
  if (!S_ISREG(info.st_mode)) {
    fail(ErrorCode::kInvalidArgument, "{}: not a regular file", path.string());
  }
  std::shared_ptr<MappedFile> file(new MappedFile());
  file->path_ = path;
  file->size_ = static_cast<std::size_t>(info.st_size);
  if (file->size_ > 0) {
    void* address = ::mmap(nullptr, file->size_, PROT_READ, MAP_PRIVATE, fd.value, 0);
    if (address == MAP_FAILED) fail_errno(path, "map");
    file->data_ = static_cast<const std::byte*>(address);
  }
  return file;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::string read_text_file(const std::filesystem::path& path, std::size_t max_bytes) {
  Descriptor fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (fd.value < 0) fail_errno(path, "open");
  std::string text;
  std::vector<char> buffer(1 << 16);
  for (;;) {
    const ssize_t count = ::read(fd.value, buffer.data(), buffer.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      fail_errno(path, "read");
    }
    if (count == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() > max_bytes) {
      fail(ErrorCode::kLimit, "{}: larger than the limit of {} bytes", path.string(), max_bytes);
    }
  }
}

AtomicFile::AtomicFile(std::filesystem::path path, const std::filesystem::path& staging)
    : path_(std::move(path)) {
  static std::atomic<unsigned> counter{0};
  temporary_ = staging.empty() ? path_ : staging / path_.filename();
  temporary_ += fmt::format(".tmp-{}-{}", ::getpid(), counter++);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail_errno(temporary_, "create");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span<const char>(text.data(), text.size())));
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      fail_errno(path_, "write");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail_errno(path_, "sync");
  const int closing = descriptor_;
  descriptor_ = -1;
  if (::close(closing) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int number = errno;
    ::unlink(temporary_.c_str());
    errno = number;
    fail_errno(path_, "save");
  }
  sync_folder(path_.parent_path());
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

std::filesystem::path user_data_dir() {
  if (const char* folder = std::getenv("XDG_DATA_HOME"); folder != nullptr && *folder == '/') {
    return std::filesystem::path(folder) / "haq-studio";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return std::filesystem::path(home) / ".local/share/haq-studio";
  }
  fail(ErrorCode::kNotFound,
       "the user's data folder is not known: neither XDG_DATA_HOME nor HOME is set");
}

std::filesystem::path resource_dir() {
  std::vector<std::filesystem::path> places;
  if (const char* folder = std::getenv("HAQ_RESOURCES"); folder != nullptr && *folder != '\0') {
    places.emplace_back(folder);
  } else {
    std::error_code ignored;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
    if (!program.empty()) {
      places.push_back(program.parent_path().parent_path() / "share/haq-studio");
    }
    places.emplace_back(HAQ_SOURCE_RESOURCES);
  }
  std::string looked;
  for (const auto& place : places) {
    std::error_code ignored;
    if (std::filesystem::is_directory(place / "models", ignored)) return place;
    looked += (looked.empty() ? "" : ", ") + place.string();
  }
  fail(ErrorCode::kNotFound, "the program's resources were not found in: {}", looked);
}

}  // namespace haq
