// What script adds to pages that work without it.

const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

function closeMenus(except) {
  for (const menu of $$("details.menu[open]")) if (menu !== except) menu.open = false;
}

document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.activeElement?.closest("details.menu[open]");
  closeMenus();
  open?.querySelector("summary").focus();
});

// A refused form: say so where the reader is.
document.querySelector("[data-focus]")?.focus();

// Passwords can be looked at, in a form that htmx put here too.
function offerToShow() {
  for (const button of $$("button.show")) {
    button.hidden = false;
    document.getElementById(button.dataset.shows).type = "password";
    button.textContent = "Show";
    button.setAttribute("aria-pressed", "false");
  }
}
offerToShow();
document.addEventListener("click", (event) => {
  const button = event.target.closest("button.show");
  if (!button) return;
  const input = document.getElementById(button.dataset.shows);
  const shown = input.type === "password";
  input.type = shown ? "text" : "password";
  button.textContent = shown ? "Hide" : "Show";
  button.setAttribute("aria-pressed", String(shown));
});

// The browser knows the time zone.
for (const select of $$("select[data-zone]")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if ([...select.options].some((option) => option.value === zone)) select.value = zone;
}

// A form that takes a while says so, and is sent once.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) return event.preventDefault();
  if (!form.dataset.busy) return;
  form.dataset.sent = "1";
  const button = event.submitter;
  if (!button) return;
  button.dataset.text = button.textContent;
  button.textContent = button.dataset.busy || form.dataset.busy;
  button.setAttribute("aria-disabled", "true");
});
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of $$("form[data-sent]")) delete form.dataset.sent;
  for (const button of $$("button[data-text]")) button.textContent = button.dataset.text;
});

// "Try again in 30 seconds", counted down.
for (const box of $$("[data-wait]")) {
  const until = Date.now() + 1000 * Number(box.dataset.wait);
  const text = box.querySelector("p");
  const timer = setInterval(() => {
    const left = Math.ceil((until - Date.now()) / 1000);
    if (left <= 0) clearInterval(timer);
    text.textContent = left <= 0 ? "You can try again now." : `Too many attempts. Try again in ${left} second${left === 1 ? "" : "s"}.`;
  }, 1000);
}

// Keys, outside of inputs only.
const going = { d: "/", s: "/signals/search", i: "/admin/settings/integrations" };
let before = "";
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  const query = document.querySelector("input.query");
  if (event.key === "/" && query) {
    event.preventDefault();
    query.select();
    query.focus();
  } else if (before === "g" && going[event.key]) {
    location.href = going[event.key];
  } else if (event.key === "?") {
    location.href = "/help/keys";
  }
  before = event.key;
});

for (const button of $$("[data-copy]")) {
  const text = button.textContent;
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = text), 5000);
  });
}

// Lists that act at once; the button beside them is for those without script.
for (const select of $$("[data-submit]")) {
  select.form.querySelector(".noscript").hidden = true;
  select.addEventListener("change", () => select.form.requestSubmit());
}
for (const select of $$("select[data-range]")) {
  const custom = select.form.querySelector(".custom");
  const fit = () => {
    custom.hidden = select.value !== "custom";
    for (const input of $$("input", custom)) input.disabled = custom.hidden; // what is not shown is not sent
  };
  fit();
  select.addEventListener("change", () => {
    fit();
    if (custom.hidden) select.form.requestSubmit();
    else custom.querySelector("input").focus();
  });
}

// A form that htmx sends: the pressed button says what happens, what failed gets the focus.
document.addEventListener("htmx:before:request", (event) => {
  const form = event.target.closest?.("form[hx-post]");
  const button = form && (event.detail?.ctx?.submitter ?? document.activeElement);
  if (!button?.dataset?.busy) return;
  button.dataset.text = button.textContent;
  button.textContent = button.dataset.busy;
  for (const each of $$("button[name=do]", form)) each.setAttribute("aria-disabled", "true");
});
document.addEventListener("htmx:finally:request", (event) => {
  const form = event.target.closest?.("form[hx-post]") ?? document.querySelector("form[hx-post]");
  if (!form) return;
  for (const each of $$("button[name=do]", form)) each.removeAttribute("aria-disabled");
  for (const each of $$("button[data-text]", form)) {
    each.textContent = each.dataset.text;
    delete each.dataset.text;
  }
});
document.addEventListener("htmx:after:swap", (event) => {
  if (event.target.id !== "form" && !event.target.closest?.("#form")) return;
  offerToShow();
  document.querySelector("#form [data-focus]")?.focus();
});
