// The page of `genwright serve`: forms made of what /v1/runs says, examples shown as they are made. Texts of the
// user reach the page as text nodes; HTML comes from the server alone, where everything in it is escaped.
"use strict";

const MOST = Number(document.body.dataset.most), UPLOAD = Number(document.body.dataset.upload), CHARACTERS = Number(document.body.dataset.characters);
const TILES = { pixels: "4.4rem", waveform: "14rem", tiles: "14rem", molecule: "11rem" }; // width of an example, by what is seen of it
const panels = [];

function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "hidden") made.hidden = value;
    else if (value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

async function post(path, body, signal) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal,
  });
  if (answer.ok) return answer;
  let words = `the server answered ${answer.status}`;
  try { words = (await answer.json()).error.message; } catch { /* no JSON: the status has to do */ }
  if (answer.status === 503) words += ` (again in ${answer.headers.get("Retry-After") || 1} s)`;
  throw new Error(words);
}

async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const parts = rest.split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const [name, data] = part.split("\ndata: ");
      yield [name.replace("event: ", ""), JSON.parse(data)];
    }
  }
}

function save(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function blobOf(example) {
  if (example.data !== undefined) {
    const bytes = Uint8Array.from(atob(example.data), (c) => c.charCodeAt(0));
    return [new Blob([bytes], { type: example.media_type }), (example.media_type.split("/")[1] || "bin").replace("x-", "")];
  }
  if (example.text !== undefined) return [new Blob([example.text], { type: "text/plain" }), "txt"];
  return [new Blob([JSON.stringify(example.row, null, 1)], { type: "application/json" }), "json"];
}

const quoted = (text) => /^[\w./:=@+-]+$/.test(text) ? text : `'${String(text).replaceAll("'", "'\\''")}'`;

// -- one run -------------------------------------------------------------------------------------------------------

class Panel {
  constructor(run) {
    this.run = run;
    this.id = `run-${panels.length}`;
    this.inputs = new Map();
    this.aborter = null;
    this.examples = [];
    this.node = el("section", { class: "run", "aria-labelledby": `${this.id}-head` },
      el("h2", { id: `${this.id}-head`, dir: "auto" }, run.id),
      el("p", { class: "about quiet" }, `${run.family}, makes ${run.makes}; step ${run.step.toLocaleString("en")}, ${short(run.parameters)} parameters. Data: ${run.examples || run.data}`),
      this.verdict(), this.form(), this.output());
    if (run.applies) this.node.append(this.applying());
    if (run.latents) this.node.append(this.latents());
  }

  verdict() {
    const { verdict, limits, judged_step: judged, step } = this.run, box = el("details", {}, el("summary", {}, "What the judge says"));
    if (!verdict) {
      box.append(el("p", { class: "quiet" }, "Not judged yet. Looks do not tell whether it is good: genwright judge does, beside real examples."));
      return box;
    }
    box.append(el("ul", { class: "verdict" }, ...verdict.map((one) => el("li", { class: one.outcome.replaceAll(" ", "-") },
      el("b", { dir: "auto" }, one.question), " ", el("span", { class: "outcome" }, one.outcome), el("div", { dir: "auto" }, one.because)))));
    if (judged !== undefined && judged !== null && judged !== step) box.append(el("p", { class: "quiet" }, `It judged step ${judged}; served is step ${step}.`));
    if (limits.length) box.append(el("p", { class: "quiet" }, `Not measured: ${limits.join("; ")}`));
    box.open = verdict.some((one) => one.outcome === "not supported");
    return box;
  }

  // A field with its label; `input` has a value, which `read` turns into what the API takes, undefined for nothing.
  field(group, name, input, { words = "", wide = false, shown = name, read = (text) => text === "" ? undefined : text, output = null } = {}) {
    input.id = `${this.id}-${group}-${name}`.replaceAll(/[^\w-]/g, "_");
    this.inputs.set(`${group}\n${name}`, { group, name, read: () => read(input.value, input) });
    if (words) input.setAttribute("aria-describedby", `${input.id}-words`);
    return el("div", { class: wide ? "field wide" : "field" },
      el("label", { for: input.id, dir: "auto" }, shown.replaceAll("_", " "), output), input,
      words ? el("small", { id: `${input.id}-words` }, words) : null);
  }

  control(one) {
    const need = one.required ? "has to be given" : "";
    if (one.kind === "menu") {
      return this.field("given", one.name, el("select", {}, el("option", { value: "" }, "any"),
        ...one.values.map((value, i) => el("option", { value: String(i + 1) }, String(value)))),
        { read: (at) => at === "" ? undefined : one.values[Number(at) - 1] });
    }
    if (one.kind === "prompt") return this.field("given", one.name, el("textarea", { rows: 2, placeholder: "goes on from here" }), { wide: true });
    if (one.kind === "infill") {
      const fill = el("textarea", { rows: 2, placeholder: "To be ___ not" });
      return this.field("given", one.name, fill, { wide: true, shown: `${one.name} with gaps`, words: "a _ for each symbol to be made" });
    }
    if (one.kind === "text" || one.kind === "turns") return this.field("given", one.name, el("textarea", { rows: 2 }), { wide: true, words: need });
    if (one.kind === "columns") {
      return el("fieldset", { class: "field wide" }, el("legend", {}, "Known columns; the others are made"), el("div", { class: "fields" },
        ...one.columns.map((column) => this.field(`columns ${one.name}`, column, el("input", { type: "text", placeholder: "to be made", autocomplete: "off" })))));
    }
    return this.field("given", one.name, el("input", { type: "text", inputmode: "decimal", placeholder: "any" }),
      { words: need, read: (text) => text === "" ? undefined : Number.isFinite(Number(text)) ? Number(text) : text });
  }

  option(one) {
    const words = one.words, fallback = one.default === null || one.default === undefined ? "its own choice" : String(one.default);
    if (one.kind === "choice") return this.field("options", one.name, el("select", {}, el("option", { value: "" }, fallback), ...one.choices.map((c) => el("option", { value: c }, c))), { words });
    if (one.kind === "switch") return this.field("options", one.name, el("select", {}, el("option", { value: "" }, fallback), el("option", { value: "true" }, "yes"), el("option", { value: "false" }, "no")), { words, read: (text) => text === "" ? undefined : text === "true" });
    if (one.kind === "whole") return this.field("options", one.name, el("input", { type: "number", step: 1, min: one.least ?? 0, max: one.most, placeholder: fallback }), { words, read: (text) => text === "" ? undefined : Number(text) });
    // The slider of a number: untouched it says nothing, so that the sampler's own default holds.
    const output = el("output", {}, fallback), slider = el("input", { type: "range", min: one.least, max: one.most, step: 0.05, value: one.default ?? one.most });
    slider.addEventListener("input", () => { slider.dataset.moved = "yes"; output.value = Number(slider.value).toFixed(2); });
    slider.addEventListener("dblclick", () => { delete slider.dataset.moved; slider.value = one.default ?? one.most; output.value = fallback; });
    return this.field("options", one.name, slider, { words, output, read: (text, input) => input.dataset.moved ? Math.max(Number(text), 1e-3) : undefined });
  }

  form() {
    const many = this.run.views.includes("pixels") ? 16 : this.run.views.includes("row") ? 12 : 4;
    const output = el("output", {}, String(many));
    this.many = el("input", { type: "range", min: 1, max: MOST, value: many, oninput: () => { output.value = this.many.value; } });
    this.seed = el("input", { type: "number", min: 0, step: 1, value: 0, inputmode: "numeric", "aria-label": `Seed of ${this.run.id}`, id: `${this.id}-seed` });
    this.go = el("button", { class: "go" }, "Make");
    this.stop = el("button", { type: "button", disabled: "", onclick: () => this.aborter && this.aborter.abort() }, "Stop");
    const controls = this.run.fields.filter((one) => one.kind !== "file").map((one) => this.control(one));
    const options = this.run.options.filter((one) => one.name !== "chunk").map((one) => this.option(one));
    return el("form", { onsubmit: (event) => { event.preventDefault(); this.make(); }, "aria-label": `What ${this.run.id} is to make` },
      el("div", { class: "fields" },
        el("div", { class: "field" }, el("label", { for: `${this.id}-many` }, "how many", output), Object.assign(this.many, { id: `${this.id}-many` })),
        el("div", { class: "field" }, el("label", { for: `${this.id}-seed` }, "seed"), el("div", { class: "seed" }, this.seed,
          el("button", { type: "button", title: "Another seed", "aria-label": "Another seed", onclick: () => { this.seed.value = Math.floor(Math.random() * 2 ** 31); } }, "⚂"))),
        ...controls),
      options.length ? el("details", {}, el("summary", {}, "Options of the sampler"), el("div", { class: "fields" }, ...options)) : null,
      el("div", { class: "bar" }, this.go, this.stop));
  }

  output() {
    this.status = el("p", { class: "status", role: "status", "aria-live": "polite" });
    this.progress = el("progress", { max: 1, value: 0, hidden: true, "aria-label": `Progress of ${this.run.id}` });
    this.made = el("div", { class: "made" });
    const view = this.run.views.find((one) => one in TILES);
    this.made.style.setProperty("--tile", TILES[view] || "100%");
    this.command = el("div", { class: "command" });
    this.all = el("button", { type: "button", onclick: () => this.download() }, "Download all");
    this.after = el("div", { class: "bar after", hidden: true }, this.all, this.command);
    return el("div", {}, this.progress, this.status, this.made, this.after);
  }

  request() {
    const given = {}, options = {};
    for (const { group, name, read } of this.inputs.values()) {
      const value = read();
      if (value === undefined) continue;
      if (group === "options") options[name] = value;
      else if (group === "given") given[name] = value;
      else if (group.startsWith("columns ")) (given[group.slice(8)] ??= {})[name] = value;
    }
    return { run: this.run.id, n: Number(this.many.value), seed: Number(this.seed.value), given, options };
  }

  kinds() {
    return new Map(this.run.fields.map((one) => [one.name, one.kind]));
  }

  say(words, bad = false) {
    this.status.textContent = words;
    this.status.classList.toggle("bad", bad);
  }

  async make() {
    if (this.aborter) return;
    const asked = this.request(), began = performance.now();
    this.aborter = new AbortController();
    this.begin("Making …");
    try {
      const answer = await post("/v1/sample", { ...asked, stream: true, previews: true }, this.aborter.signal);
      this.clear();
      for await (const [name, data] of events(answer)) {
        if (name === "draft") this.draft(data);
        else if (name === "examples") this.show(data);
        else if (name === "error") throw new Error(data.message);
        else if (name === "done") this.end(`Made ${this.examples.length} in ${((performance.now() - began) / 1000).toFixed(1)} s.${data.notes.length ? ` ${data.notes.join(". ")}.` : ""}`);
      }
      this.asked = asked;
      this.command.replaceChildren(el("small", { class: "quiet" }, "The same on the command line:"), el("code", { tabindex: 0 }, line(asked, this.kinds())));
      this.after.hidden = false;
    } catch (error) {
      this.say(error.name === "AbortError" ? "Stopped." : error.message, error.name !== "AbortError");
    } finally {
      this.finish();
    }
  }

  begin(words) {
    this.go.disabled = true;
    this.stop.disabled = false;
    this.progress.hidden = false;
    this.progress.removeAttribute("value");
    this.say(words);
  }

  finish() {
    this.aborter = null;
    this.go.disabled = false;
    this.stop.disabled = true;
    this.progress.hidden = true;
  }

  clear() {
    this.examples = [];
    this.tiles = [];
    this.tables = 0;
    this.made.replaceChildren();
    this.after.hidden = true;
  }

  // Where an example is shown: rows that come together are one table, behind those that are finished.
  place(number) {
    return this.run.views.includes("row") ? this.tables : number;
  }

  tile(at) {
    while (this.tiles.length <= at) {
      const figure = el("figure", { class: "draft" }, el("div"));
      this.tiles.push(figure);
      this.made.append(figure);
    }
    return this.tiles[at];
  }

  draft(data) {
    if (data.steps) {
      this.progress.max = data.steps;
      this.progress.value = data.step;
      this.say(`Step ${data.step} of ${data.steps}`);
    }
    (data.texts || []).forEach((text, i) => this.tile(data.first + i).firstChild.replaceChildren(el("pre", { dir: "auto" }, text)));
    (data.html || []).forEach((html, i) => { this.tile(this.place(data.first + i)).firstChild.innerHTML = html; });
  }

  show(data) {
    const rows = this.run.views.includes("row");
    this.examples.push(...data.examples);
    (data.html || []).forEach((html, i) => {
      const figure = this.tile(this.place(data.first + i)), number = data.first + i + 1;
      figure.classList.remove("draft");
      figure.firstChild.innerHTML = html;
      const example = data.examples[i];
      const given = rows ? "" : Object.entries(example.given || {}).map(([name, value]) => `${name} ${value}`).join(", ");
      if (!rows) {
        figure.append(el("figcaption", {}, el("span", { dir: "auto" }, given || String(number)),
          el("button", { type: "button", "aria-label": `Download example ${number}`, onclick: () => { const [blob, ending] = blobOf(example); save(blob, `${this.run.id}-${number}.${ending}`); } }, "↓")));
      }
    });
    if (rows) this.tables += 1;
    this.say(`${this.examples.length} made`);
  }

  end(words) {
    this.say(words);
  }

  async download() {
    try {
      this.say("Making the files …");
      const answer = await post("/v1/sample", { ...this.asked, format: "zip" });
      save(await answer.blob(), `${this.run.id}-seed-${this.asked.seed}.zip`);
      this.say("Downloaded: the same files as the command line's.");
    } catch (error) {
      this.say(error.message, true);
    }
  }

  // -- of what a person has ----------------------------------------------------------------------------------------

  applying() {
    const { name, reads } = this.run.applies, input = el("input", { type: "file", accept: reads.split(" ").join(","), "aria-label": `A file for ${this.run.id}` });
    const box = el("div", { class: "made" }), words = el("p", { class: "status", role: "status", "aria-live": "polite" });
    box.style.setProperty("--tile", "14rem");
    const send = async (file) => {
      if (!file) return;
      if (file.size > UPLOAD) { words.textContent = `${file.name} is larger than ${(UPLOAD / 2 ** 20).toFixed(1)} MB`; return; }
      words.textContent = "Making …";
      words.classList.remove("bad");
      try {
        const bytes = new Uint8Array(await file.arrayBuffer());
        let text = "";
        for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
        const { n, given, ...asked } = this.request();
        const made = await (await post("/v1/apply", { ...asked, name: file.name, data: btoa(text), previews: true })).json();
        box.replaceChildren(...made.html.map((html) => { const figure = el("figure", {}, el("div")); figure.firstChild.innerHTML = html; return figure; }));
        box.append(...made.examples.map((one) => el("button", { type: "button", onclick: () => save(blobOf(one)[0], one.name) }, `Download ${one.name}`)));
        words.textContent = ["Made.", ...made.notes].join(" ");
      } catch (error) {
        words.textContent = error.message;
        words.classList.add("bad");
      }
    };
    const zone = el("div", { class: "drop" }, el("p", {}, `Drop a file to give it as ${name}, or choose one`), input, el("p", { class: "quiet" }, reads));
    input.addEventListener("change", () => send(input.files[0]));
    for (const kind of ["dragover", "dragleave", "drop"]) zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.toggle("over", kind === "dragover");
      if (kind === "drop") send(event.dataTransfer.files[0]);
    });
    return el("details", { open: "" }, el("summary", {}, "Of a file that you have"), zone, words, box);
  }

  // -- between two codes -------------------------------------------------------------------------------------------

  latents() {
    const [from, to] = [1, 2].map((seed) => el("input", { type: "number", min: 0, step: 1, value: seed }));
    from.id = `${this.id}-from`; to.id = `${this.id}-to`;
    const words = el("p", { class: "status", role: "status", "aria-live": "polite" }), shown = el("div", { class: "made" });
    shown.style.setProperty("--tile", this.run.views.includes("pixels") ? "9rem" : "100%");
    const slider = el("input", { type: "range", min: 0, max: 8, value: 0, id: `${this.id}-way`, disabled: "" }), place = el("output", {}, "");
    let way = [];
    const look = () => {
      const figure = el("figure", {}, el("div"));
      figure.firstChild.innerHTML = way[Number(slider.value)] || "";
      shown.replaceChildren(figure);
      place.value = `${Math.round(100 * slider.value / 8)} %`;
    };
    slider.addEventListener("input", look);
    const ask = el("button", { type: "button", onclick: async () => {
      words.textContent = "Making the way …";
      words.classList.remove("bad");
      try {
        const made = await (await post("/v1/edit", { run: this.run.id, seeds: [Number(from.value), Number(to.value)], steps: 9, previews: true })).json();
        way = made.html;
        slider.disabled = false;
        words.textContent = "Move the slider.";
        look();
      } catch (error) {
        words.textContent = error.message;
        words.classList.add("bad");
      }
    } }, "Make the way");
    return el("details", {}, el("summary", {}, "Between two latent codes"), el("div", { class: "bar" },
      el("label", { for: from.id }, "from seed"), from, el("label", { for: to.id }, "to seed"), to, ask),
      words, el("div", { class: "field" }, el("label", { for: slider.id }, "on the way", place), slider), shown);
  }
}

