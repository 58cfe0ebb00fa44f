// Every screen at every size, dark and light: nothing is cut off, nothing keeps anybody out.

import { check, close, noSidewaysScrolling, noViolations, open, shoot, sizes } from './harness.mjs'

const places = ['create', 'edit', 'gallery', 'models', 'system/queue', 'system/grid', 'system/machine', 'system/seal', 'system/programs', 'system/devices', 'system/manual']

for (const [width, height] of sizes) {
  for (const scheme of ['light', 'dark']) {
    const page = await open('create', { width, height, scheme })
    for (const place of places) {
      await check(`${place}, ${width}x${height}, ${scheme}: fits, and axe finds nothing`, async () => {
        await page.evaluate((to) => (location.hash = `#/${to}`), place)
        await page.waitForTimeout(350)
        await shoot(page, `${place.replace('/', '-')}-${width}-${scheme}`)
        await noSidewaysScrolling(page, place)
        await noViolations(page, place)
      })
    }
    await close(page)
  }
}
