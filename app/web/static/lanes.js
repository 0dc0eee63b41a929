// The six lanes: zoom, hover and keys. The page is whole without it; bars carry their place (data-from, data-to, in ms) and
// their words (aria-label). Every change of what is shown is told as `lanes:view`, so that other pictures can follow the axis.
"use strict";

(() => {
  const root = document.getElementById("lanes");
  if (!root) return;
  const total = Number(root.dataset.total);
  const bars = [...root.querySelectorAll(".bar")];
  const said = document.getElementById("lanes-said");
  const ticks = document.getElementById("lanes-ticks");
  const zoom = document.getElementById("lanes-zoom");
  const STEPS = [10, 20, 50, 100, 250, 500, 1000, 2000, 5000, 10000, 30000, 60000, 120000, 300000, 600000, 1800000];
  const LEAST = Math.min(200, total);
  const SEEN = 0.2; // of the axis: what is shorter would not be seen, nor pointed at
  let from = 0;
  let to = total;
  let chosen = null;

  const at = (ms) => (100 * (ms - from)) / (to - from);

  function draw() {
    for (const bar of bars) {
      const left = at(Number(bar.dataset.from));
      const right = at(Number(bar.dataset.to));
      bar.setAttribute("x", `${Math.max(-1, left)}%`);
      bar.setAttribute("width", `${Math.max(SEEN, Math.min(102, right) - Math.max(-1, left))}%`);
      bar.style.display = right < -1 || left > 101 ? "none" : "";
    }
    const step = STEPS.find((one) => (to - from) / one <= 10) || STEPS[STEPS.length - 1];
    const marks = [];
    for (let ms = Math.ceil(from / step) * step; ms <= to; ms += step) {
      const mark = document.createElementNS("http://www.w3.org/2000/svg", "text");
      mark.setAttribute("x", `${at(ms)}%`);
      mark.setAttribute("y", "13");
      mark.textContent = `${ms / 1000} s`;
      marks.push(mark);
    }
    ticks.replaceChildren(...marks);
    root.dispatchEvent(new CustomEvent("lanes:view", { detail: { from_ms: from, to_ms: to } }));
  }

  function show(low, high) {
    const wide = Math.min(total, Math.max(LEAST, high - low));
    from = Math.min(Math.max(0, low), total - wide);
    to = from + wide;
    draw();
  }

  function zoomBy(factor, middle = (from + to) / 2) {
    const wide = (to - from) * factor;
    show(middle - ((middle - from) / (to - from)) * wide, middle + ((to - middle) / (to - from)) * wide);
  }

  function choose(bar, focus) {
    if (chosen) {
      chosen.classList.remove("chosen");
      chosen.setAttribute("tabindex", "-1");
    }
    chosen = bar;
    bar.classList.add("chosen");
    bar.setAttribute("tabindex", "0");
    const [low, high] = [Number(bar.dataset.from), Number(bar.dataset.to)];
    if (focus) {
      if (low > to || high < from) show(low - (to - from) / 4, low + (3 * (to - from)) / 4);
      bar.focus();
    }
    said.textContent = high > low ? `${bar.getAttribute("aria-label")} (until ${high} ms)` : bar.getAttribute("aria-label");
  }

  function step(bar, key) {
    const lane = [...bar.parentNode.querySelectorAll(".bar")];
    const plots = [...root.querySelectorAll(".lane-plot")].filter((plot) => plot.querySelector(".bar"));
    if (key === "ArrowRight") return lane[lane.indexOf(bar) + 1];
    if (key === "ArrowLeft") return lane[lane.indexOf(bar) - 1];
    if (key === "Home") return lane[0];
    if (key === "End") return lane[lane.length - 1];
    const plot = plots[plots.indexOf(bar.parentNode) + (key === "ArrowDown" ? 1 : -1)];
    if (!plot) return null;
    const near = (one) => Math.abs(Number(one.dataset.from) - Number(bar.dataset.from));
    return [...plot.querySelectorAll(".bar")].sort((a, b) => near(a) - near(b))[0];
  }

  root.addEventListener("pointerover", (event) => {
    if (event.target.classList.contains("bar")) choose(event.target, false);
  });
  root.addEventListener("focusin", (event) => {
    if (event.target.classList.contains("bar") && event.target !== chosen) choose(event.target, false);
  });
  root.addEventListener("keydown", (event) => {
    if (!event.target.classList.contains("bar") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "+" || event.key === "=") zoomBy(0.5, Number(event.target.dataset.from));
    else if (event.key === "-") zoomBy(2, Number(event.target.dataset.from));
    else if (event.key === "0") show(0, total);
    else if (/^(Arrow|Home|End)/.test(event.key)) {
      const next = step(event.target, event.key);
      if (next) choose(next, true);
    } else return;
    event.preventDefault();
  });
  root.addEventListener(
    "wheel",
    (event) => {
      const plot = event.target.closest(".lane-plot");
      if (!plot || !(event.ctrlKey || event.shiftKey)) return;
      event.preventDefault();
      const box = plot.getBoundingClientRect();
      const middle = from + ((event.clientX - box.left) / box.width) * (to - from);
      if (event.ctrlKey) zoomBy(event.deltaY > 0 ? 1.25 : 0.8, middle);
      else show(from + ((event.deltaY || event.deltaX) / 500) * (to - from), to + ((event.deltaY || event.deltaX) / 500) * (to - from));
    },
    { passive: false },
  );
  root.addEventListener("lanes:show", (event) => show(event.detail.from_ms, event.detail.to_ms));
  zoom.hidden = false;
  zoom.addEventListener("click", (event) => {
    const what = event.target.dataset.do;
    if (what === "in") zoomBy(0.5);
    if (what === "out") zoomBy(2);
    if (what === "all") show(0, total);
  });
  bars.forEach((bar, number) => bar.setAttribute("tabindex", number ? "-1" : "0"));
  draw();
})();
