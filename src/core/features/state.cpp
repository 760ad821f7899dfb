// The state as arrays: exported where it lies, and taken over only after every number in it has been checked.
//
//     log/…       events, before, orders, values, judgements, weights, first_seen, waiting, masks, ids of orders
//     ENTITY/…    ids, slots, records, nodes, pairs
//     groups/…    members, and the keys by entity
//
// An array is rows of bytes, each a struct of `log.hpp`, `entity.hpp` or `groups.hpp` and what is behind it. A forged
// state may lie about what happened; what it cannot do is name a row that does not exist, or lead into a circle.

#include "engine.hpp"

#include <cstring>

namespace ordervet::features {

namespace {

[[noreturn]] void refuse(const std::string& what) { throw InvalidStateError(what); }

void require(bool holds, const char* what) {
  if (!holds) refuse(what);
}

/// Whether a number is that of a row, or `-1`, which is none.
bool is_row(std::int64_t number, std::size_t n) { return number >= -1 && number < static_cast<std::int64_t>(n); }

bool is_below(std::int64_t number, std::size_t n) { return number >= 0 && number < static_cast<std::int64_t>(n); }

template <class Head>
Bytes view(const Rows<Head>& rows) {
  return {rows.block().data(), rows.size(), rows.stride(), rows.block().share()};
}

/// Call `visit(name, rows)` for all rows of an engine's parts but tables of ids.
template <class Log, class Entities, class Groups, class Visit>
void visit_rows(Log& log, Entities& entities, Groups& groups, Visit visit) {
  visit("log/events", log.events);
  visit("log/orders", log.orders);
  visit("log/before", log.before);
  visit("log/values", log.values);
  visit("log/judgements", log.judgements);
  visit("log/weights", log.weights);
  visit("log/first_seen", log.first_seen);
  visit("log/waiting", log.waiting);
  for (auto& each : entities) {
    if (!each.has_features()) continue;
    visit(each.plan.name + "/slots", each.slots);
    visit(each.plan.name + "/records", each.records);
    visit(each.plan.name + "/nodes", each.nodes);
    visit(each.plan.name + "/pairs", each.pairs);
  }
  if (!groups) return;
  visit("groups/members", groups->members);
  for (std::size_t key = 0; key < kGroupKeys; ++key)
    visit("groups/" + entities[groups->plan.keys[key]].plan.name, groups->keys[key]);
}

}  // namespace

std::map<std::string, Bytes> Engine::export_state() const {
  std::map<std::string, Bytes> arrays;
  visit_rows(*log_, entities_, groups_, [&](const std::string& name, const auto& rows) { arrays[name] = view(rows); });
  arrays["log/ids"] = view(log_->order_rows.entries());
  for (const Entity& each : entities_) arrays[each.plan.name + "/ids"] = view(each.ids.entries());
  const auto masks = std::make_shared<std::vector<std::int64_t>>(log_->masks);
  arrays["log/masks"] = {reinterpret_cast<const std::byte*>(masks->data()), masks->size(), sizeof(std::int64_t), masks};
  return arrays;
}

void Engine::import_state(const std::map<std::string, Bytes>& arrays, std::int64_t last_seen_at) {
  build_entities();
  try {
    take_arrays(arrays);
    last_seen_at_ = last_seen_at;
    check_log();
    log_->restore();
    for_each_entity(n_threads_ > 1, [this](Entity& each) {
      each.learn_classes();
      each.applied = log_->count_before(last_seen_at_);
      check_entity(each);
      each.check_pairs();
    });
    if (groups_) {
      groups_->applied = log_->count_before(last_seen_at_);
      check_groups();
    }
    is_broken_ = false;
  } catch (const std::bad_alloc&) {
    build_entities();
    throw;
  } catch (const std::exception& error) {
    const std::string what = error.what();
    build_entities();
    refuse(what);
  }
}

void Engine::take_arrays(const std::map<std::string, Bytes>& arrays) {
  const auto find = [&](const std::string& name, std::size_t stride) -> std::span<const std::byte> {
    const auto found = arrays.find(name);
    if (found == arrays.end()) refuse("missing arrays: " + name);
    const Bytes& array = found->second;
    if (array.n_rows > 0 && array.stride != stride) refuse("rows of the wrong length: " + name);
    if (array.n_rows > kMaxRows) refuse("too many rows: " + name);
    return {array.data, array.n_rows * stride};
  };
  visit_rows(*log_, entities_, groups_,
             [&](const std::string& name, auto& rows) { rows.assign(find(name, rows.stride())); });
  log_->order_rows.restore(find("log/ids", sizeof(IdMap::Entry)));
  for_each_entity(n_threads_ > 1, [&](Entity& each) {
    each.ids.restore(find(each.plan.name + "/ids", sizeof(IdMap::Entry)));
  });
  const std::span<const std::byte> masks = find("log/masks", sizeof(std::int64_t));
  log_->masks.resize(masks.size() / sizeof(std::int64_t));
  if (!masks.empty()) std::memcpy(log_->masks.data(), masks.data(), masks.size());
}

void Engine::check_log() const {
  const Log& log = *log_;
  const std::size_t n_events = log.events.size(), n_orders = log.orders.size(), n_judgements = log.judgements.size();
  require(n_events == 0 || (last_seen_at_ >= -kMaxTime && last_seen_at_ <= kMaxTime), "time of the last event");
  require(log.before.size() == n_events && log.masks.size() <= kMaxKinds, "number of events or classes");
  require(log.weights.size() == (log.n_weights() > 0 ? n_events : 0), "number of weights");
  require(log.order_rows.size() == n_orders && log.values.size() == n_orders, "number of orders");
  std::int64_t before = -kMaxTime;
  std::size_t judgement = 0;
  for (std::size_t at = 0; at < n_events; ++at) {
    const Event& event = log.events[at];
    require(event.seen_at >= before && event.seen_at <= last_seen_at_, "times of events");
    require(is_below(event.order, n_orders) && is_below(event.kind, log.masks.size()), "order or class of an event");
    for (const std::int32_t link : log.links(at)) require(is_row(link, at), "link of an event");
    require(event.size <= kMillion, "size of a refund");
    require(is_row(log.before[at], at) && (log.before[at] < 0 || log.events[log.before[at]].order == event.order),
            "event before one of the same order");
    if (log.masks[event.kind] & kJudgementBit) {
      require(judgement < n_judgements && event.amount == static_cast<std::int64_t>(judgement), "number of a judgement");
      const Judgement& each = log.judgements[judgement++];
      const bool is_later = each.taken_back_by < 0 || each.taken_back_by > static_cast<std::int64_t>(at);
      require(each.event == static_cast<std::int64_t>(at) && is_row(each.takes_back, at) &&
                  is_row(each.taken_back_by, n_events) && is_later && is_row(each.replaced_kind, log.masks.size()),
              "judgement");
    }
    before = event.seen_at;
  }
  require(judgement == n_judgements, "number of judgements");
  for (std::size_t order = 0; order < n_orders; ++order) {
    const Standing& standing = log.orders[order];
    require(is_rate(log.values[order].rate), "rate of an order's currency");
    require(is_row(standing.judgement_1 - std::int64_t{1}, n_judgements), "standing verdict of an order");
    require(is_row(standing.kind_1 - std::int64_t{1}, log.masks.size()), "standing verdict of an order");
    require(is_row(standing.latest_1 - std::int64_t{1}, n_events), "latest event of an order");
    const Value& value = log.values[order];
    for (const std::int32_t part : {value.requested, value.completed})
      require(part >= 0 && part <= kMillion, "refunded part of an order");
    const std::span<const std::int32_t> slots = log.slots(order);
    for (const Entity& each : entities_) require(is_row(slots[each.plan.own], each.ids.size()), "slot of an order");
  }
  for (std::size_t at = 0; at < log.waiting.size(); ++at)
    require(is_below(log.waiting[at].rank, std::numeric_limits<std::uint8_t>::max()), "rank of a waiting event");
  const std::int64_t first = log.first_order_entity();
  require(log.first_seen.size() == (first >= 0 ? entities_[first].ids.size() : 0), "number of first orders");
}

void Engine::check_entity(const Entity& entity) const {
  const std::size_t n_events = log_->events.size(), n_nodes = entity.nodes.size(), n_records = entity.records.size();
  if (!entity.has_features()) return;
  const auto require = [&](bool holds, const char* what) {
    if (!holds) refuse(entity.plan.name + ": " + what);
  };
  const auto is_time = [this](std::int64_t time) {
    return time == kNever || (time >= -kMaxTime && time <= last_seen_at_);
  };
  require(entity.slots.size() == entity.ids.size(), "number of slots");
  require(n_records == 0 || !entity.plan.windows.empty(), "running totals without a window");
  std::vector<bool> is_taken(n_records, false);
  for (std::size_t at = 0; at < entity.slots.size(); ++at) {
    const Slot& slot = entity.slots[at];
    for (const std::int32_t event : slot.latest) require(is_row(event, n_events), "latest event of a slot");
    if (slot.is_hot()) {
      const auto record = static_cast<std::size_t>(slot.record());
      require(record < n_records && !is_taken[record], "running totals of a slot");
      is_taken[record] = true;
    } else {
      require(slot.n_events <= shape_.hot_from, "number of events of a slot");
    }
    for (const Clock& clock : entity.clocks(at)) require(is_time(clock.last) && is_time(clock.first), "clock of a slot");
  }
  for (std::size_t at = 0; at < n_records; ++at) {
    require(is_taken[at] && is_row(entity.records[at].latest, n_nodes), "latest node of running totals");
    for (const Run& run : entity.runs(at)) {
      for (const Run::Side& side : run.sides) {
        require(is_time(side.first) && is_time(side.last) && side.length >= 0, "run of verdicts");
      }
    }
    for (const Peak& peak : entity.peaks(at)) require(is_time(peak.seen_at), "peak of amounts");
    for (const Tail& tail : entity.tails(at)) {
      require(is_row(tail.node, n_nodes), "oldest node of a window");
      require(tail.seen_at >= -kMaxTime && tail.seen_at <= kMaxTime, "oldest time of a window");
    }
  }
  for (std::size_t at = 0; at < n_nodes; ++at) {
    const Node& node = entity.nodes[at];
    const bool is_later = node.next < 0 || node.next > static_cast<std::int64_t>(at);
    require(is_below(node.event, n_events) && is_row(node.next, n_nodes) && is_later, "node");
    require(node.kind == static_cast<std::int64_t>(log_->events[node.event].kind), "class of a node");
    require(node.next_seen_at >= -kMaxTime && node.next_seen_at <= kMaxTime, "time of a node");
    if (!(log_->mask_of(node.event) & kOrderBit)) continue;  // only orders have values, the links of others are not read
    for (const ValueLink& link : entity.value_links(at)) {
      require(link.before == kNoValue || is_row(link.before, at), "node before one of the same value");
      require(is_row(link.after, n_nodes), "node after one of the same value");
    }
  }
}

void Engine::check_groups() const {
  const Groups& groups = *groups_;
  const std::size_t n_members = groups.members.size();
  require(n_members == entities_[groups.plan.buyer].ids.size(), "number of members");
  for (std::size_t at = 0; at < n_members; ++at) {
    const Member& member = groups.members[at];
    const std::int64_t parent = member.parent_1 - std::int64_t{1};
    require(is_row(parent, n_members), "parent of a member");
    // A root only ever grows, so sizes rise along the way to it, and no way is a circle.
    if (parent >= 0 && parent != static_cast<std::int64_t>(at))
      require(groups.members[parent].parent_1 > 0 && groups.members[parent].n_buyers > member.n_buyers,
              "parent of a member");
  }
  for (std::size_t key = 0; key < kGroupKeys; ++key) {
    require(groups.keys[key].size() == entities_[groups.plan.keys[key]].ids.size(), "number of keys");
    for (std::size_t at = 0; at < groups.keys[key].size(); ++at) {
      const Key& used = groups.keys[key][at];
      require(used.n_users >= 0 && used.n_users <= kMaxLinked + 1, "users of a key");
      for (std::int32_t user = 0; user < used.n_users; ++user) {
        const std::int32_t buyer = used.users[user];
        require(is_below(buyer, n_members) && groups.members[buyer].parent_1 > 0, "user of a key");
      }
    }
  }
}

}  // namespace ordervet::features
