#include "engine.hpp"

#include <exception>
#include <iomanip>
#include <numeric>
#include <sstream>
#include <system_error>
#include <thread>

namespace ordervet::features {

namespace {

/// Stands among the entities of the first level for the groups of linked buyers.
constexpr std::size_t kGroups = static_cast<std::size_t>(-1);

// SPEED: benchmarks/bench_features.py. From so many events on threads gain more than they cost; orders of a part, what
// they touch fits into a cache of a core; events of a chunk.
constexpr std::size_t kManyEvents = 4'096, kPart = 32'768, kChunk = 2'048;

/// So many events come between two looks whether compaction is worth it.
constexpr std::size_t kLookEvery = 4'096;

/// Fill with the numbers of events by time, ties as `is_before` says, else as given.
template <class IsBefore>
void sort_by(std::vector<std::uint32_t>& numbers, std::size_t n, IsBefore is_before) {
  numbers.resize(n);
  std::iota(numbers.begin(), numbers.end(), 0U);
  if (!std::is_sorted(numbers.begin(), numbers.end(), is_before))
    std::stable_sort(numbers.begin(), numbers.end(), is_before);
}

void check_span(std::int64_t earliest, std::int64_t latest, std::int64_t last_seen_at, std::size_t n_events) {
  if (earliest < -kMaxTime || latest > kMaxTime) throw std::invalid_argument("an event has an impossible time");
  if (earliest >= last_seen_at) return;
  std::ostringstream message;
  message << n_events << " events begin " << std::fixed << std::setprecision(6)
          << static_cast<double>(last_seen_at - earliest) / 1e6 << " s before the last event already seen";
  throw EarlierEventsError(message.str());
}

}  // namespace

Engine::Engine(const Shape& shape, const std::vector<EntityArrays>& entities, const std::optional<GroupPlan>& groups,
               std::size_t n_threads)
    : shape_(shape), arrays_(entities), group_plan_(groups), n_threads_(std::max<std::size_t>(n_threads, 1)) {
  if (shape.n_entities != entities.size() || shape.hot_from < 1 || shape.hot_from > kMaxLookBack ||
      shape.prior_orders < 1 || shape.prior_orders > kMaxPriorOrders)
    throw std::invalid_argument("the plan of the features is wrong: shape");
  build_entities();
}

void Engine::build_entities() {
  for (const EntityArrays& each : arrays_) {
    for (const std::int64_t length : each.windows_us) longest_us_ = std::max(longest_us_, length);
  }
  const auto has_features = [](const EntityArrays& each) {
    return !each.cells.empty() || !each.clocks.empty() || !each.operations.empty();
  };
  groups_.reset();
  entities_.clear();
  last_seen_at_ = kNever;
  next_look_ = 0;
  log_.emplace(shape_, static_cast<std::size_t>(std::count_if(arrays_.begin(), arrays_.end(), has_features)));
  entities_.reserve(arrays_.size());
  levels_.clear();
  std::int64_t link = 0;
  for (std::size_t at = 0; at < arrays_.size(); ++at) {
    EntityPlan plan(arrays_[at], shape_);
    if (plan.own != at) throw std::invalid_argument("the plan of the features is wrong: order of entities");
    const bool is_planned = has_features(arrays_[at]);
    if (is_planned) {
      if (plan.level >= arrays_.size()) throw std::invalid_argument("the plan of the features is wrong: level");
      levels_.resize(std::max(levels_.size(), plan.level + 1));
      levels_[plan.level].push_back(at);
    }
    entities_.emplace_back(std::move(plan), is_planned ? link++ : -1, shape_.hot_from, longest_us_, *log_);
  }
  if (group_plan_) {
    groups_.emplace(*group_plan_, shape_, longest_us_, *log_);
    levels_.resize(std::max<std::size_t>(levels_.size(), 1));
    levels_[0].push_back(kGroups);
  }
  in_turn_.clear();
  shares_.clear();
  for (const auto& level : levels_) {
    in_turn_.insert(in_turn_.end(), level.begin(), level.end());
    shares_.push_back(share_out(level, n_threads_));
  }
}

/// Share entities out among threads, the most costly first, each to whoever has least.
std::vector<std::vector<std::size_t>> Engine::share_out(const std::vector<std::size_t>& members, std::size_t n) const {
  // About twenty nanoseconds an order; SPEED: benchmarks/bench_features.py.
  const auto estimate = [this](std::size_t entity) -> std::size_t {
    if (entity == kGroups) return 20;
    const EntityPlan& plan = entities_[entity].plan;
    return 4 + plan.operations.size() + plan.clock_operations.size() + 8 * plan.values.size();
  };
  std::vector<std::size_t> sorted = members;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](std::size_t one, std::size_t other) { return estimate(one) > estimate(other); });
  std::vector<std::vector<std::size_t>> shares(std::min(n, members.size()));
  std::vector<std::size_t> costs(shares.size(), 0);
  for (const std::size_t entity : sorted) {
    const auto least = static_cast<std::size_t>(std::min_element(costs.begin(), costs.end()) - costs.begin());
    shares[least].push_back(entity);
    costs[least] += estimate(entity);
  }
  return shares;
}

