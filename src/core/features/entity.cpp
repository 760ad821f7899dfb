#include "entity.hpp"

#include <cmath>
#include <utility>

namespace ordervet::features {

namespace {

/// Stands for the row of an order where none is left out.
constexpr std::int32_t kNoOrder = -1;

std::size_t find_pair_home(std::uint64_t key, std::size_t column, std::size_t size) {
  std::uint64_t mixed = key + column * 0xC2B2AE3D27D4EB4FU;
  mixed = (mixed ^ (mixed >> 29)) * 0x9E3779B97F4A7C15U;
  return static_cast<std::size_t>(mixed ^ (mixed >> 32)) & (size - 1);
}

std::size_t record_bytes(const EntityPlan& plan) {
  const std::size_t bytes = sizeof(Record) + plan.windows.size() * sizeof(Tail) + plan.n_runs * sizeof(Run) +
                            plan.n_peaks * sizeof(Peak) + plan.n_sums * sizeof(std::uint64_t) +
                            plan.n_counts * sizeof(std::uint32_t);
  return round_up(bytes, alignof(Record));
}

}  // namespace

void Run::add(std::size_t verdict, std::int64_t seen_at) {
  Side &own = sides[verdict], &other = sides[1 - verdict];
  if (seen_at > other.last) {
    if (own.length == 0) own.first = seen_at;
    ++own.length;
  }
  own.last = seen_at;
  other.first = kNever;
  other.length = 0;
}

bool Run::take_out(std::size_t verdict, std::int64_t seen_at) {
  Side& own = sides[verdict];
  if (own.length == 0 || seen_at < own.first) return seen_at != own.last;
  if (seen_at == own.first || seen_at == own.last) return false;
  --own.length;
  return true;
}

std::size_t Pair::find_home(std::size_t size) const {
  return find_pair_home(key, static_cast<std::size_t>(column), size);
}

Entity::Entity(EntityPlan given, std::int64_t link, std::int64_t hot_from, std::int64_t longest_us, Log& log)
    : plan(std::move(given)),
      slots(sizeof(Slot) + plan.clocks.size() * sizeof(Clock)),
      records(record_bytes(plan)),
      nodes(sizeof(Node) + plan.values.size() * sizeof(ValueLink)),
      log_(log),
      link_(link),
      hot_from_(static_cast<std::int32_t>(hot_from)),
      longest_us_(plan.windows.empty() ? longest_us : plan.windows.back().length_us),
      scratch_sums_(plan.n_sums + 1),  // so that totals are never at null
      scratch_counts_(plan.n_counts),
      scratch_runs_(plan.n_runs),
      scratch_peaks_(plan.n_peaks),
      noted_(plan.values.size()),
      seen_(plan.values.size()) {
  if (!plan.values.empty()) pairs.resize(64);
  const Totals nothing{scratch_sums_, scratch_counts_, scratch_runs_, scratch_peaks_};
  std::vector<float> row;
  for (const Operation& each : plan.operations) row.resize(std::max(row.size(), each.column + 1));
  write_features(plan.operations, nothing, 0, 0, row);
  for (const Operation& each : plan.operations) empty_values_.push_back(row[each.column]);
}

EventClass Entity::build_class(std::int64_t mask) const {
  EventClass built;
  std::int64_t asked = plan.usual ? kOrderBit : 0;
  for (const Ask& ask : plan.asks) asked |= ask.selector | kOrderBit;
  built.is_listed = (mask & plan.listens) != 0;
  built.is_judgement = (mask & kJudgementBit) != 0 && (plan.listens & kVerdictBits) != 0;
  built.is_order = (mask & kOrderBit) != 0;
  built.is_asked = (mask & asked) != 0;
  for (std::size_t verdict = 0; plan.n_runs > 0 && verdict < kRunBits.size(); ++verdict) {
    if (mask & kRunBits[verdict]) built.run = verdict;
  }
  for (std::size_t at = 0; at < plan.clocks.size(); ++at) {
    if (mask & plan.clocks[at]) built.clocks.push_back(at);
  }
  for (std::size_t window = 0; window < plan.windows.size(); ++window) {
    built.count_start.push_back(built.counts.size());
    built.sum_start.push_back(built.sums.size());
    for (const Cell& cell : plan.cells) {
      if (cell.window != window) continue;
      if (cell.kind == CellKind::count && (mask & cell.selector)) built.counts.push_back(cell.place);
      if (cell.kind == CellKind::sum && (mask & cell.selector)) built.sums.push_back({cell.place, cell.source});
    }
  }
  built.count_start.push_back(built.counts.size());
  built.sum_start.push_back(built.sums.size());
  return built;
}

void Entity::learn_classes() {
  while (classes_.size() < log_.masks.size()) classes_.push_back(build_class(log_.masks[classes_.size()]));
}

void Entity::place_ids(std::span<const std::uint64_t> given, std::span<const std::uint32_t> by_time,
                       std::span<const std::int32_t> order_rows, std::span<const char> is_new) {
  constexpr std::size_t kAhead = 12;  // SPEED: benchmarks/bench_features.py
  for (std::size_t at = 0; at < by_time.size(); ++at) {
    if (at + kAhead < by_time.size()) ids.prefetch_id(given[by_time[at + kAhead]]);
    if (is_new[at]) log_.slots(order_rows[at])[plan.own] = ids.assign(given[by_time[at]]);
  }
  if (!has_features()) return;
  while (slots.size() < ids.size()) {
    const std::size_t slot = slots.append();
    slots[slot] = {0, {-1, -1, -1}};
    for (Clock& clock : clocks(slot)) clock = {kNever, kNever};
  }
}

Totals Entity::totals_of(std::size_t record) const {
  const std::size_t at = sizeof(Record) + plan.windows.size() * sizeof(Tail) + plan.n_runs * sizeof(Run) +
                         plan.n_peaks * sizeof(Peak);
  return {records.part<std::uint64_t>(record, at, plan.n_sums),
          records.part<std::uint32_t>(record, at + plan.n_sums * sizeof(std::uint64_t), plan.n_counts), runs(record),
          peaks(record)};
}

std::int32_t Entity::find_slot(std::size_t event) const {
  return log_.slots(log_.events[event].order)[plan.own];
}

void Entity::prefetch_past(std::int32_t slot) const {
  if (slot < 0) return;
  const Slot& past = slots[slot];
  if (past.is_hot()) {
    const auto* record = reinterpret_cast<const std::byte*>(&records[past.record()]);
    for (std::size_t line = 0; line < records.stride(); line += kLine) prefetch(record + line);
    return;
  }
  for (const std::int32_t event : past.latest) {
    if (event < 0) return;
    log_.events.prefetch_row(event);
  }
}

void Entity::prefetch_further(std::size_t event, std::int32_t slot) const {
  if (slot < 0) return;
  const Slot& past = slots[slot];
  if (past.is_hot()) {
    const std::int64_t now = log_.events[event].seen_at;
    if (now > records[past.record()].wake_at) {
      for (std::size_t window = 0; const Tail& tail : tails(past.record())) {
        if (tail.node >= 0 && tail.seen_at < now - plan.windows[window].length_us) nodes.prefetch_row(tail.node);
        ++window;
      }
    }
    for (std::size_t column = 0; column < plan.values.size(); ++column) {
      const std::uint64_t key = pair_key(past.record(), log_.events[event].order, column);
      pairs.prefetch_row(find_pair_home(key, column, pairs.size()));
    }
    return;
  }
  std::int32_t earliest = -1;
  for (const std::int32_t each : past.latest) {
    if (each < 0) return;
    earliest = each;
    if (!plan.values.empty()) log_.orders.prefetch_row(log_.events[each].order);
  }
  const std::int32_t before = log_.links(earliest)[link_];
  if (before >= 0) log_.events.prefetch_row(before);
}

void Entity::replay(std::size_t begin, std::size_t end, std::int64_t until, const Batch& batch) {
  const std::size_t n_events = log_.events.size();
  const std::size_t first_behind = begin + 1 > kBehind ? begin + 1 - kBehind : 0;
  for (std::size_t event = std::max(applied, first_behind); event < std::min(begin + kFar, n_events); ++event)
    ring_[event % kRing] = find_slot(event);
  for (std::size_t event = begin; event < end; ++event) {
    if (event + kFar < n_events) {
      const std::int32_t ahead = find_slot(event + kFar);
      ring_[(event + kFar) % kRing] = ahead;
      if (ahead >= 0) slots.prefetch_row(ahead);
      prefetch_past(ring_[(event + kNear) % kRing]);
      prefetch_further(event + kNext, ring_[(event + kNext) % kRing]);
    }
    const std::int32_t out_row = batch.out_row[event - batch.first];
    const EventClass& kind = classes_[log_.events[event].kind];
    if (out_row < 0 && !kind.is_asked) continue;
    const std::int32_t slot = ring_[event % kRing];
    const std::int64_t now = log_.events[event].seen_at;
    apply_until(event, now, event);
    const bool is_again = out_row >= 0 && !kind.is_order;
    const std::int32_t without = is_again ? log_.events[event].order : kNoOrder;
    const Totals totals = slot >= 0 ? find_totals(slot, now, without) : Totals{};
    if (kind.is_asked) weigh(event, totals);
    if (out_row >= 0) write(slot, totals, log_.events[event], batch.row(out_row));
  }
  apply_until(end, until, end - 1);
}

/// Let the events before `end` count that were seen before `now`; `event` is the present one.
void Entity::apply_until(std::size_t end, std::int64_t now, std::size_t event) {
  while (applied < end && log_.events[applied].seen_at < now) {
    const EventClass& kind = classes_[log_.events[applied].kind];
    if (kind.is_listed || kind.is_judgement) {
      const std::int32_t slot = applied + kBehind > event ? ring_[applied % kRing] : find_slot(applied);
      if (slot >= 0) apply(slot, static_cast<std::int32_t>(applied));
    }
    ++applied;
  }
}

void Entity::apply(std::int32_t slot_number, std::int32_t event_number) {
  const Event event = log_.events[event_number];
  const EventClass& kind = classes_[event.kind];
  Slot& slot = slots[slot_number];
  if (slot.is_hot() && kind.is_judgement) {
    const std::int32_t replaced = log_.judgement_of(event_number).takes_back;
    if (replaced >= 0) take_back(slot.record(), replaced, event_number + 1);
  }
  if (!kind.is_listed) return;
  const std::span<Clock> of_slot = clocks(slot_number);
  for (const std::size_t at : kind.clocks) {
    of_slot[at].last = event.seen_at;
    if (of_slot[at].first == kNever) of_slot[at].first = event.seen_at;
  }
  if (slot.is_hot()) {
    add_node(slot.record(), event_number, event_number + 1);
    return;
  }
  log_.links(event_number)[link_] = slot.latest[0];
  slot.latest[2] = slot.latest[1];
  slot.latest[1] = slot.latest[0];
  slot.latest[0] = event_number;
  std::int32_t n_events = slot.n_events + 1;
  if (n_events >= hot_from_ && !plan.windows.empty()) {
    n_events = count_live(event_number, event.seen_at);
    if (2 * std::int64_t{n_events} > hot_from_) {
      make_hot(slot_number, n_events, event_number + 1);
      return;
    }
  }
  slot.n_events = std::min(n_events, hot_from_);
}

inline std::int64_t Entity::value_of(std::int32_t event, std::int64_t source) const {
  if (source == kAmountSource) return log_.events[event].amount;
  if (source == kSizeSource) return log_.events[event].size;
  if (source >= 0) return log_.weights_of(event)[source];
  const std::int64_t part = std::clamp<std::int64_t>(log_.weights_of(event)[plan.usual->weight], 0, kMillion);
  if (source == kSpikeSource) return part < kMillion ? kMillion : 0;
  const std::int64_t amount = log_.events[event].amount;
  return amount / kMillion * part + amount % kMillion * part / kMillion;
}

/// Add an event to the totals of some windows, or take it out.
inline void Entity::add(const Totals& totals, const EventClass& kind, std::int32_t event, std::size_t first_window,
                 std::size_t end_window, bool is_added) const {
  const std::uint32_t one = is_added ? 1U : ~0U;
  for (std::size_t at = kind.count_start[first_window]; at < kind.count_start[end_window]; ++at)
    totals.counts[kind.counts[at]] += one;
  for (std::size_t at = kind.sum_start[first_window]; at < kind.sum_start[end_window]; ++at) {
    const auto [place, source] = kind.sums[at];
    const std::int64_t value = value_of(event, source);
    totals.sums[place] += is_added ? static_cast<std::uint64_t>(value) : 0U - static_cast<std::uint64_t>(value);
  }
}

/// Return what a slot has in its windows, without one order's events; nothing where that is so.
Totals Entity::find_totals(std::int32_t slot_number, std::int64_t now, std::int32_t without) {
  const Slot& slot = slots[slot_number];
  if (!slot.is_hot()) return rescan(slot.latest[0], now, without);
  if (now > records[slot.record()].wake_at) expire(slot.record(), now);
  const Totals running = totals_of(slot.record());
  if (without == kNoOrder) return running;
  const Totals totals{scratch_sums_, scratch_counts_, scratch_runs_, scratch_peaks_};
  std::copy(running.sums.begin(), running.sums.end(), totals.sums.begin());
  std::copy(running.counts.begin(), running.counts.end(), totals.counts.begin());
  take_out(slot.record(), now, without, totals);
  for (std::size_t window = 0; window < plan.windows.size(); ++window)
    tell_again(slot.record(), window, static_cast<std::int32_t>(applied), without, totals);
  return totals;
}

/// Take the events of one order out of a copy of a hot id's totals.
void Entity::take_out(std::int32_t record, std::int64_t now, std::int32_t order, const Totals& totals) const {
  const auto bound = static_cast<std::int32_t>(applied);
  for (std::int32_t event = log_.orders[order].latest_1 - 1; event >= 0; event = log_.before[event]) {
    const Event& past = log_.events[event];
    const EventClass& kind = classes_[past.kind];
    if (event >= bound || !kind.is_listed) continue;
    const bool is_standing = !kind.is_judgement || !log_.is_taken_back(event, bound);
    for (std::size_t window = 0; window < plan.windows.size(); ++window) {
      if (now - past.seen_at > plan.windows[window].length_us) continue;
      if (is_standing) add(totals, kind, event, window, window + 1, false);
      if (!kind.is_order) continue;
      for (const ValueCount& each : plan.windows[window].known)
        totals.counts[each.place] -= pair_key(record, order, each.column) != 0;
      for (const ValueCount& each : plan.windows[window].distinct) {
        const std::uint64_t key = pair_key(record, order, each.column);
        if (key == 0) continue;
        const std::int32_t latest = pairs[find_pair(key, each.column)].node;
        if (nodes[latest].event != event) continue;  // a later order has the same value
        const std::int32_t before = value_links(latest)[each.column].before;
        totals.counts[each.place] -= before < tails(record)[window].node;
      }
    }
  }
}

/// Find the first and the last time of a clock without one order's events of the longest window (docs/definitions.md
/// T7).
Clock Entity::clock_without(std::int32_t slot_number, std::size_t at, std::int64_t now, std::int32_t order) const {
  const Slot& slot = slots[slot_number];
  Clock clock = clocks(slot_number)[at], others{kNever, kNever};
  bool is_first = false, is_last = false;
  for (std::int32_t event = log_.orders[order].latest_1 - 1; event >= 0; event = log_.before[event]) {
    const Event& own = log_.events[event];
    if (event >= static_cast<std::int32_t>(applied) || now - own.seen_at > longest_us_ ||
        !(log_.masks[own.kind] & plan.clocks[at]))
      continue;
    is_first |= own.seen_at == clock.first;
    is_last |= own.seen_at == clock.last;
  }
  if (!is_first && !is_last) return clock;
  const auto note = [&](std::int32_t event) {
    const Event& past = log_.events[event];
    if (now - past.seen_at > longest_us_ || past.order == order || !(log_.masks[past.kind] & plan.clocks[at])) return;
    if (others.first == kNever || past.seen_at < others.first) others.first = past.seen_at;
    others.last = std::max(others.last, past.seen_at);
  };
  if (slot.is_hot()) {
    for (std::int32_t node = tails(slot.record()).back().node; node >= 0; node = nodes[node].next)
      note(nodes[node].event);
  } else {
    for (std::int32_t event = slot.latest[0]; event >= 0; event = log_.links(event)[link_]) note(event);
  }
  if (is_last) clock.last = others.last != kNever || is_first ? others.last : clock.first;
  if (is_first) clock.first = others.first;
  return clock;
}

Totals Entity::rescan(std::int32_t latest, std::int64_t now, std::int32_t without) {
  if (latest < 0 || plan.windows.empty()) return {};
  const std::int64_t longest = plan.windows.back().length_us;
  std::int64_t age = now - log_.events[latest].seen_at;
  if (age > longest) return {};
  std::fill(scratch_sums_.begin(), scratch_sums_.end(), 0U);
  std::fill(scratch_counts_.begin(), scratch_counts_.end(), 0U);
  for (auto& each : noted_) each.clear();
  in_order_.clear();
  const Totals totals{scratch_sums_, scratch_counts_, scratch_runs_, scratch_peaks_};
  const auto bound = static_cast<std::int32_t>(applied);
  std::size_t window = 0;
  for (std::int32_t event = latest; event >= 0;) {
    const Event& past = log_.events[event];
    age = now - past.seen_at;
    if (age > longest) break;
    while (age > plan.windows[window].length_us) ++window;
    const EventClass& kind = classes_[past.kind];
    const bool is_told = past.order != without;
    if (is_told && (!kind.is_judgement || !log_.is_taken_back(event, bound))) {
      add(totals, kind, event, window, plan.windows.size(), true);
      if (has_sequences()) in_order_.push_back(event);
    }
    if (is_told && kind.is_order && !plan.values.empty()) count_values(past.order, window);
    event = log_.links(event)[link_];
  }
  if (has_sequences()) tell_in_order(now, totals);
  return totals;
}

/// Tell the runs and peaks of a slot from its events in `in_order_`.
void Entity::tell_in_order(std::int64_t now, const Totals& totals) const {
  std::fill(totals.runs.begin(), totals.runs.end(), Run{});
  std::fill(totals.peaks.begin(), totals.peaks.end(), Peak{});
  for (std::size_t window = 0; window < plan.windows.size(); ++window) {
    std::for_each(in_order_.rbegin(), in_order_.rend(), [&](std::int32_t each) {
      const Event& past = log_.events[each];
      if (now - past.seen_at <= plan.windows[window].length_us) add_in_order(totals, classes_[past.kind], past, window);
    });
  }
}

/// Let the latest event of a window count in its run or peak.
void Entity::add_in_order(const Totals& totals, const EventClass& kind, const Event& event, std::size_t window) const {
  const Window& each = plan.windows[window];
  if (each.run && kind.run) totals.runs[*each.run].add(*kind.run, event.seen_at);
  if (each.peak && kind.is_order) totals.peaks[*each.peak].add(event);
}

/// Tell the run and peak of a hot id's window from its nodes, without one order's events.
void Entity::tell_again(std::int32_t record, std::size_t window, std::int32_t bound, std::int32_t without,
                        const Totals& totals) const {
  const Window& each = plan.windows[window];
  if (each.run) totals.runs[*each.run] = {};
  if (each.peak) totals.peaks[*each.peak] = {};
  if (!each.run && !each.peak) return;
  for (std::int32_t node = tails(record)[window].node; node >= 0; node = nodes[node].next) {
    const Event& event = log_.events[nodes[node].event];
    const EventClass& kind = classes_[event.kind];
    if (event.order != without && (!kind.is_judgement || !log_.is_taken_back(nodes[node].event, bound)))
      add_in_order(totals, kind, event, window);
  }
}

/// Let an order count among the ids of other entities, in a window and all longer ones.
void Entity::count_values(std::int32_t order, std::size_t window) {
  const std::span<const std::int32_t> slots_of_order = log_.slots(order);
  for (std::size_t column = 0; column < plan.values.size(); ++column) {
    const std::int32_t value = slots_of_order[plan.values[column]];
    std::vector<std::int32_t>& noted = noted_[column];
    const bool is_new = value >= 0 && std::find(noted.begin(), noted.end(), value) == noted.end();
    if (is_new) noted.push_back(value);
    seen_[column] = value < 0 ? Seen::absent : is_new ? Seen::first : Seen::again;
  }
  for (; window < plan.windows.size(); ++window) {
    for (const ValueCount& each : plan.windows[window].known)
      scratch_counts_[each.place] += seen_[each.column] != Seen::absent;
    for (const ValueCount& each : plan.windows[window].distinct)
      scratch_counts_[each.place] += seen_[each.column] == Seen::first;
  }
}

/// Count the events of a slot that are in its longest window.
std::int32_t Entity::count_live(std::int32_t latest, std::int64_t now) const {
  std::int32_t n = 0;
  for (std::int32_t event = latest; event >= 0; event = log_.links(event)[link_]) {
    if (now - log_.events[event].seen_at > plan.windows.back().length_us) break;
    ++n;
  }
  return n;
}

/// Give a slot running totals of its latest events, as many as are in its longest window.
void Entity::make_hot(std::int32_t slot_number, std::int32_t n_live, std::int32_t bound) {
  const auto record = static_cast<std::int32_t>(records.append());
  records[record] = {kForever, -1, 0};
  for (Tail& tail : tails(record)) tail = {0, -1, 0};
  for (Run& run : runs(record)) run = {};
  for (Peak& peak : peaks(record)) peak = {};
  becoming_hot_.clear();
  std::int32_t event = slots[slot_number].latest[0];
  for (std::int32_t at = 0; at < n_live; ++at) {
    becoming_hot_.push_back(event);
    event = log_.links(event)[link_];
  }
  std::for_each(becoming_hot_.rbegin(), becoming_hot_.rend(),
                [this, record, bound](std::int32_t each) { add_node(record, each, bound); });
  slots[slot_number] = {-1 - record, {-1, -1, -1}};
}

/// Let an event count in all windows of a hot id; a verdict taken back before `bound` does not.
void Entity::add_node(std::int32_t record_number, std::int32_t event_number, std::int32_t bound) {
  const Event event = log_.events[event_number];
  const EventClass& kind = classes_[event.kind];
  const auto latest = static_cast<std::int32_t>(nodes.append());
  nodes[latest] = {0, event_number, static_cast<std::int32_t>(event.kind), -1, 0};
  if (kind.is_order) enter_values(record_number, latest, event.order);
  if (!kind.is_judgement || !log_.is_taken_back(event_number, bound)) {
    const Totals totals = totals_of(record_number);
    add(totals, kind, event_number, 0, plan.windows.size(), true);
    for (std::size_t window = 0; has_sequences() && window < plan.windows.size(); ++window)
      add_in_order(totals, kind, event, window);
  }
  Record& record = records[record_number];
  for (std::size_t window = 0; Tail& tail : tails(record_number)) {
    if (tail.node < 0) {
      tail = {event.seen_at, latest, 0};
      record.wake_at = std::min(record.wake_at, event.seen_at + plan.windows[window].length_us);
    }
    ++window;
  }
  if (record.latest >= 0) {
    Node& before = nodes[record.latest];
    before.next = latest;
    before.next_seen_at = event.seen_at;
  }
  record.latest = latest;
}

/// Read a record's number and an order's value as one number above 0; 0 where the order lacks the value.
std::uint64_t Entity::pair_key(std::int32_t record, std::int32_t order, std::size_t column) const {
  const std::int32_t value = log_.slots(order)[plan.values[column]];
  if (value < 0) return 0;
  return (static_cast<std::uint64_t>(record) << 32 | static_cast<std::uint64_t>(value)) + 1;
}

std::size_t Entity::find_pair(std::uint64_t key, std::size_t column) const {
  std::size_t place = find_pair_home(key, column, pairs.size());
  while (pairs[place].key != 0 &&
         (pairs[place].key != key || static_cast<std::size_t>(pairs[place].column) != column))
    place = (place + 1) & (pairs.size() - 1);
  return place;
}

void Entity::check_pairs() {
  n_pairs_ = 0;
  for (std::size_t at = 0; at < pairs.size(); ++at) n_pairs_ += pairs[at].key != 0;
  if (plan.values.empty() && pairs.size() == 0) return;
  if (!std::has_single_bit(pairs.size()) || pairs.size() < 2 * n_pairs_)
    throw std::invalid_argument("a table of pairs has the wrong size");
  for (std::size_t at = 0; at < pairs.size(); ++at) {
    const Pair& pair = pairs[at];
    if (pair.key == 0) continue;
    if ((pair.key - 1) >> 32 >= records.size() || static_cast<std::uint32_t>(pair.node) >= nodes.size() ||
        static_cast<std::uint32_t>(pair.column) >= plan.values.size())
      throw std::invalid_argument("a pair of values points nowhere");
    if (find_pair(pair.key, pair.column) != at) throw std::invalid_argument("a table of pairs hides one");
  }
}

/// Link an order to the latest earlier ones of its hot id with the same values, and let it count among them.
void Entity::enter_values(std::int32_t record, std::int32_t node, std::int32_t order) {
  if (plan.values.empty()) return;
  const std::span<ValueLink> own = value_links(node);
  for (std::size_t column = 0; column < plan.values.size(); ++column) {
    const std::uint64_t key = pair_key(record, order, column);
    own[column] = {kNoValue, -1};
    if (key == 0) continue;
    std::size_t place = find_pair(key, column);
    own[column].before = -1;
    if (pairs[place].key == key) {
      own[column].before = pairs[place].node;
      value_links(pairs[place].node)[column].after = node;
    } else if (2 * (++n_pairs_) > pairs.size()) {
      double_table(pairs);
      place = find_pair(key, column);
    }
    pairs[place] = {key, node, static_cast<std::int32_t>(column)};
  }
  const Totals totals = totals_of(record);
  const std::span<const Tail> oldest = tails(record);
  for (std::size_t window = 0; window < plan.windows.size(); ++window) {
    for (const ValueCount& each : plan.windows[window].known)
      totals.counts[each.place] += own[each.column].before != kNoValue;
    const std::int32_t tail = oldest[window].node;
    for (const ValueCount& each : plan.windows[window].distinct) {
      const std::int32_t before = own[each.column].before;
      const bool is_counted = before >= 0 && 0 <= tail && tail <= before;
      totals.counts[each.place] += before != kNoValue && !is_counted;
    }
  }
}

/// Take a verdict that one before `bound` replaces out of every window that it is in.
void Entity::take_back(std::int32_t record, std::int32_t event, std::int32_t bound) {
  const EventClass& kind = classes_[log_.events[event].kind];
  const Totals totals = totals_of(record);
  for (std::size_t window = 0; const Tail& tail : tails(record)) {
    if (tail.node >= 0 && nodes[tail.node].event <= event) {
      add(totals, kind, event, window, window + 1, false);
      const std::optional<std::size_t> run = plan.windows[window].run;
      if (run && kind.run && !totals.runs[*run].take_out(*kind.run, log_.events[event].seen_at))
        tell_again(record, window, bound, kNoOrder, totals);
    }
    ++window;
  }
}

/// Take out of a hot id's windows what has left them.
void Entity::expire(std::int32_t record_number, std::int64_t now) {
  const Totals totals = totals_of(record_number);
  const auto bound = static_cast<std::int32_t>(applied);
  std::int64_t wake_at = kForever;
  for (std::size_t window = 0; Tail& tail : tails(record_number)) {
    const Window& each = plan.windows[window];
    while (tail.node >= 0 && tail.seen_at < now - each.length_us) {
      const Node& node = nodes[tail.node];
      const EventClass& kind = classes_[node.kind];
      if (!kind.is_judgement || !log_.is_taken_back(node.event, bound)) {
        add(totals, kind, node.event, window, window + 1, false);
        if (each.run && kind.run) {
          Run::Side& side = totals.runs[*each.run].sides[*kind.run];
          side.length -= side.length > 0 && tail.seen_at >= side.first;
        }
      }
      if (kind.is_order) {
        const std::span<const ValueLink> links = value_links(tail.node);
        for (const ValueCount& value : each.known) totals.counts[value.place] -= links[value.column].before != kNoValue;
        for (const ValueCount& value : each.distinct) {
          const ValueLink& link = links[value.column];
          totals.counts[value.place] -= link.before != kNoValue && link.after < 0;
        }
      }
      tail = {node.next_seen_at, node.next, 0};
    }
    if (has_sequences()) settle(record_number, window, now - each.length_us, totals);
    if (tail.node >= 0) wake_at = std::min(wake_at, tail.seen_at + each.length_us);
    ++window;
  }
  records[record_number].wake_at = wake_at;
}

/// Find where the run and the peak of a hot id's window are once what was seen before a time has left it.
void Entity::settle(std::int32_t record, std::size_t window, std::int64_t opened_at, const Totals& totals) const {
  const Window& each = plan.windows[window];
  const auto bound = static_cast<std::int32_t>(applied);
  if (each.peak) {
    const std::int64_t seen_at = totals.peaks[*each.peak].seen_at;
    if (seen_at != kNever && seen_at < opened_at) tell_again(record, window, bound, kNoOrder, totals);
  }
  if (!each.run) return;
  for (std::size_t verdict = 0; verdict < kRunBits.size(); ++verdict) {
    Run::Side& side = totals.runs[*each.run].sides[verdict];
    if (side.last < opened_at) side.last = kNever;
    if (side.first >= opened_at) continue;
    side.first = kNever;
    if (side.length == 0) continue;
    for (std::int32_t node = tails(record)[window].node; node >= 0 && side.first == kNever; node = nodes[node].next) {
      const EventClass& kind = classes_[nodes[node].kind];
      if (kind.run == verdict && !log_.is_taken_back(nodes[node].event, bound))
        side.first = log_.events[nodes[node].event].seen_at;
    }
  }
}

/// Note what the entity leads one to expect at this event: the weights of an order, a refund or a cancellation.
void Entity::weigh(std::size_t event, const Totals& totals) {
  const std::int64_t mask = log_.mask_of(event);
  const std::span<std::int32_t> weights = log_.weights_of(event);
  if (plan.usual && (mask & kOrderBit))
    weights[plan.usual->weight] = static_cast<std::int32_t>(measure_usual(log_.events[event].amount, totals));
  for (const Ask& ask : plan.asks) {
    std::int64_t size = 0, n_orders = 0;
    if (totals) {
      size = std::clamp<std::int64_t>(totals.millionths(ask.count), 0, kMaxRows * kMillion);
      n_orders = totals.counts[ask.n_orders];
    }
    const std::int64_t share = std::min(
        (size + plan.prior_orders * ask.prior_ppm) / (n_orders + plan.prior_orders), kMillion);
    std::int64_t weight = 0;
    if (mask & kOrderBit) {
      weight = share;
    } else if ((mask & ask.selector) && !(mask & kExcusedBit)) {
      const std::int64_t own = mask & kRefundBits ? std::int64_t{log_.events[event].size} : kMillion;
      weight = own * (kMillion - share) / kMillion;
    }
    weights[ask.weight] = static_cast<std::int32_t>(weight);
  }
}

/// Measure how much of an amount is usual: at most three times what was usual before, parts per million.
std::int64_t Entity::measure_usual(std::int64_t amount, const Totals& totals) const {
  if (!totals || totals.counts[plan.usual->n_orders] == 0 || amount <= 0) return kMillion;
  const double usual = totals.sum(plan.usual->sum) / totals.count(plan.usual->n_orders);
  if (usual == 0) return kMillion;
  const double part = std::floor(kSpikeFrom * kMillion * usual / static_cast<double>(amount));
  return static_cast<std::int64_t>(std::clamp<double>(part, 0, kMillion));
}

void Entity::write(std::int32_t slot, const Totals& totals, const Event& event, std::span<float> out) const {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  if (slot < 0) {
    for (const Operation& each : plan.operations) out[each.column] = kNan;
    for (const Operation& each : plan.clock_operations) out[each.column] = kNan;
    return;
  }
  if (totals) {
    write_features(plan.operations, totals, event.amount, event.seen_at, out);
  } else {
    for (std::size_t at = 0; at < empty_values_.size(); ++at) out[plan.operations[at].column] = empty_values_[at];
  }
  const bool is_again = !classes_[event.kind].is_order;
  for (const Operation& each : plan.clock_operations) {
    const std::size_t at = each.places[0];
    const Clock clock = is_again ? clock_without(slot, at, event.seen_at, event.order) : clocks(slot)[at];
    const std::int64_t time = each.statistic == Statistic::recency ? clock.last : clock.first;
    out[each.column] = time == kNever ? kNan : static_cast<float>(static_cast<double>(event.seen_at - time) / 1e6);
  }
}

void Entity::compact(std::int64_t now, std::size_t n_expired) {
  if (!has_features()) return;
  const auto n_gone = static_cast<std::int32_t>(n_expired);
  for (std::size_t at = 0; at < slots.size(); ++at) {
    Slot& slot = slots[at];
    if (slot.is_hot()) {
      if (now > records[slot.record()].wake_at) expire(slot.record(), now);
      continue;
    }
    for (std::int32_t& event : slot.latest) event = std::max(event - n_gone, -1);
    if (slot.latest[0] < 0) slot.n_events = 0;
  }
  std::vector<std::int32_t> owners(nodes.size(), -1), moved(nodes.size(), -1);
  for (std::size_t record = 0; record < records.size(); ++record) {
    for (std::int32_t node = tails(record).back().node; node >= 0; node = nodes[node].next)
      owners[node] = static_cast<std::int32_t>(record);
  }
  Rows<Node> staying(nodes.stride());
  for (std::size_t node = 0; node < nodes.size(); ++node) {
    if (owners[node] >= 0) moved[node] = static_cast<std::int32_t>(staying.append());
  }
  const auto follow = [&moved](std::int32_t node) { return node >= 0 ? moved[node] : node; };
  for (std::size_t node = 0; node < nodes.size(); ++node) {
    if (owners[node] < 0) continue;
    Node& kept = staying[moved[node]];
    kept = nodes[node];
    kept.event -= n_gone;
    kept.next = follow(kept.next);
    if (!classes_[kept.kind].is_order) continue;
    const std::span<const ValueLink> links = value_links(node);
    const std::span<ValueLink> kept_links =
        staying.part<ValueLink>(moved[node], sizeof(Node), plan.values.size());
    for (std::size_t column = 0; column < links.size(); ++column)
      kept_links[column] = {follow(links[column].before), follow(links[column].after)};
  }
  for (std::size_t record = 0; record < records.size(); ++record) {
    records[record].latest = follow(records[record].latest);
    for (Tail& tail : tails(record)) tail.node = follow(tail.node);
  }
  if (!plan.values.empty()) rebuild_pairs(owners, moved, staying);
  nodes = std::move(staying);
  applied -= n_expired;
}

/// Enter the latest order of every pair into a new table; the log has not moved yet.
void Entity::rebuild_pairs(std::span<const std::int32_t> owners, std::span<const std::int32_t> moved,
                           const Rows<Node>& staying) {
  std::vector<Pair> latest;
  for (std::size_t node = 0; node < owners.size(); ++node) {
    if (owners[node] < 0 || !classes_[nodes[node].kind].is_order) continue;
    const std::span<const ValueLink> links =
        staying.part<ValueLink>(moved[node], sizeof(Node), plan.values.size());
    for (std::size_t column = 0; column < links.size(); ++column) {
      if (links[column].before == kNoValue || links[column].after >= 0) continue;
      const std::int32_t order = log_.events[nodes[node].event].order;
      latest.push_back({pair_key(owners[node], order, column), moved[node], static_cast<std::int32_t>(column)});
    }
  }
  pairs = Rows<Pair>();
  pairs.resize(std::bit_ceil(std::max<std::size_t>(2 * latest.size(), 64)));
  for (const Pair& each : latest) pairs[find_pair(each.key, each.column)] = each;
  n_pairs_ = latest.size();
}

}  // namespace ordervet::features
