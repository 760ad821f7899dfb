#include "log.hpp"

#include <stdexcept>
#include <utility>

namespace ordervet::features {

Log::Log(const Shape& shape, std::size_t n_links)
    : events(fit_lines(sizeof(Event) + n_links * sizeof(std::int32_t))),
      orders(fit_lines(sizeof(Standing) + shape.n_entities * sizeof(std::int32_t))),
      weights(std::max<std::size_t>(shape.n_weights, 1) * sizeof(std::int32_t)),
      n_links_(n_links),
      n_entities_(shape.n_entities),
      n_weights_(shape.n_weights),
      first_order_entity_(shape.first_order_entity) {
  if (first_order_entity_ >= static_cast<std::int64_t>(n_entities_))
    throw std::invalid_argument("the plan of the features is wrong: entity of first orders");
}

std::uint32_t Log::find_class(std::int64_t mask) {
  const auto found = std::find(masks.begin(), masks.end(), mask);
  const auto kind = static_cast<std::uint32_t>(found - masks.begin());
  if (found == masks.end()) {
    if (kind == kMaxKinds) throw std::invalid_argument("events of too many kinds");
    masks.push_back(mask);
  }
  return kind;
}

void Log::append(std::int64_t seen_at, std::int64_t amount, std::int64_t mask, std::int32_t order, double rate) {
  mask |= mark_refund(mask, order);
  const std::uint32_t kind = find_class(mask);
  const std::uint32_t size = measure(amount, mask, order);
  const auto number = static_cast<std::int32_t>(events.append());
  if (n_weights_ > 0) weights.append();
  if (mask & kOrderBit) values[order].rate = rate;
  amount = to_worth(amount, rate);
  Standing& standing = orders[order];
  if (mask & kJudgementBit) {
    const std::size_t judgement = judgements.append();
    std::int32_t takes_back = -1;
    if (standing.judgement_1 > 0) {
      Judgement& replaced = judgements[standing.judgement_1 - 1];
      takes_back = replaced.event;
      replaced.taken_back_by = number;
    }
    judgements[judgement] = {number, takes_back, -1, standing.kind_1 - 1};
    standing.judgement_1 = static_cast<std::int32_t>(judgement + 1);
    standing.kind_1 = static_cast<std::int32_t>(kind + 1);
    amount = static_cast<std::int64_t>(judgement);
  } else {
    add_worth(amount);
  }
  events[number] = {seen_at, amount, order, kind, size};
  before[before.append()] = standing.latest_1 - 1;
  standing.latest_1 = number + 1;
  for (std::int32_t& link : links(number)) link = -1;
}

/// Add to what all events are worth together.
void Log::add_worth(std::int64_t amount) {
  if (amount > 0) worth_ += static_cast<std::uint64_t>(amount);
  if (worth_ > static_cast<std::uint64_t>(kForever)) throw std::overflow_error("the amounts of all events in the windows add up to 2^63 minor units or more, too many for exact totals");
}

/// The bits of what a refund is the first of its order to be; what is not a return of anything never is.
std::int64_t Log::mark_refund(std::int64_t mask, std::int32_t order) {
  if (!(mask & kRefundBits) || (mask & (kMinorRefundBit | kExchangeBit))) return 0;
  std::int64_t bits = 0;
  for (const int position : kSizedPositions) {
    const std::int64_t bit = std::int64_t{1} << position;
    if ((mask & bit) && !(values[order].refunded & bit)) bits |= bit << kFirstRefundShift;
  }
  values[order].refunded |= mask;
  return bits;
}

/// Measure a refund: its part of the order's amount, at most what was left of it; docs/definitions.md W10.
std::uint32_t Log::measure(std::int64_t amount, std::int64_t mask, std::int32_t order) {
  Value& value = values[order];
  if (mask & kOrderBit) value.amount = amount;
  if (!(mask & kRefundBits)) return 0;
  std::int32_t& used = mask & kRefundRequestedBit ? value.requested : value.completed;
  std::int64_t size = mask & kMinorRefundBit ? 0 : kMillion;
  if (mask & kExchangeBit) {
    size = 0;
  } else if ((mask & kAmountKnownBit) && value.amount > 0) {
    // NOTE: of sums beyond all money the millionth part is near enough, and does not overflow.
    size = amount >= value.amount           ? kMillion
           : value.amount < kForever / kMillion ? amount * kMillion / value.amount
                                            : amount / (value.amount / kMillion);
  }
  size = std::clamp<std::int64_t>(size, 0, kMillion - used);
  used += static_cast<std::int32_t>(size);
  return static_cast<std::uint32_t>(size);
}

void Log::wait(const Waiting& event) {
  if (event.order_id == 0) return;
  const std::size_t row = waiting.append();
  waiting[row] = event;
  waiting_of_.emplace(event.order_id, row);
}

std::vector<Waiting> Log::take_waiting(std::uint64_t order_id, std::int64_t placed_at) {
  std::vector<Waiting> taken;
  const auto [first, last] = waiting_of_.equal_range(order_id);
  for (auto each = first; each != last; ++each) {
    const Waiting event = std::exchange(waiting[each->second], Waiting{});
    if (event.happened_at >= placed_at) taken.push_back(event);
  }
  waiting_of_.erase(first, last);
  return taken;
}

void Log::restore() {
  find_waiting();
  worth_ = 0;
  for (std::size_t event = 0; event < events.size(); ++event) {
    if (!(mask_of(event) & kJudgementBit)) add_worth(events[event].amount);
  }
}

void Log::find_waiting() {
  waiting_of_.clear();
  for (std::size_t row = 0; row < waiting.size(); ++row) {
    if (waiting[row].order_id != 0) waiting_of_.emplace(waiting[row].order_id, row);
  }
}

std::int64_t Log::mark_first(std::int64_t seen_at, std::int32_t order) {
  if (first_order_entity_ < 0) return 0;
  const std::int32_t buyer = slots(order)[first_order_entity_];
  if (buyer < 0) return 0;
  std::int64_t& first = first_seen[buyer];
  if (first == kNever) first = seen_at;
  return first == seen_at ? kFirstOrderBit : 0;
}

std::size_t Log::count_before(std::int64_t seen_at) const {
  std::size_t low = 0, high = events.size();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (events[middle].seen_at < seen_at) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void Log::set_first_order_slots(std::size_t n_buyers) {
  if (first_order_entity_ < 0) return;
  while (first_seen.size() < n_buyers) first_seen[first_seen.append()] = kNever;
}

void Log::compact(std::size_t n_expired, std::int64_t expired_before) {
  Rows<Waiting> still;
  for (std::size_t row = 0; row < waiting.size(); ++row) {
    if (waiting[row].order_id != 0 && waiting[row].seen_at >= expired_before) still[still.append()] = waiting[row];
  }
  waiting = std::move(still);
  find_waiting();
  const auto moved = static_cast<std::int32_t>(n_expired);
  std::size_t n_judgements = 0;
  while (n_judgements < judgements.size() && judgements[n_judgements].event < moved) ++n_judgements;
  for (std::size_t event = 0; event < n_expired; ++event) {
    if (!(mask_of(event) & kJudgementBit) && events[event].amount > 0)
      worth_ -= static_cast<std::uint64_t>(events[event].amount);
  }
  const auto judgements_moved = static_cast<std::int32_t>(n_judgements);
  events.erase_front(n_expired);
  before.erase_front(n_expired);
  if (n_weights_ > 0) weights.erase_front(n_expired);
  judgements.erase_front(n_judgements);
  for (std::size_t event = 0; event < events.size(); ++event) {
    for (std::int32_t& link : links(event)) link = std::max(link - moved, -1);
    before[event] = std::max(before[event] - moved, -1);
    if (mask_of(event) & kJudgementBit) events[event].amount -= judgements_moved;
  }
  for (std::size_t at = 0; at < judgements.size(); ++at) {
    Judgement& each = judgements[at];
    each.event -= moved;
    each.takes_back = std::max(each.takes_back - moved, -1);
    if (each.taken_back_by >= 0) each.taken_back_by -= moved;
  }
  for (std::size_t order = 0; order < orders.size(); ++order) {
    Standing& standing = orders[order];
    standing.judgement_1 = std::max(standing.judgement_1 - judgements_moved, 0);
    standing.latest_1 = std::max(standing.latest_1 - moved, 0);
  }
}

}  // namespace ordervet::features
