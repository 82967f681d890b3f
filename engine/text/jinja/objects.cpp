// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/jinja/objects.h"

#include <algorithm>

#include "engine/text/jinja/format.h"

namespace haq::text::jinja {

Value make_function(std::string name, Builtin function, Value self) {
  return ObjectPtr(std::make_shared<Function>(std::move(name), function, std::move(self)));
}

namespace {

/// Namespaces can be chained without end, and into a ring: the only values whose printing needs a
/// guard of its own. A namespace is printed by one thread, the one that renders.
constexpr int kMaxPrintedNamespaces = 50;
thread_local int printed_namespaces = 0;

struct PrintingNamespace {
  PrintingNamespace() {
    if (printed_namespaces >= kMaxPrintedNamespaces) {
      fail(ErrorCode::kLimit, "printing namespaces that hold each other more than {} deep",
           kMaxPrintedNamespaces);
    }
    ++printed_namespaces;
  }
  ~PrintingNamespace() { --printed_namespaces; }
  PrintingNamespace(const PrintingNamespace&) = delete;
  PrintingNamespace& operator=(const PrintingNamespace&) = delete;
};

}  // namespace

void Namespace::append_repr(StrBuilder& out) const {
  const PrintingNamespace guard;
  out.append("<Namespace {", Origin::kTemplate);
  bool first = true;
  for (const auto& [name, value] : attributes_) {
    if (!first) out.append(", ", Origin::kTemplate);
    first = false;
    jinja::append_repr(out, name);
    out.append(": ", Origin::kTemplate);
    jinja::append_repr(out, value);
  }
  out.append("}>", Origin::kTemplate);
}

std::optional<Value> Namespace::attribute(Interpreter&, std::string_view name) {
  for (const auto& [key, value] : attributes_) {
    if (key.view() == name) return value;
  }
  return std::nullopt;
}

void Namespace::set(const Str& name, const Value& value) {
  if (name.view().starts_with('_')) {
    fail_value("a namespace cannot hold the attribute '{}': it begins with an underscore",
               name.view());
  }
  charge(1 + attributes_.size() / 8);
  for (auto& [key, old] : attributes_) {
    if (key == name) {
      old = value;
      return;
    }
  }
  attributes_.emplace_back(name, value);
}

void Macro::append_repr(StrBuilder& out) const {
  out.append(signature_.name.empty() ? std::string("<Macro anonymous>")
                                     : fmt::format("<Macro '{}'>", signature_.name),
             Origin::kTemplate);
}

std::optional<Value> Macro::attribute(Interpreter&, std::string_view name) {
  if (name == "name") return make_string(signature_.name);
  if (name == "arguments") {
    std::vector<Value> names;
    for (const std::string& parameter : signature_.parameters) {
      names.push_back(make_string(parameter));
    }
    return make_tuple(std::move(names));
  }
  if (name == "catch_kwargs") return Value(signature_.uses_kwargs);
  if (name == "catch_varargs") return Value(signature_.uses_varargs);
  if (name == "caller") return Value(signature_.uses_caller);
  return std::nullopt;
}

void Loop::append_repr(StrBuilder& out) const {
  out.append(fmt::format("<LoopContext {}/{}>", index_ + 1, items_->items.size()),
             Origin::kTemplate);
}

Value Loop::call(Interpreter& interpreter, Arguments& arguments) {
  if (!statement_.recursive) {
    fail_value("The loop must have the 'recursive' marker to be called recursively.");
  }
  const Bound bound(arguments, "loop", {"iterable"}, 1);
  StrBuilder out;
  interpreter.run_loop(statement_, scope_, interpreter.items(bound[0]), depth_ + 1, out);
  return out.finish();
}

Value Loop::neighbour(std::size_t index) const {
  if (index < items_->items.size()) return items_->items[index];
  return make_undefined(index == items_->items.size() ? "there is no next item"
                                                      : "there is no previous item");
}

bool Loop::changed(const std::vector<Value>& values) {
  Value current = make_tuple(values);
  const bool differs = !last_ || !equal(*last_, current);
  last_ = std::move(current);
  return differs;
}

std::optional<Value> Loop::attribute(Interpreter&, std::string_view name) {
  const auto index = static_cast<std::int64_t>(index_);
  const auto length = static_cast<std::int64_t>(items_->items.size());
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "revindex") return Value(length - index);
  if (name == "revindex0") return Value(length - index - 1);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index + 1 == length);
  if (name == "length") return Value(length);
  if (name == "depth") return Value(std::int64_t{depth_} + 1);
  if (name == "depth0") return Value(std::int64_t{depth_});
  if (name == "previtem") return neighbour(index_ - 1);
  if (name == "nextitem") return neighbour(index_ + 1);
  if (name == "cycle") {
    return make_function(
        "cycle",
        [](Interpreter&, const Value& self, const Arguments& arguments) -> Value {
          if (arguments.positional.empty()) fail_value("no items for cycling given");
          const auto count = static_cast<std::int64_t>(arguments.positional.size());
          return arguments.positional[static_cast<std::size_t>(self.integer() % count)];
        },
        Value(index));
  }
  if (name == "changed") {
    return make_function(
        "changed",
        [](Interpreter&, const Value& self, const Arguments& arguments) -> Value {
          return static_cast<Loop&>(*self.object()).changed(arguments.positional);
        },
        ObjectPtr(shared_from_this()));
  }
  return std::nullopt;
}

std::optional<Value> Cycler::attribute(Interpreter&, std::string_view name) {
  if (name == "current") return values_[at_];
  if (name == "next") {
    return make_function(
        "next",
        [](Interpreter&, const Value& self, const Arguments&) -> Value {
          return static_cast<Cycler&>(*self.object()).next();
        },
        ObjectPtr(shared_from_this()));
  }
  if (name == "reset") {
    return make_function(
        "reset",
        [](Interpreter&, const Value& self, const Arguments&) -> Value {
          static_cast<Cycler&>(*self.object()).reset();
          return None{};
        },
        ObjectPtr(shared_from_this()));
  }
  return std::nullopt;
}

Value Cycler::next() {
  Value value = values_[at_];
  at_ = (at_ + 1) % values_.size();
  return value;
}

Value Joiner::call(Interpreter&, Arguments&) {
  if (used_) return separator_;
  used_ = true;
  return Str();
}

}  // namespace haq::text::jinja
