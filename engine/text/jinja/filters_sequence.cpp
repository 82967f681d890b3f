// SPDX-License-Identifier: GPL-3.0-or-later
// Filters over lists and dicts.
#include <algorithm>
#include <unordered_set>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/format.h"

namespace haq::text::jinja {
namespace {

Value make_generator(std::vector<Value> items) {
  return make_sequence(std::move(items), List::Type::kGenerator, "generator");
}

Value filter_join(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "join", {"d", "attribute"});
  const ListPtr all = interpreter.items(self);
  std::vector<Str> parts;
  parts.reserve(all->items.size());
  for (const Value& item : all->items) {
    parts.push_back(
        to_str(bound.has_value(1) ? attribute_path(interpreter, item, bound[1]) : item));
  }
  return join(parts, bound.string(0, ""));
}

Value filter_first(Interpreter& interpreter, const Value& self, const Arguments&) {
  const ListPtr all = interpreter.items(self);
  if (all->items.empty()) return make_undefined("No first item, sequence was empty.");
  return all->items.front();
}

void require_reversible(const Value& value) {
  if (value.is_list() && value.list().type == List::Type::kGenerator) {
    fail_value("'{}' object is not reversible", type_name(value));
  }
}

Value filter_last(Interpreter& interpreter, const Value& self, const Arguments&) {
  require_reversible(self);
  const ListPtr all = interpreter.items(self);
  if (all->items.empty()) return make_undefined("No last item, sequence was empty.");
  return all->items.back();
}

Value filter_length(Interpreter&, const Value& self, const Arguments&) {
  if (self.is_undefined()) return Value(std::int64_t{0});
  if (self.is_string()) {
    return Value(static_cast<std::int64_t>(self.str().length()), self.origin());
  }
  if (self.is_dict()) {
    return Value(static_cast<std::int64_t>(self.dict().entries.size()), self.origin());
  }
  if (!self.is_list() || self.list().type == List::Type::kGenerator) {
    fail_value("object of type '{}' has no len()", type_name(self));
  }
  return Value(static_cast<std::int64_t>(self.list().items.size()), self.origin());
}

Value filter_list(Interpreter& interpreter, const Value& self, const Arguments&) {
  return make_list(interpreter.items(self)->items);
}

Value filter_reverse(Interpreter& interpreter, const Value& self, const Arguments&) {
  std::vector<Value> items = interpreter.items(self)->items;
  std::reverse(items.begin(), items.end());
  if (!self.is_string()) return make_generator(std::move(items));
  std::vector<Str> parts;
  for (const Value& item : items) parts.push_back(item.str());
  return join(parts, Str());
}

std::vector<Value> sort_by(const std::vector<Value>& items, const std::vector<Value>& keys,
                           bool reverse) {
  std::vector<std::size_t> order(items.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  // Python's reverse keeps the order of equal items, as a stable sort by "greater" does.
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return reverse ? less(keys[b], keys[a]) : less(keys[a], keys[b]);
  });
  std::vector<Value> sorted;
  sorted.reserve(items.size());
  for (const std::size_t index : order) sorted.push_back(items[index]);
  return sorted;
}

Value filter_sort(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "sort", {"reverse", "case_sensitive", "attribute"});
  const bool case_sensitive = bound.boolean(1, false);
  std::vector<Value> paths;
  if (bound.has(2) && bound[2].is_string()) {
    const Str& text = bound[2].str();
    for (std::size_t begin = 0; begin <= text.size();) {
      const std::size_t end = std::min(text.view().find(',', begin), text.size());
      paths.emplace_back(text.slice(begin, end));
      begin = end + 1;
    }
  } else {
    paths.push_back(bound.has(2) ? bound[2] : Value());
  }
  const ListPtr all = interpreter.items(self);
  std::vector<Value> keys;
  for (const Value& item : all->items) {
    std::vector<Value> key;
    for (const Value& path : paths) {
      const Value part = attribute_path(interpreter, item, path);
      key.push_back(case_sensitive ? part : ignore_case(part));
    }
    keys.push_back(make_list(std::move(key)));
  }
  return make_list(sort_by(all->items, keys, bound.boolean(0, false)));
}

Value filter_unique(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "unique", {"case_sensitive", "attribute"});
  const ListPtr all = interpreter.items(self);
  std::unordered_set<std::string> seen;
  std::vector<Value> kept;
  for (const Value& item : all->items) {
    const Value key = attribute_path(interpreter, item, bound.has(1) ? bound[1] : Value());
    if (seen.insert(hash_key(bound.boolean(0, false) ? key : ignore_case(key))).second) {
      kept.push_back(item);
    }
  }
  return make_generator(std::move(kept));
}

Value filter_batch(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "batch", {"linecount", "fill_with"}, 1);
  const std::int64_t size = bound.integer(0, 1);
  if (size < 1) fail_value("batch: expected a positive size, got {}", size);
  const ListPtr all = interpreter.items(self);
  std::vector<Value> rows;
  std::vector<Value> row;
  for (const Value& item : all->items) {
    row.push_back(item);
    if (static_cast<std::int64_t>(row.size()) < size) continue;
    rows.push_back(make_list(std::move(row)));
    row.clear();
  }
  if (!row.empty()) {
    if (bound.has_value(1)) {
      check_size(static_cast<std::size_t>(size));
      row.resize(static_cast<std::size_t>(size), bound[1]);
    }
    rows.push_back(make_list(std::move(row)));
  }
  return make_generator(std::move(rows));
}

