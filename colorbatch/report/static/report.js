// The contact sheet: filters, pages, before/after sliders, the large view and the marks. All text from the data is set
// by textContent, and all addresses by attributes of elements made here, so nothing in the data can become markup.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const ON_A_PAGE = 60;
const MARKS = {
  good: { word: "Good", key: "g", list: "good.txt", use: "" },
  redo: { word: "Redo", key: "r", list: "redo.txt", use: "--only redo.txt" },
  grey: { word: "Leave as it is", key: "l", list: "leave-as-it-is.txt", use: "" },
};
const CONCERNS = {
  "unsure of its colours": "the model is unsure of its colours",
  purple: "purple: the mean of red and blue, if the model hesitated between them",
  stains: "colours that change where nothing else does",
  "more colourful than the rest": "more colourful than the rest",
  "colours cut off": "strong colours clipped at the limits of RGB",
  "flat colour": "a large area of one strong colour",
};

const byId = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat("en");

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const pictures = DATA.pictures.map((picture, place) => {
  const name = picture.name ?? picture.input;
  const cut = name.lastIndexOf("/") + 1;
  return {
    ...picture,
    place,
    path: name,
    file: name.slice(cut),
    folder: name.slice(0, cut),
    found: name.toLowerCase(),
  };
});

// --- marks: valid as long as the output is the one that was marked ---

const STORE = `colorbatch-report:${DATA.batch}`;

function readMarks() {
  try {
    return new Map(Object.entries(JSON.parse(localStorage.getItem(STORE)) ?? {}));
  } catch {
    return new Map(); // storage is disabled, or contains something else
  }
}

const marks = readMarks();
const NONE = "none"; // a mark that was taken away, though a decision is on record

function markMadeHere(picture) {
  const [mark, output] = marks.get(picture.input) ?? [];
  return output === (picture.output_sha256 ?? "") && (mark === NONE || Object.hasOwn(MARKS, mark)) ? mark : "";
}

function markOf(picture) {
  const mark = markMadeHere(picture) || markOnRecord(picture);
  return mark === NONE ? "" : mark;
}

function setMark(picture, mark) {
  if (mark || markOnRecord(picture)) marks.set(picture.input, [mark || NONE, picture.output_sha256 ?? ""]);
  else marks.delete(picture.input);
  keep(STORE, Object.fromEntries(marks));
  showInPlace(showLists);
}

function keep(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    byId("count").textContent = "This browser cannot store marks. Save the lists before you close the page.";
  }
}

// --- decisions: lines of colorbatch-retouch.jsonl, which a run reads ---

const RETOUCH_NAME = "colorbatch-retouch.jsonl";
const SCHEMA = 1;
const SETTINGS = {
  vividness: { word: "Vividness", min: 0, max: 1, example: "0.2" },
  strength: { word: "Strength", min: 0, max: 2, example: "0.7" },
  model: { word: "Model" },
};

// A line that cannot be read has no entry; it is saved as it is.
const onRecord = DATA.retouch.map((line) => ({ line, entry: entryOf(line) }));
const ALL = null; // in the place of a page: a line for all pages that have none of their own
const recordOfPage = new Map(); // of several lines for a page, the last one
for (const record of onRecord) {
  if (record.entry) recordOfPage.set(keyOf(record.entry.input, record.entry.page ?? ALL), record);
}

function entryOf(line) {
  try {
    const entry = JSON.parse(line);
    return typeof entry?.input === "string" ? entry : null;
  } catch {
    return null;
  }
}

function keyOf(input, page) {
  return JSON.stringify([input, page]);
}

function pagesOf(picture) {
  return Array.from({ length: picture.frames ?? 1 }, (_, place) => place + 1);
}

function recordOf(picture, page) {
  return recordOfPage.get(keyOf(picture.input, page));
}

// What is on record for each page.
function entriesOf(picture) {
  return pagesOf(picture).flatMap((page) => (recordOf(picture, page) ?? recordOf(picture, ALL))?.entry ?? []);
}

// The lines for all pages of a picture; undefined: one that does not exist yet.
function recordsOf(picture) {
  const own = pagesOf(picture).flatMap((page) => recordOf(picture, page) ?? []);
  return own.length === pagesOf(picture).length ? own : [...own, recordOf(picture, ALL)];
}

function markOnRecord(picture) {
  const greyPages = entriesOf(picture).filter((entry) => entry.leave_grey === true).length;
  return greyPages === pagesOf(picture).length ? "grey" : "";
}

