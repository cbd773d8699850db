// The page of `colorbatch retouch`: the list, a large picture with its hints, and what a person may say about it. All text
// from the server is set by textContent, and all addresses by attributes of elements made here, so nothing in it can
// become markup. A line (what is said about a picture) is never changed, only replaced; the page is drawn from it.

const DEFAULT_RADIUS = 0.02;
const LEAST_RADIUS = 0.005;
const MAX_RADIUS = 0.5;
const MAX_HINTS = 1000;
const GREY = "#808080";
const RECENT_SHOWN = 24;
const RECENT_KEPT = 100;
const COPIED_AT_ONCE = 4;
const COPY_SHOWN = 300;
const CLIENT = [...crypto.getRandomValues(new Uint8Array(8))].join("-"); // this page in this tab
const KEYS_STORE = "colorbatch-retouch:keys";
const TAB_STORE = "colorbatch-retouch:tab";
const ASK_EVERY = 1000; // milliseconds between questions whether something changed, and whether the server is there
const EMPTY_LINE = { hints: [], vividness: null, strength: null, model: null, leave_grey: false, note: "" };

const byId = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat("en");
const clamp = (value, least, most) => Math.min(most, Math.max(least, value));
const rounded = (value, digits) => Number(value.toFixed(digits));

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// As in the style sheet.
const strip = matchMedia("(max-width: 75rem)");
const oneColumn = matchMedia("(max-width: 50rem)");
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

const app = {
  pictures: [],
  chosen: [],
  models: [],
  drafts: new Map(),
  draft: null, // the one that is edited
  view: null, // the one that is shown: another one only while a colour is picked from it
  isPicking: false,
  isBefore: false,
  isGone: false,
  isListed: false,
  hasSource: true,
  source: "", // path of the folder of the photographs
  at: 0, // what the server told of changes so far
  can: new Map(), // what models can, by name; "": the one of the run
  cross: null,
  palette: [],
  known: [], // the palette as the server has it
};

// --- the server ---

class Refused extends Error {
  constructor(message, status, answer) {
    super(message);
    Object.assign(this, { status, answer });
  }
}
class Gone extends Error {}

async function ask(path, body) {
  const options = body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    setGone();
    throw new Gone();
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  const parts = [answer.error, answer.advice].filter(Boolean);
  const text = parts.join(/[.!?]$/.test(parts[0] ?? "") ? " " : ". ");
  throw new Refused(text || `colorbatch could not do this (${response.status}).`, response.status, answer);
}

const answerOf = async (path, body) => (await ask(path, body)).json();

// What was refused, for a message; that the server is gone is shown by the banner alone.
function refusalOf(error) {
  if (error instanceof Gone) return "";
  if (error instanceof Refused) return error.message;
  throw error;
}

let retrying = 0;

function setGone(isOther = false) {
  const isFirst = !app.isGone;
  app.isGone = true;
  if (isFirst) countLost();
  byId("gone-text").textContent = isOther ? goneFrom() : goneNow();
  byId("gone").hidden = false;
  clearTimeout(retrying);
  retrying = setTimeout(tryAgain, ASK_EVERY);
}

const lostWords = () =>
  lost === 0
    ? "Everything was saved."
    : `${numbers.format(lost)} ${lost === 1 ? "picture has" : "pictures have"} changes that are not saved.`;

function goneNow() {
  const start = `This page cannot reach colorbatch: its command has ended. ${lostWords()}`;
  if (lost === 0) return `${start} What you change now stays on this page alone.`;
  const kept = "the next `colorbatch retouch` of this folder shows them again";
  const which = isLostKept
    ? `They stay on this page, and ${kept}`
    : `They stay on this page; ${kept}, but the last one`;
  return `${start} ${which}. What you change from now on stays on this page alone.`;
}

const goneFrom = () =>
  `colorbatch was started again, with another address: open that one. ${lostWords()} ` +
  "What you changed since the first one ended is on this page alone, until it is closed.";

let lost = 0;
let isLostKept = true;

function countLost() {
  const unsaved = [...app.drafts.values()].filter(isUnsaved);
  lost = new Set(unsaved.map(({ id }) => id)).size;
  isLostKept = unsaved.every((draft) => draft.kept === keptOf(draft));
}

async function tryAgain() {
  clearTimeout(retrying);
  try {
    const response = await fetch("alive");
    if (!response.ok) return setGone(true);
  } catch {
    retrying = setTimeout(tryAgain, ASK_EVERY);
    return;
  }
  app.isGone = false;
  byId("gone").hidden = true;
  say("colorbatch answers again.");
  keepSoon();
  if (app.pictures.length === 0) start();
  else if (app.view && !app.view.info) open(app.view.id, app.view.page);
  else wantPreview();
}

// --- what changed elsewhere: in another tab, or in the record ---

const isBusy = () => copying.isRunning || [...app.drafts.values()].some((draft) => draft.isSaving);

let watching = 0;

async function watch() {
  clearTimeout(watching);
  watching = setTimeout(watch, ASK_EVERY);
  if (app.isGone || isBusy() || !app.isListed) return;
  try {
    const { at, pictures } = await answerOf(`news?since=${app.at}`);
    if (isBusy()) return; // it may be of what this page does itself: it is told again
    app.at = at;
    const isNew = pictures.filter(({ id }) => !app.pictures[id]);
    addPictures(isNew);
    if (isNew.length > 0) choose();
    pictures.forEach(hear);
    if (!app.view && isNew.length > 0) open(app.chosen[0].id);
  } catch (error) {
    refusalOf(error); // that the server is gone is shown
  }
}

function hear(picture) {
  const known = app.pictures[picture.id];
  if (isSame(known, { ...picture, found: known.found, place: known.place })) return;
  replacePicture(picture);
  if (known.said === picture.said) return renderBar();
  forget(picture.id);
  if (app.view?.id !== picture.id) return;
  open(picture.id, app.view.page);
  if (!hasUnsaved(picture.id))
    say(`${picture.input} was changed in another tab or in the record: this is how it is now.`);
}

// --- lines: what is said about a picture ---

function lineOf(fields) {
  const known = Object.fromEntries(Object.keys(EMPTY_LINE).map((name) => [name, fields[name] ?? EMPTY_LINE[name]]));
  return Object.freeze({ ...known, hints: Object.freeze(known.hints.map(hintOf)) });
}

function hintOf({ x, y, radius, color }) {
  return Object.freeze({
    x: rounded(clamp(x, 0, 1), 5),
    y: rounded(clamp(y, 0, 1), 5),
    radius: rounded(clamp(radius ?? DEFAULT_RADIUS, 0.001, MAX_RADIUS), 4),
    color: color.toLowerCase(),
  });
}

const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const withHint = (line, place, changes) =>
  lineOf({ ...line, hints: line.hints.map((hint, each) => (each === place ? { ...hint, ...changes } : hint)) });
const withoutHint = (line, place) => lineOf({ ...line, hints: line.hints.filter((_, each) => each !== place) });

// --- drafts: a line that is edited, with its history ---

function draftOf(id, page) {
  const name = `${id}:${page}`;
  if (!app.drafts.has(name)) {
    app.drafts.set(name, {
      id,
      page,
      info: null,
      problem: "",
      saved: null,
      version: null, // that of the line in the record from which it was begun
      theirs: null, // the line in the record and its version, if somebody else changed it meanwhile
      present: null,
      marker: null, // where a hint is to be whose colour is not chosen yet
      past: [],
      future: [],
      gesture: "",
      suggested: new Map(),
      isSaving: false,
      kept: "", // what the server keeps of it until it is saved
    });
  }
  return app.drafts.get(name);
}

const isUnsaved = (draft) => draft.present !== null && !isSame(draft.present.line, draft.saved);
const draftsOf = (id) => [...app.drafts.values()].filter((draft) => draft.id === id);
const hasUnsaved = (id) => draftsOf(id).some(isUnsaved);
const selectedHint = (draft) => draft?.present?.line.hints[draft.present.selected] ?? null;
const aimedAt = (draft) => draft?.marker ?? selectedHint(draft);

let settling = 0;

// A gesture, such as a drag, is one step to undo. It ends with endGesture, or when another one begins.
function edit(draft, line, { selected = draft.present.selected, gesture = "" } = {}) {
  if (!isSame(line, draft.present.line)) {
    if (draft === app.draft) say(""); // such as that it was saved
    if (!gesture || gesture !== draft.gesture) draft.past.push(draft.present);
    draft.future = [];
    draft.gesture = gesture;
  }
  draft.present = { line, selected };
  clearTimeout(settling);
  if (gesture) settling = setTimeout(() => endGesture(draft), 1500);
  changed(draft);
}

function endGesture(draft) {
  draft.gesture = "";
}

function select(draft, selected) {
  if (draft.present.selected === selected && !draft.marker) return;
  draft.present = { ...draft.present, selected };
  draft.marker = null;
  say("");
  endGesture(draft);
  changed(draft);
  wantSuggestions();
}

function travel(from, to) {
  const draft = app.draft;
  if (!draft?.present || draft[from].length === 0) return;
  draft[to].push(draft.present);
  draft.present = draft[from].pop();
  draft.marker = null;
  endGesture(draft);
  changed(draft);
  wantSuggestions();
  say(from === "past" ? "Undone." : "Done again.");
}

const undo = () => travel("past", "future");
const redo = () => travel("future", "past");

function changed(draft) {
  keepSoon();
  if (draft !== app.draft) return renderRows();
  wantPreview(); // first: the server works while the page is drawn
  render();
  wantCan(draft);
}

// --- what is not saved is kept by the server, so that nothing is lost if the page or the command ends ---

function tabOf() {
  try {
    if (!sessionStorage.getItem(TAB_STORE)) sessionStorage.setItem(TAB_STORE, CLIENT);
    return sessionStorage.getItem(TAB_STORE);
  } catch {
    return CLIENT; // storage is disabled
  }
}

