// The one script of the pages: theme, notices, live updates and charts. No eval, no inline handlers.

const root = document.documentElement;
const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";

// Theme: the server reads the cookie, so a page never flashes in the wrong one.
const darkQuery = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : darkQuery.matches);
const nameTheme = () => {
  for (const button of document.querySelectorAll("[data-theme-toggle]")) button.textContent = isDark() ? "Light" : "Dark";
};
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-theme-toggle]")) return;
  root.dataset.theme = isDark() ? "light" : "dark";
  document.cookie = `wb_theme=${root.dataset.theme}; Path=/; Max-Age=31536000; SameSite=Lax`;
  nameTheme();
  drawAll(true);
});
darkQuery.addEventListener("change", () => { nameTheme(); drawAll(true); });

// Notices: what a partial request could not do.
function notice(text, tone) {
  const place = document.getElementById("notices");
  if (!place) return;
  const line = document.createElement("div");
  line.className = `note ${tone}`;
  line.setAttribute("role", "status");
  line.textContent = text;
  place.replaceChildren(line);
  place.scrollIntoView({ block: "nearest" });
}
document.addEventListener("htmx:responseError", (event) => {
  let words = "That did not work; try again.";
  try { words = JSON.parse(event.detail.xhr.responseText).detail || words; } catch { /* not JSON: keep the words above */ }
  notice(words, "bad");
});
document.addEventListener("htmx:sendError", () => notice("The workbench cannot be reached; trying again may help.", "bad"));

// Copy buttons: <button data-copy="id of the element">
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const text = "value" in source ? source.value : source.textContent.trim();
  try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
  catch { getSelection().selectAllChildren(source); }
});

// A slider beside a number field: <input type="range" data-mirrors="id of the field">
document.addEventListener("input", (event) => {
  const slider = event.target.closest?.("[data-mirrors]");
  if (slider) {
    const field = document.getElementById(slider.dataset.mirrors);
    field.value = slider.value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  } else if (event.target.id) {
    const mirror = document.querySelector(`[data-mirrors="${CSS.escape(event.target.id)}"]`);
    if (mirror) mirror.value = event.target.value;
  }
});

// Tick boxes of rows that belong to a form elsewhere: one for all (data-tick-all="id of the form"), and how many.
document.addEventListener("change", (event) => {
  const id = event.target.dataset?.tickAll ?? event.target.getAttribute?.("form");
  if (!id) return;
  const boxes = [...document.querySelectorAll(`input[type=checkbox][form="${CSS.escape(id)}"]`)];
  if (event.target.dataset.tickAll) for (const box of boxes) box.checked = event.target.checked;
  const ticked = boxes.filter((box) => box.checked).length;
  const all = document.querySelector(`[data-tick-all="${CSS.escape(id)}"]`);
  if (all) { all.checked = ticked === boxes.length; all.indeterminate = ticked > 0 && ticked < boxes.length; }
  const words = document.querySelector(`[data-ticked="${CSS.escape(id)}"]`);
  if (words) words.textContent = ticked ? `${ticked} ticked` : "";
});

// Submit a form as soon as a select in it changes: <form data-auto>
document.addEventListener("change", (event) => {
  if (event.target.matches?.("form[data-auto] select, form[data-auto] input[type=checkbox]")) event.target.form.requestSubmit();
});

// Live: one stream a page; every "changed" becomes events that
// hx-trigger="changed from:body" listens for, or "changed-slow" and "changed-rarely" for what is costly to draw.
function listen() {
  const place = document.querySelector("[data-live]");
  if (!place) return;
  // Each pace tells at once and, where more happened meanwhile, once more at its end: nothing stays behind.
  const paced = (name, pause) => {
    let waiting = false;
    let again = false;
    const tell = () => {
      if (document.hidden || waiting) { again = true; return; }
      waiting = true;
      again = false;
      document.body.dispatchEvent(new CustomEvent(name));
      setTimeout(() => { waiting = false; if (again) tell(); }, pause);
    };
    document.addEventListener("visibilitychange", () => { if (!document.hidden && again) tell(); });
    return tell;
  };
  const paces = [paced("changed", 2000), paced("changed-slow", 5000), paced("changed-rarely", 15000)];
  const source = new EventSource(place.dataset.live);
  source.addEventListener("changed", () => paces.forEach((tell) => tell()));
  addEventListener("pagehide", () => source.close());
}

