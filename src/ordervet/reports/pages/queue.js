"use strict";
// The desk's queue. Every value is put in as text, never as HTML.
(() => {
  const D = JSON.parse(document.getElementById("data").textContent);
  const ROW = 58, SPARE = 8, MAX_PRINTED = 500;
  const get = (id) => document.getElementById(id);
  const n = D.order_id.length;
  let lang = D.lang, shown = [], at = -1, haystacks = null;
  const pick = { text: "", bands: new Set(D.bands.map((_, i) => i)), stage: "", kind: "", channel: "", sort: "rank" };

  const say = (name, values = {}) =>
    D.words[lang][name].replace(/\{(\w+)\}/g, (whole, key) => (key in values ? values[key] : whole));
  const word = (pair) => pair[lang];
  const count = (number) => number.toLocaleString("en-US");

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "on") for (const [event, run] of Object.entries(value)) element.addEventListener(event, run);
      else element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== ""));
    return element;
  }

  // ---- choosing
  function haystack(i) {
    const words = [D.order_id[i], D.channels[D.channel[i]], D.item_id[i], D.platform[i], D.variants[D.script[i]].zh.title,
      D.variants[D.script[i]].en.title, ...["zh", "en"].flatMap((l) => [D.kinds[D.kind[i]][l], D.actions[D.action[i]][l]]),
      ...D.reasons[i].flatMap((r) => [r[0], D.texts[r[2]].zh, D.texts[r[2]].en]),
      ...D.applied[i].flatMap((text) => [D.texts[text].zh, D.texts[text].en]), D.route[i], word(D.stages[D.stage[i]]),
      ...D.more[i].map(([, text]) => D.texts[text].en),
      ...D.groups_of[i].flatMap((g) => D.groups[g].names.map((name) => name[1]))];
    return words.join("\n").toLowerCase();
  }

  const orders = {
    rank: (a, b) => a - b,
    risk: (a, b) => D.p[b] - D.p[a] || a - b,
    amount: (a, b) => D.amount_minor[b] - D.amount_minor[a] || a - b,
    newest: (a, b) => (D.since[b] < D.since[a] ? -1 : D.since[b] > D.since[a] ? 1 : a - b),
    oldest: (a, b) => (D.since[a] < D.since[b] ? -1 : D.since[a] > D.since[b] ? 1 : a - b),
  };

  function choose() {
    const wanted = pick.text.toLowerCase().split(/\s+/).filter(Boolean);
    if (wanted.length && !haystacks) haystacks = Array.from({ length: n }, (_, i) => haystack(i));
    const open = shown[at];
    shown = [];
    for (let i = 0; i < n; i++) {
      if (!pick.bands.has(D.band[i])) continue;
      if (pick.stage !== "" && D.stage[i] !== +pick.stage) continue;
      if (pick.kind !== "" && D.kind[i] !== +pick.kind) continue;
      if (pick.channel !== "" && D.channel[i] !== +pick.channel) continue;
      if (wanted.length && !wanted.every((part) => haystacks[i].includes(part))) continue;
      shown.push(i);
    }
    if (pick.sort !== "rank") shown.sort(orders[pick.sort]);
    get("count").textContent = say("count", { n: count(shown.length), all: count(n) });
    const still = shown.indexOf(open);
    move(still >= 0 ? still : shown.length ? 0 : -1);
  }

  // ---- the list: only the rows in sight are in the page
  function drawRows() {
    const list = get("list"), rows = get("rows");
    get("space").style.height = `${Math.max(shown.length * ROW, 1)}px`;
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - SPARE);
    const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + SPARE);
    rows.style.top = `${first * ROW}px`;
    rows.replaceChildren(...Array.from({ length: last - first }, (_, k) => drawRow(first + k)));
    if (!shown.length) rows.replaceChildren(make("p", { class: "none" }, say("nothing")));
    // a screen reader says the option that is active, if it is in the page
    if (at >= first && at < last) list.setAttribute("aria-activedescendant", `order-${at}`);
    else list.removeAttribute("aria-activedescendant");
  }

  function drawRow(place) {
    const i = shown[place];
    const options = { id: `order-${place}`, "aria-setsize": shown.length, "aria-posinset": place + 1, "data-place": place };
    return make("div", { class: "row", role: "option", "aria-selected": String(place === at), ...options },
      make("span", { class: "id" }, D.order_id[i]),
      make("span", { class: "right" }, make("span", { class: `pill ${D.bands[D.band[i]].code}` }, word(D.actions[D.action[i]]))),
      make("span", { class: "soft" }, `${D.since[i]}  ${word(D.suspicions[D.suspicion[i]])}`),
      make("span", { class: "right" }, word(D.asked[i])));
  }

  function move(to, keep = false) {
    at = shown.length ? Math.min(Math.max(to, 0), shown.length - 1) : -1;
    const list = get("list");
    if (!keep && at >= 0) {
      const top = at * ROW;
      if (top < list.scrollTop) list.scrollTop = top;
      else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    }
    drawRows();
    drawCard();
  }

  // ---- one order
  const fact = (name, value) => (value === null || value === "" ? null : make("span", {}, make("b", {}, say(name)), String(value)));

  function drawCard() {
    const card = get("card");
    card.scrollTop = 0;
    if (at < 0) return card.replaceChildren(make("p", { class: "none" }, say("nothing")));
    const i = shown[at], band = D.bands[D.band[i]];
    card.replaceChildren(
      make("div", { class: "head" },
        make("button", { class: "back", "aria-label": say("back"), on: { click: goBack } }, "←"),
        make("h2", {}, D.order_id[i]),
        make("span", { class: `pill ${band.code}` }, word(D.actions[D.action[i]])),
        word(band) === word(D.actions[D.action[i]]) ? "" : make("span", { class: `pill ${band.code}` }, say("band"), " ", word(band)),
        make("button", { on: { click: () => copy(D.order_id[i]) } }, say("copy_id")),
        make("button", { on: { click: () => printOnly(true) } }, say("print_one"))),
      make("div", { class: "facts" },
        ...[...D.more[i].map(([name, text]) => [name, word(D.texts[text])]), ["placed", D.placed_at[i]], ["amount", word(D.amount[i])], ["quantity", D.quantity[i]], ["item", D.item_id[i]],
          ["category", D.category[i]], ["channel", D.channels[D.channel[i]]], ["platform", D.platform[i]],
          ["campaign", D.campaign[i]], ["suspected", word(D.suspicions[D.suspicion[i]])], ["stage", word(D.stages[D.stage[i]])],
          ["probability", `${(D.p[i] * 100).toFixed(1)}%`], ["risk", D.risk[i]]].map(([name, value]) => fact(name, value)).filter(Boolean)),
      ...drawReasons(i), ...drawLinks(i), ...drawScript(i));
    return card;
  }

  function drawReasons(i) {
    const most = Math.max(...D.reasons[i].map((reason) => reason[1]), 0.01);
    const bars = D.reasons[i].map(([code, weight, text]) => {
      const fill = make("div");
      fill.style.width = `${Math.max(3, (100 * weight) / most)}%`;
      return make("div", { class: "reason" }, make("span", { class: "code" }, code), make("span", {}, word(D.texts[text])),
        make("div", { class: "bar" }, fill), make("span", { class: "value" }, `+${weight.toFixed(2)}`));
    });
    const applied = D.applied[i].map((text) => make("li", {}, word(D.texts[text])));
    if (D.route[i]) applied.push(make("li", {}, say("route", { who: D.route[i] })));
    const missing = D.missing[i].map((text) => word(D.texts[text])).join(lang === "zh" ? "；" : "; ");
    return [make("h3", {}, say("reasons")), ...bars, ...(applied.length ? [make("ul", {}, ...applied)] : []),
      make("p", { class: "warn" }, say("desk_only")),
      ...(missing ? [make("h3", {}, say("missing")), make("p", { class: "soft" }, missing)] : [])];
  }

  function drawLinks(i) {
    if (!D.groups_of[i].length) return [];
    const groups = D.groups_of[i].map((at_) => {
      const group = D.groups[at_];
      const what = group.names.map(([entity, code]) => `${word(D.entities[entity])} ${code}`).join(lang === "zh" ? "、" : ", ");
      const others = group.orders.filter((row) => D.linked[row][4] !== i);
      const lines = others.map((row) => {
        const [id, placed, amount, buyer, item] = D.linked[row];
        const link = item === null ? document.createTextNode(id) : make("button", { class: "go", on: { click: () => jump(item) } }, id);
        const mark = item === null ? "" : make("span", { class: `pill ${D.bands[D.band[item]].code}` }, word(D.actions[D.action[item]]));
        return make("tr", {}, make("td", {}, link), make("td", {}, placed), make("td", { class: "number" }, word(amount)),
          make("td", {}, buyer), make("td", {}, mark));
      });
      const head = make("tr", {}, ...["order", "placed", "amount", "buyer", "queue"].map((name) => make("th", name === "amount" ? { class: "number" } : {}, say(name))));
      const more = group.n_orders - others.length - 1;
      return make("details", {}, make("summary", {}, say("group", { what, n: count(group.n_orders), b: count(group.n_buyers) })),
        make("table", {}, head, ...lines), more > 0 ? make("p", { class: "soft" }, say("more", { n: count(more) })) : "");
    });
    groups[0].open = true;
    return [make("h3", {}, say("linked")), ...groups];
  }

  const slots = { amount: (i) => word(D.amount[i]), channel: (i) => D.channels[D.channel[i]] };
  const slot = (name, i) => (name in slots ? slots[name](i) : String(D[name][i]));
  const fill = (text, i) => text.replace(/\ue000(\d+)\ue001/g, (_, number) => slot(D.slots[number], i));

  function customerText(i, tone) {
    return fill(D.variants[D.script[i]][lang].parts[tone][0], i);
  }

  function drawScript(i) {
    const script = D.variants[D.script[i]][lang];
    const parts = Object.entries(script.parts).flatMap(([name, texts]) => {
      const title = word(D.parts[name]);
      const filled = texts.map((text) => fill(text, i));
      if (name === "gentle" || name === "firm") {
        return [make("div", { class: "say" },
          make("div", {}, make("strong", {}, title), make("button", { on: { click: () => copy(filled[0]) } }, say("copy"))),
          make("p", {}, filled[0]))];
      }
      const list = make("ul", name === "never_say" ? { class: "never" } : {}, ...filled.map((text) => make("li", {}, text)));
      return [make("h3", {}, title), texts.length === 1 ? make("p", {}, filled[0]) : list];
    });
    return [make("h3", {}, say("script")), make("h2", {}, `${script.title}  `, make("span", { class: "soft" }, script.id)), ...parts];
  }

  function goBack() {
    document.body.classList.remove("open");
    get("list").focus();
  }

  function jump(item) {
    if (!shown.includes(item)) reset();
    move(shown.indexOf(item));
  }

  function reset() {
    pick.text = pick.stage = pick.kind = pick.channel = "";
    pick.bands = new Set(D.bands.map((_, i) => i));
    drawFilters();
    choose();
  }

  // ---- copying and printing
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    const toast = get("toast");
    toast.textContent = say("copied");
    toast.hidden = false;
    clearTimeout(copy.timer);
    copy.timer = setTimeout(() => { toast.hidden = true; }, 1500);
  }

  function printOnly(isCard) {
    document.body.classList.toggle("only-card", isCard);
    window.print();
  }

  function drawPaper() {
    for (const group of document.querySelectorAll("#card details")) group.open = true;
    const titles = ["rank", "action", "order", "since", "asked", "suspected", "reasons"];
    const lines = shown.slice(0, MAX_PRINTED).map((i) => make("tr", {},
      make("td", {}, String(i + 1)), make("td", { class: D.bands[D.band[i]].code }, word(D.actions[D.action[i]])),
      make("td", {}, D.order_id[i]), make("td", {}, D.since[i]), make("td", { class: "number" }, word(D.asked[i])),
      make("td", {}, word(D.suspicions[D.suspicion[i]])), make("td", {}, ...D.reasons[i].map((r) => make("div", {}, word(D.texts[r[2]]))))));
    const note = shown.length > MAX_PRINTED ? say("printed", { n: MAX_PRINTED, all: count(shown.length) }) : "";
    get("paper").replaceChildren(make("p", { class: "warn" }, say("desk_only")), make("p", {}, note),
      make("table", {}, make("thead", {}, make("tr", {}, ...titles.map((name) => make("th", {}, say(name))))), make("tbody", {}, ...lines)));
  }

  // ---- what stands still
  function drawFilters() {
    const search = get("search");
    search.placeholder = say("search");
    search.setAttribute("aria-label", say("search"));
    search.value = pick.text;
    const totals = D.bands.map((_, i) => D.band.reduce((sum, band) => sum + (band === i), 0));
    get("bands").replaceChildren(...D.bands.flatMap((band, i) => (totals[i] === 0 ? [] : [
      make("button", { class: band.code, "data-band": band.code, "aria-pressed": String(pick.bands.has(i)), on: { click: () => {
        if (!pick.bands.delete(i)) pick.bands.add(i);
        drawFilters();
        choose();
      } } }, `${word(band)} ${count(totals[i])}`)])));
    const options = (name, list) => {
      const select = get(name);
      select.setAttribute("aria-label", say(name));
      select.replaceChildren(make("option", { value: "" }, say(`all_${name}`)), ...list.map(([value, text]) => make("option", { value }, text)));
      select.value = pick[name];
    };
    const used = (column) => [...new Set(column)].sort((a, b) => a - b);
    options("stage", used(D.stage).map((i) => [i, word(D.stages[i])]));
    options("kind", used(D.kind).map((i) => [i, word(D.kinds[i]) || say("no_kind")]));
    options("channel", used(D.channel).map((i) => [i, D.channels[i] || say("no_channel")]));
    const sort = get("sort");
    sort.setAttribute("aria-label", say("sort"));
    sort.replaceChildren(...Object.keys(orders).map((name) => make("option", { value: name }, say(`sort_${name}`))));
    sort.value = pick.sort;
  }

  function speak() {
    document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
    document.title = get("title").textContent = say("title");
    get("summary").textContent = say("summary", D.facts) + (D.facts.is_simulated ? " " + say("simulated") : "");
    get("switch").textContent = say("switch");
    get("print").textContent = say("print");
    get("keys").replaceChildren(...D.words[lang].keys.flatMap(([key, text]) => [make("kbd", {}, key), ` ${text}   `]));
    drawFilters();
    choose();
  }

  function onKey(event) {
    const isTyping = event.target.matches("input, select, textarea");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = {
      j: () => move(at + 1), k: () => move(at - 1), ArrowDown: () => move(at + 1), ArrowUp: () => move(at - 1),
      PageDown: () => move(at + 10), PageUp: () => move(at - 10), Home: () => move(0), End: () => move(shown.length - 1),
      "/": () => get("search").focus(), c: () => at >= 0 && copy(customerText(shown[at], "gentle")),
      f: () => at >= 0 && copy(customerText(shown[at], "firm")),
      l: () => get("switch").click(),
      Enter: () => { document.body.classList.add("open"); get("card").focus(); },
      Escape: goBack,
    };
    if (isTyping) {
      if (event.key === "Enter" && event.target.id === "search") get("list").focus();
      else if (event.key === "Escape") { event.target.id === "search" && pick.text ? reset() : get("list").focus(); }
      return;
    }
    const isButton = event.target.matches("button, summary") && ["Enter", " "].includes(event.key);
    const isScroll = event.target.id === "card" && ["PageDown", "PageUp", "Home", "End", "ArrowDown", "ArrowUp"].includes(event.key);
    if (isButton || isScroll || !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  }

  get("list").addEventListener("scroll", () => requestAnimationFrame(drawRows), { passive: true });
  get("list").addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) { move(+row.dataset.place, true); document.body.classList.add("open"); }
  });
  get("search").addEventListener("input", (event) => { pick.text = event.target.value; choose(); });
  for (const name of ["stage", "kind", "channel", "sort"]) get(name).addEventListener("change", (event) => { pick[name] = event.target.value; choose(); if (name === "sort") move(0); });
  get("switch").addEventListener("click", () => { lang = lang === "zh" ? "en" : "zh"; speak(); });
  get("print").addEventListener("click", () => printOnly(false));
  window.addEventListener("beforeprint", drawPaper);
  window.addEventListener("afterprint", () => { document.body.classList.remove("only-card"); get("paper").replaceChildren(); });
  window.addEventListener("resize", drawRows);
  document.addEventListener("keydown", onKey);
  speak();
  get("list").focus();
})();
