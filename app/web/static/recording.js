// The recording under the lanes: its loudness on their axis (`lanes:view`), its player, and the ways from a bar, a turn or a word
// to its sound. The file has the whole call's axis, silence included: a second of it is a second there.
"use strict";

(() => {
  const root = document.getElementById("recording");
  const lanes = document.getElementById("lanes");
  if (!root || !lanes) return;
  const play = document.getElementById("play");
  const place = document.getElementById("place");
  const said = document.getElementById("place-said");
  const speed = document.getElementById("speed");
  const waves = { caller: root.querySelector(".wave-caller"), agent: root.querySelector(".wave-agent") };
  const turns = [...document.querySelectorAll(".turn")];
  const bars = [...lanes.querySelectorAll(".lane-said .bar, .lane-heard .bar")];
  const sound = new Audio();
  const total = Number(place.max);
  const LEAD_MS = 150; // a word is guessed to begin a little late rather than early
  let view = { from_ms: 0, to_ms: Number(lanes.dataset.total) };
  let picture = null;
  let wanted = null; // a place that is asked for before the sound is there

  const now = () => (wanted === null ? sound.currentTime * 1000 : wanted);

  function peaks(text) {
    return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  }

  function draw() {
    for (const [name, canvas] of Object.entries(waves)) {
      const dots = window.devicePixelRatio || 1;
      const [wide, high] = [Math.round(canvas.clientWidth * dots), Math.round(canvas.clientHeight * dots)];
      if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
      const pen = canvas.getContext("2d");
      const style = getComputedStyle(canvas);
      pen.clearRect(0, 0, wide, high);
      if (!wide) continue;
      const each = (view.to_ms - view.from_ms) / wide;
      pen.fillStyle = style.color;
      if (picture) {
        for (const part of picture.parts) {
          const left = Math.max(0, Math.floor((part.start_ms - view.from_ms) / each));
          const right = Math.min(wide, Math.ceil((part.start_ms + part.ms - view.from_ms) / each));
          for (let x = left; x < right; x += 1) {
            const ms = view.from_ms + x * each - part.start_ms;
            const first = Math.max(0, Math.floor(ms / picture.frame_ms));
            const last = Math.max(first + 1, Math.floor((ms + each) / picture.frame_ms));
            let loud = 0;
            for (let n = first; n < last && n < part[name].length; n += 1) loud = Math.max(loud, part[name][n]);
            const tall = Math.max(dots, Math.sqrt(loud / 255) * high); // speech on a line is quiet: its root is what one sees
            pen.fillRect(x, (high - tall) / 2, 1, tall);
          }
        }
      }
      const at = (now() - view.from_ms) / each;
      if (at >= 0 && at <= wide) {
        pen.fillStyle = style.caretColor;
        pen.fillRect(Math.min(wide - 2 * dots, at), 0, 2 * dots, high);
      }
    }
  }

  function tell() {
    const ms = now();
    place.value = String(ms);
    said.value = `${(ms / 1000).toFixed(1)} s`;
    place.setAttribute("aria-valuetext", said.value);
    root.dataset.at = String(Math.round(ms));
    for (const one of [...turns, ...bars]) {
      one.classList.toggle("now", Number(one.dataset.from) <= ms && ms < Number(one.dataset.to));
    }
    draw();
  }

  function follow() {
    if (sound.paused) return;
    const ms = now();
    const wide = view.to_ms - view.from_ms;
    if (ms > view.to_ms && wide < Number(lanes.dataset.total)) show(ms, ms + wide);
    tell();
    requestAnimationFrame(follow);
  }

  function show(from_ms, to_ms) {
    lanes.dispatchEvent(new CustomEvent("lanes:show", { detail: { from_ms, to_ms } }));
  }

  function seek(ms) {
    const to = Math.min(Math.max(0, ms), total);
    if (sound.readyState) sound.currentTime = to / 1000;
    else wanted = to;
    if (to < view.from_ms || to > view.to_ms) show(to - (view.to_ms - view.from_ms) / 4, to + (3 * (view.to_ms - view.from_ms)) / 4);
    tell();
  }

  function playFrom(ms) {
    seek(ms);
    sound.play().catch((wrong) => fault(wrong));
  }

  function fault(wrong) {
    if (wrong && wrong.name === "AbortError") return; // paused before it began
    said.value = "The recording cannot be played here; download it.";
  }

  // A word's place is its share of its turn's letters.
  function split(turn) {
    const text = turn.querySelector(".heard");
    const [from, to] = [Number(turn.dataset.from), Number(turn.dataset.to)];
    if (!text || to <= from) return;
    const words = text.textContent.split(/(\s+)/);
    const length = text.textContent.length || 1;
    let letters = 0;
    text.replaceChildren(
      ...words.map((word) => {
        const at = from + ((to - from) * letters) / length;
        letters += word.length;
        if (!word.trim()) return document.createTextNode(word);
        const made = document.createElement("span");
        made.className = "word";
        made.dataset.at = String(Math.round(Math.max(from, at - LEAD_MS)));
        made.textContent = word;
        return made;
      }),
    );
  }

  sound.addEventListener("loadedmetadata", () => {
    if (wanted !== null) sound.currentTime = wanted / 1000;
    wanted = null;
    tell();
  });
  sound.addEventListener("play", () => {
    play.textContent = "Pause";
    requestAnimationFrame(follow);
  });
  sound.addEventListener("pause", () => {
    play.textContent = "Play";
    tell();
  });
  sound.addEventListener("seeked", tell);
  sound.addEventListener("error", () => fault(sound.error));
  play.addEventListener("click", () => {
    if (!sound.paused) sound.pause();
    else sound.play().catch((wrong) => fault(wrong));
  });
  place.addEventListener("input", () => seek(Number(place.value)));
  speed.addEventListener("change", () => {
    sound.defaultPlaybackRate = Number(speed.value);
    sound.playbackRate = Number(speed.value);
  });
  for (const canvas of Object.values(waves)) {
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      seek(view.from_ms + ((event.clientX - box.left) / box.width) * (view.to_ms - view.from_ms));
    });
  }
  lanes.addEventListener("click", (event) => {
    if (event.target.classList.contains("bar")) playFrom(Number(event.target.dataset.from));
  });
  lanes.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.classList.contains("bar")) return;
    event.preventDefault();
    playFrom(Number(event.target.dataset.from));
  });
  lanes.addEventListener("lanes:view", (event) => {
    view = event.detail;
    draw();
  });
  for (const turn of turns) {
    split(turn);
    turn.addEventListener("click", (event) => {
      if (event.target.classList.contains("word")) playFrom(Number(event.target.dataset.at));
      else if (event.target.classList.contains("play-from")) playFrom(Number(turn.dataset.from));
    });
  }
  new ResizeObserver(draw).observe(root);
  new MutationObserver(draw).observe(document.documentElement, { attributes: true }); // light or dark
  sound.preload = "metadata";
  sound.src = root.dataset.sound;
  play.disabled = false;
  place.disabled = false;
  fetch(root.dataset.picture)
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`${answer.status}`))))
    .then((given) => {
      for (const part of given.parts) [part.caller, part.agent] = [peaks(part.caller), peaks(part.agent)];
      picture = given;
      root.dataset.drawn = "yes";
      draw();
    })
    .catch((wrong) => {
      said.value = `The picture of the sound did not come (${wrong.message}); it can be played all the same.`;
    });
  tell();
})();
