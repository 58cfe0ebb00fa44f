// Takes the pictures of every screen that lie in docs/images: on a desk in the light, on a phone in the dark.
//
//   node screens.mjs http://127.0.0.1:7860      a server with a fresh home
//
// They are WebP files of at most 200 KB, written by Chromium itself.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { browser, close, draw, must, open, post } from './harness.mjs'

const images = join(import.meta.dirname, '../../docs/images')
const most = 200 * 1024
/** The last one is the newest picture on every screen. */
const things = ['a banana', 'a blue car', 'a fish', 'a mushroom', 'a rainbow', 'a rocket', 'a star', 'a sunflower', 'a castle', 'a robot', 'a cat face', 'a frog']

/** Chromium can encode WebP; its screenshots are PNG. */
async function keep(page, name) {
  const png = (await page.screenshot()).toString('base64')
  const blank = await browser.newPage()
  const webp = await blank.evaluate(async (text) => {
    const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0))
    const image = await createImageBitmap(new Blob([bytes]))
    const canvas = new OffscreenCanvas(image.width, image.height)
    canvas.getContext('2d').drawImage(image, 0, 0)
    const file = await canvas.convertToBlob({ type: 'image/webp', quality: 0.85 })
    return [...new Uint8Array(await file.arrayBuffer())]
  }, png)
  await blank.close()
  must(webp.length <= most, `${name}.webp has ${webp.length} bytes`)
  writeFileSync(join(images, `${name}.webp`), Buffer.from(webp))
  console.log(`${name}.webp  ${Math.round(webp.length / 1024)} KiB`)
}

const settled = (page) => page.waitForFunction(() => [...document.images].every((img) => img.complete)).then(() => page.waitForTimeout(400))

/** What every screen shows at its best, and what to do until it does. */
const screens = {
  create: async (page) => {
    await page.locator('#prompt').fill('a frog')
    await page.locator('button.open img').waitFor()
  },
  edit: async (page) => {
    await page.getByRole('button', { name: 'Take the newest picture' }).click()
    await page.getByRole('radio', { name: 'Inpaint' }).check({ force: true })
    const box = await page.locator('canvas').boundingBox()
    const at = (x, y) => [box.x + box.width * x, box.y + box.height * y]
    await page.mouse.move(...at(0.35, 0.3))
    await page.mouse.down()
    for (const [x, y] of [[0.5, 0.25], [0.65, 0.3], [0.6, 0.38], [0.4, 0.38]]) await page.mouse.move(...at(x, y), { steps: 6 })
    await page.mouse.up()
    await page.getByRole('textbox', { name: 'What shall be there' }).fill('a frog with large eyes')
    await page.evaluate(() => scrollTo(0, 0))
  },
  gallery: (page) => page.getByRole('gridcell').nth(2).click(),
  models: (page) => page.getByRole('article').first().waitFor(),
  queue: (page) => page.getByText('3 pictures wait').waitFor(),
  grid: async (page) => {
    await page.getByRole('textbox', { name: 'Prompt' }).fill('a sunflower')
    await page.getByRole('button', { name: 'Queue them' }).click()
    await page.getByText('4 of 4 are there').waitFor()
    await page.getByRole('heading', { name: 'Result' }).evaluate((heading) => heading.scrollIntoView({ block: 'center' }))
  },
  machine: (page) => page.getByText('Kernels').waitFor(),
  proof: (page) => page.getByText('Last self-test').waitFor(),
  programs: (page) => page.getByText('From a terminal').waitFor(),
  manual: (page) => page.getByText('Write a prompt').click(),
}
const places = { queue: 'system/queue', grid: 'system/grid', machine: 'system/machine', proof: 'system/seal', programs: 'system/programs', manual: 'system/manual' }

mkdirSync(images, { recursive: true })
for (const [name, look] of [['', { width: 1440, height: 900, scheme: 'light' }], ['-phone', { width: 390, height: 844, scheme: 'dark' }]]) {
  for (const [at, prompt] of things.entries()) await draw({ prompt, seed: 7 + at })
  for (const [screen, prepare] of Object.entries(screens)) {
    if (screen === 'queue') {
      await post('queue/pause')
      for (const prompt of ['a lighthouse', 'a snail', 'a pizza']) await post('generate', { prompt })
    }
    const page = await open(places[screen] ?? screen, look)
    await prepare(page)
    await settled(page)
    await keep(page, `${screen}${name}`)
    await close(page)
    if (screen === 'queue') {
      await fetch(new URL('/api/v1/queue', page.url()), { method: 'DELETE' })
      await post('queue/resume')
    }
  }
}
await browser.close()
