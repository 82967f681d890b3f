// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace haq {

/// A whole file mapped read-only. Immutable, so safe to share between threads. The mapping stays
/// valid for the object's lifetime even when the file is unlinked; a file that is *truncated* by
/// somebody else while mapped raises SIGBUS on access, as every memory-mapped reader does.
class MappedFile {
 public:
  /// Throws kNotFound, kIo, kOutOfMemory, or kInvalidArgument for what is no regular file; each
  /// names the path.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::size_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  MappedFile() = default;
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Reads a whole text file. Throws kNotFound, kIo, or kLimit when it is larger than `max_bytes`.
std::string read_text_file(const std::filesystem::path& path, std::size_t max_bytes);

/// A file that appears under its final name only when commit() has returned: written to a
/// temporary name in the same folder, fsync'ed, renamed, and the folder fsync'ed. Destroyed
/// without commit() it leaves nothing behind. Throws kNoSpace when the disk is full, kNotFound when
/// the folder is missing, kIo otherwise.
class AtomicFile {
 public:
  /// `staging`: another folder on the same disk for the temporary name, so that a kill leaves
  /// nothing in the file's own folder; empty: that folder.
  explicit AtomicFile(std::filesystem::path path, const std::filesystem::path& staging = {});
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view text);
  void write(std::span<const std::byte> bytes);
  void commit();
  /// Where the bytes lie until then, for a library that writes files by name: it must have closed
  /// the file before commit().
  const std::filesystem::path& temporary_path() const { return temporary_; }

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// Writes a small file atomically (see AtomicFile).
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// The user's data folder: $XDG_DATA_HOME/haq-studio or ~/.local/share/haq-studio; created on
/// demand by the caller.
std::filesystem::path user_data_dir();

/// Folder of read-only resources (demo model): $HAQ_RESOURCES, else beside the installed program,
/// else the source tree's resources folder. Throws kNotFound naming the places it looked at.
std::filesystem::path resource_dir();

}  // namespace haq