const TAB = tabOf();
let keeping = 0;

function keepSoon() {
  clearTimeout(keeping);
  keeping = setTimeout(() => [...app.drafts.values()].forEach(keep), 400);
}

const keptOf = (draft) => (isUnsaved(draft) ? JSON.stringify([draft.present.line, draft.version]) : "");

async function keep(draft) {
  const { id, page, present, saved, version, kept } = draft;
  const wanted = keptOf(draft);
  if (wanted === kept || app.isGone) return;
  draft.kept = wanted;
  try {
    await ask("draft", { id, page, tab: TAB, ...(wanted && { line: present.line, base: saved, version }) });
  } catch (error) {
    draft.kept = kept;
    showProblem(refusalOf(error));
  }
}

async function takeUpDrafts() {
  const { drafts } = await answerOf(`drafts?tab=${encodeURIComponent(TAB)}`);
  for (const { id, page, line, base, version } of drafts) {
    const draft = draftOf(id, page);
    Object.assign(draft, { saved: lineOf(base), version, present: { line: lineOf(line), selected: -1 } });
    draft.kept = keptOf(draft);
  }
  return new Set(drafts.map(({ id }) => id));
}

// --- the preview: one request at a time, and of what waits only the newest ---

const preview = { newest: null, running: null, shown: "", failed: "" };

function wantPreview() {
  const draft = app.view;
  if (!draft?.present) return;
  const line = draft.present.line;
  preview.newest = { draft, line, gesture: draft.gesture, key: previewKey(draft, line) };
  preview.failed = "";
  runPreview();
}

const previewKey = ({ id, page }, line) => JSON.stringify([id, page, { ...line, note: "" }]);

const isPreviewOf = ({ id, page }) => preview.shown.startsWith(`[${id},${page},`);

async function runPreview() {
  const asked = preview.newest;
  if (preview.running || app.isGone || !asked || [preview.shown, preview.failed].includes(asked.key)) {
    return renderBusy();
  }
  preview.running = asked;
  renderBusy();
  try {
    const { id, page } = asked.draft;
    const response = await ask("preview", { id, page, line: asked.line, client: CLIENT });
    if (response.status !== 204) {
      // the server drops stale requests, too
      const image = await createImageBitmap(await response.blob());
      if (isWanted(asked)) showPreview(asked, image);
      image.close();
    }
  } catch (error) {
    preview.failed = asked.key;
    if (isWanted(asked)) showProblem(error instanceof Gone ? "" : error.message, "preview");
  }
  preview.running = null;
  runPreview();
}

// An answer is stale if something else is wanted since, except within one gesture, which is followed as it goes.
function isWanted(asked) {
  const { draft, gesture, key } = preview.newest;
  return asked.key === key || (asked.draft === draft && gesture !== "" && asked.gesture === gesture);
}

function showPreview(asked, image) {
  const canvas = byId("after");
  canvas.width = image.width;
  canvas.height = image.height;
  contextOf(canvas).drawImage(image, 0, 0);
  preview.shown = asked.key;
  if (byId("problem").dataset.kind === "preview") showProblem("");
  renderStage();
}

// --- what a model can ---

const canOf = ({ present, info }) => app.can.get(present.line.model ?? "") ?? info.can;

async function wantCan(draft) {
  const { model } = draft.present.line;
  if (app.can.has(model ?? "")) return;
  try {
    app.can.set(model ?? "", await answerOf(model === null ? "can" : `can?model=${encodeURIComponent(model)}`));
  } catch (error) {
    return showProblem(refusalOf(error));
  }
  renderPanel();
  wantSuggestions();
}

// --- suggestions ---

async function suggestionsAt(draft, line, x, y) {
  if (!canOf(draft).colors) return [];
  const key = JSON.stringify([x, y, line.model, line.strength, line.hints]);
  if (!draft.suggested.has(key)) {
    const { id, page } = draft;
    draft.suggested.set(key, answerOf("suggest", { id, page, line, x, y }));
  }
  try {
    const { colors } = await draft.suggested.get(key);
    return colors.filter(({ color }) => /^#[0-9a-f]{6}$/i.test(color)).slice(0, 6);
  } catch (error) {
    draft.suggested.delete(key);
    throw error;
  }
}

// The press of a button or finger takes a while: what will be asked at its end is asked at its beginning.
function suggestAhead({ x, y }) {
  const draft = app.draft;
  if (app.isPicking || !draft?.info || !canOf(draft).hints) return;
  suggestionsAt(draft, draft.present.line, x, y).catch(refusalOf);
}

let suggestionsAsked = 0;

// Shows the likely colours of the selected hint; while a drag goes on, none are asked for.
async function wantSuggestions() {
  const draft = app.draft;
  const hint = aimedAt(draft);
  const number = ++suggestionsAsked;
  if (!hint || !draft.info) return;
  byId("likely").setAttribute("aria-busy", "true");
  let colors = [];
  try {
    const line = draft.marker ? draft.present.line : withoutHint(draft.present.line, draft.present.selected);
    colors = await suggestionsAt(draft, line, hint.x, hint.y);
  } catch (error) {
    refusalOf(error); // the likely colours are a help only: without them the wheel remains
  }
  if (number !== suggestionsAsked) return;
  byId("likely").removeAttribute("aria-busy");
  renderLikely(colors);
}

// --- hints ---

// A click changes nothing yet: it marks a place, for which a colour is to be chosen.
function placeMarker(x, y) {
  const draft = app.draft;
  if (!canOf(draft).hints) return say("This model takes no hints. Choose another model.");
  if (draft.present.line.hints.length >= MAX_HINTS) return say("A picture has at most 1,000 hints.");
  select(draft, -1);
  draft.marker = { x, y, radius: DEFAULT_RADIUS, color: null };
  render();
  wantSuggestions();
  byId("marker").focus({ preventScroll: true });
  if (oneColumn.matches) scrollToColors();
  say("Choose a colour for this place. Nothing is changed yet.");
}

function dropMarker() {
  app.draft.marker = null;
  wantSuggestions();
  render();
  byId("surface").focus({ preventScroll: true });
  say("Marker removed.");
}

function hintFromMarker(color, gesture) {
  const draft = app.draft;
  const { x, y, radius } = draft.marker;
  const hasFocus = document.activeElement === byId("marker");
  draft.marker = null;
  endGesture(draft);
  const line = lineOf({ ...draft.present.line, hints: [...draft.present.line.hints, { x, y, radius, color }] });
  edit(draft, line, { selected: line.hints.length - 1, gesture });
  if (hasFocus) hintButtons()[line.hints.length - 1].focus({ preventScroll: true });
}

// On a telephone the picture stays at the top, and the colours are below it.
function scrollToColors() {
  const below = byId("tools").getBoundingClientRect().top + scrollY;
  scrollTo({ top: below - byId("stage").clientHeight, behavior: stillness.matches ? "auto" : "smooth" });
}

function changeHint(changes, gesture = "") {
  const draft = app.draft;
  if (draft?.marker && changes.color) return hintFromMarker(changes.color, gesture);
  if (draft?.marker) {
    const { x, y, radius } = hintOf({ ...draft.marker, ...changes, color: GREY });
    draft.marker = { x, y, radius, color: null };
    return render();
  }
  if (!selectedHint(draft)) return;
  edit(draft, withHint(draft.present.line, draft.present.selected, changes), { gesture });
}

function moveHint(across, down) {
  const hint = aimedAt(app.draft);
  changeHint({ x: hint.x + across, y: hint.y + down }, `move ${app.draft.present.selected}`);
  suggestSoon();
}

let suggesting = 0;

function suggestSoon() {
  clearTimeout(suggesting);
  suggesting = setTimeout(wantSuggestions, 400);
}

function removeHint() {
  const draft = app.draft;
  if (draft?.marker) return dropMarker();
  if (!selectedHint(draft)) return;
  const place = draft.present.selected;
  const line = withoutHint(draft.present.line, place);
  const left = line.hints.length;
  edit(draft, line, { selected: -1 });
  wantSuggestions();
  (hintButtons()[Math.min(place, left - 1)] ?? byId("surface")).focus({ preventScroll: true });
  select(draft, -1);
  say("Hint deleted.");
}

// The size follows the square of the slider's place, so that small hints can be set finely.
const radiusAt = (place) => LEAST_RADIUS + (MAX_RADIUS - LEAST_RADIUS) * (place / 100) ** 2;
const placeOf = (radius) => 100 * Math.sqrt(clamp((radius - LEAST_RADIUS) / (MAX_RADIUS - LEAST_RADIUS), 0, 1));

function resizeHint(steps) {
  const { radius } = aimedAt(app.draft);
  changeHint({ radius: clamp(radius * 1.2 ** steps, LEAST_RADIUS, MAX_RADIUS) }, `size ${app.draft.present.selected}`);
}

function setColor(color, gesture = "") {
  if (!aimedAt(app.draft)) return;
  changeHint({ color }, gesture);
  rememberSoon();
  say(`Hint ${app.draft.present.selected + 1}: ${wordOf(color)}.`);
}

// --- colour arithmetic: luma and chroma of JFIF 1.02 (full range), each 0..1 and -0.5..0.5 ---

const partsOf = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16) / 255);
const lumaOf = ([red, green, blue]) => 0.299 * red + 0.587 * green + 0.114 * blue;

