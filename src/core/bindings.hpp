// What each concern of the core offers to Python, one function per concern.

#pragma once

#include <nanobind/nanobind.h>

namespace nb = nanobind;

namespace ordervet {

void bind_text(nb::module_& module);
void bind_keys(nb::module_& module);
void bind_address(nb::module_& module);

}  // namespace ordervet

void bind_features(nb::module_& module);
void bind_model(nb::module_& module);
