// The phone's page: asks for a ticket, opens the line, and does what the buttons say. Sound is phone-sound.js, the transcript phone-talk.js.
"use strict";

(() => {
  const KEYS = "0123456789*#";
  const ALIVE_MS = 5000;
  const by = (id) => document.getElementById(id);
  const page = by("phone");
  const talk = new PhoneTalk(by("talk"), by("no-talk"));
  const token = document.querySelector('meta[name="csrf"]').content;
  let line = null; // {socket, sound, timer, alive, began, mic, callSid, ended}

  // --- the form ---
  const form = by("wish");
  const caller = form.elements.caller;
  const ownNumber = caller.value;
  by("voice").addEventListener("change", () => {
    const chosen = by("voice").selectedOptions[0];
    const recorded = chosen.value !== "";
    by("alone-row").hidden = !recorded;
    by("clean-row").hidden = recorded;
    form.elements.mode.value = recorded ? chosen.dataset.mode : "";
    caller.value = recorded ? chosen.dataset.number : ownNumber;
    for (const one of page.querySelectorAll(".sayings")) {
      if (!recorded) continue;
      one.open = one.dataset.caller === chosen.value;
      if (one.open) by("lines-hint").after(one); // above the others: what is to be said is at hand
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    begin().catch((wrong) => fail(wrong.message));
  });

  function fail(why) {
    by("wrong").textContent = why;
    by("dial").disabled = false;
  }

  // --- a call ---
  async function begin() {
    by("wrong").textContent = "";
    by("dial").disabled = true;
    const recorded = by("voice").value;
    const mine = { heard: 0 };
    const sound = new PhoneSound(page.dataset.worklet, (frame, peak) => speak(mine, frame, peak), played);
    try {
      await sound.open();
      if (!recorded) await sound.listen(by("clean").checked);
    } catch (wrong) {
      if (!sound.earpiece) {
        await sound.close();
        throw new Error(`No sound in this browser: ${wrong.message}`);
      }
      by("wrong").textContent = `${wrong.message} The sentences below speak for you.`;
    }
    let ticket;
    try {
      ticket = await askTicket(recorded);
    } catch (wrong) {
      await sound.close();
      throw wrong;
    }
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/phone/ws/${ticket}`);
    socket.binaryType = "arraybuffer";
    line = { socket, sound, began: performance.now(), mic: Boolean(sound.microphone), muted: false, ended: "" };
    socket.onopen = opened;
    socket.onmessage = ({ data }) => (typeof data === "string" ? news(JSON.parse(data)) : sound.play(data));
    socket.onclose = ({ code, reason }) => closed(code, reason);
  }

  async function askTicket(recorded) {
    const wish = new URLSearchParams({
      mode: form.elements.mode.value,
      dialled: form.elements.dialled.value,
      caller: caller.value.trim(),
      script: recorded && form.elements.alone.checked ? recorded : "",
    });
    const answer = await fetch("/phone/ticket", { method: "POST", body: wish, headers: { "X-CSRF-Token": token } });
    if (answer.status === 401) location.reload();
    const said = await answer.json().catch(() => ({ error: `the server answered ${answer.status}; reload the page` }));
    if (!answer.ok) throw new Error(said.error);
    return said.ticket;
  }

  function opened() {
    talk.clear();
    by("after").hidden = true;
    form.hidden = true;
    by("line").hidden = false;
    by("mute").disabled = !line.mic;
    by("mute").setAttribute("aria-pressed", "false");
    state("Calling");
    by("sound").textContent = by("keys").textContent = "";
    for (const button of page.querySelectorAll("[data-key], [data-say], [data-keys]")) button.disabled = false;
    line.sound.ring(true);
    line.timer = setInterval(tick, 500);
    line.alive = setInterval(() => order({ do: "here" }), ALIVE_MS);
    by("hang-up").focus();
  }

  function closed(code, reason) {
    const { sound, timer, alive, ended, callSid } = line;
    clearInterval(timer);
    clearInterval(alive);
    line = null;
    sound.close();
    form.hidden = false;
    by("line").hidden = true;
    by("desk").hidden = true;
    by("dial").disabled = false;
    by("mine").value = by("theirs").value = 0;
    for (const button of page.querySelectorAll("[data-key], [data-say], [data-keys]")) button.disabled = true;
    if (!ended) fail(code === 1006 ? "The line could not be opened, or broke. Reload the page if you were logged out." : `The line was closed: ${reason || code}.`);
    if (callSid && page.dataset.calls) {
      const link = document.createElement("a");
      link.href = page.dataset.calls + callSid;
      link.textContent = "See this call on its time axis";
      by("after").replaceChildren(link);
      by("after").hidden = false;
    }
    by("dial").focus();
  }

  const state = (text) => {
    by("state").textContent = text;
  };
  const tick = () => {
    by("clock").textContent = PhoneTalk.clock(performance.now() - line.began);
  };

  function order(what) {
    if (line && line.socket.readyState === WebSocket.OPEN) line.socket.send(JSON.stringify(what));
  }

  // --- sound ---
  function speak(mine, frame, peak) {
    mine.heard = Math.max(peak, mine.heard * 0.85);
    by("mine").value = Math.min(1, Math.sqrt(mine.heard));
    if (line && line.socket.readyState === WebSocket.OPEN) line.socket.send(frame);
  }

  function played({ peak, underruns, late, loudest, waitingMs }) {
    if (!line) return;
    by("theirs").value = Math.min(1, Math.sqrt(peak));
    Object.assign(page.dataset, { underruns, late, loudest: loudest.toFixed(3) });
    by("sound").textContent = `play buffer ${Math.round(waitingMs)} ms, ran dry ${underruns} times`;
  }

  // --- what comes from the line ---
  const HEARD = {
    call({ call_sid: callSid, status }) {
      if (callSid) line.callSid = page.dataset.call = callSid;
      if (status === "in-progress") {
        state("Connected");
        line.sound.ring(false);
      }
    },
    stream({ live }) {
      line.sound.live(live);
      line.sound.ring(false);
      if (live) talk.note("house", "Line", "the line is open");
      else talk.speaks({ who: "agent", on: false });
      page.dataset.live = live;
    },
    speaks(what) {
      talk.speaks(what);
      if (what.who === "caller" && what.on) state("You are heard");
      else if (what.on) state("The agent speaks");
      else state("Connected");
    },
    words: (what) => talk.words(what),
    turn: (what) => talk.turn(what),
    tool: (what) => talk.tool(what),
    latency: (what) => talk.latency(what),
    house: ({ text, bad }) => talk.note("house", "House", text, bad ? "bad" : ""),
    fault: ({ code, why }) => talk.note("house", "Carrier", `${code}: ${why}`, "bad"),
    refused: ({ why }) => fail(why),
    key: ({ digit }) => talk.note("caller", "Key", digit),
    says({ who, text }) {
      if (who === "you") {
        if (line.joined) talk.note("caller", "Caller", text); // else the model's ears tell what was said
        return;
      }
      if (who === "whisper") by("desk-said").append(` ${text}`);
      else talk.note("house", "Carrier", text);
      line.sound.read(text);
    },
    keys({ wanted, pressed }) {
      by("keys").textContent = wanted ? "The line waits for keys." : pressed ? `Pressed: ${pressed}` : "";
      if (!wanted && pressed) talk.note("caller", "Keys", pressed);
    },
    desk: deskPhone,
    ended({ by: who, seconds, microphone }) {
      line.ended = who || "over";
      const words = { caller: "you hung up", server: "the agent hung up", error: "the carrier met an error" }[who] || "the call is over";
      const dry = line.mic ? `; the microphone ran dry ${microphone.underruns} times` : "";
      talk.note("house", "Line", `${words} after ${PhoneTalk.clock(seconds * 1000)}${dry}`);
      page.dataset.ended = line.ended;
    },
    browser({ dropped }) {
      if (dropped) talk.note("house", "Line", `this browser was too slow for ${dropped} frames of 20 ms`, "warn");
    },
  };

  function news(what) {
    const heard = HEARD[what.kind];
    if (heard) heard(what);
  }

  function deskPhone({ state: now, desk, number, status }) {
    const box = by("desk");
    const said = { rings: `${desk || number} rings`, whisper: `${desk || "The desk"} picked up, and hears who calls`, talks: "Joined with the caller" }[now];
    if (now === "rings") {
      by("desk-said").textContent = `You are the person at ${number}.`;
      line.desk = desk || number;
      line.sound.ring(true);
    } else {
      line.sound.ring(now === "whisper");
      if (now === "whisper") by("desk-said").replaceChildren();
    }
    if (now === "talks") by("desk-said").textContent = "Two people talk from here on. The sentences below are heard as the desk hears them; the microphone is not, it would be an echo.";
    line.joined = now === "talks";
    if (line.joined || now === "gone") line.sound.live(line.joined);
    if (said) {
      by("desk-what").textContent = now === "whisper" ? `${line.desk} picked up, and hears who calls` : said;
      talk.note("house", "Desk", by("desk-what").textContent);
    } else if (line.desk) {
      talk.note("house", "Desk", now === "failed" ? `${number} could not be called` : `the call to ${line.desk} is over${status ? `: ${status}` : ""}`);
      line.desk = "";
    }
    box.hidden = !said;
    for (const button of box.querySelectorAll("[data-when]")) button.hidden = !button.dataset.when.split(" ").includes(now);
  }

  // --- buttons and keys ---
  page.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button || !line) return;
    const { key, keys, say, voice, desk, deskKey } = button.dataset;
    if (key || keys) order({ do: "press", keys: key || keys });
    else if (say) order({ do: "say", text: say, voice });
    else if (desk) order({ do: "desk-answers", how: desk });
    else if (deskKey) order({ do: "desk-presses", key: deskKey });
    else if (button.id === "desk-hang-up") order({ do: "desk-hangs-up" });
    else if (button.id === "hang-up") order({ do: "hang-up" });
    else if (button.id === "mute") {
      line.muted = !line.muted;
      line.sound.mute(line.muted);
      button.setAttribute("aria-pressed", String(line.muted));
    }
  });
  page.addEventListener("keydown", (event) => {
    const field = event.target.closest("input, select, textarea");
    if (!line || field || event.ctrlKey || event.metaKey || event.altKey || !KEYS.includes(event.key)) return;
    event.preventDefault();
    order({ do: "press", keys: event.key });
    const button = page.querySelector(`[data-key="${event.key}"]`);
    button.classList.add("pressed");
    setTimeout(() => button.classList.remove("pressed"), 150);
  });
  window.addEventListener("pagehide", () => {
    if (line) line.socket.close();
  });
})();