function hexOf(parts) {
  const whole = parts.map((part) => Math.round(255 * clamp(part, 0, 1)));
  return `#${whole.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

// What a unit of chroma in a direction adds to red, green and blue.
function directionOf(hue) {
  const blue = Math.cos(hue);
  const red = Math.sin(hue);
  return [1.402 * red, -0.344136 * blue - 0.714136 * red, 1.772 * blue];
}

// The largest chroma in a direction at which no part leaves 0..1.
function mostChroma(luma, direction) {
  let most = Infinity;
  for (const part of direction) {
    if (part > 0) most = Math.min(most, (1 - luma) / part);
    else if (part < 0) most = Math.min(most, luma / -part);
  }
  return most;
}

// Hue in degrees and saturation 0..1 (share of the largest chroma) to a colour of that luma.
function colorOf(luma, hue, saturation) {
  const direction = directionOf((hue * Math.PI) / 180);
  const chroma = saturation * mostChroma(luma, direction);
  return direction.map((part) => luma + chroma * part);
}

function toneOf(color, luma) {
  const [red, green, blue] = partsOf(color);
  const own = lumaOf([red, green, blue]);
  const across = (blue - own) / 1.772;
  const down = (red - own) / 1.402;
  const hue = ((Math.atan2(down, across) * 180) / Math.PI + 360) % 360;
  const most = mostChroma(luma, directionOf((hue * Math.PI) / 180));
  return { hue, saturation: clamp(Math.hypot(across, down) / most, 0, 1) };
}

// The chroma of a colour over another luma; where a part would leave 0..1, the chroma shrinks, as in the output.
function laidOver(color, luma, strength) {
  const parts = partsOf(color);
  const own = lumaOf(parts);
  const direction = parts.map((part) => strength * (part - own));
  const share = Math.min(1, mostChroma(luma, direction));
  return hexOf(direction.map((part) => luma + share * part));
}

// A plain word for a colour, for those who cannot see it well.
function wordOf(color) {
  const [red, green, blue] = partsOf(color);
  const most = Math.max(red, green, blue);
  const range = most - Math.min(red, green, blue);
  const light = (most + Math.min(red, green, blue)) / 2;
  const tone = light < 0.25 ? "dark " : light > 0.75 ? "light " : "";
  if (range < 0.06) return light < 0.08 ? "black" : light > 0.93 ? "white" : `${tone}grey`;
  const sixth =
    most === red
      ? ((green - blue) / range + 6) % 6
      : most === green
        ? (blue - red) / range + 2
        : (red - green) / range + 4;
  const hues = [
    [0.25, "red"],
    [0.75, "orange"],
    [1.15, "yellow"],
    [2.5, "green"],
    [3.2, "turquoise"],
    [4.2, "blue"],
    [4.8, "violet"],
    [5.6, "pink"],
    [6, "red"],
  ];
  const hue = hues.find(([end]) => sixth <= end)[1];
  if (hue === "orange" && light < 0.45) return `${light < 0.25 ? "dark " : ""}brown`;
  return `${range < 0.2 && !tone ? "dull " : tone}${hue}`;
}

// --- the pixels that are shown ---

const contextOf = (canvas) => canvas.getContext("2d", { willReadFrequently: true });

function colorOnCanvas(x, y) {
  return hexOf(pixelOf(isPreviewOf(app.view) ? byId("after") : beforeCanvas(), x, y) ?? partsOf(GREY));
}

function pixelOf(canvas, x, y) {
  if (!canvas) return null;
  const [across, down] = [x * canvas.width, y * canvas.height].map(Math.floor);
  const column = Math.min(across, canvas.width - 1);
  const row = Math.min(down, canvas.height - 1);
  const { data } = contextOf(canvas).getImageData(column, row, 1, 1);
  return [...data.slice(0, 3)].map((part) => part / 255);
}

let greyCanvas = null;

function beforeCanvas() {
  const image = byId("before");
  if (!image.complete || image.naturalWidth === 0) return null;
  if (greyCanvas?.source !== image.src) {
    const canvas = make("canvas", { width: image.naturalWidth, height: image.naturalHeight });
    contextOf(canvas).drawImage(image, 0, 0);
    greyCanvas = { source: image.src, canvas };
  }
  return greyCanvas.canvas;
}

// Near black and white there is no room for chroma: the wheel stays where its colours can be told apart.
function wheelLuma(hint) {
  return clamp(rounded(lumaAt(hint), 2), 0.2, 0.85);
}

function lumaAt({ x, y, color }) {
  return lumaOf(pixelOf(beforeCanvas(), x, y) ?? partsOf(color ?? GREY));
}

// --- the wheel: hue is the angle, saturation the distance from the centre ---

let tone = { hue: 0, saturation: 0 };
let wheelDrawn = -1;
let wheelPlaces = null;

// Direction of chroma and saturation of each pixel of the wheel, which are those of any luma.
function placesOfWheel(side) {
  const places = [];
  const middle = side / 2;
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const right = (column + 0.5 - middle) / middle;
      const up = (middle - row - 0.5) / middle;
      const saturation = Math.hypot(right, up);
      if (saturation > 1) continue;
      const direction = directionOf(Math.atan2(up, right));
      const opacity = 255 * Math.min(1, (1 - saturation) * middle);
      places.push({ at: 4 * (row * side + column), direction, saturation, opacity });
    }
  }
  return places;
}

function drawWheel(luma) {
  if (luma === wheelDrawn) return;
  wheelDrawn = luma;
  const canvas = byId("wheel");
  wheelPlaces ??= placesOfWheel(canvas.width);
  canvas.wheel ??= canvas.getContext("2d").createImageData(canvas.width, canvas.height);
  const { data } = canvas.wheel;
  for (const { at, direction, saturation, opacity } of wheelPlaces) {
    const chroma = saturation * mostChroma(luma, direction);
    data[at] = 255 * (luma + chroma * direction[0]);
    data[at + 1] = 255 * (luma + chroma * direction[1]);
    data[at + 2] = 255 * (luma + chroma * direction[2]);
    data[at + 3] = opacity;
  }
}

function drawTone(luma) {
  drawWheel(luma);
  const canvas = byId("wheel");
  const context = canvas.getContext("2d");
  const middle = canvas.width / 2;
  const angle = (tone.hue * Math.PI) / 180;
  const length = tone.saturation * (middle - 14);
  context.putImageData(canvas.wheel, 0, 0);
  for (const [width, style] of [
    [7, "#000"],
    [3, "#fff"],
  ]) {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.beginPath();
    context.arc(middle + length * Math.cos(angle), middle - length * Math.sin(angle), 10, 0, 2 * Math.PI);
    context.stroke();
  }
}

function setTone(changes, gesture) {
  const hint = aimedAt(app.draft);
  if (!hint) return;
  tone = { ...tone, ...changes };
  setColor(hexOf(colorOf(wheelLuma(hint), tone.hue, tone.saturation)), gesture);
}

// The hue of a grey is not in its colour: the one that was chosen last stays.
function followColor(color, luma) {
  const isOwn = hexOf(colorOf(luma, tone.hue, tone.saturation)) === color;
  if (isOwn) return;
  const found = toneOf(color, luma);
  tone = found.saturation < 0.02 ? { hue: tone.hue, saturation: 0 } : found;
}

function turnWheel(event) {
  const { left, top, width, height } = byId("wheel").getBoundingClientRect();
  const across = (event.clientX - left - width / 2) / (width / 2);
  const down = (top + height / 2 - event.clientY) / (height / 2);
  const hue = ((Math.atan2(down, across) * 180) / Math.PI + 360) % 360;
  setTone({ hue, saturation: clamp(Math.hypot(across, down) / (1 - 14 / 148), 0, 1) }, "wheel");
}

// --- colours of the job ---

let remembering = 0;

// A colour counts as used when it stays a while, and at once when it is saved: not each on the way of a drag.
function rememberSoon() {
  clearTimeout(remembering);
  const draft = app.draft;
  remembering = setTimeout(() => {
    if (draft.gesture) return rememberSoon();
    const color = selectedHint(draft)?.color;
    if (draft === app.draft && color) remember([color]);
  }, 1500);
}

function remember(colors) {
  const names = new Map(app.palette.map(({ color, name }) => [color, name]));
  const wanted = [...new Set(colors.filter((color) => color && color !== GREY))];
  const first = wanted.map((color) => ({ color, name: names.get(color) ?? "" }));
  setPalette([...first, ...app.palette.filter(({ color }) => !wanted.includes(color))]);
}

// Beyond what is kept, those without a name go first.
function setPalette(colors) {
  let kept = colors;
  while (kept.length > RECENT_KEPT) {
    const last = kept.findLastIndex(({ name }) => !name);
    kept = kept.filter((_, place) => place !== (last >= 0 ? last : kept.length - 1));
  }
  if (isSame(kept, app.palette)) return;
  showPalette(kept);
  keepPalette(kept);
}

function showPalette(colors) {
  app.palette = colors;
  renderRecent();
  renderNaming();
}

// Another tab may have changed the colours: the server is told which ones this one knew, and answers with all.
async function keepPalette(colors) {
  const known = app.known;
  app.known = colors;
  try {
    const answer = await answerOf("palette", { colors, known });
    if (app.known !== colors) return; // changed again since
    app.known = answer.colors;
    if (!isSame(app.palette, answer.colors)) showPalette(answer.colors);
  } catch (error) {
    app.known = known;
    showProblem(refusalOf(error));
  }
}

function nameColor(color, name) {
  const isKnown = app.palette.some((each) => each.color === color);
  const palette = isKnown ? app.palette : [{ color, name: "" }, ...app.palette];
  setPalette(palette.map((each) => (each.color === color ? { color, name: name.trim() } : each)));
}

const nameOf = (color) => app.palette.find((each) => each.color === color)?.name ?? "";
const describe = (color) => [nameOf(color) || wordOf(color), color].join(", ");

// --- picking a colour from a picture ---

function startPicking() {
  if (!aimedAt(app.draft)) return;
  app.isPicking = true;
  render();
  byId("surface").focus({ preventScroll: true });
}

function endPicking() {
  if (!app.isPicking) return;
  app.isPicking = false;
  const { id, page, present } = app.draft;
  open(id, page);
  (app.draft.marker ? byId("marker") : hintButtons()[present.selected])?.focus({ preventScroll: true });
}

async function pickAt(x, y) {
  const { id, page, present, info } = app.view;
  if (!info) return;
  let color = colorOnCanvas(x, y);
  try {
    ({ color } = await answerOf("color", { id, page, line: present.line, x, y }));
  } catch (error) {
    showProblem(refusalOf(error));
  }
  if (!app.isPicking) return;
  endPicking();
  setColor(color.toLowerCase());
}

// --- opening, saving, discarding ---

async function open(id, page = 1) {
  const draft = draftOf(id, page);
  if (app.view !== draft) {
    showProblem("");
    say("");
    app.cross = null;
  }
  if (isTyping(document.activeElement) && byId("panel").contains(document.activeElement)) document.activeElement.blur();
  app.view = draft;
  if (!app.isPicking) {
    if (app.draft && app.draft !== draft) app.draft.marker = null;
    app.draft = draft;
  }
  render();
  showRow(id);
  if (!draft.info || draft.isOutdated) await load(draft);
  if (app.view !== draft) return;
  render();
  wantPreview();
  wantSuggestions();
}

async function load(draft) {
  try {
    const info = await answerOf(`picture/${draft.id}?page=${draft.page}`);
    compare(draft, lineOf(info.line), info.version);
    Object.assign(draft, { info, isOutdated: false });
    app.can.set(lineOf(info.line).model ?? "", info.can);
    draft.problem = "";
  } catch (error) {
    draft.info = null;
    draft.problem = refusalOf(error) || "not loaded";
  }
}

// What the record says now, beside what is edited: never is one of the two lost without a question.
function compare(draft, line, version) {
  const { present, saved } = draft;
  const mine = present?.line;
  draft.theirs = null;
  const isOther = mine && isUnsaved(draft) && draft.version !== version && !isSame(mine, line);
  if (isOther && isSame({ ...saved, model: line.model }, line) && mine.model === saved.model)
    draft.present = { ...present, line: lineOf({ ...mine, model: line.model }) }; // all pages of a picture have one model
  else if (isOther) return (draft.theirs = { line, version });
  else if (!mine || !isUnsaved(draft)) draft.present = { line, selected: -1 };
  return Object.assign(draft, { saved: line, version });
}

function takeTheirs() {
  const draft = app.draft;
  const { line, version } = draft.theirs;
  Object.assign(draft, { saved: line, version, theirs: null });
  edit(draft, line, { selected: -1 });
  wantSuggestions();
  say("This is what the other one said. Undo brings yours back.");
}

function keepMine() {
  const draft = app.draft;
  const { line, version, isWanted } = draft.theirs;
  Object.assign(draft, { saved: line, version, theirs: null });
  changed(draft);
  if (isWanted) return save(draft);
  return say("Yours is kept. Save puts it in the place of the other one.");
}

async function save(draft = app.draft) {
  if (!draft?.present || draft.isSaving || app.isPicking) return false;
  const { line } = draft.present;
  const { id, page, version } = draft;
  const isFirst = pictureOf(id).status === "not made";
  draft.isSaving = true;
  showProblem("");
  render();
  try {
    const answer = await answerOf("save", { id, page, line, version });
    Object.assign(draft, { saved: line, version: answer.version, theirs: null });
    replacePicture(answer.picture);
    forget(id, draft); // all pages of a picture have one model
    if (app.view.id === id && app.view !== draft) open(id, app.view.page);
    saySaved(answer, isFirst);
    remember(line.hints.map(({ color }) => color).reverse());
    return true;
  } catch (error) {
    if (error instanceof Refused && error.status === 412) {
      compare(draft, lineOf(error.answer.line), error.answer.version);
      draft.isSaving = false;
      if (!draft.theirs) return save(draft); // both said the same
      draft.theirs.isWanted = true;
      return false;
    }
    const refusal = refusalOf(error);
    if (refusal) showProblem(`Not saved: ${pictureOf(id).input}. ${refusal}`);
    return false;
  } finally {
    draft.isSaving = false;
    keepSoon();
    render();
  }
}

function saySaved({ made, message, milliseconds, picture: { input } }, isFirst) {
  const again = isFirst ? "" : " again";
  if (made) return say(`Saved, and made${again} in ${rounded(milliseconds / 1000, 1)} s: ${input}.`);
  say(!app.hasSource ? message : `Saved: ${input}.`);
  if (app.hasSource) showProblem(`${input} was not made${again}: ${message}`);
}

// The server knows more about a picture than its drafts do; what is not saved yet stays.
function forget(id, except = null) {
  for (const draft of draftsOf(id)) {
    if (draft === except) continue;
    if (isUnsaved(draft) || draft.kept) draft.isOutdated = true;
    else app.drafts.delete(`${draft.id}:${draft.page}`);
  }
}

function revert() {
  const draft = app.draft;
  if (!draft?.present || !isUnsaved(draft)) return;
  if (draft.theirs) return takeTheirs();
  edit(draft, draft.saved, { selected: -1 });
  say("Changes discarded. Undo brings them back.");
}

function replacePicture(picture) {
  const { found, place } = app.pictures[picture.id];
  app.pictures[picture.id] = { ...picture, found, place };
  app.chosen = app.chosen.map((each) => (each.id === picture.id ? app.pictures[picture.id] : each));
  const row = rows.get(picture.id);
  if (row) fillRow(row.firstChild, picture);
}

const pictureOf = (id) => app.pictures[id];

function step(places) {
  const at = app.chosen.findIndex(({ id }) => id === app.view?.id);
  const next = app.chosen[at < 0 ? 0 : at + places];
  if (next) open(next.id);
}

// --- the list: only the rows that can be seen are in the document ---

const rows = new Map();

const SHOWN = {
  "": () => true,
  retouched: ({ retouched }) => retouched,
  untouched: ({ retouched }) => !retouched,
  unsaved: ({ id }) => hasUnsaved(id),
  grey: ({ leave_grey }) => leave_grey,
};
const ORDERS = {
  look: (one, other) => one.place - other.place,
  path: (one, other) => (one.input < other.input ? -1 : 1),
};

let waiting = 0;

function choose() {
  clearTimeout(waiting); // a list that is shown again later would swallow a click
  const name = byId("name").value.trim().toLowerCase();
  const status = byId("status").value;
  const isShown = SHOWN[status] ?? ((picture) => picture.status === status);
  app.chosen = app.pictures
    .filter((picture) => picture.found.includes(name) && isShown(picture))
    .sort(ORDERS[byId("order").value]);
  const noun = app.pictures.length === 1 ? "picture" : "pictures";
  byId("count").textContent = `${numbers.format(app.chosen.length)} of ${numbers.format(app.pictures.length)} ${noun}`;
  byId("rows").scrollTo(0, 0);
  renderRows();
  if (app.view) showRow(app.view.id);
  renderBar();
}

function rowSize() {
  const probe = byId("row-list");
  return (
    parseFloat(getComputedStyle(probe).getPropertyValue("--row")) *
    parseFloat(getComputedStyle(document.documentElement).fontSize)
  );
}

function renderRows() {
  const box = byId("rows");
  const list = byId("row-list");
  const size = rowSize();
  const [from, length] = strip.matches ? [box.scrollLeft, box.clientWidth] : [box.scrollTop, box.clientHeight];
  list.style.setProperty("--length", `${app.chosen.length * size}px`);
  const first = Math.max(0, Math.floor(from / size) - 4);
  const last = Math.min(app.chosen.length, Math.ceil((from + length) / size) + 4);
  const shown = app.chosen.slice(first, last);
  const ids = new Set(shown.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (ids.has(id)) continue;
    row.remove();
    rows.delete(id);
  }
  const reached = app.chosen.some(({ id }) => id === app.view?.id) ? app.view.id : app.chosen[0]?.id;
  shown.forEach((picture, number) => {
    const row = rows.get(picture.id) ?? newRow(picture);
    if (list.children[number] !== row) list.insertBefore(row, list.children[number] ?? null);
    placeRow(row, picture, first + number, size, reached);
  });
}

function newRow(picture) {
  const row = make("li", {}, make("button", { type: "button", "data-id": picture.id }));
  rows.set(picture.id, row);
  fillRow(row.firstChild, picture);
  return row;
}

function fillRow(button, picture) {
  const { id, input, version, status } = picture;
  const cut = input.lastIndexOf("/") + 1;
  button.className = status === "failed" ? "row failed" : "row";
  button.title = input;
  button.replaceChildren(
    make("span", { class: "thumb" }, thumbOf(id, version)),
    make(
      "span",
      { class: "words" },
      make("span", { class: "file" }, input.slice(cut)),
      make("span", { class: "folder" }, input.slice(0, cut)),
      make("span", { class: "remarks" }, remarksOf(picture).join("; ")),
    ),
    make("span", { class: "flags" }),
  );
}

function remarksOf({ status, reason, leave_grey, concerns, warnings }) {
  const isTold = leave_grey && reason.startsWith("left as it is");
  const words = [status === "done" ? "" : status, leave_grey && "left as it is", isTold ? "" : reason];
  return [...words, ...concerns, ...warnings].filter(Boolean);
}

function thumbOf(id, version) {
  const source = `thumb/${id}?v=${encodeURIComponent(version ?? "")}`;
  const image = make("img", { src: source, alt: "", loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.classList.add("missing"));
  return image;
}

function placeRow(row, { id, retouched }, place, size, reached) {
  row.style.setProperty("--place", `${place * size}px`);
  row.setAttribute("aria-setsize", app.chosen.length);
  row.setAttribute("aria-posinset", place + 1);
  const button = row.firstChild;
  button.tabIndex = id === reached ? 0 : -1;
  if (id === app.view?.id) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
  const unsaved = hasUnsaved(id);
  const isSaving = draftsOf(id).some((draft) => draft.isSaving);
  const flags = [isSaving && "saving", unsaved && !isSaving && "unsaved", retouched && "retouched"].filter(Boolean);
  const shown = button.lastChild;
  if (shown.textContent === flags.join(" ")) return;
  shown.replaceChildren(...flags.flatMap((flag, number) => [number ? " " : "", make("span", { class: flag }, flag)]));
}

// Scrolls the list so that a picture is in it.
function showRow(id) {
  const box = byId("rows");
  const place = app.chosen.findIndex((each) => each.id === id);
  if (place < 0) return;
  const size = rowSize();
  const side = strip.matches ? "Left" : "Top";
  const length = strip.matches ? box.clientWidth : box.clientHeight;
  const from = box[`scroll${side}`];
  const wanted = clamp(from, (place + 1) * size - length, place * size);
  if (wanted !== from) box[`scroll${side}`] = place * size - (length - size) / 2;
  renderRows();
}

function walkRows(event) {
  const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 10, PageUp: -10 }[event.key];
  const id = Number(event.target.closest(".row")?.dataset.id);
  if (!steps || Number.isNaN(id)) return;
  event.preventDefault();
  const place = app.chosen.findIndex((each) => each.id === id);
  const next = app.chosen[clamp(place + steps, 0, app.chosen.length - 1)];
  showRow(next.id);
  rows.get(next.id)?.firstChild.focus({ preventScroll: true });
}

// --- drawing the page from the state ---

function render() {
  renderBar();
  renderStage();
  renderPanel();
  renderRows();
}

function say(text) {
  byId("said").textContent = text;
}

function showProblem(text, kind = "") {
  byId("problem").textContent = text;
  byId("problem").dataset.kind = kind;
  byId("problem").hidden = !text;
}

function renderBar() {
  const { view, draft } = app;
  const picture = view && pictureOf(view.id);
  byId("title").textContent = picture?.input ?? "No picture";
  const facts = picture ? remarksOf(picture) : [];
  byId("facts").textContent = facts.join("; ");
  const at = app.chosen.findIndex(({ id }) => id === view?.id);
  byId("back").disabled = at <= 0;
  byId("forth").disabled = at === app.chosen.length - 1 || app.chosen.length === 0;
  const unsaved = Boolean(draft?.present && isUnsaved(draft));
  byId("save").disabled = !unsaved || draft.isSaving || app.isPicking;
  byId("save").textContent = draft?.isSaving ? "Saving…" : "Save";
  byId("undo").disabled = !draft?.past.length || app.isPicking;
  byId("redo").disabled = !draft?.future.length || app.isPicking;
  byId("revert").disabled = !unsaved;
  document.title = `${unsaved ? "• " : ""}${picture?.input ?? byId("folder").textContent} · colorbatch retouch`;
  byId("picking").hidden = !app.isPicking;
  renderConflict();
  renderPages();
}

function renderConflict() {
  const { draft } = app;
  const isShown = Boolean(draft?.theirs) && app.view === draft;
  byId("conflict").hidden = !isShown;
  if (!isShown) return;
  byId("conflict-text").textContent =
    (draft.theirs.isWanted ? "Not saved: " : "") +
    `${pictureOf(draft.id).input} was changed meanwhile, in another tab or in the record. ` +
    `Theirs: ${summaryOf(draft.theirs.line)}. Yours: ${summaryOf(draft.present.line)}.`;
}

function summaryOf({ hints, vividness, strength, model, leave_grey, note }) {
  const percent = (name, value) => value !== null && `${name} ${Math.round(100 * value)} %`;
  const said = [
    hints.length > 0 && `${hints.length} ${hints.length === 1 ? "hint" : "hints"}`,
    percent("vividness", vividness),
    percent("strength", strength),
    model !== null && `model ${model}`,
    leave_grey && "left as it is",
    note && `note “${note.length > 40 ? `${note.slice(0, 40)}…` : note}”`,
  ];
  return said.filter(Boolean).join(", ") || "nothing is said";
}

function renderPages() {
  const pages = app.view?.info?.pages ?? 1;
  byId("page-label").hidden = pages < 2;
  if (pages < 2) return;
  const select = byId("page");
  if (select.length !== pages)
    select.replaceChildren(
      ...Array.from({ length: pages }, (_, page) => make("option", { value: page + 1 }, page + 1)),
    );
  select.value = app.view.page;
}

function renderStage() {
  const { view } = app;
  const info = view?.info;
  byId("picture").hidden = !info;
  byId("nothing").hidden = Boolean(info);
  byId("nothing").textContent = view ? view.problem || "Opening…" : "Choose a picture.";
  if (!info) return;
  const picture = byId("picture");
  picture.style.setProperty("--shape", info.width / info.height);
  picture.style.setProperty("--zoom", byId("zoom").value);
  const source = `before/${view.id}?page=${view.page}`;
  if (byId("before").getAttribute("src") !== source) byId("before").setAttribute("src", source);
  const at = isPreviewOf(view) && !app.isBefore ? byId("at").value : 100;
  picture.style.setProperty("--at", `${at}%`);
  byId("line").hidden = at <= 0 || at >= 100;
  picture.classList.toggle("picking", app.isPicking);
  picture.classList.toggle("is-before", app.isBefore);
  byId("surface").setAttribute("aria-label", `Picture ${pictureOf(view.id).input}`);
  renderHints();
  renderCross();
  renderBusy();
}

function renderBusy() {
  const isLate = Boolean(preview.running) && preview.running.draft === app.view;
  byId("busy").hidden = !isLate;
}

const hintButtons = () => [...byId("surface").querySelectorAll(".hint")];

function renderHints() {
  const isShown = app.view === app.draft && !app.isPicking && app.draft?.present;
  const hints = isShown ? app.draft.present.line.hints : [];
  const surface = byId("surface");
  const buttons = hintButtons();
  for (let place = buttons.length; place < hints.length; place++) surface.insertBefore(newHint(place), byId("marker"));
  for (const button of buttons.slice(hints.length)) button.remove();
  hintButtons().forEach((button, place) => placeHint(button, hints[place], place));
  const marker = isShown ? app.draft.marker : null;
  byId("marker").hidden = !marker;
  if (!marker) return;
  sized(placed(byId("marker"), marker.x, marker.y), marker.radius);
}

function placed(element, x, y) {
  element.style.left = `${100 * x}%`;
  element.style.top = `${100 * y}%`;
  return element;
}

// The ring's diameter as a share of the width: a radius is a share of the short side.
function sized(element, radius) {
  const { width, height } = app.view.info;
  element.style.setProperty("--size", (2 * radius * Math.min(width, height)) / width);
  return element;
}

function newHint(place) {
  const button = make(
    "button",
    { type: "button", class: "hint", "data-place": place },
    make("span", { class: "ring" }),
  );
  makeMovable(button);
  button.addEventListener("focus", () => select(app.draft, place));
  return button;
}

// Drags what is aimed at: the press itself selects it, by the focus.
function makeMovable(button) {
  let drag = null;
  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.focus({ preventScroll: true }); // not every browser does
    drag = { x: event.clientX, y: event.clientY, hint: aimedAt(app.draft), isMoved: false };
    button.setPointerCapture(event.pointerId);
  });
  button.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [across, down] = [event.clientX - drag.x, event.clientY - drag.y];
    if (!drag.isMoved && Math.hypot(across, down) < 4) return;
    drag.isMoved = true;
    const { width, height } = byId("surface").getBoundingClientRect();
    changeHint({ x: drag.hint.x + across / width, y: drag.hint.y + down / height }, "drag");
  });
  const finish = () => {
    if (drag?.isMoved) {
      endGesture(app.draft);
      wantSuggestions();
    }
    drag = null;
  };
  button.addEventListener("pointerup", finish);
  button.addEventListener("pointercancel", finish);
}

function placeHint(button, hint, place) {
  const isSelected = place === app.draft.present.selected;
  sized(placed(button, hint.x, hint.y), hint.radius);
  button.style.setProperty("--color", hint.color);
  button.classList.toggle("selected", isSelected);
  button.setAttribute("aria-pressed", String(isSelected));
  const where = `${Math.round(100 * hint.x)} % from the left, ${Math.round(100 * hint.y)} % from the top`;
  button.setAttribute("aria-label", `Hint ${place + 1}: ${describe(hint.color)}; ${where}`);
}

function renderCross() {
  byId("cross").hidden = !app.cross;
  if (app.cross) sized(placed(byId("cross"), app.cross.x, app.cross.y), DEFAULT_RADIUS);
}

// The size that a new hint has, while a mouse or pen points.
function renderAim(event) {
  const isShown =
    event?.pointerType !== "touch" && app.view?.info && !app.isPicking && !event?.target.closest(".hint, .marker");
  byId("aim").hidden = !isShown || !canOf(app.draft).hints;
  if (!isShown) return;
  const { x, y } = placeAt(event);
  sized(placed(byId("aim"), x, y), DEFAULT_RADIUS);
}

function renderPanel() {
  const { draft } = app;
  byId("panel").inert = !draft?.info || app.isPicking;
  if (!draft?.info) return;
  renderHint(aimedAt(draft));
  renderSettings(draft);
}

function renderHint(hint) {
  const { hints } = app.draft.present.line;
  const { marker } = app.draft;
  const title = `Hint ${app.draft.present.selected + 1} of ${hints.length}`;
  byId("hint-title").textContent = marker ? "New hint: choose its colour" : hint ? title : "Hints";
  byId("hint-fields").hidden = !hint;
  byId("hint-none").hidden = Boolean(hint);
  byId("hint-none").textContent = canOf(app.draft).hints
    ? "Click on a place of the picture whose colour you know. Colours that are likely there appear here; nothing changes before you choose one."
    : "This model takes no hints. Choose another model below.";
  if (!hint) return;
  const luma = wheelLuma(hint);
  const color = hint.color ?? colorOnCanvas(hint.x, hint.y);
  followColor(color, luma);
  drawTone(luma);
  setValue("hue", Math.round(tone.hue) % 360);
  setValue("saturation", Math.round(100 * tone.saturation));
  byId("hue").setAttribute("aria-valuetext", `${Math.round(tone.hue)}°, ${wordOf(color)}`);
  byId("saturation").setAttribute("aria-valuetext", `${Math.round(100 * tone.saturation)} %, ${wordOf(color)}`);
  setValue("color", hint.color ?? "");
  byId("color-fault").textContent = "";
  renderHere(hint);
  byId("remove").textContent = marker ? "Remove marker" : "Delete hint";
  byId("naming").hidden = Boolean(marker);
  setValue("radius", Math.round(placeOf(hint.radius)));
  byId("radius-text").textContent = `${rounded(200 * hint.radius, 1)} % of the short side`;
  byId("radius").setAttribute("aria-valuetext", byId("radius-text").textContent);
  byId("grey").setAttribute("aria-pressed", String(hint.color === GREY));
  for (const swatch of document.querySelectorAll("#likely button, #recent button"))
    swatch.setAttribute("aria-pressed", String(swatch.dataset.color === hint.color));
  renderNaming();
}

// What is chosen, beside what it becomes: only its chroma counts.
function renderHere(hint) {
  const { line } = app.draft.present;
  const luma = lumaAt(hint);
  const here = hint.color ? laidOver(hint.color, luma, line.strength ?? app.draft.info.defaults.strength) : "";
  byId("chips").hidden = !hint.color;
  byId("chip").style.background = hint.color ?? "";
  byId("chip-here").style.background = here;
  const extreme = luma < 0.1 ? "dark" : luma > 0.92 ? "bright" : "";
  byId("here").textContent = hint.color
    ? `Left: as chosen, ${wordOf(hint.color)}. Right: as it looks here, ${wordOf(here)}. How bright a place is, the photograph says` +
      (extreme ? `; this one is so ${extreme} that hardly any colour shows.` : ".")
    : "A hint gives a colour. How bright a place is, the photograph says.";
}

// A field that a person is typing in is left alone.
function setValue(id, value) {
  const field = byId(id);
  const isTyped = field === document.activeElement && ["text", "textarea"].includes(field.type);
  if (!isTyped && field.value !== String(value)) field.value = value;
}

function renderNaming() {
  const color = selectedHint(app.draft)?.color;
  if (!color) return;
  setValue("color-name", nameOf(color));
  byId("color-name").dataset.color = color;
  byId("forget").hidden = !app.palette.some((each) => each.color === color);
}

function swatch(color, label, ...children) {
  const button = make(
    "button",
    { type: "button", class: "swatch", "data-color": color, "aria-label": label, title: label },
    ...children,
  );
  button.style.setProperty("--color", color);
  button.setAttribute("aria-pressed", String(selectedHint(app.draft)?.color === color));
  button.addEventListener("click", () => setColor(color));
  return button;
}

function renderLikely(colors) {
  const has = canOf(app.draft).colors;
  const swatches = colors.map(({ color, share }, place) => {
    const lower = color.toLowerCase();
    const percent = share < 0.005 ? "< 1 %" : `${Math.round(100 * share)} %`;
    return swatch(lower, `${place + 1}: ${wordOf(lower)}, ${percent}`, make("span", { class: "share" }, percent));
  });
  byId("likely").replaceChildren(...swatches);
  byId("likely-none").hidden = swatches.length > 0;
  byId("likely-none").textContent = has ? "Nothing is known about this place." : "This model suggests no colours.";
}

function renderRecent() {
  byId("recent-group").hidden = app.palette.length === 0;
  const named = app.palette.filter(({ name }) => name);
  const shown = [...named, ...app.palette.filter(({ name }) => !name)].slice(0, Math.max(RECENT_SHOWN, named.length));
  byId("recent").replaceChildren(
    ...shown.map(({ color, name }) =>
      swatch(
        color,
        name ? `${name}, ${color}` : `${wordOf(color)}, ${color}`,
        name ? make("span", { class: "name" }, name) : null,
      ),
    ),
  );
}

function renderSettings(draft) {
  const { line } = draft.present;
  const { defaults } = draft.info;
  const can = canOf(draft);
  for (const name of ["vividness", "strength"]) {
    const value = line[name] ?? defaults[name];
    setValue(name, value);
    const shown = `${Math.round(100 * value)} %`;
    byId(`${name}-text`).textContent = shown;
    byId(name).setAttribute("aria-valuetext", line[name] === null ? `${shown}, as in the run` : shown);
    byId(`${name}-reset`).disabled = line[name] === null;
  }
  byId("vividness").disabled = !can.vividness;
  const missing = [
    !can.hints && "takes no hints",
    !can.vividness && "has no vividness",
    !can.colors && "suggests no colours",
  ];
  byId("can").hidden = !missing.some(Boolean);
  byId("can").textContent = can.refused
    ? `${can.refused}. Choose another model.`
    : `This model ${missing.filter(Boolean).join(", ")}.`;
  renderModels(line.model, defaults.model);
  byId("leave-grey").checked = line.leave_grey;
  setValue("note", line.note);
}

function renderModels(model, standard) {
  const others = app.models.filter((each) => each !== standard);
  const known = [...new Set([...others, ...(model === null ? [] : [model])])];
  const select = byId("model");
  const wanted = ["", ...known];
  if (
    !isSame(
      [...select.options].map(({ value }) => value),
      wanted,
    )
  )
    select.replaceChildren(...wanted.map((value) => make("option", { value }, value)));
  select.options[0].textContent = `as in the run (${standard})`;
  select.value = model ?? "";
}

// --- copying to other pictures ---

const copying = {
  chosen: new Set(),
  shown: [],
  last: -1,
  results: new Map(), // what became of pictures, and the lines that they had before
  isRunning: false,
  isStopped: false,
};

function openCopy() {
  if (!app.draft?.present || app.isPicking || byId("copy").open) return;
  const picture = pictureOf(app.draft.id);
  copying.chosen.clear();
  byId("copy-from").textContent =
    `What was said about ${picture.input} replaces what was said about the pictures that you select.`;
  byId("copy-name").value = picture.input.slice(0, picture.input.lastIndexOf("/") + 1);
  byId("copy-said").textContent = "";
  copying.results.clear();
  byId("copy").showModal();
  renderCopy();
  const below = copying.shown.findIndex(({ input }) => input > picture.input);
  byId("copy-list").children[Math.max(0, below - 1)]?.scrollIntoView({ block: "start" });
}

function renderCopy(keepsPlace = false) {
  const scrolled = byId("copy-list").scrollTop;
  const name = byId("copy-name").value.trim().toLowerCase();
  const all = app.pictures
    .filter(({ id, found, status }) => id !== app.draft.id && status !== "failed" && found.includes(name))
    .sort(ORDERS.path);
  const own = pictureOf(app.draft.id).input;
  const after = all.findIndex(({ input }) => input > own);
  const from = all.length <= COPY_SHOWN ? 0 : clamp((after < 0 ? all.length : after) - 50, 0, all.length - COPY_SHOWN);
  copying.shown = all.slice(from, from + COPY_SHOWN);
  copying.last = -1;
  byId("copy-list").replaceChildren(...copying.shown.map(copyRow));
  if (keepsPlace === true) byId("copy-list").scrollTop = scrolled;
  countCopy(all.length);
}

function copyRow({ id, input, version, retouched }, place) {
  const box = make("input", { type: "checkbox", value: id });
  box.checked = copying.chosen.has(id);
  box.addEventListener("click", (event) => chooseForCopy(place, box.checked, event.shiftKey));
  const flags = [retouched && "retouched", hasUnsaved(id) && "unsaved"].filter(Boolean).join(", ");
  const result = copying.results.get(id)?.word;
  return make(
    "li",
    {},
    make(
      "label",
      { class: "check" },
      box,
      thumbOf(id, version),
      make("span", {}, input),
      make("span", { class: result ? "result" : "quiet" }, result ?? flags),
    ),
  );
}

// With Shift, all from the one before to this one.
function chooseForCopy(place, isChosen, isRange) {
  const from = isRange && copying.last >= 0 ? Math.min(copying.last, place) : place;
  const to = isRange && copying.last >= 0 ? Math.max(copying.last, place) : place;
  for (let each = from; each <= to; each++) setForCopy(each, isChosen);
  copying.last = place;
  countCopy();
}

function setForCopy(place, isChosen) {
  const { id } = copying.shown[place];
  if (isChosen) copying.chosen.add(id);
  else copying.chosen.delete(id);
  byId("copy-list").children[place].querySelector("input").checked = isChosen;
}

let copyFound = 0;

function countCopy(found = copyFound) {
  copyFound = found;
  const shown = copying.shown.length < found ? `, ${numbers.format(copying.shown.length)} shown` : "";
  byId("copy-count").textContent =
    `${numbers.format(copying.chosen.size)} selected; ${numbers.format(found)} found${shown}. Shift and a click select all in between.`;
  const isNothing = !byId("copy-hints").checked && !byId("copy-settings").checked;
  byId("copy-go").disabled = copying.isRunning || isNothing || copying.chosen.size === 0;
  byId("copy-close").textContent = copying.isRunning ? "Stop" : "Close";
  byId("copy-undo").hidden = undoable().length === 0;
  byId("copy-undo").disabled = copying.isRunning;
}

const undoable = () => [...copying.results].filter(([, { before }]) => before);

async function runCopy() {
  const draft = app.draft;
  const ids = app.pictures
    .filter(({ id }) => copying.chosen.has(id))
    .sort(ORDERS.path)
    .map(({ id }) => id);
  copying.results.clear();
  await runOver(ids, "made", async (some, isFirst) => {
    if (isFirst && isUnsaved(draft) && !(await save(draft))) throw new Refused("This picture could not be saved.");
    await copySome(draft, some);
  });
}

// Does something with pictures, a few at a time, until it is stopped.
async function runOver(ids, done, act) {
  Object.assign(copying, { isRunning: true, isStopped: false });
  countCopy();
  let count = 0;
  let refusal = "";
  try {
    for (; count < ids.length && !copying.isStopped; count += COPIED_AT_ONCE) {
      byId("copy-said").textContent = `${numbers.format(count)} of ${numbers.format(ids.length)} ${done}…`;
      await act(ids.slice(count, count + COPIED_AT_ONCE), count === 0);
    }
  } catch (error) {
    refusal = refusalOf(error) || "colorbatch does not answer.";
  }
  byId("copy-said").textContent = [summaryOfCopy(), refusal].filter(Boolean).join(" ");
  copying.isRunning = false;
  renderCopy(true);
  renderRows();
}

function summaryOfCopy() {
  const found = [...copying.results.values()];
  const counted = (word) => found.filter((each) => each.word.startsWith(word)).length;
  const pictures = (count) => `${numbers.format(count)} ${count === 1 ? "picture" : "pictures"}`;
  const isUndone = found.some(({ word }) => word === "taken back");
  const said = [
    isUndone ? `Taken back from ${pictures(counted("taken back"))}.` : `Applied to ${pictures(counted("applied"))}.`,
  ];
  const changed = counted("not applied") + counted("not taken back");
  if (changed > 0)
    said.push(
      `${pictures(changed)} changed in another tab or in the record since: left alone. ` +
        (isUndone ? "" : "Look at them; Apply replaces what was said there."),
    );
  const notMade = found.filter(({ message }) => message).map(({ input, message }) => `${input}: ${message}`);
  const more = notMade.length > 3 ? `, and ${notMade.length - 3} more` : "";
  if (notMade.length > 0 && !app.hasSource) said.push("The next run makes them.");
  else if (notMade.length > 0) said.push(`Not made again: ${notMade.slice(0, 3).join("; ")}${more}`);
  return said.join(" ").trim();
}

async function copySome({ id, page, version }, to) {
  const body = {
    from: { id, page, version },
    to,
    said: to.map((each) => pictureOf(each).said),
    hints: byId("copy-hints").checked,
    settings: byId("copy-settings").checked,
  };
  const { pictures } = await answerOf("copy", body);
  for (const answer of pictures)
    noteCopy(answer, answer.is_changed ? "not applied: changed meanwhile" : wordOfCopy(answer));
}

const wordOfCopy = ({ before, message }) => (before ? (message ? "applied, not made" : "applied") : "failed");

async function undoCopy() {
  const found = new Map(undoable());
  copying.results = new Map(found);
  await runOver([...found.keys()], "taken back", async (some) => {
    for (const id of some) {
      const { before, said } = found.get(id);
      const { picture } = await answerOf("restore", { id, lines: before, said });
      noteCopy({ ...picture, before: null }, picture.is_changed ? "not taken back: changed meanwhile" : "taken back");
    }
  });
}

function noteCopy({ message, before, is_changed, ...picture }, word) {
  replacePicture(picture);
  forget(picture.id);
  copying.results.set(picture.id, { word, message, before, said: picture.said, input: picture.input });
  if (!is_changed) copying.chosen.delete(picture.id);
}

function closeCopy() {
  if (copying.isRunning) copying.isStopped = true;
  else byId("copy").close();
}

// --- the picture: clicks, taps and keys ---

let pressed = null;

function placeAt(event) {
  const { left, top, width, height } = byId("surface").getBoundingClientRect();
  const x = clamp((event.clientX - left) / width, 0, 1);
  const y = clamp((event.clientY - top) / height, 0, 1);
  return { x: rounded(x, 5), y: rounded(y, 5) };
}

function useAt({ x, y }) {
  if (app.isPicking) pickAt(x, y);
  else placeMarker(x, y);
}

byId("surface").addEventListener("pointerdown", (event) => {
  pressed = null;
  if (event.button !== 0 || event.target.closest(".hint, .marker") || !app.view?.info) return;
  pressed = { clientX: event.clientX, clientY: event.clientY, place: placeAt(event) };
  suggestAhead(pressed.place);
});
byId("surface").addEventListener("click", (event) => {
  if (event.target.closest(".hint, .marker") || !pressed) return;
  const { clientX, clientY, place } = pressed;
  pressed = null;
  if (Math.hypot(event.clientX - clientX, event.clientY - clientY) >= 8) return;
  app.cross = null;
  renderCross();
  useAt(place);
});
byId("surface").addEventListener(
  "wheel",
  (event) => {
    const button = event.target.closest(".hint.selected, .marker");
    if (!button || event.ctrlKey) return;
    event.preventDefault();
    resizeHint(-Math.sign(event.deltaY));
  },
  { passive: false },
);

byId("surface").addEventListener("pointermove", renderAim);
byId("surface").addEventListener("pointerleave", () => (byId("aim").hidden = true));
makeMovable(byId("marker"));
byId("surface").addEventListener("focus", () => {
  if (byId("surface").matches(":focus-visible") && app.view?.info) showCross();
});

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function stepOf(event, size) {
  const far = event.shiftKey ? 10 : 1;
  const { width, height } = app.view.info;
  const [across, down] = ARROWS[event.key];
  const unit = (size * far * Math.min(width, height)) / 100;
  return [(across * unit) / width, (down * unit) / height];
}

function keyOnSurface(event) {
  if (ARROWS[event.key]) {
    const [across, down] = stepOf(event, 1);
    const { x, y } = app.cross ?? { x: 0.5, y: 0.5 };
    app.cross = app.cross ? { x: clamp(x + across, 0, 1), y: clamp(y + down, 0, 1) } : { x, y };
    renderCross();
    byId("cross").scrollIntoView({ block: "nearest", inline: "nearest" });
    return true;
  }
  if (event.key !== "Enter") return false;
  showCross();
  useAt({ x: rounded(app.cross.x, 5), y: rounded(app.cross.y, 5) });
  return true;
}

function keyOnHint(event) {
  if (ARROWS[event.key]) moveHint(...stepOf(event, 0.5));
  else if (event.key === "+" || event.key === "=") resizeHint(1);
  else if (event.key === "-") resizeHint(-1);
  else if (event.key === "Delete" || event.key === "Backspace") removeHint();
  else if (event.key === "Enter") (byId("likely").querySelector("button") ?? byId("hue")).focus();
  else return false;
  return true;
}

byId("surface").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !app.view?.info) return;
  const hint = event.target.closest(".hint");
  if (hint) select(app.draft, Number(hint.dataset.place));
  const isUsed = event.target.closest(".hint, .marker") ? keyOnHint(event) : keyOnSurface(event);
  if (isUsed) event.preventDefault();
});

// --- new files: they belong into the folder of the photographs, where runs, audit and restore look for them ---

function showDropped(text) {
  byId("dropped-text").textContent = text;
  byId("dropped").hidden = !text;
  byId("dropped-reload").hidden = !app.hasSource;
}

function refuseDrop(event) {
  event.preventDefault(); // otherwise the browser would open the file in place of this page
  if (event.type !== "drop") return (event.dataTransfer.dropEffect = "none");
  return showDropped(
    app.hasSource
      ? `Nothing was copied: files cannot be dropped here. Put them into ${app.source} and press Reload.`
      : "Nothing was copied: files cannot be dropped here. Start `colorbatch retouch` with the folder of the photographs, and put them there.",
  );
}

async function reload() {
  showDropped("");
  byId("reload").disabled = true;
  say("Looking for new files…");
  try {
    const { pictures, left } = await answerOf("reload", {});
    const isNew = pictures.filter(({ id }) => !app.pictures[id]);
    addPictures(isNew);
    choose();
    const noun = isNew.length === 1 ? "picture" : "pictures";
    const found =
      isNew.length === 0 ? "No new pictures." : `${numbers.format(isNew.length)} new ${noun}, at the end of the list.`;
    if (isNew.length > 0) await open(isNew[0].id);
    say(
      [found, left.length > 0 && `Not used: ${left.slice(0, 3).join("; ")}${left.length > 3 ? "; …" : ""}`]
        .filter(Boolean)
        .join(" "),
    );
  } catch (error) {
    say("");
    showProblem(refusalOf(error));
  }
  byId("reload").disabled = false;
}

// --- keys of the whole page ---

function readKeys() {
  try {
    return localStorage.getItem(KEYS_STORE) !== "off";
  } catch {
    return true; // storage is disabled
  }
}

function keepKeys() {
  try {
    localStorage.setItem(KEYS_STORE, byId("keys-on").checked ? "on" : "off");
  } catch {
    // then it is valid until the page is closed
  }
}

function showCross() {
  app.cross ??= { x: 0.5, y: 0.5 };
  renderCross();
}

function focusPicture() {
  showCross();
  byId("surface").focus();
}

const KEYS = {
  n: () => step(1),
  p: () => step(-1),
  s: () => isUnsaved(app.draft) && save(),
  h: focusPicture,
  g: () => setColor(GREY),
  e: startPicking,
  l: () => byId("leave-grey").click(),
  c: openCopy,
  "/": () => byId("name").focus(),
  "?": () => byId("help").showModal(),
};

function isTyping(target) {
  return target.matches("input:not([type=range]):not([type=checkbox]), textarea, select");
}

function keyOnPage(event) {
  if (document.querySelector("dialog[open]")) return false;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if ((event.ctrlKey || event.metaKey) && !event.altKey) return keyWithControl(event, key);
  if (key === "Escape") return escape();
  if (event.altKey || isTyping(event.target)) return false;
  if (key === " ") return holdBefore(event);
  if (!byId("keys-on").checked) return false;
  if (/^[1-6]$/.test(key)) return take(Number(key));
  if (!Object.hasOwn(KEYS, key) || (app.draft === null && !"/?".includes(key))) return false;
  if (app.isPicking && !"np/?".includes(key)) return false;
  KEYS[key]();
  return true;
}

function keyWithControl(event, key) {
  if (key === "s") {
    if (app.draft?.present && isUnsaved(app.draft)) save();
    return true;
  }
  if (isTyping(event.target) || app.isPicking) return false;
  if (key === "z") event.shiftKey ? redo() : undo();
  else if (key === "y") redo();
  else return false;
  return true;
}

function take(number) {
  const button = byId("likely").querySelectorAll("button")[number - 1];
  if (!button || !aimedAt(app.draft) || app.isPicking) return false;
  button.click();
  return true;
}

function escape() {
  if (app.isPicking) endPicking();
  else if (app.draft?.marker) dropMarker();
  else if (selectedHint(app.draft)) {
    select(app.draft, -1);
    byId("surface").focus({ preventScroll: true });
  } else return false;
  return true;
}

function holdBefore(event) {
  if (!event.target.matches("body, #surface, .hint, .marker, .row[aria-current], #hold, [type=range]")) return false;
  setBefore(true);
  return true;
}

function setBefore(isBefore) {
  if (app.isBefore === isBefore) return;
  app.isBefore = isBefore;
  byId("hold").setAttribute("aria-pressed", String(isBefore));
  renderStage();
}

document.addEventListener("keydown", (event) => {
  if (!event.defaultPrevented && keyOnPage(event)) event.preventDefault();
});
document.addEventListener("keyup", (event) => {
  if (event.key !== " " || !app.isBefore) return;
  event.preventDefault(); // otherwise it would press the button that has the focus
  setBefore(false);
});
addEventListener("blur", () => setBefore(false));
addEventListener("beforeunload", (event) => {
  if ([...app.drafts.values()].some((draft) => isUnsaved(draft) || draft.isSaving)) event.preventDefault();
});

// --- controls ---

function onClick(id, action) {
  byId(id).addEventListener("click", action);
}

function onRange(id, change) {
  byId(id).addEventListener("input", () => change(Number(byId(id).value), id));
  byId(id).addEventListener("pointerup", () => app.draft && endGesture(app.draft));
}

function setLine(changes, gesture = "") {
  edit(app.draft, lineOf({ ...app.draft.present.line, ...changes }), { gesture });
}

function typeColor() {
  const text = byId("color").value.trim();
  const [, digits] = text.match(/^#?([0-9a-f]{6}|[0-9a-f]{3})$/i) ?? [];
  byId("color-fault").textContent = digits ? "" : "Write # and six digits 0–9, a–f, as in #7a8b3c.";
  if (!digits) return;
  const whole = digits.length === 3 ? [...digits].map((digit) => digit + digit).join("") : digits;
  setColor(`#${whole.toLowerCase()}`, "typed");
}

