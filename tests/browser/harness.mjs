// What every part of the browser test shares: Chromium, pages that are watched, checks that are counted.

import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const [base = 'http://127.0.0.1:7860', folder] = process.argv.slice(2)
export const origin = new URL(base).origin
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
if (folder) mkdirSync(folder, { recursive: true })

export const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})

/** The sizes at which every screen is looked at: a small phone, a tablet, a desk, a large screen. */
export const sizes = [
  [360, 640],
  [768, 1024],
  [1440, 900],
  [3840, 2160],
]

/** What any page asked of another host, and what any console complained about. */
export const foreign = []
export const complaints = []
/** Answers that belong to the interface, but that the browser notes as errors. */
const expected = [
  [/\/api\/v1\/self-test$/, '404'],
  [/\/api\/v1\/jobs\//, '409'],
]
let provoked = /^$/
/** The check that runs, for complaints. */
let current = ''

/** Complaints that a check provokes on purpose; without an argument, none. */
export function expectComplaints(pattern = /^$/) {
  provoked = pattern
}

/** A page at `#/path`, in a browser that knows nothing yet. */
export async function open(path, { width = 1440, height = 900, scheme = 'light', locale = 'en' } = {}) {
  const phone = width < 768
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, locale, hasTouch: phone, isMobile: phone, acceptDownloads: true, reducedMotion: 'reduce' })
  const page = await context.newPage()
  page.setDefaultTimeout(width > 2000 ? 40_000 : 12_000)
  page.on('request', (request) => {
    const url = request.url()
    if (!url.startsWith(`${origin}/`) && !/^(data|blob):/.test(url)) foreign.push(url)
  })
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type()) || provoked.test(message.text())) return
    if (expected.some(([where, code]) => where.test(message.location().url) && message.text().includes(code))) return
    complaints.push(`${message.text()} ${message.location().url} during “${current}”`)
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  await page.goto(`${origin}/#/${path}`)
  await page.locator('main').first().waitFor()
  return page
}

export const close = (page) => page.context().close()

/** Keeps a screenshot when the run was given a folder. */
export const shoot = (page, name) => (folder ? page.screenshot({ path: join(folder, `${name}.png`), timeout: 60_000 }) : undefined)

export function must(condition, message) {
  if (!condition) throw new Error(message)
}

export async function ask(path, options) {
  const response = await fetch(`${origin}/api/v1/${path}`, options)
  const text = await response.text()
  return text === '' ? null : JSON.parse(text)
}

export const post = (path, body) => ask(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body ?? {}) })

/** Asks until `answer` holds, or fails with `message`. */
export async function until(question, answer, message, seconds = 60) {
  const end = Date.now() + seconds * 1000
  for (;;) {
    const value = await question()
    if (answer(value)) return value
    must(Date.now() < end, message)
    await new Promise((resolve) => setTimeout(resolve, 150))
  }
}

/** Draws pictures through the interface and waits for them. */
export async function draw(body) {
  const { jobs } = await post('generate', body)
  for (const { id } of jobs) {
    await until(() => ask(`jobs/${id}`), (job) => ['done', 'failed', 'cancelled'].includes(job?.state), `job ${id} did not end`)
  }
}

/** The newest picture of the history, or null. */
export const newest = async () => (await ask('pictures?limit=1')).pictures[0] ?? null

/** Waits for a picture that is newer than `before`. */
export const pictureAfter = (before) => until(newest, (picture) => picture !== null && picture.id !== before?.id, 'no new picture was made', 120)

/** Presses Tab until `found`, given `argument`, says in the page that the focus is right. */
export async function tabTo(page, found, argument) {
  for (let count = 0; count < 160; count++) {
    if (await page.evaluate(found, argument)) return
    await page.keyboard.press('Tab')
  }
  throw new Error(`Tab did not lead there: ${argument ?? found}`)
}

/** Presses Tab until what has the focus is called so: by its label, or by what stands on it. */
export const tabToNamed = (page, name) =>
  tabTo(
    page,
    (wanted) => {
      const at = document.activeElement
      const called = [at?.getAttribute('aria-label'), at?.labels?.[0]?.textContent, at?.textContent]
      return at !== document.body && called.some((text) => text?.trim() === wanted)
    },
    name,
  )

/** Red, green, blue and opacity of every pixel of a picture at `url`. */
export const pixelsOf = (page, url) =>
  page.evaluate(async (from) => {
    const image = new Image()
    image.src = from
    await image.decode()
    const canvas = document.createElement('canvas')
    canvas.width = image.naturalWidth
    canvas.height = image.naturalHeight
    const pen = canvas.getContext('2d')
    pen.drawImage(image, 0, 0)
    return { width: canvas.width, height: canvas.height, data: [...pen.getImageData(0, 0, canvas.width, canvas.height).data] }
  }, url)

/** How far two pictures are apart on average, 0 to 255, inside a box of the second; `x` and `y` move the first. */
export function apart(first, second, { left, top, width, height }, x = 0, y = 0) {
  let sum = 0
  for (let row = top; row < top + height; row++) {
    for (let column = left; column < left + width; column++) {
      for (let colour = 0; colour < 3; colour++) {
        const one = first.data[((row - y) * first.width + column - x) * 4 + colour]
        sum += Math.abs(one - second.data[(row * second.width + column) * 4 + colour])
      }
    }
  }
  return sum / (width * height * 3)
}

/** Lets go of a file over `target`, as from a folder's window. */
export async function drop(page, target, name, type, bytes) {
  const transfer = await page.evaluateHandle(
    ([called, kind, text]) => {
      const data = new DataTransfer()
      data.items.add(new File([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], called, { type: kind }))
      return data
    },
    [name, type, bytes.toString('base64')],
  )
  for (const event of ['dragenter', 'dragover', 'drop']) await page.locator(target).first().dispatchEvent(event, { dataTransfer: transfer })
}

export async function noViolations(page, where) {
  await page.evaluate(axe)
  const found = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })
    return violations.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary?.split('\n')[1]?.trim() ?? ''}`).join(' | ')}`)
  })
  must(found.length === 0, `${where}: ${found.join('; ')}`)
}

export async function noSidewaysScrolling(page, where) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  must(wide <= 0, `${where} is ${wide} pixels too wide`)
}

let passed = 0
const failures = []

export async function check(name, work) {
  current = name
  try {
    await work()
    passed += 1
    console.log(`ok      ${name}`)
  } catch (error) {
    failures.push(name)
    console.log(`FAILED  ${name}: ${String(error.message ?? error).split('\n')[0]}`)
  }
}

/** Prints the sum and ends the program; 1 when a check failed. */
export async function finish() {
  await check('nothing was asked of any other host', async () => must(foreign.length === 0, foreign.join(', ')))
  await check('the console stayed silent', async () => must(complaints.length === 0, [...new Set(complaints)].join(' | ')))
  await browser.close()
  console.log(`${passed} passed, ${failures.length} failed`)
  process.exit(failures.length === 0 ? 0 : 1)
}
