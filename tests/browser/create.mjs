// Create by mouse and by keyboard alone.

import { readFileSync } from 'node:fs'
import { ask, check, close, expectComplaints, must, open as openPage, shoot } from './harness.mjs'

async function open(options) {
  const page = await openPage('create', options)
  await page.getByRole('button', { name: 'Generate' }).waitFor()
  await page.locator('button[aria-label^="Square"]').waitFor()
  return page
}

const newestId = async () => (await ask('pictures?limit=1')).pictures[0]?.id ?? null
const prompt = (page) => page.getByRole('textbox', { name: 'Prompt', exact: true })
const stagePicture = (page) => page.getByRole('region', { name: 'Picture' }).locator('button.open img')

/** Waits until the stage shows a picture newer than `before`, and looks at its pixels. */
async function pictureAfter(page, before, seconds = 120) {
  const img = stagePicture(page)
  const end = Date.now() + seconds * 1000
  for (;;) {
    const src = (await img.count()) > 0 ? await img.getAttribute('src') : null
    const id = src?.match(/\/outputs\/(.+)\.png/)?.[1] ?? null
    if (id !== null && id !== before) break
    must(Date.now() < end, `no new picture on the stage within ${seconds} s`)
    await page.waitForTimeout(100)
  }
  await page.waitForFunction((node) => node.complete && node.naturalWidth > 0, await img.elementHandle())
  const spread = await img.evaluate((node) => {
    const canvas = document.createElement('canvas')
    canvas.width = canvas.height = 32
    const pen = canvas.getContext('2d')
    pen.drawImage(node, 0, 0, 32, 32)
    const { data } = pen.getImageData(0, 0, 32, 32)
    let low = 255
    let high = 0
    for (let at = 0; at < data.length; at += 4) {
      low = Math.min(low, data[at], data[at + 1], data[at + 2])
      high = Math.max(high, data[at], data[at + 1], data[at + 2])
    }
    return high - low
  })
  must(spread > 20, `the picture is blank: its values lie within ${spread} of 255`)
}

/** Notes in the page that it said how far it is; a fast machine may be done before one looks. */
const watchSteps = (page) =>
  page.evaluate(() => {
    globalThis.stepsSeen = new Set()
    new MutationObserver(() => {
      const said = document.querySelector('.work')?.textContent.match(/Step \d+ of \d+/)?.[0]
      if (said) globalThis.stepsSeen.add(said)
    }).observe(document.body, { subtree: true, childList: true, characterData: true })
  })

const status = await ask('status')
const words = status.models.find((model) => model.is_default)?.id === 'spark' ? ['a banana', 'a rocket', 'a cat face'] : ['a lighthouse', 'a bowl of peaches', 'a red fox']
let desk = null

await check('the page opens and says who it is', async () => {
  desk = await open()
  must((await desk.title()) === 'Fieldforge', `its title is ${await desk.title()}`)
  await desk.waitForTimeout(300)
  if ((await newestId()) === null) await shoot(desk, '1440-light-empty')
})

await check('an empty prompt is answered with a word, not with a picture', async () => {
  await prompt(desk).fill('')
  await desk.getByRole('button', { name: 'Generate' }).click()
  await desk.getByRole('alert').filter({ hasText: 'press Generate' }).waitFor()
})

await check('a picture by mouse', async () => {
  const before = await newestId()
  await prompt(desk).click()
  await prompt(desk).fill(words[0])
  await watchSteps(desk)
  await desk.getByRole('button', { name: 'Generate' }).click()
  await pictureAfter(desk, before)
  must((await desk.evaluate(() => globalThis.stepsSeen.size)) > 1, 'the page did not say how far it was')
  must((await stagePicture(desk).getAttribute('alt')) === words[0], 'the picture’s alternative text is not its prompt')
})

