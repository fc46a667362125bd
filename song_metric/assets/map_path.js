// The path: the algorithm of `song_metric.playlists.fluid_way`, on the same vectors.
// It stands here a second time because the page is offline; its constants come from there.

const { turn: TURN, corridor: CORRIDOR, width: WIDTH, spacing: SPACING, copy: COPY } = MAP.path;

// a, the songs of least detour between a and b in order of how far along they are, and b.
function corridor(a, b, most) {
  const along = new Float64Array(N);
  const detours = [];
  for (let i = 0; i < N; i++) {
    if (i === a || i === b) continue;
    const fromA = squaredDistance(a, i);
    const toB = squaredDistance(i, b);
    along[i] = fromA - toB;
    detours.push([Math.sqrt(fromA) + Math.sqrt(toB), i]);
  }
  const inside = least(detours, most).map(([, i]) => i);
  inside.sort((i, j) => along[i] - along[j] || i - j);
  return [a, ...inside, b];
}

function squaredLength(i) {
  let total = 0;
  for (const value of vectors().subarray(i * D, (i + 1) * D)) total += value * value;
  return total;
}

// Whether two songs are one: level, or of the same artist and title.
function areCopies(i, j) {
  const title = songs.title_number[i];
  if (title >= 0 && title === songs.title_number[j] && sameArtist(i, j)) return true;
  const length = Math.max(squaredLength(i), squaredLength(j));
  return squaredDistance(i, j) <= COPY ** 2 * length;
}

// The songs that are no copies of those before, or of one that comes earlier.
function dropCopies(list, before) {
  const kept = [...before];
  for (const song of list) {
    if (!kept.some((other) => areCopies(song, other))) kept.push(song);
  }
  return kept.slice(before.length);
}

// The songs that a path of n songs may take, in the order of a corridor.
function songsBetween(a, b, n) {
  let most = Math.max(CORRIDOR, 2 * n);
  for (;;) {
    const inside = corridor(a, b, most).slice(1, -1);
    const single = [a, ...dropCopies(inside, [a, b]), b];
    if (single.length >= n || most >= N) return single;
    most *= 2;
  }
}

// Tables (m × m, row by row) are filled above the diagonal: a path never turns back.
function upperTable(m, value) {
  const table = new Float64Array(m * m).fill(Infinity);
  for (let i = 0; i < m; i++) {
    for (let j = i + 1; j < m; j++) table[i * m + j] = value(i, j);
  }
  return table;
}

const stepCost = (squared) => squared ** 1.5;

// The cosine of the turn, from squared distances: first to second song, second to third,
// first to third.
function turnCosine(before, after, across) {
  return (across - before - after) / (2 * Math.sqrt(before * after) + 1e-12);
}

function turnCost(before, after, across) {
  const cosine = turnCosine(before, after, across);
  return TURN * (1 - cosine) * ((before + after) / 2) ** 1.5;
}

// What each song costs one step later, `before` being what each has cost so far.
function stepAhead(costs, m, before) {
  const to = new Float64Array(m).fill(Infinity);
  for (let i = 0; i < m; i++) {
    for (let j = i + 1; j < m; j++) to[j] = Math.min(to[j], before[i] + costs[i * m + j]);
  }
  return to;
}

// The same from the end: what is still to pay from each song, one step earlier.
function stepBack(costs, m, after) {
  const from = new Float64Array(m).fill(Infinity);
  for (let i = 0; i < m; i++) {
    for (let j = i + 1; j < m; j++) from[i] = Math.min(from[i], costs[i * m + j] + after[j]);
  }
  return from;
}

// For each of n places, the songs through which the cheapest paths pass, by steps alone.
function songsOfPlaces(costs, m, n) {
  const ahead = [new Float64Array(m).fill(Infinity)];
  const back = [new Float64Array(m).fill(Infinity)];
  ahead[0][0] = 0;
  back[0][m - 1] = 0;
  for (let t = 1; t < n; t++) {
    ahead.push(stepAhead(costs, m, ahead[t - 1]));
    back.push(stepBack(costs, m, back[t - 1]));
  }
  return ahead.map((before, t) => {
    const pairs = [];
    before.forEach((cost, i) => pairs.push([cost + back[n - 1 - t][i], i]));
    const possible = pairs.filter(([cost]) => cost < Infinity);
    return least(possible, WIDTH).map(([, i]) => i);
  });
}

const filled = (rows, columns, value) => rows.map(() => new Array(columns.length).fill(value));

