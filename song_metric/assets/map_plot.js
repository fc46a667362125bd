// The picture: points, lines and names, drawn by Bokeh, and the part of the map that is seen.

const state = {
  chosen: null, // the song that the panel tells about
  near: [], // its nearest songs, as pairs [distance, song]
  from: null, // the song from which a path is to lead
  path: null, // the songs of the path that is shown
  found: [], // the songs that the search has found
  pointed: null, // the song that the mouse or the focus is on
  playing: null,
  queue: [], // what is played after it
  genres: new Set(), // the genres that are shown; empty: all
  others: false, // nearest songs by other artists only
};

const MARGIN = 30; // pixels around the whole map
const CLICK_REACH = 16; // pixels from a point within which a click means it
const HOVER_REACH = 10;
const FADED = 0.25; // opacity of points behind what is chosen
const SOLID = 0.8;

const isVisible = (i) => !state.genres.size || state.genres.has(songs.genre[i]);

// The more songs, the smaller their points.
const pointSize = Math.max(4, Math.min(10, 260 / Math.sqrt(N))) * (innerWidth < 600 ? 0.75 : 1);

// The columns of a layer that shows these songs.
function columnsOf(list) {
  return {
    x: list.map((i) => songs.x[i]),
    y: list.map((i) => songs.y[i]),
    marker: list.map((i) => genres[songs.genre[i]].marker),
    colour: list.map((i) => genres[songs.genre[i]].colour),
  };
}

const place = { x: { field: "x" }, y: { field: "y" } };
const point = {
  ...place,
  marker: { field: "marker" },
  fill_color: { field: "colour" },
  line_color: null,
};
const label = {
  ...place,
  text: { field: "text" },
  text_font: { value: "system-ui, sans-serif" },
  text_font_size: { value: "12px" },
  text_font_style: { value: "bold" },
  padding: 1,
  border_radius: 3,
};

const plot = new Bokeh.Plot({
  x_range: new Bokeh.Range1d(),
  y_range: new Bokeh.Range1d(),
  sizing_mode: "stretch_both",
  toolbar_location: null,
  min_border: 0,
  outline_line_color: null,
  background_fill_color: null,
  border_fill_color: null,
  lod_threshold: 30000,
  match_aspect: false,
});
const pan = new Bokeh.PanTool();
const wheel = new Bokeh.WheelZoomTool();
plot.add_tools(pan, wheel);
plot.toolbar.active_drag = pan;
plot.toolbar.active_scroll = wheel;

// A layer of the picture: its data can be set anew, its glyph changed.
function addLayer(name, data, glyph, filter = new Bokeh.AllIndices()) {
  const source = new Bokeh.ColumnDataSource({ data });
  const view = new Bokeh.CDSView({ filter });
  const options = { name, data_source: source, glyph, view, level: "glyph" };
  const renderer = new Bokeh.GlyphRenderer(options);
  plot.renderers = [...plot.renderers, renderer];
  return { source, glyph, renderer };
}

const shownSongs = new Bokeh.BooleanFilter({ booleans: null });
const songLayer = addLayer(
  "songs",
  columnsOf(everySong),
  new Bokeh.Scatter({ ...point, size: { value: pointSize }, fill_alpha: { value: SOLID } }),
  shownSongs,
);
const nameLayer = addLayer(
  "names",
  {
    x: genres.map((genre) => genre.x),
    y: genres.map((genre) => genre.y),
    text: genres.map((genre) => genre.name),
  },
  new Bokeh.Text({
    ...label,
    text_align: { value: "center" },
    text_baseline: { value: "middle" },
    background_fill_alpha: { value: 0.7 },
  }),
);
const lineLayer = addLayer(
  "lines",
  { x: [], y: [], x1: [], y1: [] },
  new Bokeh.Segment({
    x0: { field: "x" },
    y0: { field: "y" },
    x1: { field: "x1" },
    y1: { field: "y1" },
    line_width: { value: 1.5 },
  }),
);
const markedLayer = addLayer(
  "marked",
  columnsOf([]),
  new Bokeh.Scatter({ ...point, size: { value: pointSize * 1.5 } }),
);
const ringLayer = addLayer(
  "rings",
  { x: [], y: [], size: [] },
  new Bokeh.Scatter({
    ...place,
    size: { field: "size" },
    marker: { value: "circle" },
    fill_color: null,
    line_width: { value: 2 },
  }),
);
const numberLayer = addLayer(
  "numbers",
  { x: [], y: [], text: [] },
  new Bokeh.Text({
    ...label,
    x_offset: { value: 7 },
    y_offset: { value: -6 },
    background_fill_alpha: { value: 0.6 },
  }),
);

// Lines and names have the page's ink, in light and in dark.
function paintInk() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => ({ value: style.getPropertyValue(name).trim() });
  for (const layer of [lineLayer, ringLayer]) layer.glyph.line_color = colour("--ink");
  for (const layer of [nameLayer, numberLayer]) {
    layer.glyph.setv({ text_color: colour("--ink"), background_fill_color: colour("--paper") });
  }
}
paintInk();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintInk);

