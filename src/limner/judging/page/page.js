"use strict";
// The page of a study: the server says what to show, this shows it for as long as it says and sends the answer back.
// Pictures are fetched and decoded before their turn, so that an exposure begins and ends with a frame of the screen.

const LANGUAGE = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
const T = WORDS[LANGUAGE];
const FIXATION = 500, MASK = 30;      // milliseconds
const LARGEST = 448;                  // side of a picture, in CSS pixels: larger ones show only their own pixels
const el = (id) => document.getElementById(id);
const pictures = new Map();           // token → promise of a decoded picture
let masks = [];
let state = null, boxes = [], open = false, began = 0, shown = null;

// ------------------------------------------------------------------ talking to the server

async function ask(path, body) {
  const how = body === undefined ? {} :
    { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  for (;;) {
    try {
      const answer = await fetch(path, how);
      if (answer.ok) return await answer.json();
    } catch { /* said below */ }
    await trouble();
  }
}

function trouble() {
  el("trouble").hidden = false;
  return new Promise((go) => {
    el("again").onclick = () => { el("trouble").hidden = true; go(); };
  });
}

async function load(path) {
  for (;;) {
    try {
      const answer = await fetch(path);
      if (answer.ok) return await createImageBitmap(await answer.blob());
    } catch { /* said below */ }
    await trouble();
  }
}

function fetched(token) {
  if (!pictures.has(token)) pictures.set(token, load("picture/" + token));
  return pictures.get(token);
}

// ------------------------------------------------------------------ screens

function show(next) {
  state = next;
  for (const screen of ["welcome", "trial", "done"]) el(screen).hidden = screen !== state.screen;
  document.body.dataset.screen = state.screen;
  document.body.dataset.number = state.number ?? "";
  el("count").textContent = state.screen === "trial" ? `${state.number + 1} / ${state.of}` : "";
  const share = { welcome: 0, trial: state.number / state.of, done: 1 }[state.screen];
  el("bar").firstElementChild.style.width = `${100 * share}%`;
  ({ welcome, trial, done })[state.screen]();
}

function welcome() {
  el("title").textContent = T.title[state.mode];
  const keys = T.keys.replace("{0}", "←").replace("{1}", "→");
  const lines = [T.how[state.mode].replace("{of}", state.of), T[state.timing === "none" ? "untimed" : "timed"], keys, T.resume];
  el("how").replaceChildren(...lines.map((line) => {
    const p = document.createElement("p");
    p.className = line === keys ? "keys" : "";
    // keys stand in frames; the text itself comes from words.js
    for (const part of line.split(/([←→])/)) p.append(/[←→]/.test(part) ? framed(part) : part);
    return p;
  }));
  el("who").placeholder = T.who;
  el("who").setAttribute("aria-label", T.who);
  el("start").textContent = T.start;
}

function framed(key) {
  const kbd = document.createElement("kbd");
  kbd.textContent = key;
  return kbd;
}

function done() {
  const known = state.right !== null;
  el("thanks").textContent = T.thanks;
  el("score").textContent = known ? `${state.right} / ${state.answered}` : state.answered;
  el("meaning").textContent = known ? T.meaning : T.noscore;
  el("saved").textContent = T.saved;
}

async function trial() {
  const mine = state;
  close();
  lay(mine.pictures.length);
  const ready = Promise.all(mine.pictures.map(fetched));
  mine.coming.forEach(fetched);
  if (mine.exposure !== null && !masks.length)
    masks = await Promise.all(Array.from({ length: mine.masks }, (_, k) => load("mask/" + k)));
  const shots = await ready;
  if (mine !== state) return;
  if (mine.exposure === null) {
    draw(shots);
    began = await frame();
    shown = null;
  } else await flash(shots, mine.exposure);
  mine.pictures.forEach((token) => pictures.delete(token));
  unlock();
}

// ------------------------------------------------------------------ showing

const frame = () => new Promise(requestAnimationFrame);

async function until(time) {
  // the frame nearest to the wanted moment: half a frame early is nearer than half a frame late
  let now = await frame();
  while (now < time - 8) now = await frame();
  return now;
}

async function flash(shots, exposure) {
  draw([], true);
  await until(await frame() + FIXATION);
  draw(shots);
  began = await frame();
  const gone = await until(began + exposure);
  for (let k = 0; k < masks.length; k++) {
    draw(boxes.map((_, i) => masks[(k + i) % masks.length]));
    if (k === 0) shown = (await frame()) - began;
    await until(gone + MASK * (k + 1));
  }
  draw([]);
}

function lay(count) {
  // two pictures lie side by side, or above each other where that makes them larger
  const [height, width] = state.size;
  const stage = el("stage");
  const room = stage.getBoundingClientRect(), gap = 24;
  const beside = zoom((room.width - gap * (count - 1)) / count / width, room.height / height, width, height);
  const above = zoom(room.width / width, (room.height - gap * (count - 1)) / count / height, width, height);
  stage.classList.toggle("stacked", count > 1 && above > beside);
  const factor = count > 1 ? Math.max(above, beside) : beside;
  const dpr = window.devicePixelRatio || 1;
  if (boxes.length !== count) {
    boxes = Array.from({ length: count }, (_, k) => {
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", T.picture);
      canvas.dataset.said = k;
      if (count > 1) canvas.onclick = () => answer(k);
      return canvas;
    });
    stage.replaceChildren(...boxes);
  }
  for (const box of boxes) {
    box.width = Math.round(width * factor);
    box.height = Math.round(height * factor);
    box.style.width = box.width / dpr + "px";
    box.style.height = box.height / dpr + "px";
  }
  const stacked = stage.classList.contains("stacked");
  const names = T.choices[count === 1 ? "single" : stacked ? "stacked" : "pair"];
  const keys = stacked ? ["↑", "↓"] : ["←", "→"];
  el("choices").querySelectorAll("button").forEach((button, k) => {
    button.querySelector("span").textContent = names[k];
    button.querySelector("kbd").textContent = keys[k];
    button.dataset.said = count === 1 ? 1 - k : k;
  });
}

function zoom(across, down, width, height) {
  // in pixels of the screen, a whole number; below 1 only where the picture is larger than the room
  const dpr = window.devicePixelRatio || 1;
  const fits = Math.min(across, down, LARGEST / Math.max(width, height)) * dpr;
  const room = Math.min(across, down) * dpr;
  return fits >= 1 ? Math.floor(fits) : Math.min(1, room);
}

function draw(shots, cross = false) {
  last = [shots, cross];
  boxes.forEach((box, k) => {
    const pen = box.getContext("2d");
    pen.clearRect(0, 0, box.width, box.height);
    box.classList.toggle("empty", !shots[k]);
    box.classList.toggle("cross", cross);
    if (shots[k]) {
      pen.imageSmoothingEnabled = box.width < shots[k].width;
      pen.imageSmoothingQuality = "high";
      pen.drawImage(shots[k], 0, 0, box.width, box.height);
    }
  });
}
let last = [[], false];

// ------------------------------------------------------------------ answering

function close() {
  open = false;
  el("question").textContent = state.exposure === null ? T.question[state.mode] : T.look;
  el("choices").classList.add("closed");
}

function unlock() {
  open = true;
  el("question").textContent = T.question[state.mode];
  el("choices").classList.remove("closed");
}

async function answer(said) {
  if (!open) return;
  open = false;
  const seconds = (performance.now() - began) / 1000;
  el("choices").classList.add("closed");
  show(await ask("answer", { number: state.number, said, shown, seconds }));
}

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || !open) return;
  const place = { ArrowLeft: 0, ArrowUp: 0, ArrowRight: 1, ArrowDown: 1, 1: 0, 2: 1 }[event.key];
  if (place === undefined) return;
  event.preventDefault();
  el("choices").children[place].click();
});

for (const button of el("choices").children)
  button.addEventListener("click", () => { button.blur(); answer(Number(button.dataset.said)); });

el("begin").addEventListener("submit", async (event) => {
  event.preventDefault();
  el("start").disabled = true;
  show(await ask("begin", { name: el("who").value }));
});

window.addEventListener("resize", () => {
  if (state && state.screen === "trial" && boxes.length) { lay(boxes.length); draw(...last); }
});

document.documentElement.lang = LANGUAGE;
document.title = "Limner";
el("lost").textContent = T.lost;
el("again").textContent = T.again;
ask("state").then(show);
