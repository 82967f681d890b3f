// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/recordings/recording_export.h"

#include <algorithm>
#include <bit>

#include "engine/base/log.h"
#include "engine/profile/recordings/recording_forms.h"

namespace haq::profile {
namespace {

static_assert(std::endian::native == std::endian::little, "a .npy is written as the values lie");

constexpr std::uint16_t kAbsent = experts::Trace::kAbsent;

/// One state of the database for all reads, also while somebody records.
class Snapshot {
 public:
  explicit Snapshot(Database& database) : database_(database) { database_.exec("BEGIN"); }
  ~Snapshot() {
    try {
      database_.exec("ROLLBACK");
    } catch (const Error& error) {
      log::debug(error.what());
    }
  }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

 private:
  Database& database_;
};

}  // namespace

RecordingForm recording_form_from(std::string_view name) {
  if (name == "sqlite") return RecordingForm::kSqlite;
  if (name == "csv") return RecordingForm::kCsv;
  if (name == "npy") return RecordingForm::kNpy;
  if (name == "perfetto") return RecordingForm::kPerfetto;
  fail(ErrorCode::kInvalidArgument,
       "form of an export: found \"{}\", expected sqlite, csv, npy or perfetto", name);
}

const char* file_suffix(RecordingForm form) {
  switch (form) {
    case RecordingForm::kSqlite:
      return ".db";
    case RecordingForm::kCsv:
      return ".csv";
    case RecordingForm::kNpy:
      return ".npy";
    case RecordingForm::kPerfetto:
      return ".json";
  }
  fail(ErrorCode::kInternal, "an unknown form of a recording");
}

void write_recording_csv(const Recording& recording, const NextToken& next,
                         const std::filesystem::path& file, std::vector<std::string>& notices) {
  // A reader sees a new token where the layer number falls: with one layer it never does.
  if (recording.shape.layers < 2) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("recording \"{}\" has one layer: rows of layer,expert cannot tell its "
                            "tokens apart",
                            recording.name),
                "export it as npy or sqlite");
  }
  const auto top_k = static_cast<std::size_t>(recording.shape.top_k);
  BufferedFile out(file);
  out.buffer() = "layer,expert\n";
  std::int64_t prefill = 0;
  RecordedToken token;
  while (next(token)) {
    if (!token.decode) ++prefill;
    for (int layer = 0; layer < recording.shape.layers; ++layer) {
      const auto ids = token.path.subspan(static_cast<std::size_t>(layer) * top_k, top_k);
      std::size_t known = top_k;
      while (known > 0 && ids[known - 1] == kAbsent) --known;
      // A layer of which nothing is known still has its row, so that the layer number falls.
      for (std::size_t rank = 0; rank < std::max<std::size_t>(known, 1); ++rank) {
        fmt::format_to(std::back_inserter(out.buffer()), "{},{}\n", layer,
                       ids[rank] == kAbsent ? -1 : static_cast<int>(ids[rank]));
      }
    }
    out.flush_if_full();
  }
  out.commit();
  if (prefill > 0) {
    notices.push_back(fmt::format(
        "{} tokens of prefill are among the rows; a CSV replays as decode, token by token.",
        prefill));
  }
  notices.push_back(
      "Rows of layer,expert do not say how many experts a layer has, nor where a prompt begins.");
}

// Format: NumPy Enhancement Proposal 1 ("A Simple File Format for NumPy Arrays"), version 1.0.
void write_recording_npy(const Recording& recording, std::int64_t tokens, const NextToken& next,
                         const std::filesystem::path& file) {
  std::string header =
      fmt::format("{{'descr': '<i2', 'fortran_order': False, 'shape': ({}, {}, {}), }}", tokens,
                  recording.shape.layers, recording.shape.top_k);
  constexpr std::size_t kBefore = 10, kAlign = 64;
  header.append(kAlign - (kBefore + header.size() + 1) % kAlign, ' ');
  header += '\n';
  BufferedFile out(file);
  out.buffer() = std::string("\x93NUMPY\x01\x00", 8);
  out.buffer() += static_cast<char>(header.size() & 0xFF);
  out.buffer() += static_cast<char>(header.size() >> 8);
  out.buffer() += header;
  RecordedToken token;
  while (next(token)) {
    // Ids are below 4096 and kAbsent is -1: the same bits in int16.
    out.buffer().append(reinterpret_cast<const char*>(token.path.data()), token.path.size_bytes());
    out.flush_if_full();
  }
  out.commit();
}

ExportedRecording export_recording(Database& database, const std::string& name, RecordingForm form,
                                   const std::filesystem::path& file, const TokenRange& range,
                                   const ProgressCallback& progress, const CancelToken& cancel) {
  const Snapshot snapshot(database);
  const Recording recording = recording_by_name(database, name);
  const bool counts = recording.state == "counts";
  if (counts && form != RecordingForm::kSqlite) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("recording \"{}\" holds uses per expert only, no paths", name),
                "export it as sqlite");
  }
  const bool whole = range.first == 0 && range.count == 0;
  if (!whole && form == RecordingForm::kSqlite) {
    fail(ErrorCode::kInvalidArgument, "a stand-alone SQLite file holds whole recordings only");
  }
  const std::int64_t left = recording.tokens - range.first;
  if (range.first < 0 || range.count < 0 || left < 0 || (!whole && left < 1) ||
      range.count > left) {
    fail(ErrorCode::kInvalidArgument,
         "recording \"{}\" has {} tokens; {} from number {} on are not in it", name,
         recording.tokens, range.count == 0 ? "those" : std::to_string(range.count), range.first);
  }
  ExportedRecording exported;
  exported.tokens = range.count == 0 ? left : range.count;
  if (exported.tokens == 0 && !counts && form != RecordingForm::kSqlite) {
    fail(ErrorCode::kInvalidArgument, "recording \"{}\" has no tokens", name);
  }

  TokenReader reader(database, recording);
  std::int64_t at = 0;
  const NextToken next = [&](RecordedToken& token) {
    constexpr std::int64_t kEvery = 4096;
    while (at < range.first + exported.tokens && reader.next(token)) {
      if (at % kEvery == 0) {
        cancel.check();
        if (progress) {
          progress({"exporting", static_cast<std::uint64_t>(at),
                    static_cast<std::uint64_t>(recording.tokens), "tokens"});
        }
      }
      if (at++ >= range.first) return true;
    }
    return false;
  };
  switch (form) {
    case RecordingForm::kSqlite:
      write_recording_file(database, recording, next, file);
      break;
    case RecordingForm::kCsv:
      write_recording_csv(recording, next, file, exported.notices);
      break;
    case RecordingForm::kNpy:
      write_recording_npy(recording, exported.tokens, next, file);
      break;
    case RecordingForm::kPerfetto:
      write_recording_perfetto(recording, next, file);
      exported.notices.push_back(
          "Times in the trace are synthetic: the order of tokens and layers, not measured.");
      break;
  }
  return exported;
}

}  // namespace haq::profile
