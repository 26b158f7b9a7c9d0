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

// Over plain HTTP from another machine no session begins: browsers keep our cookie for secure pages only.
if (!window.isSecureContext) for (const note of $$("[data-insecure]")) note.hidden = false;

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
  for (const input of $$("input:not([type=hidden])", form)) input.readOnly = true; // disabled ones would not be sent
});
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of $$("form[data-sent]")) {
    delete form.dataset.sent;
    for (const input of $$("input", form)) input.readOnly = false;
  }
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
const wantsKeys = document.documentElement.dataset.keys !== "off"; // as set under Account
const going = { d: "/", s: "/signals/search", i: "/admin/settings/integrations" };
let before = "";
document.addEventListener("keydown", (event) => {
  if (!wantsKeys || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  const query = document.querySelector("input.query");
  if (event.key === "/" && query) {
    event.preventDefault();
    query.select();
    query.focus();
  } else if (before === "g" && going[event.key]) {
    location.href = going[event.key];
  } else if (event.key === "u") {
    inUtc = !inUtc;
    showUtc();
  } else if (event.key === "?") {
    location.href = "/help/keys";
  }
  before = event.key;
});

// All times exactly and in UTC, as their titles have them; and back. Kept when a part of the page is drawn anew.
let inUtc = false;
function showUtc() {
  for (const time of $$("time[title]")) {
    if (time.title.endsWith(" UTC") !== inUtc) continue;
    [time.textContent, time.title] = [time.title, time.textContent];
  }
}
document.addEventListener("htmx:after:swap", showUtc);

// Copying, where the browser lets us, in a part that came later too.
function offerToCopy() {
  for (const button of $$("[data-copy], [data-text]")) button.hidden = !navigator.clipboard;
}
offerToCopy();
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-text]"); // what an element shows, or exactly this text
  if (!button || button.textContent === "Copied") return;
  await navigator.clipboard.writeText(JSON.parse(button.dataset.text ?? "null") ?? document.getElementById(button.dataset.copy).textContent);
  const text = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = text), 5000);
});

// A connection test shows each step as it ends. What is no such answer (a mistake in the form) is left to htmx.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-streams]");
  if (!button || button.getAttribute("aria-disabled")) return;
  event.preventDefault();
  const form = button.form;
  const buttons = $$("button[name=do]", form);
  const text = button.textContent;
  button.textContent = button.dataset.busy;
  for (const each of buttons) each.setAttribute("aria-disabled", "true");
  try {
    const body = new URLSearchParams(new FormData(form, button));
    const box = beginTest();
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/event-stream" } });
    if (answer.headers.get("Content-Type")?.startsWith("text/event-stream")) return await showSteps(answer, box);
  } catch {
    document.querySelector("#test h2")?.replaceChildren("The test ended early: Conductor did not answer. Test again.");
    return;
  } finally {
    button.textContent = text;
    for (const each of buttons) each.removeAttribute("aria-disabled");
  }
  form.requestSubmit(button);
});
function beginTest() {
  document.querySelector("#test")?.remove();
  forgetProblems();
  const form = document.querySelector("#form");
  form.prepend(document.querySelector("#testing").content.cloneNode(true));
  const box = form.querySelector("#test");
  box.scrollIntoView({ block: "nearest" });
  return box;
}
// What was wrong with the form is told by the answer to come.
function forgetProblems() {
  for (const told of $$("#form > .problem, #form .error")) told.remove();
  for (const field of $$("#form .wrong")) field.classList.remove("wrong");
  for (const input of $$("#form [aria-invalid]")) input.removeAttribute("aria-invalid");
}
async function showSteps(answer, box) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "", part; !(part = await reader.read()).done; ) {
    const events = (rest + part.value).split("\n\n");
    rest = events.pop();
    for (const event of events) showStep(box, event);
  }
  offerToCopy();
  box.querySelector("[data-focus]")?.focus();
}
function showStep(box, event) {
  const [kind, ...lines] = event.split("\n");
  const html = lines.map((line) => line.slice("data: ".length)).join("\n");
  const part = document.createRange().createContextualFragment(html);
  if (kind === "event: step") box.querySelector(".steps").append(part);
  else if (kind === "event: verdict") box.querySelector("h2").replaceWith(part);
  else box.append(part);
}