// -- a run that talks ----------------------------------------------------------------------------------------------

class Chat extends Panel {
  // What was said, and below it what is said next; `seed` of each answer stands beside it.
  form() {
    this.turns = [];
    this.ask = this.run.fields.find((one) => one.kind === "turns").name;
    const others = this.run.fields.filter((one) => !["file", "turns"].includes(one.kind)).map((one) => this.control(one));
    const options = this.run.options.filter((one) => one.name !== "chunk").map((one) => this.option(one));
    this.history = el("ol", { class: "turns", "aria-label": `The dialogue with ${this.run.id}`, "aria-live": "polite", tabindex: 0 });
    this.words = el("textarea", { id: `${this.id}-words`, rows: 2, placeholder: "Say something", dir: "auto", onkeydown: (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); this.make(); }
    } });
    this.seed = el("input", { type: "number", min: 0, step: 1, value: 0, inputmode: "numeric", "aria-label": `Seed of ${this.run.id}`, id: `${this.id}-seed` });
    this.go = el("button", { class: "go" }, "Send");
    this.stop = el("button", { type: "button", disabled: "", onclick: () => this.aborter && this.aborter.abort() }, "Stop");
    this.again = el("button", { type: "button", disabled: "", onclick: () => this.retry() }, "Another answer");
    this.fresh = el("button", { type: "button", disabled: "", onclick: () => this.restart() }, "Start anew");
    return el("form", { onsubmit: (event) => { event.preventDefault(); this.make(); }, "aria-label": `A dialogue with ${this.run.id}` },
      this.history,
      el("div", { class: "field" }, el("label", { for: this.words.id }, "you say"), this.words),
      el("div", { class: "fields" }, el("div", { class: "field" }, el("label", { for: `${this.id}-seed` }, "seed"), el("div", { class: "seed" }, this.seed,
        el("button", { type: "button", title: "Another seed", "aria-label": "Another seed", onclick: () => { this.seed.value = Math.floor(Math.random() * 2 ** 31); } }, "⚂"))), ...others),
      options.length ? el("details", {}, el("summary", {}, "Options of the sampler"), el("div", { class: "fields" }, ...options)) : null,
      el("div", { class: "bar" }, this.go, this.stop, this.again, this.fresh));
  }

  request() {
    this.many = { value: 1 };
    const asked = super.request();
    let first = 0; // the end of a long dialogue is what is read
    while (first < this.turns.length - 1 && inTurns(this.turns.slice(first)).length > CHARACTERS) first += 1;
    asked.given[this.ask] = this.turns.slice(first);
    return asked;
  }

  // A turn at the end of the history; gives the element that holds its words.
  said(role, content, note = "") {
    const words = el("div", { class: "words", dir: "auto" }, content);
    this.history.append(el("li", { class: role === "user" ? "user" : "model" }, el("span", { class: "who" }, role), words, el("small", { class: "quiet" }, note)));
    this.history.scrollTop = this.history.scrollHeight;
    return words;
  }

  async make() {
    const words = this.words.value.trim();
    if (this.aborter) return;
    if (!words) { this.say("Say something first."); this.words.focus(); return; }
    this.words.value = "";
    this.turns.push({ role: "user", content: words });
    this.said("user", words);
    await this.answer();
  }

  async answer() {
    const asked = this.request(), began = performance.now(), shown = this.said("assistant", "…", `seed ${asked.seed}`);
    this.aborter = new AbortController();
    this.begin("Answering …");
    this.fresh.disabled = true;
    this.again.disabled = true;
    try {
      const answer = await post("/v1/sample", { ...asked, stream: true }, this.aborter.signal);
      for await (const [name, data] of events(answer)) {
        if (name === "draft" && data.texts) shown.textContent = data.texts[0];
        else if (name === "examples") shown.textContent = data.examples[0].text;
        else if (name === "error") throw new Error(data.message);
        else if (name === "done") this.say(`Answered in ${((performance.now() - began) / 1000).toFixed(1)} s.${data.notes.length ? ` ${data.notes.join(". ")}.` : ""}`);
        this.history.scrollTop = this.history.scrollHeight;
      }
      this.turns.push({ role: "assistant", content: shown.textContent });
      this.asked = asked;
      this.command.replaceChildren(el("small", { class: "quiet" }, "The last answer on the command line:"), el("code", { tabindex: 0 }, line(asked, this.kinds())));
      this.after.hidden = false;
    } catch (error) {
      this.history.lastChild.remove();
      this.unsay();
      this.say(error.name === "AbortError" ? "Stopped." : error.message, error.name !== "AbortError");
    } finally {
      this.finish();
      this.fresh.disabled = !this.turns.length;
      this.again.disabled = !this.turns.length;
      this.words.focus();
    }
  }

  // What was said and not answered goes back to where it is written.
  unsay() {
    this.history.lastChild.remove();
    this.words.value = this.turns.pop().content;
  }

  retry() {
    if (this.aborter || this.turns.length < 2) return;
    this.turns.pop();
    this.history.lastChild.remove();
    this.seed.value = Number(this.seed.value) + 1;
    this.answer();
  }

  restart() {
    this.turns = [];
    this.history.replaceChildren();
    this.after.hidden = true;
    this.fresh.disabled = true;
    this.again.disabled = true;
    this.say("");
    this.words.focus();
  }

  // The dialogue as a line of the data that such a model is trained on.
  async download() {
    save(new Blob([`${JSON.stringify({ messages: this.turns })}\n`], { type: "application/jsonl" }), `${this.run.id}-dialogue.jsonl`);
  }
}

