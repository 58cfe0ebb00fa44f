// Edit by mouse and by keyboard alone, at every size.

import { apart, ask, check, close, draw, must, newest, open, pictureAfter, pixelsOf, shoot, sizes, tabTo, tabToNamed } from './harness.mjs'

const compare = (page) => page.getByRole('slider', { name: 'Compare before and after' })
const start = (page, name) => page.getByRole('button', { name, exact: true })

/** Waits for what Edit makes of `before`, and that the page shows both. */
async function resultOf(page, before) {
  const picture = await pictureAfter(before)
  await compare(page).waitFor()
  await page.waitForFunction(() => [...document.querySelectorAll('.pair img')].length === 2 && [...document.querySelectorAll('.pair img')].every((img) => img.complete && img.naturalWidth > 0))
  return picture
}

async function boxOf(locator) {
  await locator.scrollIntoViewIfNeeded()
  const box = await locator.boundingBox()
  must(box !== null, 'it is not to be seen')
  return box
}

/** Opens Edit with the newest picture on the table. */
async function table(options) {
  const page = await open('edit', options)
  await page.getByRole('button', { name: 'Take the newest picture' }).click()
  return page
}

/** Radio buttons lie under their labels. */
const choose = (page, mode) => page.getByRole('radio', { name: mode }).check({ force: true })

async function tableByKeys(page) {
  await tabToNamed(page, 'Take the newest picture')
  await page.keyboard.press('Enter')
  await page.getByRole('radio', { name: 'Redraw' }).waitFor()
}

/** Walks to the modes and goes `steps` to the right. */
async function chooseByKeys(page, mode) {
  await tabTo(page, () => document.activeElement?.getAttribute('type') === 'radio')
  for (let tries = 0; tries < 4; tries++) {
    if (await page.evaluate((name) => document.activeElement?.closest('label')?.textContent?.trim() === name, mode)) return
    await page.keyboard.press('ArrowRight')
  }
  throw new Error(`arrow keys do not lead to ${mode}`)
}

await draw({ prompt: 'a banana', steps: 8, seed: 5, width: 64, height: 64 })
const banana = await newest()
const half = { left: 0, top: 0, width: 20, height: 64 }
const rest = { left: 44, top: 0, width: 20, height: 64 }

