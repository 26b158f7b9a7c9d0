// What script adds to the search page: its parts come by themselves, more values of a field, keys in the chart.

const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// Counts and fields come after the rows, each by itself; one that fails says so and can be asked for again.
const load = (part, url) => window.htmx.ajax("GET", url, { target: part });
document.addEventListener("click", (event) => {
  const again = event.target.closest("[data-again]");
  const part = again?.closest("[data-part], [data-more]");
  if (!part) return;
  event.preventDefault();
  load(part, again.getAttribute("href") || part.dataset.part);
});
document.addEventListener("htmx:error", (event) => {
  const part = event.target.closest?.("[data-part]");
  if (!part) return;
  const again = Object.assign(document.createElement("a"), { className: "button", textContent: "Try again", href: part.dataset.part });
  again.dataset.again = "";
  const text = document.createElement("p");
  text.append("Conductor does not answer. ", again);
  part.replaceChildren(text);
  part.removeAttribute("aria-busy");
});

// While a search runs, what was found before stays, dimmed, and the search can be given up.
const wait = document.querySelector("#waiting");
const [progress, doing, cancel] = ["progress", "span", "button"].map((name) => wait.querySelector(name));
let steps = [];
function waited() {
  steps.forEach(clearTimeout);
  wait.hidden = progress.hidden = true;
  doing.textContent = "";
  document.body.classList.remove("searching");
}
window.navigation?.addEventListener("navigate", (event) => {
  const to = event.destination;
  if (to.sameDocument || event.downloadRequest !== null || new URL(to.url).pathname !== location.pathname) return;
  waited();
  event.signal.addEventListener("abort", waited); // by whatever ends it
  const dim = () => {
    document.body.classList.add("searching");
    wait.hidden = false;
  };
  const tell = () => {
    progress.hidden = false;
    doing.textContent = "Searching…";
  };
  const advise = () => (doing.textContent = "Still searching. Narrow the time range or add a field filter.");
  steps = [setTimeout(dim, 200), setTimeout(tell, 1_000), setTimeout(advise, 10_000)];
});
cancel.addEventListener("click", () => window.stop());
addEventListener("pageshow", waited); // come back to

// Older rows that do not come: say so where they were asked for.
for (const name of ["htmx:error", "htmx:response:error"])
  document.addEventListener(name, (event) => {
    const link = event.target.closest?.("#rows a[hx-get]");
    if (link) link.textContent = "That did not work. Try again";
  });

// More values of a field, below its name.
function facetUrl(field, like = "") {
  const asked = new URLSearchParams(location.search);
  for (const name of ["open", "after", "with", "live"]) asked.delete(name);
  asked.set("field", field);
  if (like) asked.set("like", like);
  return `/signals/search/facet?${asked}`;
}
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-facet]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const place = link.closest("li, section");
  const shown = place.querySelector("[data-more]");
  if (shown) return shown.remove();
  const box = document.createElement("div");
  box.dataset.more = link.dataset.facet;
  box.className = "facet more";
  if (place.matches("section")) $$("ul, p", place).forEach((part) => part.remove());
  place.append(box);
  place.classList.add("opened");
  load(box, facetUrl(link.dataset.facet)).then(() => box.querySelector("input")?.focus());
});
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-like]");
  if (!form) return;
  event.preventDefault();
  const box = form.closest("[data-more]");
  await load(box, facetUrl(form.dataset.like, form.elements.like.value));
  box.querySelector("input")?.select();
});

// One stop for Tab in the chart and on the map; arrows go from bar to bar (with Shift they choose a span) and from country
// to country.
let anchor = null;
function settle() {
  for (const part of $$("[data-part]")) if (part.querySelector("[hx-ignore]")) part.removeAttribute("aria-busy");
  for (const group of $$("[data-arrows]")) {
    const stops = $$("a", group);
    if (stops.every((stop) => stop.hasAttribute("tabindex"))) continue;
    const first = "timeline" in group.dataset ? stops.length - 1 : 0;
    stops.forEach((stop, at) => stop.setAttribute("tabindex", at === first ? "0" : "-1"));
  }
}
document.addEventListener("htmx:after:swap", settle);
settle(); // parts that came before this script
document.addEventListener("keydown", (event) => {
  const bar = event.target.closest?.("[data-arrows] a");
  if (!bar) return;
  const group = bar.closest("[data-arrows]");
  const spans = "timeline" in group.dataset;
  const bars = $$("a", group);
  const at = bars.indexOf(bar);
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: bars.length - 1 }[event.key];
  if (spans && event.key === "Enter" && anchor !== null && anchor !== at) {
    event.preventDefault();
    const [first, last] = [Math.min(anchor, at), Math.max(anchor, at)].map((place) => new URL(bars[place].href.baseVal ?? bars[place].getAttribute("href"), location));
    first.searchParams.set("to", last.searchParams.get("to"));
    location.href = first;
  }
  if (to === undefined || !bars[to]) return;
  event.preventDefault();
  anchor = spans && event.shiftKey ? (anchor ?? at) : null;
  bars.forEach((each, place) => {
    each.setAttribute("tabindex", place === to ? "0" : "-1");
    if (!spans) return;
    const inside = anchor !== null && place >= Math.min(anchor, to) && place <= Math.max(anchor, to);
    each.classList.toggle("chosen", inside);
  });
  bars[to].focus();
});