await check('a picture by keyboard alone', async () => {
  const page = await open()
  const before = await newestId()
  let found = false
  for (let presses = 0; presses < 60 && !found; presses++) {
    found = await page.evaluate(() => document.activeElement?.id === 'prompt')
    if (!found) await page.keyboard.press('Tab')
  }
  must(found, 'the prompt cannot be reached with Tab')
  await page.keyboard.press('Control+A')
  await page.keyboard.type(words[1])
  await page.keyboard.press('Control+Enter')
  await pictureAfter(page, before)
  await close(page)
})

await check('Stop ends the work and leaves no picture', async () => {
  const before = await newestId()
  await desk.getByRole('spinbutton', { name: 'Steps' }).fill('150')
  await desk.getByRole('spinbutton', { name: 'Steps' }).press('Tab')
  await prompt(desk).fill(words[2])
  await desk.keyboard.press('Control+Enter')
  await desk.getByText(/Step [1-9]\d+ of 150/).first().waitFor()
  await shoot(desk, '1440-light-drawing')
  await desk.getByRole('button', { name: 'Stop', exact: true }).click()
  await desk.getByRole('button', { name: 'Stop', exact: true }).waitFor({ state: 'detached' })
  await desk.waitForTimeout(500)
  must((await newestId()) === before, 'a picture was made all the same')
  must((await ask('status')).queue.running === null, 'the server still works on it')
  await desk.getByRole('button', { name: /model’s values/ }).click()
})

await check('the history shows a picture with its settings', async () => {
  const { pictures } = await ask('pictures?limit=2')
  const wanted = pictures[1]
  await desk.getByRole('complementary', { name: 'History' }).getByRole('button', { name: wanted.settings.prompt }).nth(pictures[0].settings.prompt === wanted.settings.prompt ? 1 : 0).click()
  must((await stagePicture(desk).getAttribute('src')) === wanted.url, 'the stage shows another picture')
  const said = await desk.getByRole('region', { name: 'Picture' }).innerText()
  for (const part of [`seed ${wanted.settings.seed}`, `${wanted.settings.steps} steps`, wanted.settings.sampler, `${wanted.width}×${wanted.height}`]) {
    must(said.includes(part), `the stage does not say “${part}”`)
  }
})

await check('Use all settings makes the same picture again', async () => {
  const src = await stagePicture(desk).getAttribute('src')
  const { pictures } = await ask('pictures?limit=60')
  const shown = pictures.find((picture) => picture.url === src)
  await prompt(desk).fill('something else')
  await desk.getByRole('button', { name: 'Use all settings' }).click()
  must((await prompt(desk).inputValue()) === shown.settings.prompt, 'the prompt was not taken over')
  must((await desk.getByRole('spinbutton', { name: 'Seed number' }).inputValue()) === String(shown.settings.seed), 'the seed was not taken over')
  const before = await newestId()
  await desk.getByRole('button', { name: 'Generate' }).click()
  await pictureAfter(desk, src.match(/outputs\/(.+)\.png/)[1])
  must((await newestId()) !== before, 'no new picture in the history')
  const again = (await ask('pictures?limit=1')).pictures[0]
  const same = JSON.stringify(again.settings) === JSON.stringify(shown.settings)
  must(same, `the settings differ: ${JSON.stringify(again.settings)} and ${JSON.stringify(shown.settings)}`)
})

await check('arrow keys walk through the history, Enter shows the full window, Escape leaves it', async () => {
  const { pictures } = await ask('pictures?limit=2')
  await desk.locator('aside.history li button').first().focus()
  await desk.keyboard.press('Home')
  await desk.keyboard.press('ArrowRight')
  must((await stagePicture(desk).getAttribute('src')) === pictures[1].url, 'the right arrow did not show the older picture')
  await desk.keyboard.press('Enter')
  const viewer = desk.locator('dialog[open]')
  await viewer.waitFor()
  await shoot(desk, '1440-light-viewer')
  await desk.keyboard.press('ArrowLeft')
  must((await viewer.locator('img').getAttribute('src')) === pictures[0].url, 'the left arrow did not show the newer picture')
  await desk.keyboard.press('Escape')
  await viewer.waitFor({ state: 'detached' }).catch(async () => must((await desk.locator('dialog[open]').count()) === 0, 'the window stayed open'))
})