Value filter_slice(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "slice", {"slices", "fill_with"}, 1);
  const std::int64_t slices = bound.integer(0, 1);
  if (slices < 1) fail_value("slice: expected a positive number of slices, got {}", slices);
  check_size(static_cast<std::size_t>(slices));
  const ListPtr all = interpreter.items(self);
  const auto length = static_cast<std::int64_t>(all->items.size());
  const std::int64_t size = length / slices;
  const std::int64_t longer = length % slices;
  std::vector<Value> rows;
  auto at = all->items.begin();
  for (std::int64_t i = 0; i < slices; ++i) {
    const auto end = at + size + (i < longer ? 1 : 0);
    std::vector<Value> row(at, end);
    at = end;
    if (bound.has_value(1) && i >= longer) row.push_back(bound[1]);
    rows.push_back(make_list(std::move(row)));
  }
  return make_generator(std::move(rows));
}

Value filter_sum(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "sum", {"attribute", "start"});
  Value total = bound.has(1) ? bound[1] : Value(std::int64_t{0});
  if (total.is_string()) fail_value("sum() can't sum strings");
  const ListPtr all = interpreter.items(self);
  for (const Value& item : all->items) {
    total = binary_operator(
        "+", total, bound.has_value(0) ? attribute_path(interpreter, item, bound[0]) : item);
  }
  return total;
}

Value extreme(Interpreter& interpreter, const Value& self, const Arguments& arguments,
              bool largest) {
  const Bound bound(arguments, largest ? "max" : "min", {"case_sensitive", "attribute"});
  const ListPtr all = interpreter.items(self);
  if (all->items.empty()) return make_undefined("No aggregated item, sequence was empty.");
  const auto key_of = [&](const Value& item) {
    const Value key = attribute_path(interpreter, item, bound.has(1) ? bound[1] : Value());
    return bound.boolean(0, false) ? key : ignore_case(key);
  };
  Value best = all->items.front();
  Value best_key = key_of(best);
  for (std::size_t i = 1; i < all->items.size(); ++i) {
    Value key = key_of(all->items[i]);
    if (largest ? less(best_key, key) : less(key, best_key)) {
      best = all->items[i];
      best_key = std::move(key);
    }
  }
  return best;
}

Value filter_min(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return extreme(interpreter, self, arguments, false);
}

Value filter_max(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return extreme(interpreter, self, arguments, true);
}

Value filter_groupby(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "groupby", {"attribute", "default", "case_sensitive"}, 1);
  const bool case_sensitive = bound.boolean(2, false);
  const ListPtr all = interpreter.items(self);
  std::vector<Value> keys;
  std::vector<Value> pairs;
  for (const Value& item : all->items) {
    Value key = attribute_path(interpreter, item, bound[0]);
    if (key.is_undefined() && bound.has_value(1)) key = bound[1];
    keys.push_back(case_sensitive ? key : ignore_case(key));
    pairs.push_back(make_tuple({keys.back(), key, item}));
  }
  std::vector<Value> groups;
  std::vector<Value> members;
  std::optional<Value> current;
  Value shown;
  const auto finish = [&] {
    if (!current) return;
    groups.push_back(
        make_sequence({shown, make_list(std::move(members))}, List::Type::kTuple, "_GroupTuple"));
    members.clear();
  };
  for (const Value& entry : sort_by(pairs, keys, false)) {
    const auto& parts = entry.list().items;
    if (!current || !equal(*current, parts[0])) {
      finish();
      current = parts[0];
      shown = parts[1];
    }
    members.push_back(parts[2]);
  }
  finish();
  return make_list(std::move(groups));
}

std::vector<Value> entry_tuples(const Dict& dict) {
  std::vector<Value> entries;
  entries.reserve(dict.entries.size());
  for (const auto& [key, value] : dict.entries) entries.push_back(make_tuple({key, value}));
  return entries;
}

Value filter_items(Interpreter&, const Value& self, const Arguments&) {
  if (self.is_undefined()) return make_generator({});
  if (!self.is_dict()) fail_value("Can only get item pairs from a mapping.");
  return make_generator(entry_tuples(self.dict()));
}

Value filter_dictsort(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound(arguments, "dictsort", {"case_sensitive", "by", "reverse"});
  require_defined(self);
  if (!self.is_dict()) fail_value("dictsort: expected a dict, got {}", type_name(self));
  const Str by = bound.string(1, "key");
  if (by.view() != "key" && by.view() != "value") {
    fail_value("You can only sort by either \"key\" or \"value\"");
  }
  std::vector<Value> keys;
  for (const auto& [key, value] : self.dict().entries) {
    const Value& part = by.view() == "key" ? key : value;
    keys.push_back(bound.boolean(0, false) ? part : ignore_case(part));
  }
  return make_list(sort_by(entry_tuples(self.dict()), keys, bound.boolean(2, false)));
}

Value filter_random(Interpreter&, const Value&, const Arguments&) {
  fail_value("the filter 'random' is refused: the same chat must give the same prompt");
}

}  // namespace

const BuiltinTable& sequence_filters() {
  static const BuiltinTable table = {
      {"join", filter_join},       {"first", filter_first},       {"last", filter_last},
      {"length", filter_length},   {"count", filter_length},      {"list", filter_list},
      {"reverse", filter_reverse}, {"sort", filter_sort},         {"unique", filter_unique},
      {"batch", filter_batch},     {"slice", filter_slice},       {"sum", filter_sum},
      {"min", filter_min},         {"max", filter_max},           {"groupby", filter_groupby},
      {"items", filter_items},     {"dictsort", filter_dictsort}, {"random", filter_random},
  };
  return table;
}

}  // namespace haq::text::jinja
