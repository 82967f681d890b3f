// SPDX-License-Identifier: GPL-3.0-or-later
#include <charconv>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/store.h"
#include "app/cli/traces.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/profile/chats/chat_export.h"
#include "engine/profile/chats/chat_store.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"--format", Kind::kChoice, "FORMAT", "md", "form of an export", "md|html|json"},
    {"--out", Kind::kFile, "FILE", "", "file to export to; without it stdout"},
    {"--search", Kind::kText, "WORDS", "", "list: only conversations in which every word occurs"},
    {"--forever", Kind::kFlag, "", "", "delete: for good, instead of into the bin"},
};

Json conversation_json(const profile::Conversation& conversation) {
  return {{"id", conversation.id},
          {"title", conversation.title},
          {"created_ms", conversation.created_ms},
          {"updated_ms", conversation.updated_ms},
          {"model", conversation.model}};
}

int list(const Arguments& arguments) {
  Json rows = Json::array();
  if (have_database(arguments)) {
    profile::ChatStore store = profile::ChatStore::open_read_only(database_path(arguments));
    std::vector<profile::Id> found;
    if (arguments.given("--search")) {
      for (const profile::SearchHit& hit : store.search(arguments.text("--search"))) {
        found.push_back(hit.conversation);
      }
    }
    for (const profile::Conversation& conversation : store.conversations()) {
      if (arguments.given("--search") &&
          std::find(found.begin(), found.end(), conversation.id) == found.end()) {
        continue;
      }
      rows.push_back(conversation_json(conversation));
    }
  }
  if (arguments.flag("--json")) {
    print_json({{"chats", rows}});
    return kExitDone;
  }
  std::string text;
  for (const Json& row : rows) {
    text += fmt::format("{:>6}  {}  {}\n", row["id"].get<std::int64_t>(),
                        local_text(row["updated_ms"].get<std::int64_t>()),
                        row["title"].get<std::string>());
  }
  print(text.empty() ? "no conversations\n" : text);
  return kExitDone;
}

profile::Id wanted_id(const Arguments& arguments) {
  const std::string text = arguments.positional("ID");
  profile::Id id = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (status != std::errc() || end != text.data() + text.size() || id < 1) {
    throw UsageError(text.empty() ? "ID is missing" : fmt::format("ID is '{}'", text),
                     "'haq chats list' shows the numbers");
  }
  return id;
}

int show(const Arguments& arguments) {
  const profile::Id id = wanted_id(arguments);
  profile::ChatStore store = profile::ChatStore::open_read_only(database_path(arguments));
  const profile::Conversation conversation = store.conversation(id);
  const std::vector<profile::Message> messages = store.messages(id);
  const bool json = arguments.flag("--json");
  const std::string text = profile::export_conversation(
      conversation, messages,
      json ? profile::ExportFormat::kJson : profile::ExportFormat::kMarkdown);
  if (json) {
    print_json(parse_ordered_json(text, "the exported conversation"));
  } else {
    print(text);
  }
  return kExitDone;
}

int export_to(const Arguments& arguments) {
  const profile::Id id = wanted_id(arguments);
  profile::ChatStore store = profile::ChatStore::open_read_only(database_path(arguments));
  const std::string format = arguments.text("--format");
  const std::string text = profile::export_conversation(store.conversation(id), store.messages(id),
                                                        profile::export_format_from(format));
  const bool to_file = arguments.given("--out");
  if (to_file) write_file_atomically(arguments.text("--out"), text);
  if (arguments.flag("--json")) {
    Json json = {{"id", id}, {"format", format}};
    json[to_file ? "out" : "text"] = to_file ? arguments.text("--out") : text;
    print_json(json);
  } else if (!to_file) {
    print(text);
  } else {
    note(arguments, fmt::format("written to {}", arguments.text("--out")));
  }
  return kExitDone;
}

int remove(const Arguments& arguments) {
  const profile::Id id = wanted_id(arguments);
  const bool forever = arguments.flag("--forever");
  if (!std::filesystem::exists(database_path(arguments))) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("{} does not exist", database_path(arguments).string()),
                "there are no conversations yet");
  }
  profile::ChatStore store = profile::ChatStore::open(database_path(arguments));
  const std::string title = store.conversation(id).title;
  if (forever) {
    store.purge(id);
  } else {
    store.remove(id);
  }
  if (arguments.flag("--json")) {
    print_json({{"id", id}, {"title", title}, {"deleted", true}, {"forever", forever}});
  } else {
    note(arguments, fmt::format("'{}' {}", title,
                                forever ? "is deleted for good"
                                        : "is in the bin; haq-studio can bring it back"));
  }
  return kExitDone;
}

int run(const Arguments& arguments) {
  const std::string action = arguments.positional("ACTION");
  if (action == "show") return show(arguments);
  if (action == "export") return export_to(arguments);
  if (action == "delete") return remove(arguments);
  if (arguments.given("ID")) throw UsageError("list takes no ID", "leave it out");
  return list(arguments);
}

}  // namespace

Command chats_command() {
  return {"chats",
          "list, show, export and delete stored conversations",
          "Works on the conversations that haq-studio stores. list and show also work while the "
          "window is open.",
          {{"ACTION", Kind::kChoice, "list (default), show, export or delete", false,
            "list|show|export|delete"},
           {"ID", Kind::kInteger, "number of a conversation, as list shows it"}},
          {kOptions},
          {{"haq chats list --search dog", "conversations with that word"},
           {"haq chats export 3 --format html --out talk.html", "one conversation as a web page"}},
          run};
}

}  // namespace haq::cli