function wordsOnRecord(picture) {
  const [entry] = entriesOf(picture);
  if (!entry) return "";
  const settings = Object.entries(SETTINGS).filter(([name]) => (entry[name] ?? null) !== null);
  const words = settings.map(([name, { word }]) => `${word.toLowerCase()} ${entry[name]}`);
  if (entry.leave_grey === true) words.unshift("leave as it is");
  if (entry.hints?.length) words.push(entry.hints.length === 1 ? "1 hint" : `${entry.hints.length} hints`);
  return [...words, ...(entry.note ? [entry.note] : [])].join(", ");
}

// What the mark of a picture changes in its lines.
function decisionOf(picture) {
  const isGrey = entriesOf(picture).some((entry) => entry.leave_grey === true);
  switch (markMadeHere(picture)) {
    case "grey":
      return { leave_grey: true };
    case "redo":
      return { ...(isGrey && { leave_grey: false }), ...settingsOfRedo() };
    case NONE:
      return isGrey ? { leave_grey: false } : {};
    default:
      return {};
  }
}

// The lines with all decisions, each as text, and how many pictures they change.
function decided() {
  const changed = new Map();
  const added = [];
  let pictureCount = 0;
  for (const picture of pictures) {
    const decision = Object.entries(decisionOf(picture));
    let isChanged = false;
    for (const record of recordsOf(picture)) {
      const before = record?.entry ?? { schema: SCHEMA, input: picture.input };
      if (decision.every(([name, value]) => (before[name] ?? false) === value)) continue;
      isChanged = true;
      const line = asciiOf({ ...before, ...Object.fromEntries(decision) });
      if (record) changed.set(record, line);
      else added.push(line);
    }
    if (isChanged) pictureCount += 1;
  }
  return { lines: [...onRecord.map((record) => changed.get(record) ?? record.line), ...added.sort()], pictureCount };
}

