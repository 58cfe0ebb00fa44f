// Drives the page in Chromium as a person would, with the mouse, with the keyboard alone, and on a phone.
//
//   node run.mjs http://127.0.0.1:7860 [FOLDER-FOR-SCREENSHOTS]
//
// Needs a running server whose default model can draw, and Chromium at /usr/bin/chromium (or CHROMIUM).
// Prints one line per check, then `N passed, N failed`; exit status 1 when a check failed.

import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const [base = 'http://127.0.0.1:7860', shots] = process.argv.slice(2)
const origin = new URL(base).origin
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
if (shots) mkdirSync(shots, { recursive: true })

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})

// Everything that any page asks for or complains about is collected over the whole run.
const foreign = []
const complaints = []
/** Answers that belong to the interface, but that the browser notes as errors: no self-test yet, a job that ended before its Stop came. */
const expected = [
  [/\/api\/v1\/self-test$/, '404'],
  [/\/api\/v1\/jobs\//, '409'],
]
/** Complaints that a check provokes on purpose. */
let provoked = /^$/

async function open({ width = 1440, height = 900, scheme = 'light', phone = false } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, hasTouch: phone, isMobile: phone, acceptDownloads: true })
  const page = await context.newPage()
  page.setDefaultTimeout(width > 2000 ? 60_000 : 15_000)
  page.on('request', (request) => {
    const url = request.url()
    if (!url.startsWith(`${origin}/`) && !/^(data|blob):/.test(url)) foreign.push(url)
  })
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type()) || provoked.test(message.text())) return
    if (expected.some(([path, code]) => path.test(message.location().url) && message.text().includes(code))) return
    complaints.push(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  await page.goto(`${origin}/`)
  await page.getByRole('button', { name: 'Generate' }).waitFor()
  await page.locator('button[aria-label^="Square"]').waitFor()
  return page
}

const shoot = (page, name) => (shots ? page.screenshot({ path: join(shots, `${name}.png`), timeout: 60_000 }) : undefined)

function must(condition, message) {
  if (!condition) throw new Error(message)
}

async function ask(path) {
  const response = await fetch(`${origin}/api/v1/${path}`)
  return response.json()
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

async function noSeriousViolations(page, where) {
  await page.evaluate(axe)
  const found = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] })
    return violations
      .filter((one) => one.impact === 'serious' || one.impact === 'critical')
      .map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary?.split('\n')[1]?.trim() ?? ''}`).join(' | ')}`)
  })
  must(found.length === 0, `${where}: ${found.join('; ')}`)
}

let passed = 0
const failures = []

async function check(name, work) {
  try {
    await work()
    passed += 1
    console.log(`ok      ${name}`)
  } catch (error) {
    failures.push(name)
    console.log(`FAILED  ${name}: ${String(error.message ?? error).split('\n')[0]}`)
  }
}

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
  await page.context().close()
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

