// The talk beside the telephone: turns by their numbers, tools by their calls, and what the house and the carrier did. All of it is
// text that somebody said or sent, so it only ever becomes text nodes.
"use strict";

class PhoneTalk {
  constructor(list, empty) {
    this.list = list;
    this.empty = empty;
    this.clear();
  }

  clear() {
    this.list.replaceChildren();
    this.empty.hidden = false;
    this.rows = new Map();
    this.began = performance.now();
    this.agent = null; // the agent's last turn
    this.speaking = false;
  }

  // The row of a key, made when it is not there. who: agent, caller, house, tool.
  row(key, who, label) {
    let row = this.rows.get(key);
    if (row) return row;
    const entry = document.createElement("li");
    const at = document.createElement("time");
    at.textContent = PhoneTalk.clock(performance.now() - this.began);
    const name = document.createElement("span");
    name.className = `who ${who === "tool" ? "tool" : `who-${who}`}`;
    name.textContent = label;
    const what = document.createElement("span");
    what.className = "what";
    entry.append(at, name, what);
    row = { entry, what, figure: null, text: "", heard: "", settled: false };
    this.rows.set(key, row);
    this.empty.hidden = true;
    const below = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 60;
    this.list.append(entry);
    if (below) this.list.scrollTop = this.list.scrollHeight;
    return row;
  }

  // Words as far as they are known.
  words({ seq, who, text }) {
    const row = this.turnRow(seq, who);
    if (who === "agent") this.agent = row;
    row.text = text;
    this.show(row);
  }

  // A turn as it stands on record: what was said, and what of it was heard.
  turn({ seq, who, text, heard }) {
    const row = this.turnRow(seq, who);
    row.text = text;
    row.heard = heard;
    row.settled = true;
    this.show(row);
  }

  turnRow(seq, who) {
    const row = this.row(`turn ${seq}`, who, who === "agent" ? "Agent" : "You");
    row.who = who;
    return row;
  }

  // What was heard stands plain; what was said and never heard is struck through, once the agent has stopped saying it.
  show(row) {
    const { who, text, heard, settled, what, figure } = row;
    const cut = who === "agent" && settled && !(this.speaking && row === this.agent) && text.startsWith(heard) && heard !== text;
    what.replaceChildren(cut ? heard : text);
    if (cut) {
      const rest = document.createElement("span");
      rest.className = "unheard";
      rest.title = "said by the model, not heard by the caller";
      rest.textContent = text.slice(heard.length);
      what.append(rest);
    }
    if (!text) what.append(this.soft(who === "caller" && settled ? "not understood" : "speaks"));
    if (figure) what.append(figure);
  }

  tool({ id, name, status, arguments: given, result, ms }) {
    const row = this.row(`tool ${id}`, "tool", "Tool");
    if (given !== undefined) row.given = given;
    row.name = name || row.name || "";
    const state = document.createElement("span");
    const grade = { ok: "good", runs: "", working: "", refused: "warn" }[status];
    state.className = `tag figure ${grade === undefined ? "bad" : grade}`;
    state.textContent = status === "runs" ? "running" : `${status} in ${ms} ms`;
    const sent = document.createElement("code");
    sent.textContent = row.given || "";
    row.what.replaceChildren(row.name, state, sent);
    if (result !== undefined) {
      const came = document.createElement("code");
      came.textContent = `= ${result}`;
      row.what.append(came);
    }
  }

  // How long the caller waited for the turn that has just begun.
  latency({ what, ms }) {
    const row = this.agent;
    if (!row || row.figure) return;
    row.figure = document.createElement("span");
    row.figure.className = "tag figure";
    row.figure.textContent = `${what === "greeting" ? "greets" : "answers"} after ${ms} ms`;
    row.what.append(row.figure);
  }

  // Mark the turn that is being heard now.
  speaks({ who, on }) {
    if (who !== "agent") return;
    this.speaking = on;
    for (const row of this.rows.values()) row.entry.classList.toggle("now", on && row === this.agent);
    if (this.agent) this.show(this.agent);
  }

  note(who, label, text, grade = "") {
    const row = this.row(`note ${this.rows.size}`, who, label);
    const words = document.createElement("span");
    words.className = grade;
    words.textContent = text;
    row.what.replaceChildren(words);
  }

  soft(text) {
    const mark = document.createElement("span");
    mark.className = "soft";
    mark.textContent = text;
    return mark;
  }

  static clock(ms) {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }
}
