// The live page: keeps the rows as the feed tells them. All text goes in as text, never as markup.
(() => {
  const QUIET_MS = 25_000; // two beats and a half without a word: the line is dead, whatever the browser thinks
  const LINGER_MS = 4_000; // how long a call that is over stays to be seen
  const box = document.getElementById("live");
  const rows = document.getElementById("rows");
  const pattern = document.getElementById("row").content.firstElementChild;
  const line = document.getElementById("line");
  let feed = null;
  let heard = 0;
  let again = 1_000;
  let waits = 0;

  function says(state, words) {
    if (line.dataset.state === state) return;
    line.dataset.state = state;
    line.textContent = words;
  }

  function put(row, name, text) {
    const at = row.querySelector(`[data-f="${name}"]`);
    if (at && at.textContent !== text) at.textContent = text;
  }

  function lasting(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const two = (n) => String(n).padStart(2, "0");
    const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
  }

  let ahead = 0; // of our clock over the server's, in seconds
  function tick() {
    const now = Date.now() / 1000 - ahead;
    for (const row of rows.children) {
      if (!row.classList.contains("over")) put(row, "lasts", lasting(now - Number(row.dataset.since)));
    }
    if (feed && heard && performance.now() - heard > QUIET_MS) {
      feed.close();
      lost();
    }
  }

  function find(sid) {
    for (const row of rows.children) if (row.dataset.sid === sid) return row;
    return null;
  }

  function add(sid) {
    const row = pattern.cloneNode(true);
    row.dataset.sid = sid;
    const here = encodeURIComponent(sid);
    for (const form of row.querySelectorAll("form")) {
      form.setAttribute("action", form.getAttribute("action").replace("/live//", `/live/${here}/`));
    }
    const link = row.querySelector('[data-f="caller"]');
    if (link.matches("a")) link.href = `/calls/${here}`;
    rows.append(row); // below the others: nothing that somebody points at moves
    return row;
  }

  function show(call) {
    const row = find(call.sid) || add(call.sid);
    row.classList.remove("over");
    row.dataset.since = call.since;
    row.dataset.who = call.who;
    for (const name of ["caller", "mode", "state", "said", "cost"]) put(row, name, call[name]);
    const by = row.querySelector('[data-f="said_by"]');
    by.textContent = call.said_by;
    by.className = `by who-${call.said_by}`;
  }

  function over(sid) {
    const row = find(sid);
    if (!row || row.classList.contains("over")) return;
    row.classList.add("over");
    row.dataset.who = "";
    put(row, "state", "over");
    for (const button of row.querySelectorAll("button, select")) button.disabled = true;
    setTimeout(() => sweep(row), LINGER_MS);
  }

  function sweep(row) {
    if (!row.classList.contains("over")) return;
    if (rows.matches(":hover") || rows.contains(document.activeElement)) {
      setTimeout(() => sweep(row), 1_000); // not from under somebody's finger
      return;
    }
    row.remove();
    empty();
  }

  function empty() {
    const none = rows.children.length === 0;
    document.getElementById("empty").hidden = !none;
    document.getElementById("full").hidden = none;
  }

  function change(news) {
    document.getElementById("count").textContent = news.live;
    document.getElementById("most").textContent = news.max;
    document.getElementById("draining").hidden = !news.draining;
    for (const call of news.calls) show(call);
    for (const sid of news.over) over(sid);
    empty();
    tick();
  }

  function lost() {
    heard = 0;
    feed = null;
    says("lost", "reconnecting");
    clearTimeout(waits);
    waits = setTimeout(ask, again + Math.random() * 500);
    again = Math.min(again * 2, 15_000);
  }

  function ask() {
    let first = true;
    feed = new EventSource(box.dataset.feed);
    feed.addEventListener("calls", (event) => {
      heard = performance.now();
      again = 1_000;
      says("on", "live");
      const news = JSON.parse(event.data);
      ahead = Date.now() / 1000 - news.now;
      if (first) {
        first = false; // the first tells of all calls there are: what it does not name was over meanwhile
        const there = new Set(news.calls.map((call) => call.sid));
        for (const row of [...rows.children]) if (!there.has(row.dataset.sid)) over(row.dataset.sid);
      }
      change(news);
    });
    feed.addEventListener("beat", () => {
      heard = performance.now();
    });
    feed.addEventListener("end", () => location.reload()); // leads to the login, and back here
    feed.addEventListener("error", async () => {
      feed?.close();
      lost();
      const answer = await fetch(box.dataset.feed, { method: "HEAD" }).catch(() => null);
      if (answer && answer.status === 401) location.reload();
    });
  }

  rows.addEventListener("submit", async (event) => {
    const form = event.target;
    event.preventDefault();
    const question = form.getAttribute("data-confirm");
    if (question && !confirm(question)) return;
    const told = document.getElementById("told");
    told.replaceChildren();
    const buttons = form.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(form.getAttribute("action"), {
      method: "POST",
      body,
      headers: { Accept: "text/plain" },
      redirect: "manual",
    }).catch(() => null);
    for (const button of buttons) button.disabled = form.closest("tr").classList.contains("over");
    if (answer && answer.status === 401) return location.reload();
    if (answer && (answer.ok || answer.type === "opaqueredirect")) return;
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = answer ? await answer.text() : "The server does not answer; nothing was done.";
    told.append(note);
  });

  addEventListener("pageshow", (event) => event.persisted && location.reload());
  setInterval(tick, 1_000);
  ask();
})();