await check('several pictures wait in the queue, and one can be taken out', async () => {
  await desk.getByRole('radio', { name: '3', exact: true }).check({ force: true })
  await desk.getByRole('spinbutton', { name: 'Steps' }).fill('60')
  await desk.getByRole('spinbutton', { name: 'Steps' }).press('Tab')
  await prompt(desk).fill(words[0])
  await desk.keyboard.press('Control+Enter')
  await desk.getByRole('button', { name: /2 pictures waiting/ }).click()
  const queue = desk.getByRole('dialog', { name: 'Queue' })
  await queue.getByRole('button', { name: /^Cancel/ }).nth(1).waitFor()
  for (let left = 2; left > 0; left--) await queue.getByRole('button', { name: /^Cancel/ }).first().click()
  await desk.waitForTimeout(300)
  const { queue: now } = await ask('status')
  must(now.waiting.length === 0, `${now.waiting.length} still wait`)
  await queue.getByRole('button', { name: /^Cancel/ }).first().click().catch(() => {})
  await queue.getByRole('button', { name: 'Close' }).click()
  await desk.getByRole('button', { name: 'Stop', exact: true }).click().catch(() => {})
  await desk.getByRole('button', { name: 'Stop', exact: true }).waitFor({ state: 'detached' })
  await desk.getByRole('radio', { name: '1', exact: true }).check({ force: true })
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

await check('the seal badge opens the proof', async () => {
  const seal = await ask('seal')
  await desk.getByRole('button', { name: /Show the proof/ }).click()
  const proof = desk.getByRole('dialog')
  await proof.getByText(seal.level, { exact: true }).first().waitFor()
  for (const mechanism of seal.mechanisms) await proof.getByText(mechanism.name).first().waitFor()
  await desk.waitForTimeout(300)
  await shoot(desk, '1440-light-seal')
  await noSeriousViolations(desk, 'the proof')
  await desk.keyboard.press('Escape')
})

await check('a refusal is shown with its hint', async () => {
  provoked = /429/
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
  provoked = /^$/
})

await check('a lost server is said calmly, and the page comes back by itself', async () => {
  provoked = /ERR_FAILED|Failed to load resource/
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
  await page.context().close()
  provoked = /^$/
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
  must((await ground()) === dark, 'the choice was forgotten')
  await button.click()
})

for (const [width, height, phone] of [
  [390, 844, true],
  [768, 1024, true],
  [1440, 900, false],
  [3840, 2160, false],
]) {
  for (const scheme of ['light', 'dark']) {
    await check(`${width} pixels wide, ${scheme}: no sideways scrolling, no serious accessibility violation`, async () => {
      const page = await open({ width, height, scheme, phone })
      await page.locator('aside.history li').first().waitFor()
      await page.waitForTimeout(500)
      await shoot(page, `${width}-${scheme}`)
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
      must(wide <= 0, `the page is ${wide} pixels too wide`)
      await noSeriousViolations(page, 'the page')
      if (width < 1400) {
        await page.getByRole('button', { name: 'Settings', exact: true }).click()
        await page.getByRole('dialog', { name: 'Settings' }).waitFor()
        await page.waitForTimeout(300)
        await shoot(page, `${width}-${scheme}-settings`)
        await noSeriousViolations(page, 'the settings')
      }
      await page.context().close()
    })
  }
}

await check('on a phone every button is large enough for a finger', async () => {
  const page = await open({ width: 390, height: 844, phone: true })
  await page.locator('aside.history li').first().waitFor()
  const small = await page.evaluate(() =>
    [...document.querySelectorAll('button, select, input:not([type=radio]), a.button')]
      .filter((node) => !node.classList.contains('link') && node.getClientRects().length > 0)
      .map((node) => [node.getAttribute('aria-label') ?? node.textContent.trim(), node.getBoundingClientRect()])
      .filter(([, box]) => box.height < 43.5 || box.width < 43.5)
      .map(([name, box]) => `${name} ${Math.round(box.width)}×${Math.round(box.height)}`),
  )
  must(small.length === 0, small.join(', '))
  await page.context().close()
})

await check('a phone makes a picture, with the button in reach', async () => {
  const page = await open({ width: 390, height: 844, phone: true, scheme: 'dark' })
  const before = await newestId()
  // Slow enough to look at it while it draws.
  await page.evaluate(() => localStorage.setItem('fieldforge.draft', '{"steps":100}'))
  await page.reload()
  await page.locator('button[aria-label^="Square"]').waitFor()
  await prompt(page).fill(words[0])
  const box = await page.getByRole('button', { name: 'Generate' }).boundingBox()
  must(box.y + box.height <= 844 && box.y > 422, `Generate is at ${Math.round(box.y)} of 844`)
  await page.getByRole('button', { name: 'Generate' }).tap()
  await page.getByText(/Step [1-9]\d* of 100/).first().waitFor()
  await shoot(page, '390-dark-drawing')
  const wide = await page.evaluate(() => Math.max(...[...document.querySelectorAll('form, form *')].map((node) => node.clientWidth > 0 && !node.closest('.strip') ? node.getBoundingClientRect().right : 0)))
  must(wide <= 390.5, `while drawing, the page is ${Math.round(wide)} pixels wide`)
  await pictureAfter(page, before)
  await page.context().close()
})

await check('nothing was asked of any other host', async () => must(foreign.length === 0, foreign.join(', ')))
await check('the console stayed silent', async () => must(complaints.length === 0, [...new Set(complaints)].join(' | ')))

await browser.close()
console.log(`${passed} passed, ${failures.length} failed`)
process.exit(failures.length === 0 ? 0 : 1)