/// Run a task for each number below `n_tasks`, one thread each or one after the other; rethrow what one throws.
void Engine::run(std::size_t n_tasks, bool in_threads, const std::function<void(std::size_t)>& task) const {
  if (!in_threads || n_tasks < 2) {
    for (std::size_t at = 0; at < n_tasks; ++at) task(at);
    return;
  }
  std::vector<std::exception_ptr> failures(n_tasks);
  const auto run_one = [&](std::size_t at) {
    try {
      task(at);
    } catch (...) {
      failures[at] = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(n_tasks);
  for (std::size_t at = 1; at < n_tasks; ++at) {
    try {
      threads.emplace_back(run_one, at);
    } catch (const std::system_error&) {  // the system gives no more threads
      run_one(at);
    }
  }
  run_one(0);
  for (std::thread& each : threads) each.join();
  for (const std::exception_ptr& each : failures) {
    if (each) std::rethrow_exception(each);
  }
}

void Engine::for_each_entity(bool in_threads, const std::function<void(Entity&)>& task) {
  const std::size_t n_tasks = std::min(n_threads_, entities_.size());
  run(n_tasks, in_threads, [&](std::size_t thread) {
    for (std::size_t at = thread; at < entities_.size(); at += n_tasks) task(entities_[at]);
  });
}

void Engine::advance(const Orders& orders, const LaterEvents& later, std::span<float> out, const Weights& weights) {
  const std::size_t n_orders = orders.id.size(), n_later = later.order_id.size();
  if (is_broken_) throw std::runtime_error("an earlier batch failed in its middle: build the state again");
  if (n_orders + n_later == 0) return;
  if (std::max(n_orders, n_later) > kMaxRows) throw_too_many_rows();
  std::int64_t earliest = kForever, latest = kNever;
  for (const auto times : {orders.seen_at, later.seen_at}) {
    for (const std::int64_t time : times) earliest = std::min(earliest, time), latest = std::max(latest, time);
  }
  if (std::find(orders.id.begin(), orders.id.end(), 0U) != orders.id.end())
    throw std::invalid_argument("an order has no id");
  if (!std::all_of(orders.rate.begin(), orders.rate.end(), is_rate))
    throw std::invalid_argument("a currency has an impossible rate");
  check_span(earliest, latest, last_seen_at_, n_orders + n_later);
  sort_by(by_time_, n_orders,
          [&](std::uint32_t one, std::uint32_t other) { return orders.seen_at[one] < orders.seen_at[other]; });
  sort_by(by_seen_, n_later, [&](std::uint32_t one, std::uint32_t other) {
    const auto key = [&](std::uint32_t at) {
      return std::tuple(later.seen_at[at], Due{later.rank[at], later.amount[at], later.mask[at], 0, -1}.key());
    };
    return key(one) < key(other);
  });
  is_broken_ = true;
  due_.clear();
  last_seen_at_ = latest;
  std::span<const std::uint32_t> more_orders = by_time_, more_later = by_seen_;
  do {
    const std::size_t n = std::min(kPart, more_orders.size());
    const bool is_last = n == more_orders.size();
    const std::int64_t until = is_last ? latest : orders.seen_at[more_orders[n]];
    const auto end = is_last ? more_later.end()
                             : std::partition_point(more_later.begin(), more_later.end(), [&](std::uint32_t each) {
                                 return later.seen_at[each] < until;
                               });
    const auto n_seen = static_cast<std::size_t>(end - more_later.begin());
    advance_part(orders, later, {more_orders.first(n), more_later.first(n_seen), until, is_last}, out, weights);
    more_orders = more_orders.subspan(n);
    more_later = more_later.subspan(n_seen);
  } while (!more_orders.empty());
  compact_if_worth();
  is_broken_ = false;
}

void Engine::advance_part(const Orders& orders, const LaterEvents& later, const Part& part, std::span<float> out,
                          const Weights& weights) {
  const bool in_threads = n_threads_ > 1 && part.orders.size() + part.later.size() >= kManyEvents;
  const std::size_t first = log_->events.size();
  place_orders(orders, part.orders);
  for_each_entity(in_threads, [&](Entity& each) {
    each.place_ids(orders.ids[each.plan.own], part.orders, rows_, is_new_);
  });
  if (log_->first_order_entity() >= 0)
    log_->set_first_order_slots(entities_[log_->first_order_entity()].ids.size());
  append(orders, later, part, !out.empty());
  for (Entity& each : entities_) each.learn_classes();
  if (groups_) groups_->resize(entities_);
  exchange_weights(first, weights, true);
  const Batch batch{first, out_row_, out, shape_.n_features};
  if (!in_threads) {
    replay(in_turn_, batch, part.until);
  } else {
    for (const auto& shares : shares_)
      run(shares.size(), true, [&](std::size_t share) { replay(shares[share], batch, part.until); });
  }
  exchange_weights(first, weights, false);
}

/// Take over the given weights of new events, or give back what they are now.
void Engine::exchange_weights(std::size_t first, const Weights& weights, bool are_given) const {
  const std::size_t n = shape_.n_weights;
  if (n == 0 || weights.orders.size() + weights.later.size() == 0) return;
  for (std::size_t at = 0; at < order_given_.size(); ++at) {
    const std::int32_t order = order_given_[at], other = later_given_[at];
    if (order < 0 && other < 0) continue;
    const std::span<std::int32_t> given =
        order >= 0 ? weights.orders.subspan(order * n, n) : weights.later.subspan(other * n, n);
    const std::span<std::int32_t> held = log_->weights_of(first + at);
    std::copy_n(are_given ? given.begin() : held.begin(), n, are_given ? held.begin() : given.begin());
  }
}

/// Give each order its row, in the order seen; an order is new at its first sight.
void Engine::place_orders(const Orders& orders, std::span<const std::uint32_t> by_time) {
  constexpr std::size_t kAhead = 12;  // SPEED: benchmarks/bench_features.py
  rows_.resize(by_time.size());
  is_new_.resize(by_time.size());
  for (std::size_t at = 0; at < by_time.size(); ++at) {
    if (at + kAhead < by_time.size()) log_->order_rows.prefetch_id(orders.id[by_time[at + kAhead]]);
    const std::uint64_t id = orders.id[by_time[at]];
    rows_[at] = log_->order_rows.assign(id);
    is_new_[at] = static_cast<std::size_t>(rows_[at]) == log_->orders.size();
    if (is_new_[at]) log_->orders.append(), log_->values.append();
  }
}

/// Merge a part into the log: by the time seen, at one time orders first, later events as `Due::key` has it.
void Engine::append(const Orders& orders, const LaterEvents& later, const Part& part, bool are_asked) {
  constexpr std::size_t kAhead = 12;  // SPEED: benchmarks/bench_features.py
  out_row_.clear();
  order_given_.clear();
  later_given_.clear();
  const auto n_new = std::count(is_new_.begin(), is_new_.end(), 1);
  auto n_rows = static_cast<std::int32_t>(log_->orders.size()) - static_cast<std::int32_t>(n_new);  // seen so far
  std::size_t order = 0, other = 0;
  while (order < part.orders.size() || other < part.later.size()) {
    const bool is_order =
        order < part.orders.size() && (other == part.later.size() || orders.seen_at[part.orders[order]] <=
                                                                         later.seen_at[part.later[other]]);
    const std::int64_t seen_at = is_order ? orders.seen_at[part.orders[order]] : later.seen_at[part.later[other]];
    if (!due_.empty() && seen_at > due_at_) append_due();
    if (is_order) {
      const std::uint32_t at = part.orders[order];
      const std::int32_t row = rows_[order];
      const std::int64_t mask =
          is_new_[order] ? orders.mask[at] | log_->mark_first(seen_at, row) : orders.mask[at] & kSharedPlaceBit;
      out_row_.push_back(are_asked ? static_cast<std::int32_t>(at) : -1);
      order_given_.push_back(static_cast<std::int32_t>(at));
      later_given_.push_back(-1);
      log_->append(seen_at, orders.amount[at], mask, row, orders.rate[at]);
      if (is_new_[order] && log_->has_waiting()) {
        for (const Waiting& each : log_->take_waiting(orders.id[at], orders.placed_at[at]))
          due_.push_back({static_cast<std::uint8_t>(each.rank), each.amount, each.mask, row, -1});
        due_at_ = seen_at;
      }
      n_rows += is_new_[order];
      ++order;
    } else {
      const std::uint32_t at = part.later[other];
      if (other + kAhead < part.later.size())
        log_->order_rows.prefetch_id(later.order_id[part.later[other + kAhead]]);
      const std::int32_t row = log_->order_rows.find(later.order_id[at]);
      if (row < 0 || row >= n_rows) {
        log_->wait({later.order_id[at], seen_at, later.happened_at[at], later.mask[at], later.amount[at],
                    later.rank[at]});
      } else {
        const Due event{later.rank[at], later.amount[at], later.mask[at], row, static_cast<std::int32_t>(at)};
        if (due_.empty()) {
          append_later(seen_at, event);
        } else {
          due_.push_back(event);
        }
      }
      ++other;
    }
  }
  // NOTE: events of the last instant may follow in the next part, and are merged with what is due.
  if (!due_.empty() && (part.is_last || part.until > due_at_)) append_due();
}

/// Append what is due at an instant, after its orders.
void Engine::append_due() {
  std::stable_sort(due_.begin(), due_.end(), [](const Due& one, const Due& other) { return one.key() < other.key(); });
  for (const Due& each : due_) append_later(due_at_, each);
  due_.clear();
}

void Engine::append_later(std::int64_t seen_at, const Due& event) {
  out_row_.push_back(-1);
  order_given_.push_back(-1);
  later_given_.push_back(event.given);
  log_->append(seen_at, event.amount, event.mask, event.order);
}

/// Replay the new events for some entities, chunk by chunk: what a chunk reads and writes stays in a near cache.
void Engine::replay(std::span<const std::size_t> share, const Batch& batch, std::int64_t until) {
  const std::size_t n_events = log_->events.size();
  std::size_t begin = batch.first;
  do {  // also without a new event: the clock has moved on, and what waited counts from now on
    const std::size_t end = std::min(begin + kChunk, n_events);
    const std::int64_t now = end == n_events ? until : log_->events[end - 1].seen_at;
    for (const std::size_t entity : share) {
      if (entity == kGroups) {
        groups_->replay(begin, end, now, batch);
      } else {
        entities_[entity].replay(begin, end, now, batch);
      }
    }
    begin = end;
  } while (begin < n_events);
}

void Engine::compact() {
  if (log_->events.size() == 0) return;
  const std::size_t n_expired = log_->count_before(last_seen_at_ - longest_us_);
  for (Entity& each : entities_) each.compact(last_seen_at_, n_expired);
  if (groups_) groups_->compact(n_expired);
  log_->compact(n_expired, last_seen_at_ - longest_us_);
  next_look_ = log_->events.size() + kLookEvery;
}

void Engine::compact_if_worth() {
  if (log_->events.size() < next_look_) return;
  next_look_ = log_->events.size() + kLookEvery;
  const std::size_t n_expired = log_->count_before(last_seen_at_ - longest_us_);
  if (n_expired > kLookEvery && 2 * n_expired > log_->events.size()) compact();
}

}  // namespace ordervet::features