// Lists that act at once; the button beside them is for those without script.
for (const select of $$("[data-submit]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
for (const select of $$("select[data-range]")) {
  const custom = select.form.querySelector(".custom");
  const fit = () => {
    delete custom.dataset.hide; // so that nothing moved before this ran
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

// What a value means, told while one types: asked when a field, or one that matters to it, was changed.
document.addEventListener("change", async (event) => {
  const form = event.target.form;
  if (!form?.dataset.kind) return;
  for (const input of $$("[data-hint]", form)) {
    const others = input.dataset.hint.split(" ").filter(Boolean);
    if (![input.name, ...others].includes(event.target.name)) continue;
    const asked = new URLSearchParams({ kind: form.dataset.kind, field: input.name });
    for (const name of [input.name, ...others]) asked.set(name, form.elements[name].value);
    const answer = await fetch(`/admin/settings/integrations/new/hint?${asked}`).catch(() => null);
    const changed = [input.name, ...others].some((name) => asked.get(name) !== form.elements[name].value);
    if (!answer?.ok || changed) continue; // a later question has its own answer
    const { value, note } = await answer.json();
    if (value !== undefined) input.value = value;
    document.getElementById(`n-${input.name}`).textContent = note;
  }
});

// What was typed is not lost: leaving asks, and whoever was signed out meanwhile finds it again, secrets aside.
const typedAt = `typed ${location.pathname}${location.search}`;
let typed = false;
let typedBefore = false; // an answer
document.addEventListener("input", (event) => (typed ||= event.target.form?.dataset.keep !== undefined));
addEventListener("beforeunload", (event) => typed && event.preventDefault());
document.addEventListener("htmx:before:request", (event) => {
  if (event.target.closest?.("form[data-keep]")) [typed, typedBefore] = [false, typed];
});
document.addEventListener("htmx:before:response", (event) => {
  const form = event.target.closest?.("form[data-keep]");
  if (!form || !event.detail.ctx.response.headers.get("HX-Redirect")?.startsWith("/auth/")) return;
  const inputs = $$("input:not([type=password], [type=hidden]), select, textarea", form).filter((input) => input.name);
  const harmless = inputs.filter((input) => !form.querySelector(`[data-shows="${input.id}"]`)); // a secret that is shown
  const values = harmless.map((input) => [input.name, input.type === "checkbox" ? input.checked : withoutPassword(input.value)]);
  sessionStorage.setItem(typedAt, JSON.stringify(values));
});
const withoutPassword = (text) => text.replace(/^(\w+:\/\/[^/@:\s]*):\S*@/, "$1@");
document.addEventListener("htmx:after:swap", () => (typed ||= typedBefore)); // still here
if (!document.querySelector("form[data-keep]")) {
  if (!location.pathname.startsWith("/auth/")) {
    for (const key of Object.keys(sessionStorage)) if (key.startsWith("typed ")) sessionStorage.removeItem(key);
  }
} else if (sessionStorage.getItem(typedAt)) {
  const form = document.querySelector("form[data-keep]");
  for (const [name, value] of JSON.parse(sessionStorage.getItem(typedAt))) {
    const input = form.elements[name];
    if (input?.type === "checkbox") input.checked = value;
    else if (input) input.value = value;
    input?.dispatchEvent(new Event("change", { bubbles: true }));
  }
  sessionStorage.removeItem(typedAt);
  typed = true;
  const note = Object.assign(document.createElement("p"), { className: "note", textContent: form.dataset.keep });
  note.setAttribute("role", "status");
  (form.closest(".columns") ?? form).before(note); // what htmx puts anew is below it
}

// Words that are being typed, and what they mean.
for (const input of $$("[data-preview]")) {
  let waiting;
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const words = input.value;
      const answer = await fetch(`${input.dataset.preview}?${new URLSearchParams({ words })}`).catch(() => null);
      if (!answer?.ok || words !== input.value) return;
      document.getElementById(input.getAttribute("aria-describedby")).textContent = (await answer.json()).note;
    }, 150);
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
  offerToCopy();
  document.querySelector("#form [data-focus]")?.focus();
});

// An answer without the form, a refusal of the whole: it is told above the form, and what was typed stays.
document.addEventListener("htmx:before:swap", (event) => {
  const { target, text } = event.detail.ctx;
  if (target?.id !== "form" || text.includes('id="form"')) return;
  event.preventDefault();
  const told = new DOMParser().parseFromString(text, "text/html").querySelector("h1")?.textContent;
  const box = Object.assign(document.createElement("div"), { className: "problem", tabIndex: -1 });
  box.setAttribute("role", "alert");
  box.append(document.createElement("p"));
  box.firstChild.textContent = `${told ?? "Conductor does not answer."} What you typed is still here.`;
  forgetProblems();
  target.prepend(box);
  box.focus();
  typed = typedBefore;
});

// A part that draws itself anew, and could not: what is known stays, dimmed, and nothing there acts.
const timeOfDay = () => new Date().toLocaleTimeString([], { hour12: false });
let drawnAt = timeOfDay();
function drawn(event, well) {
  if (!event.target.matches?.("[data-redrawn]")) return;
  if (well) drawnAt = timeOfDay();
  event.target.classList.toggle("stale", !well);
  for (const button of $$("button", event.target)) button.disabled = !well;
  const text = well ? "" : `Conductor does not answer. This is as of ${drawnAt}; trying again.`;
  const word = document.querySelector("#lost");
  if (word.textContent !== text) word.textContent = text;
}
document.addEventListener("htmx:after:request", (event) => drawn(event, event.detail.ctx.response.status < 400));
document.addEventListener("htmx:error", (event) => drawn(event, false));

// A page that lives: told by the server that something has changed, or else asking every 5 s. Not while nobody looks.
const SILENCE = 20_000; // ms, after which the server is asked
if (document.querySelector("[data-live]")) {
  const word = document.querySelector("#live");
  let source, asking, silence;
  const say = (text) => {
    if (word.textContent !== text) word.textContent = text;
    word.classList.toggle("on", text === "Live");
  };
  const refresh = () => window.htmx?.trigger("[data-live]", "refresh");
  const ask = () => {
    say("Updating every 5 s");
    asking ??= setInterval(refresh, 5000);
  };
  const heard = () => {
    clearInterval(asking);
    clearTimeout(silence);
    asking = undefined;
    silence = setTimeout(ask, SILENCE);
    say("Live");
  };
  const stop = () => {
    source?.close();
    clearInterval(asking);
    clearTimeout(silence);
    asking = undefined;
    say("Paused");
  };
  const start = () => {
    source?.close();
    clearTimeout(silence);
    if (!window.EventSource) return ask();
    source = new EventSource("/live?refresh=1");
    source.addEventListener("tick", () => (heard(), refresh()));
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return asking || say("Reconnecting…");
      ask();
      setTimeout(() => document.hidden || start(), SILENCE);
    });
    silence = setTimeout(ask, 5000);
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
  if (!document.hidden) start();
}
