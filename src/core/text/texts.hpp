// A column of texts, as Arrow lays it out:
//
//   bytes    文三路99号|张三|…        UTF-8, one text after the other
//   offsets  0, 13, 19, …           n + 1 of them; text i is bytes[offsets[i] .. offsets[i + 1]), a null has none

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string_view>

namespace ordervet {

using Bytes = std::span<const std::uint8_t>;

inline Bytes to_bytes(std::string_view text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

// Texts whose offsets have been checked.
template <typename Offset>
class Texts {
public:
    Texts(Bytes bytes, std::span<const Offset> offsets) : bytes_(bytes), offsets_(offsets) {
        if (offsets.empty()) throw std::invalid_argument("a column of texts has at least one offset");
        Offset before = 0;
        bool is_ascending = true;
        for (const Offset offset : offsets) {
            is_ascending &= before <= offset;
            before = offset;
        }
        if (!is_ascending || static_cast<std::size_t>(before) > bytes.size())
            throw std::invalid_argument("the offsets of a column of texts do not ascend within its bytes");
    }

    std::size_t size() const { return offsets_.size() - 1; }

    Bytes operator[](std::size_t row) const {
        const auto start = static_cast<std::size_t>(offsets_[row]);
        return bytes_.subspan(start, static_cast<std::size_t>(offsets_[row + 1]) - start);
    }

private:
    Bytes bytes_;
    std::span<const Offset> offsets_;
};

}  // namespace ordervet
