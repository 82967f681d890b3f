// SPDX-License-Identifier: GPL-3.0-or-later
// Functions that every template can call.
#include <algorithm>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/objects.h"

namespace haq::text::jinja {
namespace {

constexpr std::int64_t kMaxRange = 100'000;  // jinja's sandbox has the same limit

Value global_range(Interpreter&, const Value&, const Arguments& arguments) {
  const Bound bound(arguments, "range", {"start", "stop", "step"}, 1);
  const bool single = !bound.has(1);
  const std::int64_t start = single ? 0 : require_integer(bound[0], "range");
  const std::int64_t stop = require_integer(bound[single ? 0 : 1], "range");
  const std::int64_t step = bound.has(2) ? require_integer(bound[2], "range") : 1;
  if (step == 0) fail_value("range() arg 3 must not be zero");
  const Origin origin = bound[0].origin() | (single ? Origin::kTemplate : bound[1].origin());
  std::vector<Value> items;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<std::int64_t>(items.size()) >= kMaxRange) {
      fail(ErrorCode::kLimit, "a range has more than {} items", kMaxRange);
    }
    items.emplace_back(i, origin);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  auto list = std::make_shared<List>(std::move(items), List::Type::kRange, "range");
  list->range_repr = step == 1 ? fmt::format("range({}, {})", start, stop)
                               : fmt::format("range({}, {}, {})", start, stop, step);
  return ListPtr(std::move(list));
}

/// dict(mapping or pairs, **more).
std::vector<std::pair<Value, Value>> dict_entries(Interpreter& interpreter,
                                                  const Arguments& arguments) {
  std::vector<std::pair<Value, Value>> entries;
  if (arguments.positional.size() > 1) {
    fail_value("dict expected at most 1 argument, got {}", arguments.positional.size());
  }
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional.front();
    if (source.is_dict()) {
      entries = source.dict().entries;
    } else {
      const ListPtr pairs = interpreter.items(source);
      for (const Value& pair : pairs->items) {
        const ListPtr parts = interpreter.items(pair);
        if (parts->items.size() != 2) {
          fail_value("a dictionary entry has length {}; 2 is required", parts->items.size());
        }
        entries.emplace_back(parts->items[0], parts->items[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named) entries.emplace_back(name, value);
  return entries;
}

Value global_dict(Interpreter& interpreter, const Value&, const Arguments& arguments) {
  return make_dict(dict_entries(interpreter, arguments));
}

Value global_namespace(Interpreter& interpreter, const Value&, const Arguments& arguments) {
  auto space = std::make_shared<Namespace>();
  interpreter.keep(space);
  for (const auto& [key, value] : dict_entries(interpreter, arguments)) {
    space->set(require_string(key, "namespace"), value);
  }
  return ObjectPtr(std::move(space));
}

Value global_cycler(Interpreter&, const Value&, const Arguments& arguments) {
  if (arguments.positional.empty()) fail_value("at least one item has to be provided");
  return ObjectPtr(std::make_shared<Cycler>(arguments.positional));
}

Value global_joiner(Interpreter&, const Value&, const Arguments& arguments) {
  const Bound bound(arguments, "joiner", {"sep"});
  return ObjectPtr(std::make_shared<Joiner>(bound.string(0, ", ")));
}

Value global_raise_exception(Interpreter&, const Value&, const Arguments& arguments) {
  const Bound bound(arguments, "raise_exception", {"message"}, 1);
  throw Error(ErrorCode::kInvalidArgument, std::string(to_str(bound[0]).view()));
}

Value global_strftime_now(Interpreter& interpreter, const Value&, const Arguments& arguments) {
  const Bound bound(arguments, "strftime_now", {"format"}, 1);
  const Str& format = require_string(bound[0], "strftime_now");
  check_size(format.size() * 32);
  return Str(format_time(interpreter.now(), std::string(format.view())), format.origin());
}

}  // namespace

std::vector<std::pair<std::string, Value>> global_functions() {
  std::vector<std::pair<std::string, Value>> functions;
  const auto add = [&](const char* name, Builtin function) {
    functions.emplace_back(name, make_function(name, function));
  };
  add("range", global_range);
  add("dict", global_dict);
  add("namespace", global_namespace);
  add("cycler", global_cycler);
  add("joiner", global_joiner);
  add("raise_exception", global_raise_exception);
  add("strftime_now", global_strftime_now);
  return functions;
}

}  // namespace haq::text::jinja