function listenToBar() {
  onClick("back", () => step(-1));
  onClick("forth", () => step(1));
  onClick("save", () => save());
  onClick("undo", undo);
  onClick("redo", redo);
  onClick("again", tryAgain);
  onClick("picking-end", endPicking);
  onClick("revert", revert);
  onClick("theirs", takeTheirs);
  onClick("mine", keepMine);
  byId("page").addEventListener("change", () => open(app.view.id, Number(byId("page").value)));
  byId("at").addEventListener("input", renderStage);
  byId("zoom").addEventListener("change", renderStage);
  byId("hold").addEventListener("pointerdown", (event) => {
    byId("hold").setPointerCapture(event.pointerId);
    setBefore(true);
  });
  byId("hold").addEventListener("contextmenu", (event) => event.preventDefault()); // of a long touch
  for (const end of ["pointerup", "pointercancel"]) byId("hold").addEventListener(end, () => setBefore(false));
}

function listenToList() {
  for (const kind of ["dragenter", "dragover", "drop"])
    addEventListener(kind, (event) => event.dataTransfer?.types.includes("Files") && refuseDrop(event));
  for (const id of ["reload", "dropped-reload"]) onClick(id, reload);
  onClick("dropped-close", () => showDropped(""));
  byId("name").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(choose, 120);
  });
  for (const id of ["status", "order"]) byId(id).addEventListener("change", choose);
  byId("filters").addEventListener("submit", (event) => {
    event.preventDefault();
    choose();
    if (byId("name").value.trim() && app.chosen.length) open(app.chosen[0].id);
  });
  byId("row-list").addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) open(Number(row.dataset.id));
  });
  byId("row-list").addEventListener("keydown", walkRows);
  let isDrawing = false;
  byId("rows").addEventListener("scroll", () => {
    if (isDrawing) return;
    isDrawing = true;
    requestAnimationFrame(() => {
      isDrawing = false;
      renderRows();
    });
  });
  new ResizeObserver(renderRows).observe(byId("rows"));
}