// What is chosen, over what is there.
function draw() {
  const { chosen, path, found } = state;
  const near = path || chosen === null ? [] : state.near.map(([, i]) => i);
  const list = path ?? (chosen === null ? found : [chosen, ...near]);
  songLayer.glyph.fill_alpha = { value: list.length ? FADED : SOLID };
  nameLayer.renderer.visible = MAP.named && !list.length && !state.genres.size;
  markedLayer.source.data = columnsOf(list);
  if (path) drawLines(path.slice(0, -1), path.slice(1), 0.9);
  else
    drawLines(
      near.map(() => chosen),
      near,
      0.55,
    );
  drawLabels();
  drawRings();
}

function drawLines(starts, ends, alpha) {
  const { x, y } = columnsOf(starts);
  const { x: x1, y: y1 } = columnsOf(ends);
  lineLayer.source.data = { x, y, x1, y1 };
  lineLayer.glyph.line_alpha = { value: alpha };
}

// The numbers of a path's songs, or the title of the one that is chosen.
function drawLabels() {
  const { chosen, path } = state;
  const list = path ?? (chosen === null ? [] : [chosen]);
  const { x, y } = columnsOf(list);
  const text = list.map((i, t) => (path ? `${t + 1}` : titleOf(i).slice(0, 40)));
  numberLayer.source.data = { x, y, text };
}

function drawRings() {
  const { chosen, path, pointed, playing, from } = state;
  const ringed = [path ? null : chosen, pointed, playing, from].filter((i) => i !== null);
  const list = [...new Set(ringed)];
  const { x, y } = columnsOf(list);
  const size = list.map((i) => pointSize * (i === playing ? 3.2 : 2.4));
  ringLayer.source.data = { x, y, size };
}

// What is seen: a middle and a scale, in map units a pixel, the same in both directions.
const box = () => $("plot").getBoundingClientRect();
const unitsPerPixel = () => (plot.x_range.end - plot.x_range.start) / box().width;
const centre = (range) => (range.start + range.end) / 2;
const middle = () => [centre(plot.x_range), centre(plot.y_range)];

function lookAt(x, y, scale) {
  const { width, height } = box();
  plot.x_range.setv({ start: x - (scale * width) / 2, end: x + (scale * width) / 2 });
  plot.y_range.setv({ start: y - (scale * height) / 2, end: y + (scale * height) / 2 });
}

const zoom = (factor) => lookAt(...middle(), unitsPerPixel() / factor);

function shift(x, y) {
  const [centreX, centreY] = middle();
  const scale = unitsPerPixel();
  lookAt(centreX + x * scale, centreY + y * scale, scale);
}

function extent(values) {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return { middle: (low + high) / 2, size: high - low };
}

// Look at these songs, no nearer than at a scale; the scale at which they are seen.
function lookAround(list, margin, leastScale = 0) {
  const { x, y } = columnsOf(list);
  const { width, height } = box();
  const across = extent(x);
  const upright = extent(y);
  const scaleX = across.size / Math.max(50, width - 2 * margin);
  const scaleY = upright.size / Math.max(50, height - 2 * margin);
  const scale = Math.max(scaleX, scaleY, leastScale) || 1;
  lookAt(across.middle, upright.middle, scale);
  return scale;
}

let wholeScale = 0; // at which the whole map is seen
let fittedEnd = null; // of the x range, when the whole map was last shown
let lastScale = 0;

function showAll() {
  wholeScale = lookAround(everySong, MARGIN);
  fittedEnd = plot.x_range.end;
}

function bringIntoSight(i) {
  const [x, y] = middle();
  const scale = unitsPerPixel();
  const { width, height } = box();
  const outX = Math.abs(songs.x[i] - x) > scale * width * 0.46;
  const outY = Math.abs(songs.y[i] - y) > scale * height * 0.46;
  if (outX || outY) lookAt(songs.x[i], songs.y[i], scale);
}

// A window of another size shows the whole map still, or the same middle at the same scale.
function followSize() {
  if (!lastScale) return;
  if (plot.x_range.end === fittedEnd) showAll();
  else lookAt(...middle(), lastScale);
  lastScale = unitsPerPixel();
}
new ResizeObserver(followSize).observe($("plot"));
plot.on_event("rangesupdate", () => {
  lastScale = unitsPerPixel();
});

// The visible song nearest to a place on the map, within so many pixels; else null.
function songAt(x, y, reach) {
  let nearestSquared = (reach * unitsPerPixel()) ** 2;
  let song = null;
  for (let i = 0; i < N; i++) {
    const squared = (songs.x[i] - x) ** 2 + (songs.y[i] - y) ** 2;
    if (squared <= nearestSquared && isVisible(i)) {
      nearestSquared = squared;
      song = i;
    }
  }
  return song;
}

function clickAt(event) {
  const song = songAt(event.x, event.y, CLICK_REACH);
  if (song === null) return;
  choose(song, { asEnd: event.modifiers?.shift });
  pointAt(song, event.sx, event.sy);
}

// A slow click is a click too; so is the second of two quick ones, when it means another song.
plot.on_event("tap", clickAt);
plot.on_event("pressup", clickAt);
plot.on_event("doubletap", (event) => {
  if (songAt(event.x, event.y, CLICK_REACH) !== state.chosen) clickAt(event);
});
plot.on_event("mousemove", (event) => {
  pointAt(songAt(event.x, event.y, HOVER_REACH), event.sx, event.sy);
});
plot.on_event("mouseleave", () => pointAt(null));
