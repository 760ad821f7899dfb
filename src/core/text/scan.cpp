// One look at every text of a column: whether it is as the contract has it, and whether one comes twice.
//
// Nulls are told by Arrow's bits: bit i of `validity`, counted from `first_bit`, is set where text i is given; no bits at
// all mean that every text is.

#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "bindings.hpp"
#include "text/texts.hpp"

namespace nb = nanobind;

namespace ordervet {
namespace {

constexpr std::uint8_t kSpace = 0x20, kFirstContinued = 0x80;
constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15, kSeed = 0xD6E8FEB86659FD93;
constexpr std::size_t kMaxSteps = 8;

class Validity {
public:
    Validity(Bytes bits, std::size_t first_bit, std::size_t n_rows) : bits_(bits), first_bit_(first_bit) {
        if (!bits.empty() && (first_bit > 8 * bits.size() || n_rows > 8 * bits.size() - first_bit))
            throw std::invalid_argument("a column has fewer bits of validity than rows");
    }

    bool is_given(std::size_t row) const {
        if (bits_.empty()) return true;
        const std::size_t bit = first_bit_ + row;
        return (bits_[bit >> 3] >> (bit & 7)) & 1;
    }

private:
    Bytes bits_;
    std::size_t first_bit_;
};

// Whether a text could be blank, or begin or end with a character to trim; and the longest text, in bytes.
struct Ends {
    bool is_suspect = false;
    std::size_t longest = 0;
};

Ends scan(const Texts<std::int32_t>& texts, const Validity& validity, std::span<const bool> may_begin) {
    Ends ends;
    for (std::size_t row = 0; row < texts.size(); ++row) {
        if (!validity.is_given(row)) continue;
        const Bytes text = texts[row];
        if (text.empty()) {
            ends.is_suspect = true;
            continue;
        }
        ends.longest = std::max(ends.longest, text.size());
        const std::uint8_t last = text.back();
        ends.is_suspect |= may_begin[text.front()] || last <= kSpace;
        // The last character may be of two or three bytes.
        if (last >= kFirstContinued && text.size() >= 2) ends.is_suspect |= may_begin[text[text.size() - 2]];
        if (last >= kFirstContinued && text.size() >= 3) ends.is_suspect |= may_begin[text[text.size() - 3]];
    }
    return ends;
}

// Mix a text into 64 bits, quickly: not for anything that others see.
std::uint64_t mix(Bytes text) {
    std::uint64_t mixed = kSeed ^ text.size();
    for (std::size_t at = 0; at < text.size(); at += 8) {
        const Bytes part = text.subspan(at, std::min<std::size_t>(8, text.size() - at));
        std::uint64_t word = 0;
        std::memcpy(&word, part.data(), part.size());
        mixed = (mixed ^ word) * kMultiplier;
        mixed ^= mixed >> 29;
    }
    return mixed;
}

bool is_same(Bytes one, Bytes other) {
    return one.size() == other.size() && std::memcmp(one.data(), other.data(), one.size()) == 0;
}

// Tell whether a text comes twice; also true where texts collide so badly that it is better to look otherwise.
bool has_repeats(const Texts<std::int32_t>& texts, const Validity& validity) {
    const std::size_t n_rows = texts.size();
    const std::size_t n_places = std::bit_ceil(std::max<std::size_t>(2, 2 * n_rows));
    const int shift = 64 - std::countr_zero(n_places);
    std::vector<std::uint32_t> places(n_places);  // 1 + the row that has the place
    std::size_t n_steps = 0;
    for (std::size_t row = 0; row < n_rows; ++row) {
        if (!validity.is_given(row)) continue;
        const Bytes text = texts[row];
        std::size_t place = (mix(text) * kMultiplier) >> shift;
        while (places[place] != 0) {
            if (is_same(text, texts[places[place] - 1])) return true;
            place = (place + 1) & (n_places - 1);
            ++n_steps;
        }
        if (n_steps > kMaxSteps * n_rows) return true;
        places[place] = static_cast<std::uint32_t>(row) + 1;
    }
    return false;
}

}  // namespace

void bind_text(nb::module_& module) {
    module.def(
        "scan_texts",
        [](Array<const std::uint8_t> data, Array<const std::int32_t> offsets, Array<const std::uint8_t> validity,
           std::size_t first_bit, Array<const bool> may_begin) {
            Ends ends;
            {
                const nb::gil_scoped_release released;
                const Texts<std::int32_t> texts(view(data), view(offsets));
                if (may_begin.size() != 256) throw std::invalid_argument("one flag per byte is expected");
                ends = scan(texts, Validity(view(validity), first_bit, texts.size()), view(may_begin));
            }
            return nb::make_tuple(ends.is_suspect, ends.longest);
        },
        "Look at the ends and the length of every text: whether one may need trimming, and the longest, in bytes.");
    module.def(
        "has_repeats",
        [](Array<const std::uint8_t> data, Array<const std::int32_t> offsets, Array<const std::uint8_t> validity,
           std::size_t first_bit) {
            const Texts<std::int32_t> texts(view(data), view(offsets));
            return has_repeats(texts, Validity(view(validity), first_bit, texts.size()));
        },
        nb::call_guard<nb::gil_scoped_release>(), "Tell whether a text comes twice, or whether that is hard to tell.");
}

}  // namespace ordervet
