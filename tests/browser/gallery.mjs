// The gallery by mouse and by keyboard alone.

import { ask, check, close, draw, must, noViolations, open, shoot, sizes, tabTo, until } from './harness.mjs'

const cells = (page) => page.getByRole('gridcell')
const total = async () => (await ask('pictures?limit=1')).total

await draw({ prompt: 'a banana', count: 3, steps: 4, width: 64, height: 64 })
await draw({ prompt: 'a rocket over the sea', count: 2, steps: 4, width: 64, height: 64 })

await check('gallery by mouse: how a picture was made', async () => {
  const page = await open('gallery')
  await cells(page).first().click()
  const { pictures } = await ask('pictures?limit=1')
  const side = page.getByRole('complementary', { name: 'About this picture' })
  await side.getByText(String(pictures[0].settings.seed), { exact: true }).waitFor()
  await side.getByRole('button', { name: 'Use all' }).click()
  await page.waitForFunction(() => location.hash === '#/create')
  must((await page.locator('#prompt').inputValue()) === pictures[0].settings.prompt, 'the prompt was not taken over')
  await close(page)
})

for (const [width, height] of sizes) {
  const at = `${width}x${height}`
  const size = { width, height }
  /** On a phone, what is at the side elsewhere lies in a window. */
  const about = (page) => width < 768 && page.getByRole('button', { name: 'About this picture' }).click()

  await check(`${at}, gallery: search finds by the beginning of words`, async () => {
    const page = await open('gallery', size)
    await cells(page).first().waitFor()
    await page.getByRole('searchbox').fill('rock se')
    await page.getByText(/^\d+ pictures? found$/).first().waitFor()
    for (const alt of await cells(page).locator('img').evaluateAll((all) => all.map((img) => img.alt))) must(alt.includes('rocket'), `${alt} does not match`)
    await page.getByRole('searchbox').fill('nosuchword')
    await page.getByRole('button', { name: 'Show all pictures' }).click()
    await cells(page).first().waitFor()
    await close(page)
  })

  await check(`${at}, gallery by mouse: two chosen pictures are compared with a divider`, async () => {
    const page = await open('gallery', size)
    await cells(page).nth(0).click()
    await cells(page).nth(1).click({ modifiers: ['Control'] })
    await page.getByRole('button', { name: 'Compare' }).click()
    const dialog = page.getByRole('dialog', { name: 'Compare' })
    const slider = dialog.getByRole('slider')
    await slider.focus()
    await page.keyboard.press('Home')
    must((await slider.inputValue()) === '0', 'the divider does not move by keyboard')
    const box = await slider.boundingBox()
    await page.mouse.move(box.x + 2, box.y + box.height / 2)
    await page.mouse.down()
    await page.mouse.move(box.x + box.width * 0.75, box.y + box.height / 2, { steps: 5 })
    await page.mouse.up()
    const share = Number(await slider.inputValue())
    must(share > 65 && share < 85, `dragged to three quarters, the divider stands at ${share}`)
    await noViolations(page, 'the comparison')
    await shoot(page, `gallery-compare-${width}`)
    await close(page)
  })

  await check(`${at}, gallery by mouse: delete, undo; trash, bring back`, async () => {
    const before = await total()
    const page = await open('gallery', size)
    await cells(page).nth(0).click()
    await cells(page).nth(1).click({ modifiers: ['Shift'] })
    await page.getByRole('button', { name: 'Delete', exact: true }).first().click()
    await until(total, (now) => now === before - 2, 'they were not deleted')
    await page.getByRole('button', { name: 'Undo' }).click()
    await until(total, (now) => now === before, 'they did not come back')
    await cells(page).nth(0).click()
    await about(page)
    // A picture that is still on its way when it is deleted would not be found.
    await page.waitForFunction(() => [...document.images].every((img) => img.complete))
    await page.getByRole('button', { name: 'Delete', exact: true }).click()
    await until(total, (now) => now === before - 1, 'it was not deleted')
    await page.getByRole('button', { name: 'Trash' }).click()
    await page.getByRole('grid', { name: 'Trash' }).getByRole('gridcell').first().click()
    await about(page)
    await page.getByRole('button', { name: 'Bring back' }).first().click()
    await until(total, (now) => now === before, 'it was not brought back')
    await close(page)
  })

  await check(`${at}, gallery by keyboard alone: move, star, choose, look, download, delete`, async () => {
    const before = await total()
    const page = await open('gallery', size)
    await cells(page).first().waitFor()
    await tabTo(page, () => document.activeElement?.getAttribute('role') === 'gridcell')
    await page.keyboard.press('ArrowRight')
    const { pictures } = await ask('pictures?limit=2')
    await page.keyboard.press('s')
    await until(() => ask(`pictures/${pictures[1].id}`), (picture) => picture.starred, 'S gave no star')
    await page.keyboard.press('s')
    await until(() => ask(`pictures/${pictures[1].id}`), (picture) => !picture.starred, 'S did not take the star away')
    await page.keyboard.press('Shift+ArrowRight')
    must((await page.locator('[role=gridcell][aria-selected=true]').count()) === 2, 'Shift and an arrow did not choose two')
    await page.keyboard.press('Escape')
    await page.keyboard.press('Home')
    await page.keyboard.press('Enter')
    await page.locator('dialog[open]').waitFor()
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('Escape')
    await page.waitForFunction(() => document.activeElement?.getAttribute('role') === 'gridcell')
    const download = page.waitForEvent('download')
    await page.keyboard.press('d')
    must((await download).suggestedFilename().endsWith('.png'), 'D brought no file')
    await page.keyboard.press('Delete')
    await until(total, (now) => now === before - 1, 'Delete did not delete')
    await tabTo(page, () => document.activeElement?.textContent?.trim() === 'Undo')
    await page.keyboard.press('Enter')
    await until(total, (now) => now === before, 'Undo did not bring it back')
    await close(page)
  })
}

