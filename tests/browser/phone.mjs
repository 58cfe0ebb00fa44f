// What a phone needs: targets as large as a finger, the picture first, Generate under the thumb.

import { check, close, must, newest, open, pictureAfter, shoot } from './harness.mjs'

const finger = 44

/** Everything that can be pressed and is seen, but smaller than a finger. */
const tooSmall = (page) =>
  page.evaluate((least) => {
    const found = []
    for (const one of document.querySelectorAll('button, a[href], input, select, textarea, summary, [role=gridcell]')) {
      // What stands inside a sentence is as high as its line; what only a screen reader sees has no size.
      if (one.matches('.link, .hidden-text, .skip') || !one.checkVisibility({ visibilityProperty: true })) continue
      if (document.querySelector('dialog[open]') && !one.closest('dialog[open]')) continue
      const target = (one.matches('[type=checkbox], [type=radio], [type=file]') && one.closest('label')) || one
      const { width, height } = target.getBoundingClientRect()
      if (width < least - 0.5 || height < least - 0.5) found.push(`${one.getAttribute('aria-label') ?? one.textContent.trim().slice(0, 30)} (${one.tagName.toLowerCase()}, ${Math.round(width)}×${Math.round(height)})`)
    }
    return [...new Set(found)]
  }, finger)

async function fits(page, where) {
  const found = await tooSmall(page)
  must(found.length === 0, `${where}: ${found.join('; ')}`)
}

for (const width of [360, 390]) {
  const size = { width, height: width === 360 ? 640 : 844 }

  await check(`a phone of ${width} px: everything to press is as large as a finger`, async () => {
    const page = await open('create', size)
    const wrong = []
    const look = (where) => fits(page, where).catch((error) => wrong.push(error.message))
    await page.locator('button[aria-label^="Square"]').waitFor()
    await look('Create')
    await page.getByRole('button', { name: 'Settings', exact: true }).click()
    await page.locator('dialog[open]').waitFor()
    for (const fold of await page.locator('dialog[open] summary').all()) await fold.click()
    await look('the settings')
    await page.keyboard.press('Escape')
    for (const place of ['gallery', 'models', 'system/queue', 'system/grid', 'system/machine', 'system/seal', 'system/programs', 'system/manual']) {
      await page.evaluate((to) => (location.hash = `#/${to}`), place)
      await page.waitForTimeout(300)
      await look(place)
    }
    await page.evaluate(() => (location.hash = '#/gallery'))
    await page.getByRole('gridcell').first().tap()
    await look('the gallery with a chosen picture')
    await page.getByRole('button', { name: 'About this picture' }).tap()
    await page.locator('dialog[open]').waitFor()
    await look('about a picture')
    await page.getByRole('button', { name: 'Edit', exact: true }).tap()
    for (const mode of ['Redraw', 'Inpaint', 'Outpaint', 'Upscale']) {
      await page.getByRole('radio', { name: mode }).check({ force: true })
      for (const fold of await page.locator('details:not([open]) > summary').all()) await fold.click()
      await look(mode)
    }
    must(wrong.length === 0, wrong.join(' | '))
    await close(page)
  })

  await check(`a phone of ${width} px: the picture comes first, Generate lies under the thumb, and a tap draws`, async () => {
    const page = await open('create', size)
    const go = page.getByRole('button', { name: 'Generate' })
    await go.waitFor()
    await page.locator('#prompt').tap()
    await page.locator('#prompt').fill('a banana')
    const before = await newest()
    await go.tap()
    await pictureAfter(before)
    const picture = page.getByRole('region', { name: 'Picture' }).locator('button.open img')
    await picture.waitFor()
    await page.evaluate(() => document.activeElement?.blur())
    await page.getByRole('button', { name: 'Stop' }).waitFor({ state: 'detached' })
    const [seen, button, bar, composer] = [await picture.boundingBox(), await go.boundingBox(), await page.getByRole('navigation', { name: 'Main' }).boundingBox(), await page.locator('form.composer').boundingBox()]
    must(seen.y >= 0 && seen.y < 120, `the picture begins at ${seen.y}`)
    must(seen.width > width * 0.55, `the picture is only ${seen.width} wide`)
    must(seen.y + seen.height <= composer.y + 1, `the prompt lies over ${Math.round(seen.y + seen.height - composer.y)} pixels of the picture`)
    must(button.y > size.height / 2, `Generate is at ${button.y}, in the upper half`)
    must(button.y + button.height <= bar.y, 'Generate lies under the bar')
    must(button.x + button.width > width * 0.8, 'Generate is not at the side of the thumb')
    await shoot(page, `phone-${width}`)
    await close(page)
  })
}