// Charts
const palette = (dark) => dark
  ? { accent: "#8f8bfa", good: "#33d1bd", warn: "#fbb040", bad: "#fb7a76", muted: "#8b93a6", text: "#eceef3", soft: "#a2a9ba", line: "#262b36", card: "#151820" }
  : { accent: "#4f46e5", good: "#0d8f83", warn: "#b45f06", bad: "#d12b2b", muted: "#6b7280", text: "#14171f", soft: "#5a6172", line: "#e8eaee", card: "#ffffff" };
const font = 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", "DejaVu Sans", sans-serif';
const config = (c) => ({
  background: "transparent", font, padding: 4,
  view: { stroke: null },
  axis: { labelColor: c.soft, titleColor: c.soft, gridColor: c.line, domain: false, ticks: false, labelPadding: 6, titlePadding: 8, labelFontSize: 11.5, titleFontSize: 11.5, titleFontWeight: 500, gridDash: [3, 3] },
  axisX: { grid: false },
  legend: { labelColor: c.soft, titleColor: c.soft, labelFontSize: 11.5, titleFontSize: 11.5, orient: "top", symbolType: "circle", symbolSize: 70 },
  header: { labelColor: c.soft, titleColor: c.soft },
  title: { color: c.text },
  range: { category: [c.accent, c.good, c.warn, c.muted, c.bad, "#3b82c4", "#a855c7"], heatmap: [c.bad, c.card, c.good], ramp: [c.card, c.accent] },
  mark: { color: c.accent, tooltip: true },
  bar: { cornerRadiusEnd: 2 }, line: { strokeWidth: 2, strokeJoin: "round" }, area: { opacity: 0.18 }, rule: { color: c.muted }, text: { color: c.text, fontSize: 11.5 },
});
// "$accent", "$good"… anywhere in a specification stand for the theme's colours.
const dyed = (value, c) => {
  if (typeof value === "string") return value.startsWith("$") ? c[value.slice(1)] ?? value : value;
  if (Array.isArray(value)) return value.map((part) => dyed(part, c));
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, key === "values" ? part : dyed(part, c)]));
  return value;
};
let vega;
const loadVega = () => (vega ??= import(meta("vega-url")));

async function draw(figure) {
  const plot = figure.querySelector(".plot");
  const source = figure.querySelector('script[type="application/json"]');
  figure.dataset.drawn = "yes";
  try {
    await loadVega();
    const c = palette(isDark());
    const spec = dyed(JSON.parse(source.textContent), c);
    const made = await window.vegaEmbed(plot, { width: "container", ...spec }, {
      ast: true, defaultStyle: false, actions: false, renderer: "svg", mode: "vega-lite", config: config(c),
      tooltip: { disableDefaultStyle: true },
    });
    figure.view?.finalize?.();
    figure.view = made;
    plot.classList.remove("waiting");
  } catch (problem) {
    plot.classList.remove("waiting");
    plot.textContent = "This chart cannot be drawn here; its numbers are in the table.";
    figure.querySelector("details")?.setAttribute("open", "");
    console.error("chart", figure.id, problem.message);
  }
}
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); }
}, { rootMargin: "200px" });
function drawAll(again = false) {
  for (const figure of document.querySelectorAll("figure.chart")) {
    if (again && figure.dataset.drawn) draw(figure);
    else if (!figure.dataset.drawn) seen.observe(figure);
  }
}
document.addEventListener("htmx:afterSettle", () => { drawAll(); nameTheme(); });

nameTheme();
drawAll();
listen();
