// The queue's order and grids of four, by mouse and by keyboard alone, at every size.

import { ask, check, close, draw, must, newest, open, post, shoot, sizes, tabTo, tabToNamed, until } from './harness.mjs'

const line = async () => (await ask('status')).queue.waiting.map((job) => job.settings.prompt)
const is = (wanted) => (now) => now.join() === wanted

/** Three pictures wait, and nothing is drawn. */
async function paused(options) {
  await ask('queue', { method: 'DELETE' })
  await post('queue/pause')
  for (const prompt of ['one', 'two', 'three']) await post('generate', { prompt, steps: 4, width: 64, height: 64 })
  const page = await open('system/queue', options)
  await page.getByText('3 pictures wait').waitFor()
  return page
}

async function over(page) {
  await ask('queue', { method: 'DELETE' })
  await post('queue/resume')
  await close(page)
}

for (const [width, height] of sizes) {
  const at = `${width}x${height}`
  const size = { width, height }

  await check(`${at}, queue by mouse: a row is dragged to another place, another goes back by its arrow`, async () => {
    const page = await paused(size)
    const row = (name) => page.locator('li[draggable=true]').filter({ hasText: name })
    await row('three').dragTo(row('one'))
    await until(line, is('three,one,two'), 'dragging the last row to the top changed nothing')
    await page.getByRole('button', { name: 'Later: three' }).click()
    await until(line, is('one,three,two'), 'the arrow did not move the row')
    await shoot(page, `queue-dragged-${width}`)
    await over(page)
  })

  await check(`${at}, queue by keyboard alone: rows change places, one is cancelled, all are cleared`, async () => {
    const page = await paused(size)
    await tabToNamed(page, 'Later: one')
    await page.keyboard.press('Enter')
    await until(line, is('two,one,three'), 'the first row did not go to the second place')
    await tabToNamed(page, 'Earlier: three')
    await page.keyboard.press('Enter')
    await until(line, is('two,three,one'), 'the last row did not go to the second place')
    await tabToNamed(page, 'Cancel: two')
    await page.keyboard.press('Enter')
    await until(line, is('three,one'), 'it was not cancelled')
    await page.evaluate(() => document.activeElement?.blur())
    await tabToNamed(page, 'Clear the queue')
    await page.keyboard.press('Enter')
    await page.getByText('Cancel 2 waiting pictures?').waitFor()
    await tabToNamed(page, 'Clear the queue')
    await page.keyboard.press('Enter')
    await until(line, is(''), 'the queue was not cleared')
    await over(page)
  })

  for (const way of ['mouse', 'keyboard']) {
    await check(`${at}, by ${way}: four variations become a grid, and one of them is looked at and upscaled`, async () => {
      await draw({ prompt: 'a banana', steps: 4, seed: 9, width: 64, height: 64 })
      const page = await open('create', size)
      const press = async (name) => {
        if (way === 'mouse') return page.getByRole('button', { name, exact: true }).click()
        await tabToNamed(page, name)
        await page.keyboard.press('Enter')
      }
      await page.getByRole('button', { name: 'Vary' }).waitFor()
      await press('Vary')
      const cells = page.getByRole('button', { name: /^Show picture \d: / })
      await until(() => cells.count(), (count) => count === 4, 'there are not four pictures')
      await page.waitForFunction(() => {
        const all = [...document.querySelectorAll('button[aria-label^="Show picture"] img')]
        return all.length === 4 && all.every((img) => img.complete && img.naturalWidth > 0)
      })
      await shoot(page, `create-grid-${width}`)
      await press('Show picture 2: a banana')
      await press('Upscale')
      const larger = await until(newest, (picture) => picture.width === 128, 'nothing was upscaled')
      must(larger.settings.enlarge?.startsWith('output:'), `upscaled from ${larger.settings.enlarge}`)
      await close(page)
    })

    await check(`${at}, by ${way}: the shape is chosen, and the picture has it`, async () => {
      const page = await open('create', size)
      const wide = page.getByRole('button', { name: /^Landscape, 3:2/ })
      await wide.waitFor()
      if (way === 'mouse') await wide.click()
      else {
        await tabTo(page, () => document.activeElement?.getAttribute('aria-label')?.startsWith('Landscape') === true)
        await page.keyboard.press('Space')
      }
      must((await wide.getAttribute('aria-pressed')) === 'true', 'the shape is not chosen')
      const before = await newest()
      await page.locator('#prompt').fill('a fish')
      await page.keyboard.press('Control+Enter')
      const made = await until(newest, (picture) => picture.id !== before?.id, 'no picture was made')
      must(made.width > made.height, `the picture is ${made.width}×${made.height}`)
      await close(page)
    })
  }
}