await check('a download brings the file', async () => {
  const download = desk.waitForEvent('download')
  await desk.getByRole('link', { name: 'Download' }).click()
  const file = readFileSync(await (await download).path())
  must(file.subarray(1, 4).toString('latin1') === 'PNG', 'the downloaded file is not a PNG')
})

await check('a reload keeps the history, the prompt and the settings', async () => {
  await prompt(desk).fill(words[1])
  const newest = () => desk.locator('aside.history li img').evaluateAll((all) => all.slice(0, 60).map((img) => img.getAttribute('src')).join())
  const kept = await newest()
  await desk.reload()
  await desk.locator('aside.history li').first().waitFor()
  must((await newest()) === kept, 'the history is another one')
  must((await prompt(desk).inputValue()) === words[1], 'the prompt is gone')
  await desk.waitForTimeout(400)
  await shoot(desk, '1440-light')
})

await check('delete, then undo', async () => {
  const count = await desk.locator('aside.history li').count()
  const id = await newestId()
  await desk.locator('aside.history li button').first().click()
  await desk.getByRole('region', { name: 'Picture' }).getByRole('button', { name: 'Delete' }).click()
  await desk.getByText('Picture deleted', { exact: true }).waitFor()
  must((await desk.locator('aside.history li').count()) === count - 1, 'it is still in the history')
  must((await newestId()) !== id, 'the server still lists it')
  await desk.getByRole('button', { name: 'Undo' }).click()
  await desk.getByText('Picture deleted', { exact: true }).waitFor({ state: 'detached' })
  await desk.waitForFunction((wanted) => document.querySelectorAll('aside.history li').length === wanted, count).catch(() => must(false, 'it did not come back'))
  must((await newestId()) === id, 'the server does not list it again')
})

await check('a refusal is shown with its hint', async () => {
  expectComplaints(/429/)
  await desk.route('**/api/v1/generate', (route) =>
    route.fulfill({ status: 429, contentType: 'application/json', body: '{"error":{"code":"queue_full","message":"the queue is full","hint":"wait for a picture"}}' }),
  )
  await desk.getByRole('button', { name: 'Generate' }).click()
  const alert = desk.getByRole('alert')
  await alert.getByText('the queue is full').waitFor()
  await alert.getByText('wait for a picture').waitFor()
  await shoot(desk, '1440-light-problem')
  await alert.getByRole('button', { name: 'Dismiss' }).click()
  await desk.unroute('**/api/v1/generate')
  await desk.waitForTimeout(100)
  expectComplaints()
})

await check('a lost server is said calmly, and the page comes back by itself', async () => {
  expectComplaints(/ERR_FAILED|Failed to load resource/)
  const page = await open()
  await page.route('**/api/v1/**', (route) => route.abort())
  await page.reload()
  await page.getByText('reconnects by itself').waitFor()
  await prompt(page).fill(words[0])
  await page.keyboard.press('Control+Enter')
  await shoot(page, '1440-light-lost')
  await page.unroute('**/api/v1/**')
  await page.getByText('reconnects by itself').waitFor({ state: 'detached', timeout: 20_000 })
  await page.locator('button[aria-label^="Square"]').waitFor()
  await close(page)
  expectComplaints()
})

await check('the colours can be switched and are remembered', async () => {
  const ground = () => desk.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
  const bySystem = await ground()
  const button = desk.getByRole('button', { name: /^Colours/ })
  await button.click()
  must((await ground()) === bySystem, 'light looks different from a light system')
  await button.click()
  const dark = await ground()
  must(dark !== bySystem, 'dark looks like light')
  await desk.reload()
  must((await desk.evaluate(() => document.documentElement.dataset.theme)) === 'dark', 'the choice was forgotten')
  must((await ground()) !== bySystem, 'the choice is remembered, but not applied')
  await button.click()
})

await close(desk)