for (const part of $$("[data-scripted]")) part.hidden = false;

// Events that are chosen: one, with Shift all from the last one on, or all that are listed.
const bar = document.querySelector("#chosen");
if (bar) {
  const [said, copy, none] = ["[role=status]", "[data-copies]", "[data-unchoose]"].map((name) => bar.querySelector(name));
  const all = document.querySelector("#choose-all");
  const boxes = () => $$("#rows input[name=ids]");
  let last = null;
  const count = () => {
    const chosen = boxes().filter((each) => each.checked).length;
    bar.hidden = !chosen;
    for (const button of [none, copy]) button.hidden = button === copy && !navigator.clipboard;
    all.checked = chosen > 0 && chosen === boxes().length;
    all.indeterminate = chosen > 0 && !all.checked;
    const text = `${chosen} event${chosen === 1 ? "" : "s"} chosen`;
    if (said.textContent !== text) said.textContent = text;
  };
  const chosen = () => boxes().filter((each) => each.checked).map((each) => each.value);
  const few = () => {
    const fits = chosen().length <= Number(bar.dataset.most);
    if (!fits) said.textContent = `${bar.dataset.most} events at the most can be compared or copied. Export takes more.`;
    return fits;
  };
  document.addEventListener("click", (event) => {
    const box = event.target.closest?.("#rows input[name=ids]");
    if (!box) return;
    const list = boxes();
    const [from, to] = [list.indexOf(last), list.indexOf(box)].sort((one, other) => one - other);
    if (event.shiftKey && from >= 0) for (const each of list.slice(from, to + 1)) each.checked = box.checked;
    last = box;
    count();
  });
  const choose = (on) => {
    for (const each of boxes()) each.checked = on;
    count();
  };
  all.addEventListener("click", () => choose(all.checked));
  none.addEventListener("click", () => (choose(false), all.focus()));
  copy.addEventListener("click", async () => {
    if (!few()) return;
    const answer = await fetch(`${copy.dataset.copies}?ids=${chosen().join()}`).catch(() => null);
    const text = answer?.ok && !answer.redirected ? await answer.text() : "";
    const done = text && (await navigator.clipboard.writeText(text).then(() => true, () => false));
    said.textContent = done ? "Copied" : "It could not be copied.";
  });
  bar.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!event.submitter.hasAttribute("formaction")) {
      if (few()) location.href = `${bar.action}?ids=${chosen().join()}`; // shorter than a name for each
      return;
    }
    const taken = document.querySelector("#taken"); // as a body, for any number
    taken.elements.ids.value = chosen().join();
    taken.submit();
  });
  document.addEventListener("htmx:after:swap", count);
  addEventListener("pageshow", count);
  count();
}

// Single keys, outside of inputs: what has a key is pressed, a menu opened; `t` is the time range, `f` the fields. Where no
// event is open `j` and `k` go from row to row; `x` chooses the event one is at.
const wantsKeys = document.documentElement.dataset.keys !== "off";
const rows = () => $$("#rows > tr").filter((row) => row.querySelector("input[name=ids]"));
const here = () => document.activeElement?.closest("#rows > tr");
const inRows = {
  j: () => rows()[rows().indexOf(here()) + 1]?.querySelector("a").focus(),
  k: () => rows()[rows().indexOf(here()) - 1]?.querySelector("a").focus(),
  o: () => here()?.querySelector("a").click(),
  x: () => (here() ?? document.querySelector("#rows > tr[aria-selected=true]") ?? rows()[0])?.querySelector("input[name=ids]")?.click(),
};
document.addEventListener("keydown", (event) => {
  if (!wantsKeys || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), textarea, select, details[open], [popover]")) return;
  const places = { t: "#last", f: "#facets a" };
  const found = places[event.key] ? document.querySelector(places[event.key]) : $$("[data-key]").find((each) => each.dataset.key === event.key);
  if (!found && !inRows[event.key]) return;
  event.preventDefault();
  if (!found) return inRows[event.key]();
  if (places[event.key]) return found.focus();
  found.click();
  if (found.matches("summary")) found.focus();
});
document.querySelector("tr[aria-selected=true]")?.scrollIntoView({ block: "nearest" });

// Whoever closes an event is back at its row.
document.addEventListener("click", (event) => {
  const close = event.target.closest("[data-close]");
  if (close) sessionStorage.setItem("closed", close.dataset.close);
});
const closed = sessionStorage.getItem("closed");
if (closed) {
  sessionStorage.removeItem("closed");
  rows().find((row) => row.querySelector("input").value === closed)?.querySelector("a").focus();
}