const inTurns = (turns) => turns.map(({ role, content }) => `${role}: ${content}`).join("\n");

function line({ run, n, seed, given, options }, kinds) {
  const words = ["genwright", "sample", run, "-n", n, "--seed", seed];
  for (const [name, value] of Object.entries(given)) {
    if (kinds.get(name) === "turns") words.push("--given", `${name}=${typeof value === "string" ? value : inTurns(value)}`);
    else if (name === "prompt" || name === "infill") words.push("--set", `${name}=${value}`);
    else if (typeof value === "object") words.push("--set", `infill=${JSON.stringify(value)}`);
    else words.push("--given", `${name}=${value}`);
  }
  for (const [name, value] of Object.entries(options)) words.push("--set", `${name}=${value}`);
  return words.map((word) => quoted(String(word))).join(" ");
}

function short(n) {
  return n >= 1e6 ? `${(n / 1e6).toFixed(1)} M` : n >= 1e3 ? `${Math.round(n / 1e3)} k` : String(n);
}

// -- all of them ---------------------------------------------------------------------------------------------------

async function start() {
  const main = document.getElementById("runs"), all = document.getElementById("all");
  try {
    const { runs } = await (await fetch("/v1/runs")).json();
    for (const run of runs) panels.push(run.fields.some((one) => one.kind === "turns") ? new Chat(run) : new Panel(run));
    main.replaceChildren(...panels.map((panel) => panel.node));
    all.hidden = panels.length < 2;
    all.addEventListener("submit", (event) => {
      event.preventDefault();
      for (const panel of panels) {
        panel.seed.value = document.getElementById("all-seed").value;
        panel.make();
      }
    });
  } catch (error) {
    main.replaceChildren(el("p", { class: "status bad", role: "alert" }, `The runs could not be loaded: ${error.message}`));
  }
  main.setAttribute("aria-busy", "false");
}

start();
