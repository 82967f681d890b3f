// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <cstring>
#include <functional>

#include "engine/base/error.h"
#include "engine/device/host/ffn_plan.h"

namespace haq::device::host {
namespace {

void check_group(const FfnGroup& group, const ConstRows& x, const Rows& out) {
  const FfnSpec& f = *group.ffn;
  check(f.up != nullptr && f.down != nullptr &&
            (f.gate != nullptr) == (f.activation != Activation::kRelu),
        "ffn", "incomplete network");
  check(f.up->in() == x.cols && f.down->in() == f.up->out() && f.down->out() == out.cols, "ffn",
        "shape mismatch");
  check(f.gate == nullptr || (f.gate->in() == f.up->in() && f.gate->out() == f.up->out()), "ffn",
        "gate and up differ in shape");
  check(group.rows.size() == group.slots.size(), "ffn", "rows and slots differ in number");
  for (std::size_t i = 0; i < group.rows.size(); ++i) {
    check(group.rows[i] >= 0 && group.rows[i] < x.rows && group.slots[i] >= 0 &&
              group.slots[i] < out.rows,
          "ffn", "row or slot out of range");
  }
}

}  // namespace

void HostDevice::ffn(ConstRows x, std::span<const FfnGroup> groups, Rows out) {
  FfnPlan plan;
  for (const FfnGroup& group : groups) {
    check_group(group, x, out);
    if (group.rows.empty()) continue;
    const auto rows = static_cast<std::int64_t>(group.rows.size());
    const HostLinear& up = as_host(*group.ffn->up);
    const HostLinear& down = as_host(*group.ffn->down);
    FfnPlan::Part part{
        &group,        plan.rows,      rows, unit_columns(up, rows), unit_columns(down, rows),
        plan.up_units, plan.down_units};
    plan.up_units += (up.out() + part.up_step - 1) / part.up_step;
    plan.down_units += (down.out() + part.down_step - 1) / part.down_step;
    plan.rows += rows;
    plan.width = std::max(plan.width, up.out());
    plan.parts.push_back(part);
  }
  if (plan.rows == 0) return;

  // Row blocks pay when the networks see enough rows each; their layers are of one kind, served by
  // the library or by our own int8 kernels.
  bool blocks = plan.rows >= kLibraryMinRows * static_cast<std::int64_t>(plan.parts.size());
  for (const FfnPlan::Part& part : plan.parts) {
    const FfnSpec& f = *part.group->ffn;
    const LinearPath path = f.up->path();
    blocks = blocks && (path == LinearPath::kInt8 || products_.uses_library(path)) &&
             f.down->path() == path && (f.gate == nullptr || f.gate->path() == path) &&
             path == plan.parts.front().group->ffn->up->path();
  }
  // A few large networks would be cut into pieces of few rows, each of which reads all weights
  // again: our own kernels then had better share the columns.
  const auto parts = static_cast<std::int64_t>(plan.parts.size());
  const bool own = !products_.uses_library(as_host(*plan.parts.front().group->ffn->up).path());
  if (own && parts < 4 * pool_.size() && plan.rows >= int8_.many_rows * parts) blocks = false;
  if (blocks) {
    ffn_blocks(x, plan, out);
  } else {
    ffn_columns(x, plan, out);
  }
}

void HostDevice::ffn_columns(ConstRows x, FfnPlan& plan, Rows out) {
  float* gathered = gathered_.get<float>(static_cast<std::size_t>(plan.rows * x.cols));
  WantedForms wanted_input;
  for (const FfnPlan::Part& part : plan.parts) {
    wanted_input.add(as_host(*part.group->ffn->up), false);
    if (part.group->ffn->gate) wanted_input.add(as_host(*part.group->ffn->gate), false);
    for (std::int64_t r = 0; r < part.rows; ++r) {
      std::memcpy(gathered + (part.first_row + r) * x.cols,
                  x.data + part.group->rows[static_cast<std::size_t>(r)] * x.stride,
                  static_cast<std::size_t>(x.cols) * sizeof(float));
    }
  }
  plan.input = convert({gathered, plan.rows, x.cols, x.cols}, wanted_input, input_);

  float* activated = activated_.get<float>(static_cast<std::size_t>(plan.rows * plan.width));
  const auto up_body = [&](std::int64_t unit, int thread) {
    const FfnPlan::Part& part = plan.part_of(unit, &FfnPlan::Part::up_unit);
    const FfnSpec& f = *part.group->ffn;
    const std::int64_t n = (unit - part.up_unit) * part.up_step;
    const std::int64_t n_end = std::min(n + part.up_step, f.up->out());
    const std::int64_t width = n_end - n;
    Converted in = plan.input.from_row(part.first_row);
    in.rows = part.rows;
    ThreadScratch& scratch = threads_[static_cast<std::size_t>(thread)];
    float* up = scratch.a.get<float>(static_cast<std::size_t>(part.rows * width));
    columns(as_host(*f.up), in, n, n_end, up, width, scratch.block);
    float* gate = up;
    if (f.gate) {
      gate = scratch.b.get<float>(static_cast<std::size_t>(part.rows * width));
      columns(as_host(*f.gate), in, n, n_end, gate, width, scratch.block);
    }
    for (std::int64_t r = 0; r < part.rows; ++r) {
      kernels_.glu(glu_of(f.activation), f.limit, gate + r * width, up + r * width, width,
                   activated + (part.first_row + r) * plan.width + n);
    }
  };
  pool_.parallel_dynamic(plan.up_units, std::ref(up_body));

  // Networks of one call nearly always share a width; a narrower one is converted on its own.
  for (std::size_t begin = 0; begin < plan.parts.size();) {
    const std::int64_t width = plan.parts[begin].group->ffn->up->out();
    std::size_t end = begin;
    WantedForms wanted;
    std::int64_t rows = 0;
    while (end < plan.parts.size() && plan.parts[end].group->ffn->up->out() == width) {
      wanted.add(as_host(*plan.parts[end].group->ffn->down), false);
      rows += plan.parts[end].rows;
      ++end;
    }
    const FfnPlan::Part& first = plan.parts[begin];
    const Converted hidden = convert(
        {activated + first.first_row * plan.width, rows, width, plan.width}, wanted, hidden_);
    const std::int64_t last_unit =
        end < plan.parts.size() ? plan.parts[end].down_unit : plan.down_units;
    const auto down_body = [&](std::int64_t unit, int thread) {
      const FfnPlan::Part& part = plan.part_of(first.down_unit + unit, &FfnPlan::Part::down_unit);
      const HostLinear& down = as_host(*part.group->ffn->down);
      const std::int64_t n = (first.down_unit + unit - part.down_unit) * part.down_step;
      const std::int64_t n_end = std::min(n + part.down_step, down.out());
      const std::int64_t count = n_end - n;
      Converted in = hidden.from_row(part.first_row - first.first_row);
      in.rows = part.rows;
      ThreadScratch& scratch = threads_[static_cast<std::size_t>(thread)];
      float* y = scratch.a.get<float>(static_cast<std::size_t>(part.rows * count));
      columns(down, in, n, n_end, y, count, scratch.block);
      for (std::int64_t r = 0; r < part.rows; ++r) {
        std::memcpy(out.data + part.group->slots[static_cast<std::size_t>(r)] * out.stride + n,
                    y + r * count, static_cast<std::size_t>(count) * sizeof(float));
      }
    };
    pool_.parallel_dynamic(last_unit - first.down_unit, std::ref(down_body));
    begin = end;
  }
}

}  // namespace haq::device::host
