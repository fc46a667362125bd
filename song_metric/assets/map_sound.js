// The sound: one audio element. An excerpt becomes a `data:` address only when it is played;
// linked files are played around their middle.

const { sound } = MAP;
const player = $("player");

// The excerpts are the last thing in the file: the page can be used before they are read.
const loaded = new Promise((done) => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", done);
  else done();
});

let excerpts = null; // one line of text a song, behind a colon
function excerptOf(i) {
  excerpts ??= $("sounds").textContent.trim().split("\n");
  return bytes(excerpts[i].slice(1));
}

// Why a song cannot be heard; undefined where it can.
function silenceOf(i) {
  return sound.kind === "none" ? "this map was made without sound" : sound.missing[i];
}

// The address of a song's file, seen from this page; null where it is not known.
function addressOf(i) {
  const path = songs.path[i];
  if (!path) return null;
  const onDrive = /^[A-Za-z]:\//.test(path);
  try {
    const parts = path.split("/").map(encodeURIComponent).join("/");
    const address = onDrive ? `file:///${path[0]}:${parts.slice(4)}` : parts;
    return new URL(address, document.baseURI);
  } catch {
    return null; // a name that is no text
  }
}

// Where the player finds a song, and the second at which it stops.
function trackOf(i) {
  if (sound.kind === "embed") {
    const text = btoa(String.fromCharCode(...excerptOf(i)));
    return { source: `data:${sound.type};base64,${text}`, end: Infinity };
  }
  const start = Math.max(0, (songs.duration[i] - sound.seconds) / 2);
  const end = start + sound.seconds;
  return { source: `${addressOf(i)}#t=${start},${end}`, end };
}

// Play a song, and then those of the queue.
async function play(i, queue = []) {
  stop();
  await loaded;
  const why = silenceOf(i);
  if (why) {
    say(`No sound of ${titleOf(i)}: ${why}.`);
    if (queue.length) play(queue[0], queue.slice(1));
    return;
  }
  const { source, end } = trackOf(i);
  Object.assign(state, { playing: i, queue });
  player.src = source;
  player.until = end;
  markPlaying();
  try {
    await player.play();
    say(`Playing ${titleOf(i)}`);
  } catch (error) {
    if (error.name !== "AbortError" && state.playing === i) complain(i);
  }
}

function complain(i) {
  const embedded = "make the map again with --codec mp3";
  const linked = "its file has moved, or is of a format that it does not know";
  const reason = sound.kind === "embed" ? embedded : linked;
  stop();
  say(`This browser cannot play ${titleOf(i)}: ${reason}.`);
}

function stop() {
  Object.assign(state, { playing: null, queue: [] });
  player.pause();
  markPlaying();
}

function playNext() {
  const [song, ...rest] = state.queue;
  if (song === undefined) stop();
  else play(song, rest);
}

function toggle(i, queue = []) {
  if (state.playing === i) stop();
  else play(i, queue);
}

player.addEventListener("ended", playNext);
player.addEventListener("timeupdate", () => {
  if (state.playing !== null && player.currentTime >= player.until) playNext();
});
