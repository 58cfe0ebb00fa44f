// ComfyUI's official frontend, unchanged, at /comfy/: loads, draws with its own Run button, shows previews and the picture.
//
//   node comfyui.mjs http://127.0.0.1:7860 [SCREENSHOT.png]
//
// Needs a running server that has the frontend, and Chromium at /usr/bin/chromium (or CHROMIUM). Ends with 1 when something
// is not as it should be.

import { chromium } from 'playwright-core'

const [base = 'http://127.0.0.1:7860', picture] = process.argv.slice(2)
const { origin } = new URL(base)
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'] })
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
const wrong = []
let previews = 0
const said = []

page.on('request', (request) => {
  // A request that the page's policy refuses is never made; one that is made elsewhere is a fault.
  const url = request.url()
  if (!url.startsWith(`${origin}/`) && !/^(data|blob):/.test(url)) wrong.push(`asked for ${url}`)
})
page.on('response', (response) => response.status() >= 400 && wrong.push(`${response.status()} ${response.url()}`))
page.on('pageerror', (error) => wrong.push(String(error)))
page.on('console', (message) => {
  // The first workflow names files at Hugging Face, whose size the frontend wants to know: its policy refuses that.
  const refused = /huggingface\.co/.test(message.text()) && /Content Security Policy/.test(message.text())
  if (message.type() === 'error' && !refused) wrong.push(`${message.text()} ${message.location().url}`)
})
page.on('websocket', (socket) =>
  socket.on('framereceived', ({ payload }) => {
    if (typeof payload === 'string') said.push(JSON.parse(payload))
    else previews += 1
  }),
)

const link = (node, slot) => [node, slot]
const workflow = {
  1: { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'spark' } },
  2: { class_type: 'CLIPTextEncode', inputs: { text: 'a red apple', clip: link('1', 1) } },
  3: { class_type: 'CLIPTextEncode', inputs: { text: '', clip: link('1', 1) } },
  4: { class_type: 'EmptyLatentImage', inputs: { width: 64, height: 64, batch_size: 1 } },
  5: { class_type: 'KSampler', inputs: { seed: 5, steps: 40, cfg: 5, sampler_name: 'euler', scheduler: 'normal', denoise: 1, model: link('1', 0), positive: link('2', 0), negative: link('3', 0), latent_image: link('4', 0) } },
  6: { class_type: 'VAEDecode', inputs: { samples: link('5', 0), vae: link('1', 2) } },
  7: { class_type: 'SaveImage', inputs: { filename_prefix: 'apple', images: link('6', 0) } },
}

await page.goto(`${origin}/comfy/`)
await page.waitForFunction(() => window.app?.graph && !document.querySelector('#splash-loader'), null, { timeout: 60_000 })
await page.evaluate((graph) => window.app.loadApiJson(graph, 'apple'), workflow)
await page.waitForFunction(() => window.app.graph.nodes.some((node) => node.type === 'KSampler'))
await page.getByRole('button', { name: /^Run/ }).first().click()
for (let wait = 0; wait < 240 && !said.some(({ type }) => /^execution_(success|error)$/.test(type)); wait += 1) await page.waitForTimeout(250)
const executed = said.find(({ type }) => type === 'executed')
const shown = executed?.data.output?.images?.[0]
if (shown === undefined) wrong.push('no picture came')
else {
  const answer = await page.evaluate(async (name) => (await fetch(`api/view?filename=${encodeURIComponent(name)}&type=output`)).headers.get('content-type'), shown.filename)
  if (answer !== 'image/png') wrong.push(`the picture came as ${answer}`)
}
if (previews === 0) wrong.push('no preview came')
await page.waitForTimeout(1500)
if (picture) await page.screenshot({ path: picture })
await browser.close()
for (const fault of wrong) console.error(`FAILED  ${fault}`)
if (wrong.length === 0) console.log(`ok      ComfyUI's frontend drew ${shown.filename} with ${previews} previews`)
process.exit(wrong.length === 0 ? 0 : 1)
