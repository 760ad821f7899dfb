#include "plan.hpp"

#include <stdexcept>
#include <string>

namespace ordervet::features {

namespace {

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(std::string("the plan of the features is wrong: ") + what);
}

std::size_t to_index(std::int64_t number, std::size_t n, const char* what) {
  require(number >= 0 && static_cast<std::size_t>(number) < n, what);
  return static_cast<std::size_t>(number);
}

Cell read_cell(const std::array<std::int64_t, 4>& given, const EntityPlan& plan, const Shape& shape) {
  Cell cell{};
  cell.window = to_index(given[0], plan.windows.size(), "window of a cell");
  cell.kind = static_cast<CellKind>(to_index(given[1], kCellKinds.size(), "kind of a cell"));
  cell.selector = given[2];
  cell.source = given[3];
  if (cell.kind == CellKind::distinct || cell.kind == CellKind::known)
    to_index(cell.selector, plan.values.size(), "value of a cell");
  if (cell.source == kCappedSource || cell.source == kSpikeSource) {
    require(cell.kind == CellKind::sum && plan.usual && cell.selector == kOrderBit, "cell of usual amounts");
  } else if (cell.kind == CellKind::sum && cell.source != kAmountSource && cell.source != kSizeSource) {
    to_index(cell.source, shape.n_weights, "weight of a cell");
  }
  return cell;
}

}  // namespace

EntityPlan::EntityPlan(const EntityArrays& given, const Shape& shape)
    : name(given.name), own(given.own), level(given.level), clocks(given.clocks), prior_orders(shape.prior_orders) {
  require(own < shape.n_entities, "column of an entity");
  for (const std::int64_t length : given.windows_us) {
    require(length > 0 && length < kMaxWindow && (windows.empty() || windows.back().length_us < length), "windows");
    windows.push_back({length, {}, {}, {}, {}});
  }
  if (!given.usual.empty()) {
    require(given.usual.size() == 3, "usual amount");
    usual = {to_index(given.usual[0], shape.n_weights, "column of weights"), 0, 0};
  }
  for (const std::int64_t value : given.values) values.push_back(to_index(value, shape.n_entities, "column of values"));
  for (const auto& each : given.cells) {
    Cell cell = read_cell(each, *this, shape);
    require(cells.empty() || cells.back().window <= cell.window, "order of cells");
    Window& window = windows[cell.window];
    switch (cell.kind) {
      case CellKind::count:
      case CellKind::sum:
        cell.place = cell.kind == CellKind::sum ? n_sums++ : n_counts++;
        listens |= cell.selector;
        break;
      case CellKind::distinct:
      case CellKind::known:
        cell.place = n_counts++;
        listens |= kOrderBit;
        (cell.kind == CellKind::distinct ? window.distinct : window.known)
            .push_back({cell.place, static_cast<std::size_t>(cell.selector)});
        break;
      case CellKind::run:
        require(!window.run, "runs of a window");
        window.run = cell.place = n_runs++;
        listens |= kRunBits[0] | kRunBits[1];
        break;
      case CellKind::peak:
        require(!window.peak, "peaks of a window");
        window.peak = cell.place = n_peaks++;
        listens |= kOrderBit;
        break;
    }
    cells.push_back(cell);
  }
  for (const std::int64_t bit : clocks) listens |= bit;
  const auto find_place = [this](std::int64_t number, Argument wanted) {
    if (wanted == Argument::clock) return to_index(number, clocks.size(), "clock of a feature");
    const Cell& cell = cells[to_index(number, cells.size(), "cell of a feature")];
    const bool is_of_sizes = cell.kind == CellKind::sum && (cell.source == kSizeSource || cell.source == kSpikeSource);
    if (wanted == Argument::count && is_of_sizes) return n_counts + cell.place;
    Argument held = Argument::count;
    if (cell.kind == CellKind::sum) held = Argument::sum;
    if (cell.kind == CellKind::run) held = Argument::run;
    if (cell.kind == CellKind::peak) held = Argument::peak;
    require(held == wanted, "kind of a feature's cell");
    return cell.place;
  };
  for (const auto& each : given.asks) {
    asks.push_back({to_index(each[0], shape.n_weights, "column of weights"), find_place(each[1], Argument::count),
                    find_place(each[2], Argument::count), each[3], each[4]});
  }
  if (usual) {
    usual->sum = find_place(given.usual[1], Argument::sum);
    usual->n_orders = find_place(given.usual[2], Argument::count);
    require(usual->n_orders < n_counts, "usual amount");
  }
  for (const auto& each : given.operations) {
    const std::size_t statistic = to_index(each[0], kStatistics.size(), "statistic");
    Operation operation{static_cast<Statistic>(statistic),
                        to_index(each[1], shape.n_features, "matrix column"), {}, each[6]};
    if (kStatistics[statistic].arguments[0] == Argument::run)
      to_index(operation.parameter, kRunBits.size(), "verdict of a run");
    for (std::size_t at = 0; at < 4; ++at) {
      const Argument wanted = kStatistics[statistic].arguments[at];
      if (wanted != Argument::none) operation.places[at] = find_place(each[2 + at], wanted);
    }
    (kStatistics[statistic].arguments[0] == Argument::clock ? clock_operations : operations).push_back(operation);
  }
}

}  // namespace ordervet::features
