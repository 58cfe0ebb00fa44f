// Draw every concept of concepts.tsv in both styles at 128x128 and write them as premultiplied RGBA, one file a style (gzip).
// Usage: node rasterize.mjs WORK_FOLDER

import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { Resvg } from "@resvg/resvg-js";

const SIDE = 128;
const here = path.dirname(fileURLToPath(import.meta.url));
const styles = [
  { name: "noto", column: 2, icons: "@iconify-json/noto" },
  { name: "flat", column: 3, icons: "@iconify-json/fluent-emoji-flat" },
];

function iconSet(packageName) {
  return JSON.parse(fs.readFileSync(path.join(here, "node_modules", packageName, "icons.json"), "utf8"));
}

function draw(set, name) {
  const icon = set.icons[name];
  if (!icon) throw new Error(`icon \`${name}\` is not in the package`);
  const box = [icon.left ?? 0, icon.top ?? 0, icon.width ?? set.width ?? 16, icon.height ?? set.height ?? 16];
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="${box.join(" ")}" width="${SIDE}" height="${SIDE}">${icon.body}</svg>`;
  const picture = new Resvg(svg, { fitTo: { mode: "width", value: SIDE }, font: { loadSystemFonts: false } }).render();
  if (picture.width !== SIDE || picture.height !== SIDE) throw new Error(`icon \`${name}\` is not square`);
  return Buffer.from(picture.pixels);
}

function names(column) {
  const lines = fs.readFileSync(path.join(here, "concepts.tsv"), "utf8").split("\n");
  return lines.filter((line) => line && !line.startsWith("#")).map((line) => line.split("\t")[column]);
}

/** The child's part: draw from `start` on, appending each picture as soon as it is done. */
function drawFrom(style, start, file) {
  const set = iconSet(style.icons);
  for (const name of names(style.column).slice(start)) fs.appendFileSync(file, draw(set, name));
}

/** A few icons make resvg abort the process, so a child draws; after an abort that picture stays blank. */
function drawAll(style, folder) {
  const [file, part] = [`pictures-${style.name}.rgba.gz`, `pictures-${style.name}.rgba.part`].map((f) => path.join(folder, f));
  const wanted = names(style.column);
  const bytes = SIDE * SIDE * 4;
  fs.writeFileSync(part, "");
  for (;;) {
    const start = Math.floor(fs.statSync(part).size / bytes);
    if (start >= wanted.length) break;
    const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--draw", style.name, String(start), part]);
    const done = Math.floor(fs.statSync(part).size / bytes);
    fs.truncateSync(part, done * bytes);
    if (done < wanted.length) {
      if (child.status !== null && !/panicked|napi/i.test(String(child.stderr))) throw new Error(String(child.stderr));
      console.log(`${style.name}: resvg cannot draw \`${wanted[done]}\`, left blank`);
      fs.appendFileSync(part, Buffer.alloc(bytes));
    }
  }
  fs.writeFileSync(part, gzipSync(fs.readFileSync(part)));
  fs.renameSync(part, file);
  console.log(`${style.name}: ${wanted.length} pictures in ${file}`);
}

const [first, ...rest] = process.argv.slice(2);
if (first === "--draw") {
  drawFrom(styles.find((style) => style.name === rest[0]), Number(rest[1]), rest[2]);
} else if (first) {
  fs.mkdirSync(first, { recursive: true });
  for (const style of styles) drawAll(style, first);
} else {
  console.error("usage: node rasterize.mjs WORK_FOLDER");
  process.exit(2);
}
