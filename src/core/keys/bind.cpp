// Ids in Python: texts, columns of texts, and the texts of one order.

#include <nanobind/stl/vector.h>

#include <algorithm>

#include "arrays.hpp"
#include "bindings.hpp"
#include "keys/forms.hpp"
#include "keys/orders.hpp"
#include "keys/siphash.hpp"

namespace nb = nanobind;

namespace ordervet {
namespace {

void hash_column(const Texts<std::int64_t>& texts, SipKey key, std::span<std::uint64_t> ids) {
    LaneHasher hasher(key, ids);
    for (std::size_t row = 0; row < texts.size(); ++row) {
        if (texts[row].empty()) ids[row] = 0;
        else hasher.add(texts[row], row);
    }
    hasher.flush();
}

template <typename SomeForm>
void key_column(const SomeForm& form, const Texts<std::int64_t>& texts, SipKey key, std::span<std::uint64_t> ids,
                std::span<std::int8_t> evidence) {
    LaneHasher hasher(key, ids);
    FormBuffer buffer;
    for (std::size_t row = 0; row < texts.size(); ++row) {
        const Reading reading = form.read(texts[row], buffer);
        evidence[row] = static_cast<std::int8_t>(reading.evidence);
        if (reading.evidence == Evidence::known) hasher.add(reading.form, row);
        else ids[row] = 0;
    }
    hasher.flush();
}

template <typename SomeForm>
nb::class_<SomeForm, Form> bind_form(nb::module_& module, const char* name, const char* doc) {
    return nb::class_<SomeForm, Form>(module, name, doc).def(
        "key",
        [](const SomeForm& form, Array<const std::uint8_t> data, Array<const std::int64_t> offsets,
           const nb::bytes& secret, Array<std::uint64_t> ids, Array<std::int8_t> evidence) {
            const SipKey key = SipKey::from_bytes(view(secret));
            const nb::gil_scoped_release released;
            const Texts<std::int64_t> texts(view(data), view(offsets));
            key_column(form, texts, key, view(ids, texts.size()), view(evidence, texts.size()));
        },
        "Key the texts of a column that plainly have the form; evidence is -1 of those left to the definitions.");
}

std::vector<SipKey> read_keys(const std::vector<nb::bytes>& secrets) {
    std::vector<SipKey> keys;
    for (const nb::bytes& secret : secrets) keys.push_back(SipKey::from_bytes(view(secret)));
    return keys;
}

// A str's own UTF-8; None has none.
Bytes view_text(nb::handle text) {
    if (text.is_none()) return {};
    Py_ssize_t size = 0;
    const char* data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
    if (data == nullptr) throw nb::python_error();
    return {reinterpret_cast<const std::uint8_t*>(data), static_cast<std::size_t>(size)};
}

nb::tuple key_order(OrderKeyer& keyer, const nb::tuple& texts, const nb::tuple& extras, Array<std::uint64_t> words) {
    // NOT: without the GIL. To wait for it again behind another thread takes longer than an order.
    std::vector<Bytes> views;
    views.reserve(keyer.n_texts());
    for (const nb::handle text : texts) views.push_back(trim(view_text(text)));
    for (const nb::handle text : extras) views.push_back(trim(view_text(text)));
    if (views.size() != keyer.n_texts()) throw std::invalid_argument("an order has another number of texts");
    std::vector<Evidence> codes(keyer.n_codes());
    const std::int8_t place_type = keyer.key(views, view(words, keyer.n_words()), codes);
    nb::list told;
    for (const Evidence code : codes) told.append(static_cast<int>(code));
    const bool is_undecided = std::ranges::find(codes, Evidence::undecided) != codes.end();
    return nb::make_tuple(told, int{place_type}, is_undecided);
}

}  // namespace

void bind_keys(nb::module_& module) {
    module.def(
        "hash_text", [](const nb::bytes& text, const nb::bytes& secret) { return hash_text(view(text), SipKey::from_bytes(view(secret))); },
        "Return the id of a text in UTF-8 under the 16 bytes of a namespace's key; 0 of an empty one.");
    module.def(
        "hash_texts",
        [](Array<const std::uint8_t> data, Array<const std::int64_t> offsets, const nb::bytes& secret,
           Array<std::uint64_t> ids) {
            const SipKey key = SipKey::from_bytes(view(secret));
            const nb::gil_scoped_release released;
            const Texts<std::int64_t> texts(view(data), view(offsets));
            hash_column(texts, key, view(ids, texts.size()));
        },
        "Write the ids of a column of texts.");

    nb::class_<Form>(module, "Form", "What brings a text to its canonical form.");
    const auto view_all = [](const std::vector<nb::bytes>& texts) {
        std::vector<Bytes> views;
        for (const nb::bytes& text : texts) views.push_back(view(text));
        return views;
    };
    bind_form<IdForm>(module, "IdForm", "Ids of buyers, devices and accounts.")
        .def("__init__", [=](IdForm* form, bool is_case_kept, const std::vector<nb::bytes>& placeholders) {
            new (form) IdForm(is_case_kept, view_all(placeholders));
        });
    bind_form<PlainForm>(module, "PlainForm", "Texts that are taken as they are.")
        .def("__init__", [=](PlainForm* form, const std::vector<nb::bytes>& placeholders) {
            new (form) PlainForm(view_all(placeholders));
        });
    bind_form<PhoneForm>(module, "PhoneForm", "Mobile numbers of mainland China.").def(nb::init<std::vector<std::int64_t>>());
    bind_form<RecipientForm>(module, "RecipientForm", "Names of two or more Chinese characters.")
        .def("__init__", [](RecipientForm* form, const nb::bytes& in_name) {
            const Bytes kinds = view(in_name);
            new (form) RecipientForm(std::vector<std::uint8_t>(kinds.begin(), kinds.end()));
        });
    bind_form<NetworkForm>(module, "NetworkForm", "IPv4 addresses, or their /24 networks.").def(nb::init<bool>());

    nb::class_<OrderKeyer>(module, "OrderKeyer", "Keys orders one by one; used by one thread at a time.")
        .def(
            "__init__",
            [](OrderKeyer* keyer, const std::vector<const Form*>& forms, const address::Tables& tables,
               const std::vector<nb::bytes>& secrets) {
                OrderKeyer::Forms held{};
                if (forms.size() != held.size()) throw std::invalid_argument("an order has another number of forms");
                std::ranges::copy(forms, held.begin());
                new (keyer) OrderKeyer(held, tables, read_keys(secrets));
            },
            nb::keep_alive<1, 2>(), nb::keep_alive<1, 3>())
        .def("key", &key_order,
             "Write the ids of the texts of one order to words; return the codes of Evidence, the kind of place, and "
             "whether some texts are left to the definitions.");
}

}  // namespace ordervet
