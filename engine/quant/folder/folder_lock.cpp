// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/folder/folder_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/base/error.h"
#include "engine/quant/folder/output_folder.h"

namespace haq::quant {
namespace {

namespace fs = std::filesystem;

struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

/// False when the name no longer leads to the open file: a run that just ended has removed it.
bool still_there(int descriptor, const fs::path& file) {
  struct stat open_file {
  }, named{};
  return ::fstat(descriptor, &open_file) == 0 && ::stat(file.c_str(), &named) == 0 &&
         open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

}  // namespace

FolderLock::FolderLock(const fs::path& file, const fs::path& shown) {
  constexpr int kTries = 10;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    make_folder(file.parent_path());
    descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (descriptor_ < 0) {
      const int number = errno;
      fail(number == ENOSPC || number == EDQUOT ? ErrorCode::kNoSpace : ErrorCode::kIo,
           "{}: cannot create: {}", file.string(), std::strerror(number));
    }
    struct flock lock = whole_file();
    const bool locked = ::fcntl(descriptor_, F_OFD_SETLK, &lock) == 0;
    const int number = errno;
    if (locked && still_there(descriptor_, file)) return;
    ::close(descriptor_);
    descriptor_ = -1;
    if (locked) continue;
    if (number == EAGAIN || number == EACCES) {
      throw Error(ErrorCode::kConflict,
                  fmt::format("{}: another quantization is working on this folder", shown.string()),
                  "wait for it to end, or choose another output folder");
    }
    fail(ErrorCode::kIo, "{}: cannot lock: {}", file.string(), std::strerror(number));
  }
  fail(ErrorCode::kIo, "{}: the lock file is removed again and again", file.string());
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool FolderLock::held(const fs::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return false;
  struct flock lock = whole_file();
  const bool answered = ::fcntl(descriptor, F_OFD_GETLK, &lock) == 0;
  ::close(descriptor);
  return answered && lock.l_type != F_UNLCK;
}

}  // namespace haq::quant
