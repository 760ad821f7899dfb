// What each concern of the core offers to Python, one function per concern.

#pragma once

#include <nanobind/nanobind.h>

namespace nb = nanobind;

void bind_features(nb::module_& module);