function asciiOf(entry) {
  return JSON.stringify(entry).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

// Bytes of a line on record that are not UTF-8 are surrogates here, and become the same bytes again.
function bytesOf(text) {
  const parts = text.split(/([\udc80-\udcff])/).filter(Boolean);
  return parts.map((part) =>
    /^[\udc80-\udcff]$/.test(part) ? new Uint8Array([part.charCodeAt(0) - 0xdc00]) : new TextEncoder().encode(part),
  );
}

// What is saved but was not on record when the page was written.
function newLinesOf(lines) {
  const old = new Set(DATA.retouch);
  return lines.filter((line) => !old.has(line));
}

function showDecisions() {
  const { lines, pictureCount } = decided();
  const hasRedo = pictures.some((picture) => markMadeHere(picture) === "redo");
  const wrong = hasRedo ? wrongSettings() : [];
  const isSaved = pictureCount > 0 && !wrong.length && readSaved() === newLinesOf(lines).join("\n");
  byId("decided").textContent = isSaved || wrong.length ? "" : wordsOfUnsaved(pictureCount, hasRedo);
  byId("saved").textContent = isSaved ? `The browser saved ${RETOUCH_NAME}, with ${decisions(pictureCount)}.` : "";
  byId("wrong").textContent = wrong.join(" ");
  byId("steps").hidden = !isSaved;
  byId("redo-settings").hidden = !hasRedo;
  byId("save-decisions").disabled = pictureCount === 0 || wrong.length > 0;
  byId("decisions-command").textContent = commandOf();
  byId("decisions").hidden = pictureCount === 0 && !hasRedo;
}

function decisions(count) {
  return `${numbers.format(count)} ${count === 1 ? "decision" : "decisions"}`;
}

function wordsOfUnsaved(pictureCount, hasRedo) {
  if (pictureCount > 0) return `${decisions(pictureCount)} to save.`;
  if (hasRedo && !Object.keys(settingsOfRedo()).length) return "Redo changes nothing yet: choose a setting.";
  return "All decisions are in the output folder already.";
}

function saveDecisions() {
  const { lines } = decided();
  save(
    RETOUCH_NAME,
    lines.flatMap((line) => bytesOf(`${line}\n`)),
  );
  lastSaved = newLinesOf(lines).join("\n");
  keep(`${STORE}:saved`, lastSaved);
  showDecisions();
}

let lastSaved = null; // for browsers that cannot store it

function readSaved() {
  return lastSaved ?? readStored("saved");
}

function readStored(name) {
  try {
    return JSON.parse(localStorage.getItem(`${STORE}:${name}`));
  } catch {
    return null; // storage is disabled, or contains something else
  }
}

const inputsOfRedo = () => [...byId("redo-settings").querySelectorAll("input")];

function settingsOfRedo() {
  const inputs = inputsOfRedo().filter((input) => input.value && input.validity.valid);
  return Object.fromEntries(inputs.map((input) => [input.name, input.type === "number" ? input.valueAsNumber : input.value]));
}

// What to correct, in words.
function wrongSettings() {
  const wrong = inputsOfRedo().filter((input) => !input.validity.valid);
  for (const input of inputsOfRedo()) input.setAttribute("aria-invalid", String(wrong.includes(input)));
  return wrong.map((input) => {
    const { word, min, max, example } = SETTINGS[input.name];
    return `${word} must be a number from ${min} to ${max}, such as ${example}.`;
  });
}

function makeRedoSettings() {
  const values = readStored("redo") ?? { vividness: "0.2" };
  const fields = Object.entries(SETTINGS).map(([name, { word, min, max }]) => {
    const kind = max ? { type: "number", min, max, step: "any" } : { type: "text", list: "models", spellcheck: "false" };
    const asBefore = { placeholder: "as before", autocomplete: "off", "aria-describedby": "wrong" };
    return make("label", {}, `${word} `, make("input", { name, value: values[name], ...asBefore, ...kind }));
  });
  const models = DATA.models.map((name) => make("option", { value: name }));
  byId("redo-settings").append(...fields, make("datalist", { id: "models" }, ...models));
  // A text that is no number changes no value, so that only the end of the focus tells of it.
  for (const kind of ["change", "focusout"]) byId("redo-settings").addEventListener(kind, takeSettings);
}

function takeSettings() {
  keep(`${STORE}:redo`, Object.fromEntries(inputsOfRedo().map((input) => [input.name, input.value])));
  const command = document.querySelector('[data-command="redo"]');
  if (command) command.textContent = commandOf("redo");
  showDecisions();
}

function shellQuoted(text) {
  if (/^[\w.:/\\-]+$/.test(text) && !(text.includes("\\") && !DATA.is_windows)) return text;
  return DATA.is_windows ? `"${text}"` : `'${text.replaceAll("'", `'\\''`)}'`;
}

function commandOf(mark) {
  const { source = "SOURCE", output } = DATA.shell_paths;
  const { model = DATA.model, ...others } = mark === "redo" ? settingsOfRedo() : {};
  const options = [
    ...(mark ? [MARKS[mark].use] : []),
    ...Object.entries(others).map(([name, value]) => `--${name} ${value}`),
    ...(model ? [`--model ${shellQuoted(model)}`] : []),
  ];
  return ["colorbatch run", ...options, source, output].join(" ");
}

// A line of a list: the path, or a JSON string where a plain line could be misread. colorbatch/run/only_list.py reads it.
function lineOf(path) {
  return /^[^\s"#][^\p{Cc}\p{Cs}\u2028\u2029]*$/u.test(path) && !/\s$/.test(path) ? path : JSON.stringify(path);
}

function listOf(mark) {
  const paths = pictures.filter((picture) => markMadeHere(picture) === mark).map((picture) => picture.input);
  return [
    `# ${MARKS[mark].word}: ${paths.length} of ${pictures.length} in the report of ${DATA.title}`,
    ...paths.sort().map(lineOf),
    "",
  ].join("\n");
}