function listenToHint() {
  onRange("hue", (hue) => setTone({ hue, saturation: tone.saturation || 0.5 }, "tone"));
  onRange("saturation", (saturation) => setTone({ saturation: saturation / 100 }, "tone"));
  onRange("radius", (place) => changeHint({ radius: radiusAt(place) }, "size"));
  byId("color").addEventListener("input", typeColor);
  byId("color").addEventListener("blur", () => render());
  listenToName(byId("color-name"));
  onClick("grey", () => setColor(GREY));
  onClick("pick", startPicking);
  onClick("remove", removeHint);
  onClick("forget", () => {
    const { color } = selectedHint(app.draft);
    setPalette(app.palette.filter((each) => each.color !== color));
    byId("color-name").focus();
  });
  const wheel = byId("wheel");
  wheel.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    wheel.setPointerCapture(event.pointerId);
    turnWheel(event);
  });
  wheel.addEventListener("pointermove", (event) => {
    if (wheel.hasPointerCapture(event.pointerId)) turnWheel(event);
  });
  wheel.addEventListener("pointerup", () => endGesture(app.draft));
  byId("before").addEventListener("load", () => renderPanel());
}

// The press that ends the typing may have selected another hint already.
function listenToName(field) {
  let color = GREY;
  field.addEventListener("input", () => {
    if (field.dataset.color) color = field.dataset.color;
  });
  field.addEventListener("change", () => nameColor(color, field.value));
  field.addEventListener("blur", renderNaming);
}