// One more song: the least cost of each pair (second, third), and the first that gives it.
// `total` holds the costs of the pairs (first, second); `step` and `turn` tell what is added.
function addSong(total, [firsts, seconds, thirds], step, turn) {
  const best = filled(seconds, thirds, Infinity);
  const from = filled(seconds, thirds, 0);
  firsts.forEach((h, x) => {
    seconds.forEach((i, y) => {
      if (total[x][y] === Infinity) return;
      thirds.forEach((j, z) => {
        const cost = total[x][y] + step(i, j) + turn(h, i, j);
        if (cost < best[y][z]) {
          best[y][z] = cost;
          from[y][z] = x;
        }
      });
    });
  });
  return [best, from];
}

function leastOf(table) {
  let place = [0, 0];
  let lowest = Infinity;
  table.forEach((row, y) => {
    row.forEach((cost, z) => {
      if (cost < lowest) {
        lowest = cost;
        place = [y, z];
      }
    });
  });
  return lowest < Infinity ? place : null;
}

// The cheapest path with turns, one song from each layer, no artist twice within three songs;
// null where there is none. `squared` and `costs` are tables, `apart` tells who may not be near.
function cheapestPath(squared, costs, m, apart, layers) {
  const step = (i, j) => costs[i * m + j];
  const turn = (h, i, j) => {
    if (j <= i || apart(h, j)) return Infinity;
    return turnCost(squared[h * m + i], squared[i * m + j], squared[h * m + j]);
  };
  let total = layers[0].map((h) => layers[1].map((i) => step(h, i)));
  const back = [];
  for (let t = 2; t < layers.length; t++) {
    const [best, from] = addSong(total, layers.slice(t - 2, t + 1), step, turn);
    back.push(from);
    total = best;
  }
  const end = leastOf(total);
  return end && traceBack(back, layers, end);
}

function traceBack(back, layers, [y, z]) {
  const path = [layers.at(-1)[z], layers.at(-2)[y]];
  for (let t = back.length - 1; t >= 0; t--) {
    [y, z] = [back[t][y][z], y];
    path.push(layers[t][y]);
  }
  return path.reverse();
}

// A fluid playlist of n songs from a to b, or of as many as there are, none a copy of another.
// Where too few artists lie between to keep them apart, artists do not count.
function fluidPath(a, b, wanted) {
  const order = songsBetween(a, b, wanted);
  const m = order.length;
  const n = Math.min(wanted, m);
  if (n === 2) return [a, b];
  const squared = upperTable(m, (i, j) => squaredDistance(order[i], order[j]));
  const byOneArtist = (i, j) => sameArtist(order[i], order[j]);
  for (const apart of [byOneArtist, () => false]) {
    const costs = upperTable(m, (i, j) => {
      return apart(i, j) ? Infinity : stepCost(squared[i * m + j]);
    });
    const layers = songsOfPlaces(costs, m, n);
    if (layers.some((layer) => !layer.length)) continue;
    const path = cheapestPath(squared, costs, m, apart, layers);
    if (path) return path.map((i) => order[i]);
  }
  throw new Error("without spacing there is always a path");
}

const sum = (values) => values.reduce((total, value) => total + value, 0);

// Changes of genre from one song to the next.
function countChanges(path) {
  const changes = path.filter((song, t) => t && songs.genre[song] !== songs.genre[path[t - 1]]);
  return changes.length;
}

// Pairs of songs by one artist, nearer to each other than they should stand.
function countRepeats(path) {
  const repeats = path.map((song, t) => {
    return path.slice(t + 1, t + SPACING).filter((later) => sameArtist(song, later)).length;
  });
  return sum(repeats);
}

// Squared distances about each inner song: from the one before, to the one after, across.
function corners(path) {
  return path.slice(2).map((last, t) => {
    const [first, second] = path.slice(t, t + 2);
    const before = squaredDistance(first, second);
    return [before, squaredDistance(second, last), squaredDistance(first, last)];
  });
}

function degrees(cosine) {
  return (Math.acos(Math.max(-1, Math.min(1, cosine))) * 180) / Math.PI;
}

// How fluid a playlist is, as `song_metric.playlists.fluidity` says it.
function fluidity(path) {
  const steps = path.slice(1).map((song, t) => distance(path[t], song));
  const turns = corners(path);
  const angles = turns.map((corner) => degrees(turnCosine(...corner)));
  const turned = sum(turns.map((corner) => turnCost(...corner)));
  const cost = sum(steps.map((step) => step ** 3)) + turned;
  return {
    strain: (cost / steps.length) ** (1 / 3),
    mean: sum(steps) / steps.length,
    largest: Math.max(...steps),
    turn: angles.length ? sum(angles) / angles.length : 0,
    changes: countChanges(path),
    repeats: countRepeats(path),
  };
}
