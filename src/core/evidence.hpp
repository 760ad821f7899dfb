#pragma once

#include <cstdint>

namespace ordervet {

// The codes of entities.evidence.Evidence; and one for a text that is left to the definitions in Python.
enum class Evidence : std::int8_t { known = 0, absent = 1, masked = 2, unusable = 3, undecided = -1 };

}  // namespace ordervet
