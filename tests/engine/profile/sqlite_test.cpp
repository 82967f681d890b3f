// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/store/sqlite.h"

#include <gtest/gtest.h>

#include "tests/support/paths.h"

namespace haq::profile {
namespace {

class SqliteTest : public testing::Test {
 protected:
  test::TempDir folder_;
  Database database_ = Database::open(folder_.path() / "x.db", Database::Access::kReadWrite);
};

TEST_F(SqliteTest, TextKeepsNulBytesAndEmptyIsNotNull) {
  database_.exec("CREATE TABLE t (a TEXT, b INTEGER) STRICT");
  const std::string text("a\0b", 3);
  database_.prepare("INSERT INTO t VALUES (?, ?)").bind(1, text).bind(2, 5).run();
  database_.prepare("INSERT INTO t VALUES (?, ?)").bind(1, "").bind_null(2).run();
  Statement rows = database_.prepare("SELECT a, b FROM t");
  ASSERT_TRUE(rows.step());
  EXPECT_EQ(rows.text(0), text);
  EXPECT_EQ(rows.integer(1), 5);
  ASSERT_TRUE(rows.step());
  EXPECT_FALSE(rows.is_null(0));
  EXPECT_TRUE(rows.is_null(1));
  EXPECT_FALSE(rows.step());
}

TEST_F(SqliteTest, ATransactionThatIsNotCommittedLeavesNothing) {
  database_.exec("CREATE TABLE t (a INTEGER) STRICT");
  {
    Transaction transaction(database_);
    database_.exec("INSERT INTO t VALUES (1)");
  }
  EXPECT_EQ(database_.query_integer("SELECT count(*) FROM t"), 0);
  Transaction transaction(database_);
  database_.exec("INSERT INTO t VALUES (1)");
  transaction.commit();
  EXPECT_EQ(database_.query_integer("SELECT count(*) FROM t"), 1);
}

TEST_F(SqliteTest, AFullDiskIsReportedAsOneAndTheRestStays) {
  database_.exec("CREATE TABLE t (a TEXT) STRICT; INSERT INTO t VALUES ('kept')");
  // SQLite meets this limit on its own pages exactly as it meets a full disk: SQLITE_FULL.
  database_.query_integer("PRAGMA max_page_count = 4");
  try {
    database_.prepare("INSERT INTO t VALUES (?)").bind(1, std::string(1 << 20, 'x')).run();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
    EXPECT_FALSE(error.hint().empty());
  }
  EXPECT_EQ(database_.query_text("SELECT a FROM t"), "kept");
}

TEST_F(SqliteTest, MistakesNameTheFile) {
  try {
    database_.exec("SELECT * FROM nowhere");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("x.db"), std::string::npos);
  }
}

}  // namespace
}  // namespace haq::profile
