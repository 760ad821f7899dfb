// ordervet._core: the compiled half of ordervet.
//
//   one folder per concern  ->  bind_<concern>(module)  ->  ordervet._core.<function>
//
// A concern declares its bind_ function in bindings.hpp and defines it beside its code; this file only calls them.

#include "bindings.hpp"

NB_MODULE(_core, module) {
    module.doc() = "The compiled core of ordervet. Internal: the rooms of the package are its only callers.";
    ordervet::bind_text(module);
    ordervet::bind_keys(module);
    ordervet::bind_address(module);
    bind_features(module);
    bind_model(module);
}