for (const [width, height] of sizes) {
  const at = `${width}x${height}`
  const size = { width, height }

  await check(`${at}, edit by mouse: Create sends a picture over, it is redrawn, and the result goes on`, async () => {
    const page = await open('create', size)
    const before = await newest()
    await page.getByRole('region', { name: 'Picture' }).getByRole('button', { name: 'Edit' }).click()
    await page.waitForFunction(() => location.hash === '#/edit')
    await page.getByRole('textbox', { name: 'What shall be there' }).fill('a red apple')
    await start(page, 'Redraw').click()
    const made = await resultOf(page, before)
    must(made.settings.init.picture === `output:${before.id}`, 'it was not made from the picture that was sent over')
    const box = await boxOf(compare(page))
    await page.mouse.click(box.x + box.width / 4, box.y + box.height / 2)
    const share = Number(await compare(page).inputValue())
    must(share > 15 && share < 35, `a click at a quarter moved the divider to ${share}`)
    await shoot(page, `edit-redraw-${width}`)
    await start(page, 'Go on with the result').click()
    await page.getByRole('radio', { name: 'Redraw' }).waitFor()
    must((await page.locator('.fit img').getAttribute('src')) === made.url, 'the result is not on the table')
    await close(page)
  })

  await check(`${at}, edit by mouse: the gallery sends a picture over, a part is painted and drawn anew, the rest stays`, async () => {
    await draw({ prompt: 'a banana', steps: 8, seed: 5, width: 64, height: 64 })
    const before = await newest()
    const page = await open('gallery', size)
    await page.getByRole('gridcell').first().click()
    if (width < 768) await page.getByRole('button', { name: 'About this picture' }).click()
    await page.getByRole('button', { name: 'Edit', exact: true }).click()
    await page.waitForFunction(() => location.hash === '#/edit')
    await choose(page, 'Inpaint')
    const stroke = async (share) => {
      const box = await boxOf(page.locator('canvas'))
      await page.mouse.move(box.x + box.width * share, box.y + box.height * 0.1)
      await page.mouse.down()
      await page.mouse.move(box.x + box.width * share, box.y + box.height * 0.9, { steps: 8 })
      await page.mouse.up()
    }
    const masked = async () => Number((await page.getByText(/% of the picture is masked/).innerText()).match(/(\d+) %/)[1])
    await stroke(0.1)
    const once = await masked()
    must(once > 2, 'the brush left nothing')
    await stroke(0.25)
    must((await masked()) > once, 'the second stroke left nothing')
    await start(page, 'Undo').click()
    must((await masked()) === once, 'Undo did not take the second stroke back')
    await start(page, 'Redo').click()
    must((await masked()) > once, 'Redo did not bring it again')
    await start(page, 'Eraser').click()
    await stroke(0.25)
    must((await masked()) <= once + 1, 'the eraser did not rub it out')
    await start(page, 'Brush').click()
    for (const share of [0.02, 0.1, 0.18]) await stroke(share)
    await page.getByRole('slider', { name: 'Feather' }).fill('3')
    await page.getByRole('slider', { name: 'Strength' }).fill('1')
    await page.getByRole('textbox', { name: 'What shall be there' }).fill('a blue car')
    await shoot(page, `edit-inpaint-${width}`)
    await start(page, 'Inpaint').click()
    const made = await resultOf(page, before)
    must(made.settings.inpaint.mask_blur === 3, `the feather is ${made.settings.inpaint.mask_blur}`)
    const [old, now] = [await pixelsOf(page, before.url), await pixelsOf(page, made.url)]
    const [inside, outside] = [apart(old, now, { left: 0, top: 8, width: 12, height: 48 }), apart(old, now, rest)]
    must(outside < 2, `what was not masked changed by ${outside.toFixed(1)}`)
    must(inside > outside + 2, `what was masked changed by ${inside.toFixed(1)} only`)
    await close(page)
  })

  await check(`${at}, edit by mouse: an edge is dragged outward, the new room is drawn, and the old picture keeps its place`, async () => {
    await draw({ prompt: 'a banana', steps: 8, seed: 5, width: 64, height: 64 })
    const before = await newest()
    const page = await table(size)
    await choose(page, 'Outpaint')
    const edge = await boxOf(page.getByRole('button', { name: /^Left: drag/ }))
    const frame = await page.locator('.fit .frame').boundingBox()
    await page.mouse.move(edge.x + edge.width / 2, edge.y + edge.height / 2)
    await page.mouse.down()
    await page.mouse.move(edge.x + edge.width / 2 - frame.width / 4, edge.y + edge.height / 2, { steps: 6 })
    await page.mouse.up()
    const left = Number(await page.getByRole('spinbutton', { name: 'Left' }).inputValue())
    must(left > 0 && left % 8 === 0, `the left edge went out by ${left} pixels`)
    await page.getByText(`Becomes ${64 + left}×64`).waitFor()
    await shoot(page, `edit-outpaint-${width}`)
    await start(page, 'Outpaint').click()
    const made = await resultOf(page, before)
    must(made.width === 64 + left && made.height === 64, `the result is ${made.width}×${made.height}`)
    const [old, now] = [await pixelsOf(page, before.url), await pixelsOf(page, made.url)]
    const kept = apart(old, now, { left: left + 32, top: 0, width: 32, height: 64 }, left)
    must(kept < 3, `the old picture changed by ${kept.toFixed(1)}`)
    // The old picture lies where it is in the new one.
    const [whole, part] = [await page.locator('.pair').boundingBox(), await page.locator('.pair .before img').boundingBox()]
    const near = (is, shall) => Math.abs(is - shall) < 2
    must(near(part.width / whole.width, 64 / made.width) || near(part.width, (whole.width * 64) / made.width), 'the old picture is stretched')
    must(near(part.x - whole.x, (whole.width * left) / made.width), 'the old picture lies at another place')
    await shoot(page, `edit-outpainted-${width}`)
    await close(page)
  })

  await check(`${at}, edit by mouse: a picture is enlarged`, async () => {
    const before = await newest()
    const page = await table(size)
    await choose(page, 'Upscale')
    await start(page, 'Upscale').click()
    const made = await resultOf(page, before)
    must(made.width === before.width * 2 && made.height === before.height * 2, `the result is ${made.width}×${made.height}`)
    await close(page)
  })

  await check(`${at}, edit by keyboard alone: a picture is redrawn and compared`, async () => {
    const page = await open('edit', size)
    const before = await newest()
    await tableByKeys(page)
    await tabToNamed(page, 'What shall be there')
    await page.keyboard.press('Control+A')
    await page.keyboard.type('a red apple')
    await page.keyboard.press('Control+Enter')
    const made = await resultOf(page, before)
    must(made.settings.prompt === 'a red apple', `the prompt was ${made.settings.prompt}`)
    await tabToNamed(page, 'Compare before and after')
    await page.keyboard.press('Home')
    must((await compare(page).inputValue()) === '0', 'Home does not move the divider to the left')
    await tabToNamed(page, 'Go on with the result')
    await page.keyboard.press('Enter')
    await page.locator('.fit img').first().waitFor()
    await close(page)
  })

  await check(`${at}, edit by keyboard alone: a rectangle is the mask, and what is outside stays`, async () => {
    await draw({ prompt: 'a banana', steps: 8, seed: 5, width: 64, height: 64 })
    const before = await newest()
    const page = await open('edit', size)
    await tableByKeys(page)
    await chooseByKeys(page, 'Inpaint')
    await tabToNamed(page, 'Rectangle by numbers')
    await page.keyboard.press('Enter')
    for (const [side, value] of [['Left', 0], ['Top', 0], ['Width', 16], ['Height', 60]]) {
      await tabToNamed(page, side)
      await page.keyboard.press('Control+A')
      await page.keyboard.type(String(value))
    }
    await tabToNamed(page, 'Add to the mask')
    await page.keyboard.press('Enter')
    const said = page.getByText(/% of the picture is masked/)
    must((await said.innerText()).includes('23 %'), `the page says ${await said.innerText()}`)
    await page.keyboard.press('Control+Z')
    must((await said.innerText()).includes(' 0 %'), 'Ctrl+Z did not take it back')
    await page.keyboard.press('Control+Y')
    must((await said.innerText()).includes('23 %'), 'Ctrl+Y did not bring it again')
    await page.keyboard.press('Control+Z')
    // The frame itself moves with the arrow keys, and Enter adds it.
    for (let back = 0; back < 160 && !(await page.evaluate(() => document.activeElement?.classList.contains('frame'))); back++) await page.keyboard.press('Shift+Tab')
    await page.keyboard.press('ArrowDown')
    must((await page.getByRole('spinbutton', { name: 'Top' }).inputValue()) === '4', 'an arrow key does not move the frame')
    await page.keyboard.press('Enter')
    must((await said.innerText()).includes('23 %'), 'Enter on the frame does not add it')
    await shoot(page, `edit-rectangle-${width}`)
    await page.keyboard.press('Control+Enter')
    const made = await resultOf(page, before)
    const [old, now] = [await pixelsOf(page, before.url), await pixelsOf(page, made.url)]
    must(apart(old, now, rest) < 2, `what was not masked changed by ${apart(old, now, rest).toFixed(1)}`)
    must(apart(old, now, half) > apart(old, now, rest), 'what was masked did not change')
    await close(page)
  })

  await check(`${at}, edit by keyboard alone: an edge goes outward with arrow keys`, async () => {
    await draw({ prompt: 'a banana', steps: 8, seed: 5, width: 64, height: 64 })
    const before = await newest()
    const page = await open('edit', size)
    await tableByKeys(page)
    await chooseByKeys(page, 'Outpaint')
    await tabTo(page, () => document.activeElement?.getAttribute('aria-label')?.startsWith('Right: drag') === true)
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('ArrowLeft')
    await page.keyboard.press('Shift+ArrowRight')
    await page.getByText('Becomes 136×64').waitFor()
    await page.keyboard.press('Control+Enter')
    const made = await resultOf(page, before)
    must(made.width === 136 && made.height === 64, `the result is ${made.width}×${made.height}`)
    await close(page)
  })

  await check(`${at}, edit by keyboard alone: a picture is enlarged`, async () => {
    const before = await newest()
    const page = await open('edit', size)
    await tableByKeys(page)
    await chooseByKeys(page, 'Upscale')
    await tabToNamed(page, 'Upscaler')
    await page.keyboard.press('Control+Enter')
    const made = await resultOf(page, before)
    must(made.width === before.width * 2, `the result is ${made.width} wide`)
    await close(page)
  })
}