// Live: new rows on top, as long as one looks at the top; further down they wait to be asked for.
const MOST_ROWS = 2000;
const tail = document.querySelector("[data-tail]");
if (tail && window.EventSource) {
  const [body, word, button, told] = ["#rows", "#tail-word", "#tail-new", "#tail-told"].map((name) => document.querySelector(name));
  const id = (row) => row.querySelector("input[name=ids]")?.value;
  const waiting = []; // rows, the newest first
  let counted = 0;
  const atTop = () => scrollY < 240;
  const say = (text) => word.textContent !== text && (word.textContent = text);
  const show = () => {
    body.prepend(...waiting.splice(0));
    const rows = $$("tr", body);
    for (const row of rows.slice(MOST_ROWS)) row.remove();
    if (rows.length > MOST_ROWS) say("Live. Older rows leave the list, they are still stored.");
    button.hidden = true;
  };
  const source = new EventSource(tail.dataset.tail);
  source.addEventListener("open", () => say("Live"));
  source.addEventListener("error", () => say(source.readyState === EventSource.CLOSED ? "Not live: reload the page" : "Reconnecting…"));
  source.addEventListener("rows", (event) => {
    if (!body) return location.reload(); // nothing had matched so far
    const range = document.createRange();
    range.selectNodeContents(body);
    const came = $$("tr", range.createContextualFragment(event.data));
    const known = new Set([...$$("tr", body), ...waiting].map(id)); // it may have come with the page, or with older rows
    const fresh = came.filter((row) => !known.has(id(row)));
    waiting.unshift(...fresh);
    waiting.splice(MOST_ROWS);
    counted += fresh.length;
    if (atTop()) return show();
    button.textContent = `${waiting.length}${waiting.length < MOST_ROWS ? "" : " or more"} new`;
    button.hidden = !waiting.length;
  });
  source.addEventListener("more", () => say("Live. More came at once than are listed: reload the page to see them."));
  button.addEventListener("click", () => (show(), scrollTo(0, 0)));
  setInterval(() => {
    if (counted) told.textContent = `${counted} new event${counted === 1 ? "" : "s"}`;
    counted = 0;
  }, 10_000);
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

// The query box offers what may come next. Enter stays what it was unless something is chosen.
const box = document.querySelector("#q");
const list = document.querySelector("#suggestions");
if (box && list) {
  const told = document.querySelector("#suggested");
  let items = [];
  let chosen = -1;
  let asked = 0;
  let pause;
  for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": list.id, "aria-expanded": "false" })) box.setAttribute(name, value);
  const close = () => {
    asked++;
    clearTimeout(pause);
    list.hidden = true;
    chosen = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  };
  const choose = (at) => {
    chosen = at;
    [...list.children].forEach((each, place) => each.setAttribute("aria-selected", String(place === at)));
    if (at < 0) return box.removeAttribute("aria-activedescendant");
    box.setAttribute("aria-activedescendant", list.children[at].id);
    list.children[at].scrollIntoView({ block: "nearest" });
  };
  const draw = () => {
    list.replaceChildren(
      ...items.map((item, at) => {
        const entry = Object.assign(document.createElement("li"), { id: `suggestion-${at}` });
        entry.setAttribute("role", "option");
        const [text, note] = [document.createElement("code"), document.createElement("span")];
        text.textContent = item.label;
        note.textContent = item.told;
        entry.append(text, note);
        return entry;
      }),
    );
    list.hidden = !items.length;
    box.setAttribute("aria-expanded", String(!list.hidden));
    told.textContent = items.length ? `${items.length} suggestions` : "";
    choose(-1);
  };
  const ask = async () => {
    const number = ++asked;
    const query = new URLSearchParams(new FormData(box.form));
    query.set("at", [...box.value.slice(0, box.selectionStart)].length); // the server counts characters, not halves of them
    const answer = await fetch(`/signals/suggest?${query}`).catch(() => null);
    if (!answer?.ok || answer.redirected || number !== asked || document.activeElement !== box) return;
    items = await answer.json();
    if (number === asked) draw();
  };
  const take = (at) => {
    const item = items[at];
    const letters = [...box.value];
    const units = (count) => letters.slice(0, count).join("").length;
    box.setRangeText(item.text, units(item.start), units(item.end), "end");
    close();
    if (item.text.endsWith(":")) ask();
  };
  box.addEventListener("input", () => {
    asked++;
    clearTimeout(pause);
    pause = setTimeout(ask, 120);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      box.form.target = "_blank";
      box.form.requestSubmit();
      box.form.target = "";
      return;
    }
    if (event.key === "ArrowDown" && list.hidden) {
      event.preventDefault();
      return ask();
    }
    if (list.hidden) return;
    const to = { ArrowDown: (chosen + 1) % items.length, ArrowUp: (chosen < 0 ? items.length : chosen) - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      choose((to + items.length) % items.length);
    } else if (event.key === "Enter" && chosen >= 0) {
      event.preventDefault();
      take(chosen);
    } else if (event.key === "Escape") {
      event.preventDefault();
      close();
    }
  });
  box.addEventListener("blur", () => setTimeout(close, 150));
  list.addEventListener("mousedown", (event) => {
    const entry = event.target.closest("li");
    if (!entry) return;
    event.preventDefault();
    take([...list.children].indexOf(entry));
  });
}
