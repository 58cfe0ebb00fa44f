// Settings that travel: from a dropped file, from the gallery, from the stage; and weights in a prompt. At every size.

import { check, close, draw, drop, must, newest, open, pictureAfter, shoot, sizes, tabTo, tabToNamed } from './harness.mjs'

const prompt = (page) => page.locator('#prompt')
const notes = { prompt: 'a banana', negative_prompt: 'a peel', steps: 7, cfg_scale: 4.5, seed: 20_001, width: 64, height: 64, sampler: 'Euler a' }
/** What a request says of a picture, in an order of its own. */
const told = (settings) => JSON.stringify(Object.entries(settings).sort())
const fileOf = async (page, picture) => Buffer.from(await (await fetch(new URL(picture.url, page.url()))).arrayBuffer())
const cells = (page) => page.getByRole('gridcell')

await draw(notes)
const noted = await newest()
await draw({ prompt: 'a rocket', steps: 5, seed: 3, width: 64, height: 64 })

for (const [width, height] of sizes) {
  const at = `${width}x${height}`
  const size = { width, height }
  /** The gallery shows two pictures whose settings are known here. */
  const about = async (page, byKeys) => {
    if (width >= 768) return
    if (!byKeys) return page.getByRole('button', { name: 'About this picture' }).click()
    await tabToNamed(page, 'About this picture')
    await page.keyboard.press('Enter')
    await page.locator('dialog[open]').waitFor()
  }

  await check(`${at}, a dropped file brings all its settings back, and the same picture is drawn`, async () => {
    const page = await open('create', size)
    await page.locator('button[aria-label^="Square"]').waitFor()
    await drop(page, 'main', 'from-a-friend.png', 'image/png', await fileOf(page, noted))
    await page.getByText('Settings of from-a-friend.png').waitFor()
    must((await prompt(page).inputValue()) === notes.prompt, 'the prompt did not come back')
    await shoot(page, `create-dropped-${width}`)
    const before = await newest()
    await page.getByRole('button', { name: 'Generate' }).click()
    const made = await pictureAfter(before)
    must(told(made.settings) === told(noted.settings), `drawn with ${told(made.settings)}`)
    await close(page)
  })

  await check(`${at}, by keyboard alone: an opened file brings all its settings back`, async () => {
    const page = await open('create', size)
    await page.locator('button[aria-label^="Square"]').waitFor()
    const chooser = page.waitForEvent('filechooser')
    await tabToNamed(page, 'Open a picture')
    await page.keyboard.press('Enter')
    await (await chooser).setFiles({ name: 'mine.png', mimeType: 'image/png', buffer: await fileOf(page, noted) })
    await page.getByText('Settings of mine.png').waitFor()
    const before = await newest()
    await page.keyboard.press('Control+Enter')
    const made = await pictureAfter(before)
    must(told(made.settings) === told(noted.settings), `drawn with ${told(made.settings)}`)
    await close(page)
  })

  for (const way of ['mouse', 'keyboard']) {
    await check(`${at}, by ${way}: the gallery gives a prompt, a seed, and everything`, async () => {
      await draw(notes)
      const page = await open('gallery', size)
      const use = async (name) => {
        await page.evaluate(() => (location.hash = '#/gallery'))
        await cells(page).first().waitFor()
        if (way === 'mouse') await cells(page).first().click()
        else {
          await tabTo(page, () => document.activeElement?.getAttribute('role') === 'gridcell')
          await page.keyboard.press('ArrowRight')
          await page.keyboard.press('Home')
        }
        await about(page, way === 'keyboard')
        if (way === 'mouse') await page.getByRole('button', { name, exact: true }).click()
        else {
          await tabToNamed(page, name)
          await page.keyboard.press('Enter')
        }
        await page.waitForFunction(() => location.hash === '#/create')
        await prompt(page).waitFor()
      }
      const draft = () => page.evaluate(() => JSON.parse(localStorage.getItem('fieldforge.draft') ?? '{}'))
      await use('Use prompt')
      let now = await draft()
      must(now.prompt === notes.prompt && now.negativePrompt === notes.negative_prompt, 'the prompt was not taken over')
      must(now.seedMode === 'random' && now.steps === null, 'more than the prompt was taken over')
      await prompt(page).fill('something else')
      await use('Use seed')
      now = await draft()
      must(now.seedMode === 'fixed' && now.seed === notes.seed, 'the seed was not taken over')
      must(now.prompt === 'something else', 'more than the seed was taken over')
      await use('Use all')
      const before = await newest()
      await page.keyboard.press('Control+Enter')
      const made = await pictureAfter(before)
      must(told(made.settings) === told(noted.settings), `drawn with ${told(made.settings)}`)
      await close(page)
    })

    await check(`${at}, by ${way}: the stage gives a prompt and a seed`, async () => {
      await draw(notes)
      const page = await open('create', size)
      const use = async (name) => {
        if (way === 'mouse') return page.getByRole('button', { name, exact: true }).click()
        await tabToNamed(page, name)
        await page.keyboard.press('Enter')
      }
      await page.getByRole('button', { name: 'Use prompt' }).waitFor()
      await use('Use prompt')
      must((await prompt(page).inputValue()) === notes.prompt, 'the prompt was not taken over')
      await prompt(page).fill('')
      await use('Use seed')
      await use('Use prompt')
      const before = await newest()
      await page.keyboard.press('Control+Enter')
      const made = await pictureAfter(before)
      must(made.settings.seed === notes.seed && made.settings.prompt === notes.prompt, 'the picture has another seed or prompt')
      await close(page)
    })
  }

  await check(`${at}, Ctrl+Up and Ctrl+Down weigh the word at the cursor, and the words chosen by mouse`, async () => {
    const page = await open('create', size)
    await tabTo(page, () => document.activeElement?.id === 'prompt')
    await page.keyboard.type('a red apple')
    await page.keyboard.press('Control+ArrowUp')
    await page.keyboard.press('Control+ArrowUp')
    must((await prompt(page).inputValue()) === 'a red (apple:1.2)', `after Ctrl+Up twice: ${await prompt(page).inputValue()}`)
    for (let press = 0; press < 3; press++) await page.keyboard.press('Control+ArrowDown')
    must((await prompt(page).inputValue()) === 'a red (apple:0.9)', `after Ctrl+Down three times: ${await prompt(page).inputValue()}`)
    await page.keyboard.press('Control+ArrowUp')
    must((await prompt(page).inputValue()) === 'a red apple', 'a weight of 1 still has brackets')
    await prompt(page).click({ clickCount: 3 })
    await page.keyboard.press('Control+ArrowUp')
    must((await prompt(page).inputValue()) === '(a red apple:1.1)', `after choosing all: ${await prompt(page).inputValue()}`)
    await close(page)
  })
}