await check('edit: a file from this machine is worked on, by keyboard', async () => {
  const page = await open('edit')
  const bytes = Buffer.from(await (await fetch(new URL(banana.url, page.url()))).arrayBuffer())
  const chooser = page.waitForEvent('filechooser')
  await tabToNamed(page, 'Open a picture')
  await page.keyboard.press('Enter')
  await (await chooser).setFiles({ name: 'mine.png', mimeType: 'image/png', buffer: bytes })
  await page.getByRole('radio', { name: 'Redraw' }).waitFor()
  must((await page.getByRole('textbox', { name: 'What shall be there' }).inputValue()) === 'a banana', 'its prompt was not read')
  const before = await newest()
  await page.keyboard.press('Control+Enter')
  const made = await resultOf(page, before)
  must(made.settings.init.picture.startsWith('upload:'), `it was made from ${made.settings.init.picture}`)
  await close(page)
})

await check('edit: an empty table says what is missing instead of drawing', async () => {
  const page = await table()
  await choose(page, 'Inpaint')
  await page.keyboard.press('Control+Enter')
  await page.getByRole('alert').getByText('Paint over what shall change first.').waitFor()
  await choose(page, 'Outpaint')
  await page.keyboard.press('Control+Enter')
  await page.getByRole('alert').getByText('Drag an edge outward').waitFor()
  must((await ask('status')).queue.running === null, 'something is drawn all the same')
  await close(page)
})