await check('gallery: 20,000 pictures keep the document small and scroll to their end', async () => {
  const page = await open('create')
  const [{ url, thumbnail, width, height }] = (await ask('pictures?limit=1')).pictures
  const name = (at) => `20200101-000000-${String(20_000 - at).padStart(5, '0')}`
  await page.route('**/api/v1/pictures?*', (route) => {
    const asked = new URL(route.request().url()).searchParams
    const start = asked.get('before') ? 20_000 - Number(asked.get('before').slice(-5)) + 1 : 0
    const end = Math.min(20_000, start + Number(asked.get('limit')))
    const pictures = Array.from({ length: end - start }, (_, at) => ({ id: name(start + at), url, thumbnail, width, height, created: '2020-01-01T00:00:00Z', starred: false, settings: null, infotext: null }))
    return route.fulfill({ contentType: 'application/json', body: JSON.stringify({ pictures, more: end < 20_000, total: 20_000, unreadable: 0 }) })
  })
  await page.evaluate(() => (location.hash = '#/gallery'))
  await cells(page).first().waitFor()
  const seen = await page.evaluate(async () => {
    const view = document.querySelector('[role=grid]').parentElement
    let most = 0
    let slowest = 0
    for (let step = 0; step < 60; step++) {
      const begun = performance.now()
      view.scrollTop += 900
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
      slowest = Math.max(slowest, performance.now() - begun)
      most = Math.max(most, document.querySelectorAll('[role=gridcell]').length)
    }
    return { most, slowest }
  })
  must(seen.most < 250, `${seen.most} cells are in the document`)
  must(seen.slowest < 500, `a step of scrolling took ${Math.round(seen.slowest)} ms`)
  await page.locator('[role=gridcell]').first().focus()
  await page.keyboard.press('End')
  await page.waitForFunction(() => document.activeElement?.parentElement?.getAttribute('aria-rowindex') === document.querySelector('[role=grid]').getAttribute('aria-rowcount'), null, { timeout: 40_000 })
  await close(page)
})
