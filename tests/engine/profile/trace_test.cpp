// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/traces/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "engine/base/error.h"
#include "tests/support/paths.h"

namespace haq::profile {
namespace {

using experts::ExpertShape;
using testing::HasSubstr;

class TraceFile : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& bytes) {
    const std::filesystem::path path = folder_.path() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  static std::string failure(const std::filesystem::path& path, const TraceHints& hints = {}) {
    try {
      read_trace(path, hints);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }
  /// A .npy of int16 values.
  static std::string npy(const std::string& shape, const std::vector<std::int16_t>& values,
                         const std::string& type = "<i2") {
    std::string header =
        "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + shape + "), }";
    header.resize((header.size() + 11) / 64 * 64 + 63 - 10, ' ');
    header += '\n';
    std::string bytes("\x93NUMPY\x01\x00", 8);
    bytes += static_cast<char>(header.size() & 0xFF);
    bytes += static_cast<char>(header.size() >> 8);
    bytes += header;
    bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * 2);
    return bytes;
  }

  test::TempDir folder_;
};

std::vector<std::uint16_t> choices(const Trace& trace, std::int64_t token, int layer) {
  const auto row = trace.choices(token, layer);
  return {row.begin(), row.end()};
}

TEST_F(TraceFile, PairsStartATokenWhereTheLayerFalls) {
  const Trace trace =
      read_trace(write("t.csv", "layer,expert\n0,3\n0,1\n1,2\n1,0\n0,1\n1,3\n1,2\n"));
  EXPECT_EQ(trace.shape, (ExpertShape{2, 4, 2}));
  ASSERT_EQ(trace.tokens(), 2);
  EXPECT_EQ(choices(trace, 0, 1), (std::vector<std::uint16_t>{2, 0}));
  EXPECT_EQ(choices(trace, 1, 0), (std::vector<std::uint16_t>{1, Trace::kAbsent}));
  EXPECT_EQ(choices(trace, 1, 1), (std::vector<std::uint16_t>{3, 2}));
  EXPECT_EQ(trace.batches.size(), 2U);
}

TEST_F(TraceFile, RoutesReplayTheirDecodeRows) {
  const std::string text =
      "# n_layer=2 n_expert=8 n_expert_used=2\n"
      "turn,phase,step,layer,slot,expert,weight,residency,expert_bytes\n"
      "0,0,4,0,0,7,0.5,0,100\n0,1,5,0,0,1,0.5,0,100\n0,1,5,0,1,6,0.5,0,100\n"
      "0,1,5,1,0,2,0.5,0,100\n0,1,5,1,1,3,0.5,0,100\n0,1,6,0,0,4,0.5,0,100\n";
  const Trace trace = read_trace(write("r.csv", text));
  EXPECT_EQ(trace.shape, (ExpertShape{2, 8, 2}));
  ASSERT_EQ(trace.tokens(), 2);
  EXPECT_EQ(choices(trace, 0, 1), (std::vector<std::uint16_t>{2, 3}));
  EXPECT_EQ(choices(trace, 1, 0), (std::vector<std::uint16_t>{4, Trace::kAbsent}));
  ASSERT_EQ(trace.notices.size(), 1U);
  EXPECT_THAT(trace.notices[0], HasSubstr("1 prefill rows"));
}

TEST_F(TraceFile, NpyHoldsTokensLayersRanks) {
  const Trace trace =
      read_trace(write("t.npy", npy("2, 2, 2", {0, 1, 2, 3, 3, -1, 1, 0})), {.experts = 6});
  EXPECT_EQ(trace.shape, (ExpertShape{2, 6, 2}));
  EXPECT_EQ(choices(trace, 1, 0), (std::vector<std::uint16_t>{3, Trace::kAbsent}));
}

TEST_F(TraceFile, FoldersAreReadByTheirIndex) {
  write("f/index.jsonl",
        "{\"n_tokens\": 1, \"token_offset\": 0}\n{\"n_tokens\": 2, \"token_offset\": 1}\n");
  // Layer 0 repeats expert 1 when two layers are read as one, so top-k must be 2.
  write("f/experts.u8", std::string("\x00\x01\x01\x02\x03\x01\x00\x03\x02\x01\x01\x00", 12));
  const Trace trace = read_trace(folder_.path() / "f");
  EXPECT_EQ(trace.shape, (ExpertShape{2, 4, 2}));
  EXPECT_EQ(trace.batches[0].prompt, 0);
  EXPECT_EQ(trace.batches[2].prompt, 1);
  EXPECT_EQ(trace.notices.size(), 2U);  // what was inferred
  EXPECT_EQ(read_trace(folder_.path() / "f", {.layers = 4, .experts = 9}).shape,
            (ExpertShape{4, 9, 1}));
}

TEST_F(TraceFile, BadFilesAreNamedWithThePlace) {
  EXPECT_THAT(failure(folder_.path() / "none.csv"), HasSubstr("none.csv"));
  EXPECT_THAT(failure(write("a.csv", "layer,expert\n0,x\n")), HasSubstr("line 2"));
  EXPECT_THAT(failure(write("b.csv", "layer,expert\n0,70000\n")), HasSubstr("expert 70000"));
  EXPECT_THAT(failure(write("c.csv", "layer,expert\n-1,0\n")), HasSubstr("layer -1"));
  EXPECT_THAT(failure(write("d.csv", "layer,expert\n")), HasSubstr("no decode row"));
  EXPECT_THAT(failure(write("e.csv", "a,b,c\n")), HasSubstr("expected the columns"));
  EXPECT_THAT(failure(write("f.csv", std::string(1 << 20, ','))),
              HasSubstr("expected the columns"));
  std::string wide = "layer,expert\n";
  for (int i = 0; i < 300; ++i) wide += "0,1\n";
  EXPECT_THAT(failure(write("g.csv", wide)), HasSubstr("more than 256"));
  EXPECT_THAT(failure(write("h.csv", "layer,expert\n0,3\n"), {.experts = 2}),
              HasSubstr("expert 3"));
  EXPECT_THAT(failure(write("a.npy", "nonsense")), HasSubstr("not a .npy"));
  EXPECT_THAT(failure(write("b.npy", npy("2, 2, 2", {0, 1}))), HasSubstr("the shape needs 16"));
  EXPECT_THAT(failure(write("c.npy", npy("2, 2", {0, 1, 0, 1}))),
              HasSubstr("[tokens, layers, top_k]"));
  EXPECT_THAT(failure(write("d.npy", npy("1, 1, 1", {0}, "<f4"))), HasSubstr("int16"));
  EXPECT_THAT(failure(write("e.npy", npy("2147483648, 1000, 200", {0}))), HasSubstr("too large"));
  EXPECT_THAT(failure(write("f.npy", npy("1, 1, 1", {-1}))), HasSubstr("no expert"));
  std::string cut = npy("1, 1, 1", {0});
  cut[9] = '\x7F';
  EXPECT_THAT(failure(write("g.npy", cut)), HasSubstr("beyond the file"));
  write("bad/index.jsonl", "{\"n_tokens\": 5}\n");
  write("bad/experts.u8", "abc");
  EXPECT_THAT(failure(folder_.path() / "bad"), HasSubstr("multiple"));
  write("worse/index.jsonl", "{\"n_tokens\": -5}\n");
  write("worse/experts.u8", "abc");
  EXPECT_THAT(failure(folder_.path() / "worse"), HasSubstr("line 1"));
  EXPECT_THAT(failure(write("t.bin", "x")), HasSubstr("not a form"));
}

}  // namespace
}  // namespace haq::profile
