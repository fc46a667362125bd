// Legend, buttons and keys; then the page is shown.

const ZOOM = 1.5; // of a press on + or −
const SHIFT = 60; // pixels, of an arrow key on the map

const legend = genres.map((genre, g) => {
  const attributes = {
    type: "button",
    class: "genre",
    "aria-pressed": "false",
    click: () => toggleGenre(g),
  };
  const count = make("span", { class: "soft" }, ` ${genre.songs}`);
  return make("button", attributes, makeSign(genre), genre.name, count);
});
$("legend").append(...legend, $("all"));

function toggleGenre(g) {
  if (!state.genres.delete(g)) state.genres.add(g);
  showGenres();
}

function showAllGenres() {
  state.genres.clear();
  showGenres();
}

// The songs that are shown: those of the genres that are pressed, or all.
function showGenres() {
  const some = state.genres.size > 0;
  legend.forEach((button, g) => button.setAttribute("aria-pressed", state.genres.has(g)));
  shownSongs.booleans = some ? everySong.map(isVisible) : null;
  $("all").hidden = !some;
  const count = everySong.filter(isVisible).length;
  say(some ? `${count} of ${N} songs are shown.` : "All songs are shown.");
  draw();
}

function startPath() {
  state.from = state.chosen;
  showPanels();
  draw();
  $("search").focus();
}

function cancelPath() {
  state.from = null;
  showPanels();
  draw();
}

function playThrough() {
  const [first, ...rest] = state.path;
  if (state.path.includes(state.playing)) stop();
  else play(first, rest);
}

function closePath() {
  state.path = null;
  choose(state.chosen, { silent: true });
}

const presses = {
  play: () => toggle(state.chosen),
  start: startPath,
  cancel: cancelPath,
  through: playThrough,
  close: closePath,
  m3u8: () => savePath("m3u8", "audio/x-mpegurl", writeM3u8),
  xspf: () => savePath("xspf", "application/xspf+xml", writeXspf),
  all: showAllGenres,
  closer: () => zoom(ZOOM),
  wider: () => zoom(1 / ZOOM),
  whole: showAll,
};
for (const [id, act] of Object.entries(presses)) $(id).addEventListener("click", act);
$("search").addEventListener("input", search);
$("length").addEventListener("change", () => choosePath(state.path[0], state.path.at(-1)));
$("others").addEventListener("change", () => {
  state.others = $("others").checked;
  listNeighbours();
});

// Esc takes back one thing after the other.
function takeBack() {
  if ($("search").value) {
    $("search").value = "";
    search();
  } else if (state.from !== null) {
    cancelPath();
  } else if (state.path) {
    stop();
    closePath();
  } else if (state.chosen !== null) {
    Object.assign(state, { chosen: null, near: [] });
    stop();
    showPanels();
  } else {
    showAllGenres();
  }
}

// Arrow keys go through the list that has the focus, and from the search into what it found.
function moveInList(key, here) {
  const isSearch = here === $("search");
  const list = isSearch ? $("found") : here.closest("ol, #legend");
  const items = list ? [...list.querySelectorAll("button.song, button.genre")] : [];
  const sideways = here.closest("#legend") ? { ArrowRight: 1, ArrowLeft: -1 } : {};
  const step = { ArrowDown: 1, ArrowUp: -1, ...sideways }[key];
  if (!items.length || !step) return false;
  const current = here.closest("li")?.querySelector("button.song") ?? here;
  const to = (isSearch ? -1 : items.indexOf(current)) + step;
  if (to < 0 && list === $("found")) $("search").focus();
  else items[Math.max(0, Math.min(items.length - 1, to))].focus();
  return true;
}

function goToSearch() {
  $("search").focus();
  $("search").select();
}

function moveMap(key) {
  const moves = {
    ArrowLeft: [-SHIFT, 0],
    ArrowRight: [SHIFT, 0],
    ArrowUp: [0, SHIFT],
    ArrowDown: [0, -SHIFT],
  };
  if (!moves[key]) return false;
  shift(...moves[key]);
  return true;
}

// Keys that mean the same wherever nobody is typing; false for any other.
function pressKey(key, here) {
  const keys = {
    "/": goToSearch,
    "+": () => zoom(ZOOM),
    "=": () => zoom(ZOOM),
    "-": () => zoom(1 / ZOOM),
    0: showAll,
  };
  if (state.chosen !== null && !here.matches("button, input, summary")) {
    keys[" "] = () => toggle(state.chosen);
  }
  if (!Object.hasOwn(keys, key)) return false;
  keys[key]();
  return true;
}

// Whether a key was answered.
function answerKey(key) {
  const here = document.activeElement;
  const typing = here.matches("input:not([type=checkbox])");
  if (key === "Escape") {
    takeBack();
    return true;
  }
  if (key === "Enter" && here === $("search") && state.found.length) {
    choose(state.found[0]);
    return true;
  }
  if (here === $("map") && moveMap(key)) return true;
  if (here !== $("length") && moveInList(key, here)) return true;
  return !typing && pressKey(key, here);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (answerKey(event.key)) event.preventDefault();
});

for (const id of ["play", "through"]) $(id).hidden = sound.kind === "none";
if (sound.kind === "embed" && !player.canPlayType(sound.type)) {
  say("This browser does not play these excerpts: make the map again with --codec mp3.");
}
showPanels();
showAll();
draw();
Bokeh.Plotting.show(plot, "#plot").then(() => {
  showAll();
  lastScale = unitsPerPixel();
  document.documentElement.dataset.ready = Math.round(performance.now());
});
