// Drives the page in Chromium as a person would, with the mouse and with the keyboard alone, at every size.
//
//   node run.mjs http://127.0.0.1:7860 [FOLDER-FOR-SCREENSHOTS]
//
// Needs a running server whose default model can draw, the folder of its home in FORGE_HOME, and Chromium at
// /usr/bin/chromium (or CHROMIUM).
// Prints one line per check, then `N passed, N failed`; exit status 1 when a check failed.

import { finish } from './harness.mjs'

await import('./create.mjs')
await import('./gallery.mjs')
await import('./shelves.mjs')
await import('./adding.mjs')
await import('./edit.mjs')
await import('./carry.mjs')
await import('./line.mjs')
await import('./phone.mjs')
await import('./devices.mjs')
await import('./everywhere.mjs')
await finish()
