// The panel: the search, the chosen song, the path. A title is put into a text node, and that is
// all that ever happens to it.

const NEIGHBOURS = MAP.neighbours; // in the list of a chosen song
const FOUND = 50; // songs of a search that are listed

const titleOf = (i) => songs.title[i] || songs.song_id[i];
const genreOf = (i) => genres[songs.genre[i]];
const joined = (...parts) => parts.filter(Boolean).join(" · ");
const creditOf = (i) => joined(songs.artist[i], genreOf(i).name);

function say(text) {
  $("status").textContent = text;
}

// An element. Functions among the attributes listen to the event of that name; strings among the
// children become text, never HTML.
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function makeSign(genre) {
  const node = make("span", { class: "sign", "aria-hidden": "true" }, genre.sign);
  node.style.color = genre.colour;
  return node;
}

// A song of a list: a press does `act`.
function songButton(i, act, number) {
  const title = make("span", { class: "title" }, titleOf(i));
  const credit = make("span", { class: "soft" }, creditOf(i));
  const events = {
    click: () => act(i),
    mouseenter: () => pointAt(i),
    mouseleave: () => pointAt(null),
    focus: () => pointAt(i),
    blur: () => pointAt(null),
  };
  const button = make(
    "button",
    { type: "button", class: "song", "data-song": i, ...events },
    makeSign(genreOf(i)),
    make("span", { class: "names" }, title, credit),
    make("span", { class: "number" }, number),
  );
  if (sound.missing[i]) {
    button.classList.add("mute");
    button.title = `No sound: ${silenceOf(i)}`;
  }
  return button;
}

// The button beside a song, which goes to it.
function goButton(i) {
  const attributes = {
    type: "button",
    class: "go",
    title: "Choose this song",
    "aria-label": `Choose ${titleOf(i)}`,
    click: () => choose(i, { focus: true }),
  };
  return make("button", attributes, "→");
}

const songRow = (i, act, number) => make("li", {}, songButton(i, act, number), goButton(i));

// A song that the mouse or the focus is on; with a place on the map, its name stands there.
function pointAt(i, x, y) {
  const tip = $("tip");
  tip.hidden = i === null || x === undefined;
  if (!tip.hidden) {
    tip.replaceChildren(make("b", {}, titleOf(i)), make("span", {}, creditOf(i)));
    placeTip(tip, x, y);
  }
  $("plot").classList.toggle("over", !tip.hidden);
  if (state.pointed !== i) {
    state.pointed = i;
    drawRings();
  }
}

// To the right of the mouse and below it, where there is room.
function placeTip(tip, x, y) {
  const { width, height } = box();
  const left = Math.max(4, Math.min(x + 14, width - tip.offsetWidth - 4));
  const below = y + 18;
  const fits = below + tip.offsetHeight <= height;
  tip.style.left = `${left}px`;
  tip.style.top = `${fits ? below : y - tip.offsetHeight - 8}px`;
}

// Which song is playing.
function markPlaying() {
  const { chosen, playing, path } = state;
  for (const button of document.querySelectorAll("button.song")) {
    button.toggleAttribute("data-playing", Number(button.dataset.song) === playing);
  }
  $("play").textContent = chosen !== null && playing === chosen ? "Stop" : "Play";
  $("through").textContent = path && path.includes(playing) ? "Stop" : "Play through";
  draw();
}

// Which parts of the panel are shown.
function showPanels() {
  const { chosen, from, path } = state;
  $("results").hidden = $("search").value.trim() === "";
  $("song-card").hidden = path !== null || chosen === null;
  $("path-card").hidden = path === null;
  $("pending").hidden = from === null;
  $("start").hidden = from !== null;
  if (from === null) return;
  const begin = `A path from ${titleOf(from)}`;
  $("pending-text").textContent = `${begin}: now choose where it leads, on the map or by search.`;
}

// A song is chosen: it is shown and played; or it is the end of a path, which is drawn.
function choose(i, { asEnd = false, focus = false, silent = false } = {}) {
  const start = state.from ?? (asEnd ? state.chosen : null);
  if (start !== null && start !== i) {
    choosePath(start, i);
    return;
  }
  Object.assign(state, { chosen: i, path: null });
  const heading = make("h2", { id: "chosen", tabindex: -1 }, makeSign(genreOf(i)), titleOf(i));
  const about = make("p", { class: "soft" }, joined(creditOf(i), songs.album[i]));
  $("about-song").replaceChildren(heading, about);
  listNeighbours();
  showPanels();
  bringIntoSight(i);
  if (focus) heading.focus();
  if (silent || sound.kind === "none") markPlaying();
  else play(i);
}

function listNeighbours() {
  const song = state.chosen;
  const k = Math.min(NEIGHBOURS, N - 1);
  state.near = nearest(song, k, (i) => !(state.others && sameArtist(song, i)));
  const rows = state.near.map(([far, i]) => songRow(i, toggle, far.toFixed(3)));
  $("near").replaceChildren(...rows);
  const shared = countShared(song, k);
  $("torn").textContent =
    `Of its ${k} nearest songs, ${shared} are also among the ${k} nearest points of the map.`;
  draw();
}

// The length that is asked for, between the least and the most, and no longer than the map.
function pathLength() {
  const { value, min, max, defaultValue } = $("length");
  const asked = Math.round(Number(value)) || Number(defaultValue);
  const length = Math.max(Number(min), Math.min(N, Number(max), asked));
  $("length").value = length;
  return length;
}

function choosePath(a, b) {
  const path = fluidPath(a, b, pathLength());
  stop();
  Object.assign(state, { from: null, chosen: b, path });
  listPath(path);
  $("ends").textContent = `${titleOf(a)} → ${titleOf(b)}`;
  $("score").textContent = scoreText(fluidity(path));
  showPanels();
  markPlaying();
  lookAround(path, 3 * MARGIN, wholeScale / 5);
  say(`A path of ${path.length} songs from ${titleOf(a)} to ${titleOf(b)}.`);
}

function listPath(path) {
  const playFrom = (i) => toggle(i, path.slice(path.indexOf(i) + 1));
  const rows = path.map((i, t) => {
    const step = t ? distance(path[t - 1], i).toFixed(3) : "";
    return songRow(i, playFrom, step);
  });
  $("path").replaceChildren(...rows);
}

function scoreText({ strain, mean, largest, turn, changes, repeats }) {
  const parts = [
    `Strain ${strain.toFixed(2)}`,
    `steps ${mean.toFixed(2)}, at most ${largest.toFixed(2)}`,
    `turns ${turn.toFixed(0)}°`,
    `${changes} changes of genre`,
    `${repeats} artists repeated`,
  ];
  return parts.join(" · ");
}

// Letters without accents, in lower case.
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
const searched = everySong.map((i) => {
  return plain(`${songs.title[i]} ${songs.artist[i]} ${songs.album[i]}`);
});

function search() {
  const words = plain($("search").value).split(/\s+/).filter(Boolean);
  const hasAll = (i) => words.every((word) => searched[i].includes(word));
  state.found = words.length ? everySong.filter(hasAll) : [];
  const listed = state.found.slice(0, FOUND);
  $("found").replaceChildren(...listed.map((i) => make("li", {}, songButton(i, choose, ""))));
  $("count").textContent = countText(state.found.length);
  showPanels();
  draw();
}

function countText(count) {
  if (!count) return "No song has all these words in its title, artist or album.";
  if (count > FOUND) return `${count} songs; the first ${FOUND} are listed.`;
  return count === 1 ? "1 song" : `${count} songs`;
}