function listenToSettings() {
  for (const name of ["vividness", "strength"]) {
    onRange(name, (value) => setLine({ [name]: value }, name));
    onClick(`${name}-reset`, () => {
      setLine({ [name]: null });
      byId(name).focus();
    });
  }
  byId("model").addEventListener("change", () => setLine({ model: byId("model").value || null }));
  byId("leave-grey").addEventListener("change", () => setLine({ leave_grey: byId("leave-grey").checked }));
  byId("note").addEventListener("input", () => setLine({ note: byId("note").value }, "note"));
  byId("note").addEventListener("blur", () => render());
}

function listenToDialogs() {
  onClick("copy-open", openCopy);
  onClick("copy-close", closeCopy);
  onClick("copy-go", runCopy);
  onClick("copy-undo", undoCopy);
  byId("copy").addEventListener("cancel", (event) => {
    if (copying.isRunning) event.preventDefault();
    closeCopy();
  });
  for (const id of ["copy-hints", "copy-settings"]) byId(id).addEventListener("change", () => countCopy());
  byId("copy-name").addEventListener("input", () => renderCopy());
  for (const [id, isChosen] of [
    ["copy-all", true],
    ["copy-none", false],
  ])
    onClick(id, () => {
      if (!isChosen) copying.chosen.clear();
      copying.shown.forEach((_, place) => setForCopy(place, isChosen));
      countCopy();
    });
  onClick("help-open", () => byId("help").showModal());
  onClick("help-close", () => byId("help").close());
  byId("keys-on").checked = readKeys();
  byId("keys-on").addEventListener("change", keepKeys);
}

