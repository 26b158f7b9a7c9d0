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

// One stop for Tab in the chart; arrows go from bar to bar, with Shift they choose a span.
let anchor = null;
document.addEventListener("htmx:after:swap", () => {
  for (const part of $$("[data-part]")) if (part.querySelector("[hx-ignore]")) part.removeAttribute("aria-busy");
  const bars = $$("[data-timeline] a");
  if (bars.every((bar) => bar.hasAttribute("tabindex"))) return;
  bars.forEach((bar, at) => bar.setAttribute("tabindex", at === bars.length - 1 ? "0" : "-1"));
});
document.addEventListener("keydown", (event) => {
  const bar = event.target.closest?.("[data-timeline] a");
  if (!bar) return;
  const bars = $$("a", bar.closest("[data-timeline]"));
  const at = bars.indexOf(bar);
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: bars.length - 1 }[event.key];
  if (event.key === "Enter" && anchor !== null && anchor !== at) {
    event.preventDefault();
    const [first, last] = [Math.min(anchor, at), Math.max(anchor, at)].map((place) => new URL(bars[place].href.baseVal ?? bars[place].getAttribute("href"), location));
    first.searchParams.set("to", last.searchParams.get("to"));
    location.href = first;
  }
  if (to === undefined || !bars[to]) return;
  event.preventDefault();
  anchor = event.shiftKey ? (anchor ?? at) : null;
  bars.forEach((each, place) => {
    each.setAttribute("tabindex", place === to ? "0" : "-1");
    const inside = anchor !== null && place >= Math.min(anchor, to) && place <= Math.max(anchor, to);
    each.classList.toggle("chosen", inside);
  });
  bars[to].focus();
});
