// The space: catalog and vectors, and distances between songs.
// All sums are in double precision, as in `SongSpace.nearest`: the same songs, in the same order.

const $ = (id) => document.getElementById(id);
const MAP = JSON.parse($("data").textContent);
const { songs, genres } = MAP;
const N = songs.x.length;
const D = MAP.dimension;
const everySong = [...songs.x.keys()];

// Base 85 [RFC 1924], with "." for "<" and "," for "&".
const DIGITS =
  "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" + "!#$%,()*+-;.=>?@^_`{|}~";
const VALUES = new Uint8Array(128);
for (let i = 0; i < DIGITS.length; i++) VALUES[DIGITS.charCodeAt(i)] = i;

function bytes(text) {
  const size = Math.floor((text.length * 4) / 5);
  const out = new Uint8Array(Math.ceil(size / 4) * 4);
  const view = new DataView(out.buffer);
  for (let i = 0, at = 0; i < text.length; i += 5, at += 4) {
    let value = 0;
    for (let k = i; k < i + 5; k++) {
      const digit = k < text.length ? VALUES[text.charCodeAt(k)] : 84;
      value = value * 85 + digit;
    }
    view.setUint32(at, value);
  }
  return out.subarray(0, size);
}

// The vectors of all songs, one after the other; unpacked when they are first asked for.
let unpacked = null;
function vectors() {
  if (!unpacked) unpacked = new Float32Array(bytes($("vectors").textContent).buffer);
  return unpacked;
}

function squaredDistance(a, b) {
  const values = vectors();
  let sum = 0;
  for (let k = 0; k < D; k++) {
    const difference = values[a * D + k] - values[b * D + k];
    sum += difference * difference;
  }
  return sum;
}

const distance = (a, b) => Math.sqrt(squaredDistance(a, b));

// The k pairs [value, song] of least value; of equal ones, the song that comes first.
function least(pairs, k) {
  pairs.sort((p, q) => p[0] - q[0] || p[1] - q[1]);
  return pairs.slice(0, k);
}

// The k songs nearest to one, as pairs [distance, song], among those that are accepted.
function nearest(song, k, accept = () => true) {
  const pairs = [];
  for (let i = 0; i < N; i++) {
    if (i !== song && accept(i)) pairs.push([squaredDistance(song, i), i]);
  }
  return least(pairs, k).map(([squared, i]) => [Math.sqrt(squared), i]);
}

// The k songs whose points on the map are nearest to that of one.
function nearestOnMap(song, k) {
  const pairs = [];
  for (let i = 0; i < N; i++) {
    const squared = (songs.x[i] - songs.x[song]) ** 2 + (songs.y[i] - songs.y[song]) ** 2;
    if (i !== song) pairs.push([squared, i]);
  }
  return least(pairs, k).map(([, i]) => i);
}

// How many of the k nearest songs are also among the k nearest points.
function countShared(song, k) {
  const near = new Set(nearestOnMap(song, k));
  return nearest(song, k).filter(([, i]) => near.has(i)).length;
}

function sameArtist(i, j) {
  const artist = songs.artist_number[i];
  return artist >= 0 && artist === songs.artist_number[j];
}
