// The region of a folded address. Truth: entities/address/regions.py.

#include "address/reader.hpp"

namespace ordervet::address {
namespace {

constexpr int kShortestCore = 2, kShortestName = 2, kLongestPerson = 6;

}  // namespace

// The longest word of a list that stands here, 0 for none.
int Reader::longest_word(WordList list, int at) const {
    if (!tables_.may_start(list, point(at))) return 0;
    std::int32_t node = tables_.list(list);
    int longest = 0;
    for (int length = 0;; ++length) {
        const Step step = tables_.trie.follow(node, point(at + length));
        if (step.node < 0) return longest;
        node = step.node;
        if (step.payload >= 0) longest = length + 1;
    }
}

// Whether a short name that ends here is part of what follows: 南京大学, but not 南京大学路.
bool Reader::is_trap(int at) const {
    if (!tables_.may_start(TRAPS, point(at))) return false;
    Step step{tables_.list(TRAPS), -1};
    int longest = -1;
    while (step = tables_.trie.follow(step.node, point(at++)), step.node >= 0)
        if (step.payload >= 0) longest = step.payload;
    return longest == 0;
}

// Read a name that has a slot of its own.
Region Reader::match_slot(std::int32_t parent, int at) const {
    const std::uint64_t first = point(at), second = point(at + 1);
    const std::uint64_t key = static_cast<std::uint64_t>(parent) << 32 | first << 16 | second;
    const RegionSlot& slot = tables_.region_slots[key * Trie::kMultiplier >> tables_.region_slot_shift];
    if (slot.key() != key) return {parent, at};
    std::uint64_t rest = 0, any_of = first | second;
    for (int i = 0; i < RegionSlot::kMaxLength - 2; ++i) {
        any_of |= point(at + 2 + i);
        rest |= static_cast<std::uint64_t>(point(at + 2 + i)) << 16 * i;
    }
    if (any_of > 0xFFFF) return {parent, at};
    const int length = slot.length();
    const std::uint64_t compared = length > 2 ? ~std::uint64_t{0} >> 16 * (RegionSlot::kMaxLength - length) : 0;
    if ((rest & compared) != slot.rest || mark(at + length) & FULL_TRAP) return {parent, at};
    return {slot.division(), at + length};
}

// Find the longest name that may follow a division; the end is the start where there is none.
Region Reader::match_region(std::int32_t parent, int at, bool is_short_allowed) const {
    if (!tables_.starts.may_start(parent, point(at), point(at + 1))) return {parent, at};
    if (const Region common = match_slot(parent, at); common.end > at) return common;
    Region best{parent, at};
    std::int32_t node = parent;
    for (int end = at;;) {
        const Step step = tables_.trie.follow(node, point(end));
        if (step.node < 0) return best;
        node = step.node;
        ++end;
        if (step.payload < 0) continue;
        const int kind = step.payload & ((1 << kNameKindBits) - 1);
        const std::int32_t division = step.payload >> kNameKindBits;
        if (kind != FULL && !is_short_allowed) continue;
        if (kind == FULL ? mark(end) & FULL_TRAP : is_trap(end)) best = {parent, at};  // no shorter name either: 内蒙 of 内蒙古大学
        else if (kind != CAREFUL || (!is_numbered_street(end) && names_place(division, end))) best = {division, end};
    }
}

// Whether 南湖街 before here is a road with its number, and no subdistrict: 南湖街九百号.
bool Reader::is_numbered_street(int at) const { return point(at - 1) == U'街' && kind(at) == NUMERAL; }

// Whether what follows a district's short name still names a town, a road or a place by itself.
bool Reader::names_place(std::int32_t division, int at) const {
    at += kind(at) == COMMA;
    if (longest_word(CAREFUL_TRAPS, at) > 0) return false;
    if (match_region(division, at, false).end > at) return true;
    int end = at;
    while (kind(end) == NAME || kind(end) == NUMERAL) ++end;
    if (end - at > kShortestCore && mark(end - 1) & ESTATE_ENDING) return true;
    for (int stop = at + kShortestCore + 1; stop <= end; ++stop)
        if (ends_name(at + kShortestCore, stop, true)) return true;
    return false;
}

// Whether a road's or an estate's ending stands before `stop`, from `start` on: a road's alone, or any that the next
// character does not undo.
bool Reader::ends_name(int start, int stop, bool is_any) const {
    if (!(mark(stop - 1) & NAME_END)) return false;
    std::int32_t node = tables_.list(ENDINGS);
    for (int at = stop; at > start;) {
        const Step step = tables_.trie.follow(node, point(--at));
        if (step.node < 0) return false;
        node = step.node;
        if (step.payload >= 0 && (is_any ? !is_undone(step.payload, stop) : step.payload & 1)) return true;
    }
    return false;
}

// Whether the character at a place undoes an ending before it.
bool Reader::is_undone(std::int32_t ending, int at) const {
    return mark(at) & UNDOES_END && tables_.trie.follow(tables_.exceptions[std::size_t(ending >> 1)], point(at)).node >= 0;
}

// Whether a division is another, not the country, or lies in it.
bool Reader::is_in_division(std::int32_t inner, std::int32_t outer) const {
    // SPEED: one look in place of a walk up (bench_addresses.py)
    return outer <= inner && inner <= tables_.divisions[std::size_t(outer)].last;
}

// Read as long a chain of names of regions as stands here: the deepest division, and where the address goes on. A name
// counts if it may follow the region so far, or if it repeats part of it.
Region Reader::read_region(int at, std::int32_t region, bool is_short_allowed) const {
    std::int32_t above = region;
    for (;;) {
        if (mark(at) & SKIP_START) {
            if (const int skipped = longest_word(SKIPPED_REGIONS, at); skipped > 0) {
                at += skipped;
                continue;
            }
        }
        const int name_at = at + (above != COUNTRY && kind(at) == COMMA);  // fields of a table: 浙江,杭州,余杭
        Region found = match_region(above, name_at, is_short_allowed);
        if (found.end == name_at && above != COUNTRY && mark(name_at) & REGION_START) found = match_region(COUNTRY, name_at, false);
        if (found.end == name_at) return {region, at};
        const bool is_repeated = is_in_division(region, found.division);
        if (!is_repeated && region != COUNTRY && !is_in_division(found.division, region)) return {region, at};
        above = found.division;
        at = found.end;
        if (!is_repeated) region = found.division;
    }
}

// Read the region at the beginning, or behind a person's name that stands before it: 李芳南京市江宁区.
Region Reader::read_first_region(int at, bool is_short_allowed) const {
    Region region = read_region(at, COUNTRY, is_short_allowed);
    if (kind(at) != NAME) return region;
    for (int start = at + kShortestName; region.division == COUNTRY && start <= at + kLongestPerson; ++start) {
        if (kind(start - 1) != NAME) break;
        const Region found = read_region(start, COUNTRY, false);
        const bool is_deep = found.division != COUNTRY && tables_.divisions[std::size_t(found.division)].level >= CITY;
        if (is_deep && !(mark(start - 1) & ESTATE_ENDING)) region = found;
    }
    return region;
}

// The end of a name, short or not, of the city or county that the region is or lies in; `at` where there is none.
int Reader::match_short(int at) const {
    for (std::int32_t division = region_; division != COUNTRY; division = tables_.divisions[std::size_t(division)].parent) {
        const Region found = match_region(tables_.divisions[std::size_t(division)].parent, at, true);
        if (found.end > at && is_in_division(region_, found.division)) return found.end;
    }
    return at;
}

}  // namespace ordervet::address