// --- start ---

async function start() {
  try {
    const [list, palette] = await Promise.all([answerOf("pictures"), answerOf("palette")]);
    const { pictures, models, has_source, source, at } = list;
    Object.assign(app, { models, hasSource: has_source, source, at, pictures: [] });
    addPictures(pictures);
    choose();
    app.isListed = true;
    byId("reload").hidden = !has_source;
    byId("nothing").textContent = "Opening the pictures…";
    app.palette = app.known = palette.colors;
    renderRecent();
    const unsaved = await takeUpDrafts();
    await openFirst(unsaved);
  } catch (error) {
    byId("nothing").textContent = refusalOf(error) || "colorbatch does not answer.";
  }
}

function addPictures(pictures) {
  for (const picture of pictures)
    app.pictures[picture.id] = { ...picture, found: picture.input.toLowerCase(), place: picture.id };
}

async function openFirst(unsaved) {
  const first = app.chosen.find(({ id }) => unsaved.has(id)) ?? app.chosen[0];
  if (!first) byId("nothing").textContent = "There are no pictures in this folder.";
  else await open(first.id);
  if (unsaved.size === 0) return;
  const noun = unsaved.size === 1 ? "picture has changes that were" : "pictures have changes that were";
  say(`${numbers.format(unsaved.size)} ${noun} not saved: marked with a dot in the list.`);
}

listenToBar();
listenToList();
listenToHint();
listenToSettings();
listenToDialogs();
strip.addEventListener("change", renderRows);
for (const kind of ["visibilitychange", "focus"]) addEventListener(kind, watch);
start();
watch();
