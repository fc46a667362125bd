// A path as a playlist file. The page holds paths as seen from itself, and works out absolute ones
// from where it lies: map and music can move together.

function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  make("a", { download: name, href: address }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

const oneLine = (text) => text.replace(/\p{C}+/gu, " ").trim();

function fileName(path) {
  const name = oneLine(`${titleOf(path[0])} to ${titleOf(path.at(-1))}`);
  return name.replace(/[^\p{L}\p{N} ._-]+/gu, "_").slice(0, 80);
}

// A song's file as a player finds it: absolute, where this page is a file itself.
function fileOf(i) {
  const url = addressOf(i);
  if (url?.protocol !== "file:") {
    const path = songs.path[i];
    return path.startsWith("#") ? `./${path}` : path;
  }
  const path = decodeURIComponent(url.pathname).replace(/^\/([A-Za-z]:\/)/, "$1");
  return /[\r\n]/.test(path) ? url.href : path;
}

function writeM3u8(path) {
  const lines = ["#EXTM3U", `#PLAYLIST:${oneLine($("ends").textContent)}`];
  for (const i of path) {
    const name = [songs.artist[i], titleOf(i)].filter(Boolean).join(" - ");
    lines.push(`#EXTINF:${Math.round(songs.duration[i])},${oneLine(name)}`);
    lines.push(fileOf(i));
  }
  return `${lines.join("\n")}\n`;
}

function writeXspf(path) {
  const space = "http://xspf.org/ns/0/";
  const file = document.implementation.createDocument(space, "playlist");
  const add = (parent, tag, text = "") => {
    const node = file.createElementNS(space, tag);
    node.textContent = oneLine(text);
    parent.append(node);
    return node;
  };
  file.documentElement.setAttribute("version", "1");
  add(file.documentElement, "title", $("ends").textContent);
  const list = add(file.documentElement, "trackList");
  for (const i of path) {
    const track = add(list, "track");
    for (const [tag, text] of Object.entries(trackFacts(i))) if (text) add(track, tag, text);
  }
  const text = new XMLSerializer().serializeToString(file);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${text}\n`;
}

function trackFacts(i) {
  return {
    location: addressOf(i)?.href,
    title: titleOf(i),
    creator: songs.artist[i],
    album: songs.album[i],
    duration: `${Math.round(1000 * songs.duration[i])}`,
  };
}

function savePath(kind, type, write) {
  if (state.path.some((i) => !songs.path[i])) {
    say("These songs have no path: this space was saved without.");
    return;
  }
  const name = `${fileName(state.path)}.${kind}`;
  download(name, type, write(state.path));
  say(`Saved as ${name}`);
}