function save(name, parts) {
  const link = make("a", { href: URL.createObjectURL(new Blob(parts, { type: "text/plain" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function showLists() {
  const lists = Object.entries(MARKS).map(([mark, { word, list, use }]) => {
    const count = pictures.filter((picture) => markMadeHere(picture) === mark).length;
    if (count === 0) return null;
    const button = make("button", { type: "button", "data-save": mark }, `Save ${list}`);
    button.addEventListener("click", () => save(list, [listOf(mark)]));
    const name = make("span", { class: "name" }, make("strong", {}, numbers.format(count)), ` ${word.toLowerCase()}`);
    const code = make("code", { "data-command": mark }, commandOf(mark));
    const command = use && withCopyButton(make("span", { class: "command" }, code));
    return make("li", {}, name, button, command || null);
  });
  const shown = lists.filter((list) => list);
  byId("lists").replaceChildren(...shown);
  byId("marks").hidden = shown.length === 0;
  showDecisions();
}

// The pictures stay where they are, whatever appears above them.
function showInPlace(show) {
  const top = byId("pictures").getBoundingClientRect().top;
  show();
  scrollBy(0, byId("pictures").getBoundingClientRect().top - top);
}

// --- commands to copy ---

function withCopyButton(command) {
  const code = command.querySelector("code");
  const button = make("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    const isCopied = await copy(code);
    button.textContent = isCopied ? "Copied" : "Selected: copy it with the keyboard";
    byId("copied").textContent = button.textContent;
    setTimeout(() => {
      button.textContent = "Copy";
      byId("copied").textContent = "";
    }, 3000);
  });
  command.append(" ", button);
  return command;
}

// Browsers offer the clipboard only on pages that they trust; others let a selection be copied. If both fail, it remains
// selected.
async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    const isCopied = document.execCommand("copy");
    if (isCopied) getSelection().removeAllRanges();
    return isCopied;
  }
}

function markButtons(picture) {
  const buttons = Object.entries(MARKS).map(([mark, { word }]) => {
    const button = make("button", { type: "button", "data-mark": mark }, word);
    button.addEventListener("click", () => {
      setMark(picture, markOf(picture) === mark ? "" : mark);
      showMark(picture);
    });
    return button;
  });
  const group = make("div", { class: "mark", role: "group", "aria-label": `Mark of ${picture.path}` }, ...buttons);
  group.dataset.input = picture.input;
  press(group, picture);
  return group;
}

function press(group, picture) {
  for (const button of group.children)
    button.setAttribute("aria-pressed", String(markOf(picture) === button.dataset.mark));
}

function showMark(picture) {
  for (const group of document.querySelectorAll(".mark")) {
    if (group.dataset.input === picture.input) press(group, picture);
  }
}

// --- before and after ---

function addressOf(picture, part, size) {
  return `previews/${picture.preview.slice(0, 2)}/${picture.preview.slice(2)}-${part}${size}.webp`;
}

function imageOf(picture, part, size) {
  const [width, height] = picture.small;
  return make("img", {
    class: part,
    src: addressOf(picture, part, size),
    width,
    height,
    alt: "",
    loading: size ? "eager" : "lazy",
    decoding: "async",
    draggable: "false",
  });
}

// Keys and screen readers move the range; the pointer moves it only by a drag, so that a click can open the picture.
function comparison(picture, size, open) {
  const [width, height] = picture.small;
  const box = make("div", { class: picture.before ? "compare" : "compare single" });
  box.style.setProperty("--shape", width / height);
  if (!picture.before) {
    box.append(imageOf(picture, "after", size));
    if (open) box.addEventListener("click", open);
    return box;
  }
  const range = make("input", {
    type: "range",
    min: "0",
    max: "100",
    value: "50",
    "aria-label": `${picture.path}: before on the left, after on the right`,
  });
  const show = () => {
    box.style.setProperty("--at", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${100 - range.value} % in colour`);
  };
  range.addEventListener("input", show);
  range.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !open) return;
    event.preventDefault(); // otherwise it would press the button that receives the focus
    open();
  });
  show();
  let start = null;
  let isDrag = false;
  const slide = (event) => {
    const { left, width: across } = box.getBoundingClientRect();
    range.value = Math.round((100 * (event.clientX - left)) / across);
    show();
  };
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = event.clientX;
    isDrag = false;
  });
  box.addEventListener("pointermove", (event) => {
    if (start === null || (!isDrag && Math.abs(event.clientX - start) < 5)) return;
    if (!isDrag) {
      isDrag = true;
      box.setPointerCapture(event.pointerId);
      range.focus({ preventScroll: true });
    }
    slide(event);
  });
  const finish = (event) => {
    if (start !== null && !isDrag && event.type === "pointerup") {
      if (open) open();
      else slide(event);
    }
    start = null;
  };
  box.addEventListener("pointerup", finish);
  box.addEventListener("pointercancel", finish);
  box.append(imageOf(picture, "after", size), imageOf(picture, "before", size), make("span", { class: "line" }), range);
  return box;
}

// --- the contact sheet ---

function remarksOf(picture) {
  const words = wordsOnRecord(picture);
  return [
    ...(words ? [`decided: ${words}`] : []),
    ...(picture.reason ? [picture.reason] : []),
    ...(picture.notes ?? []),
    ...(picture.warnings ?? []),
  ];
}

function concernsOf(picture) {
  return Object.keys(picture.concerns ?? {}).map((concern) => CONCERNS[concern] ?? concern);
}

// A text whose options are not broken after their hyphens.
function withOptions(text) {
  return text.split(/(--[a-z-]+)/).map((part, place) => (place % 2 ? make("span", { class: "option" }, part) : part));
}

function card(picture) {
  const item = make("li", { class: `card ${picture.status}`, "data-input": picture.input });
  const open = () => openLarge(picture);
  const frame = make("div", { class: "frame" });
  if (picture.preview) frame.append(comparison(picture, "", open));
  else frame.append(make("p", { class: "nothing" }, picture.status === "failed" ? "failed" : "nothing to show"));
  const title = make("button", { type: "button", class: "title", title: picture.path }, picture.file);
  title.addEventListener("click", open);
  const remarks = [...remarksOf(picture), ...concernsOf(picture)].slice(0, 3);
  const state = picture.status === "done" ? null : make("span", { class: "state" }, picture.status);
  item.append(
    frame,
    make("h3", {}, title),
    make("p", { class: "folder" }, state, state && picture.folder ? " · " : null, picture.folder),
    remarks.length ? make("ul", { class: "remarks" }, ...remarks.map((remark) => make("li", {}, ...withOptions(remark)))) : "",
    picture.preview || picture.status === "failed" ? markButtons(picture) : "",
  );
  return item;
}

const ORDERS = {
  look: (one, other) => one.place - other.place,
  path: (one, other) => (one.path < other.path ? -1 : 1),
  newest: (one, other) => (other.finished_at ?? "").localeCompare(one.finished_at ?? "") || one.place - other.place,
  colour: (one, other) => (other.colourfulness ?? -1) - (one.colourfulness ?? -1) || one.place - other.place,
};

let chosen = pictures;
let page = 0;

function isChosen(picture, wanted) {
  const isNoted = Boolean(picture.notes || picture.warnings);
  return (
    picture.found.includes(wanted.name) &&
    picture.folder.startsWith(wanted.folder) &&
    (!wanted.status || (wanted.status === "noted" ? isNoted : picture.status === wanted.status)) &&
    (!wanted.mark || (markOf(picture) || "none") === wanted.mark)
  );
}

let waiting = 0;

function choose() {
  clearTimeout(waiting); // a list that is shown again later would swallow a click
  const wanted = { name: byId("name").value.trim().toLowerCase() };
  for (const id of ["folder", "status", "mark"]) wanted[id] = byId(id).value;
  chosen = pictures.filter((picture) => isChosen(picture, wanted)).sort(ORDERS[byId("order").value]);
  page = 0;
  showPage();
}

function showPage() {
  const last = Math.max(0, Math.ceil(chosen.length / ON_A_PAGE) - 1);
  page = Math.min(Math.max(0, page), last);
  const from = page * ON_A_PAGE;
  const some = chosen.slice(from, from + ON_A_PAGE);
  byId("sheet").replaceChildren(...some.map(card));
  const range = some.length ? `, ${numbers.format(from + 1)} to ${numbers.format(from + some.length)} shown` : "";
  const noun = pictures.length === 1 ? "source" : "sources";
  byId("count").textContent =
    `${numbers.format(chosen.length)} of ${numbers.format(pictures.length)} ${noun}${last ? range : ""}`;
  byId("pages").hidden = last === 0;
  byId("page").textContent = `Page ${numbers.format(page + 1)} of ${numbers.format(last + 1)}`;
  byId("earlier").disabled = page === 0;
  byId("later").disabled = page === last;
}

function turn(pages) {
  page += pages;
  showPage();
  byId("pictures").focus({ preventScroll: true });
  byId("pictures").scrollIntoView();
}

function showFolders() {
  const counts = new Map();
  for (const { folder } of pictures) {
    for (let end = folder.indexOf("/"); end >= 0; end = folder.indexOf("/", end + 1)) {
      const outer = folder.slice(0, end + 1);
      counts.set(outer, (counts.get(outer) ?? 0) + 1);
    }
  }
  const folders = [...counts].sort(([one], [other]) => (one < other ? -1 : 1));
  const options = folders.map(([folder, count]) =>
    make("option", { value: folder }, `${folder} (${numbers.format(count)})`),
  );
  byId("folder").replaceChildren(make("option", { value: "" }, "all"), ...options);
}

// --- one picture, large ---

const KEYS = "Keys: N next, P previous, G good, R redo, L leave as it is, arrows move the slider, Escape closes.";
const large = byId("large");
let opened = null;

function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB"];
  let unit = 0;
  for (; count >= 1000 && unit < 3; unit++) count /= 1000;
  return `${unit ? count.toFixed(1) : count} ${units[unit]}`;
}

function factsOf(picture) {
  const maker = DATA.makers[picture.maker];
  const link = (text, address) =>
    address ? make("a", { href: address, target: "_blank", rel: "noopener" }, text) : text;
  const size = picture.width && `${numbers.format(picture.width)} × ${numbers.format(picture.height)} pixels`;
  const before = {
    source: "the source in grey",
    "source in colour": "the source as it is, in colour",
    output: "the output in grey, which is the source in grey",
  };
  return [
    ["Status", picture.status],
    ["Reason", picture.reason],
    ["Decided", wordsOnRecord(picture)],
    ["Files", (picture.notes ?? []).join("; ")],
    ["Warnings", (picture.warnings ?? []).join("; ")],
    ["Check for", concernsOf(picture).join("; ")],
    ["Score", picture.score ? `${picture.score} of 100` : ""],
    ["Source", link(picture.path, picture.source_at)],
    ["Output", picture.output && link(picture.output, picture.output_at)],
    ["Shown before", before[picture.before]],
    ["Size", size && `${size}${picture.frames > 1 ? `, page 1 of ${picture.frames}` : ""}`],
    ["Bit depth", picture.bits && `${picture.bits} bits per channel`],
    ["File size of the source", picture.input_bytes && bytes(picture.input_bytes)],
    ["Colourfulness", picture.colourfulness],
    ["Confidence", picture.confidence],
    ["Model", maker.model],
    ["Provider", maker.provider],
    ["Time", picture.seconds && `${picture.seconds} s`],
    ["Finished", picture.finished_at],
    ["AI label", maker.digital_source_type],
    ["SHA-256 of the source", picture.input_sha256],
    ["SHA-256 of the output", picture.output_sha256],
    ["SHA-256 of the model", maker.model_sha256],
    ["SHA-256 of the settings", maker.settings_sha256],
    ["colorbatch", maker.version],
  ].filter(([, value]) => value !== undefined && value !== null && value !== "");
}

function openLarge(picture) {
  opened = picture;
  byId("large-title").textContent = picture.path;
  byId("stage").replaceChildren(
    picture.preview ? comparison(picture, "-large", null) : make("p", { class: "nothing" }, "nothing to show"),
  );
  const rows = factsOf(picture).map(([term, value]) =>
    make("div", {}, make("dt", {}, term), make("dd", {}, ...(typeof value === "object" ? [value] : withOptions(String(value))))),
  );
  byId("facts").replaceChildren(markButtons(picture), make("dl", {}, ...rows), make("p", { class: "quiet" }, KEYS));
  const place = chosen.indexOf(picture);
  byId("back").disabled = place <= 0;
  byId("forth").disabled = place < 0 || place === chosen.length - 1;
  if (!large.open) large.showModal();
}

function step(places) {
  const next = chosen[chosen.indexOf(opened) + places];
  if (next) openLarge(next);
}

large.addEventListener("click", (event) => {
  if (event.target === large) large.close(); // outside the dialog
});
document.addEventListener("keydown", (event) => {
  if (!large.open || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  const [mark] = Object.entries(MARKS).find(([, { key: own }]) => own === key) ?? [];
  if (mark) large.querySelector(`[data-mark="${mark}"]`).click();
  else if (key === "n") step(1);
  else if (key === "p") step(-1);
});
byId("close").addEventListener("click", () => large.close());
byId("back").addEventListener("click", () => step(-1));
byId("forth").addEventListener("click", () => step(1));

// --- start ---

byId("name").addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(choose, 120);
});
for (const id of ["folder", "status", "mark", "order"]) byId(id).addEventListener("change", choose);
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("earlier").addEventListener("click", () => turn(-1));
byId("later").addEventListener("click", () => turn(1));
byId("filters").hidden = false;
for (const command of document.querySelectorAll(".command")) withCopyButton(command);
byId("save-decisions").addEventListener("click", saveDecisions);
makeRedoSettings();
showFolders();
showLists();
choose();
