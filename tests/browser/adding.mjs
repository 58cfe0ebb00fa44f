// Adding a model file by path, by dropping and by choosing, checking its digest, and using it.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ask, check, close, drop, must, open, shoot, tabToNamed, until } from './harness.mjs'

const home = process.env.FORGE_HOME
const stamp = Date.now()
/** Names that no earlier run took. */
const named = (way) => `double-${way}-${stamp}`

/** A network that makes a picture twice as large by repeating its pixels: one convolution of zeros. Equal files would be one. */
function doubling(name) {
  const weights = 12 * 3 * 3 * 3 * 4
  const header = JSON.stringify({
    __metadata__: { name },
    'body.0.weight': { dtype: 'F32', shape: [12, 3, 3, 3], data_offsets: [0, weights] },
    'body.0.bias': { dtype: 'F32', shape: [12], data_offsets: [weights, weights + 48] },
  })
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  return Buffer.concat([length, Buffer.from(padded), Buffer.alloc(weights + 48)])
}

const card = (page, name) => page.getByRole('article').filter({ hasText: name })
const installed = (name) => until(() => ask('models'), ({ assets }) => assets.some((asset) => asset.kind === 'upscaler' && asset.name === name), `${name} is not installed`)

await check('models by mouse: a dropped file is installed, and its digest matches', async () => {
  const page = await open('models')
  await drop(page, '.add', `${named('drop')}.safetensors`, 'application/octet-stream', doubling(named('drop')))
  await page.getByText(/ is there\.$/).waitFor()
  await installed(named('drop'))
  await card(page, named('drop')).getByRole('button', { name: 'Check the file' }).click()
  await card(page, named('drop')).getByText('its digest matches').waitFor()
  await shoot(page, 'models-checked')
  await close(page)
})

await check('models by mouse: a chosen file is installed as what it was said to be', async () => {
  const page = await open('models')
  await page.getByRole('combobox', { name: 'What is it?' }).selectOption('upscaler')
  const chooser = page.waitForEvent('filechooser')
  await page.getByRole('button', { name: 'Choose a file' }).click()
  await (await chooser).setFiles({ name: `${named('choose')}.safetensors`, mimeType: 'application/octet-stream', buffer: doubling(named('choose')) })
  await installed(named('choose'))
  await close(page)
})

await check('models by keyboard alone: a file is added by its path, and its digest matches', async () => {
  must(home, 'FORGE_HOME does not name the server’s home')
  // The sealed server reads nothing outside its home.
  const folder = mkdtempSync(join(home, 'self-test', 'to-add-'))
  const path = join(folder, `${named('path')}.safetensors`)
  writeFileSync(path, doubling(named('path')))
  const page = await open('models')
  await tabToNamed(page, 'Path on this machine')
  await page.keyboard.type(path)
  await page.keyboard.press('Enter')
  await installed(named('path'))
  await card(page, named('path')).waitFor()
  await tabToNamed(page, 'Search models')
  await page.keyboard.type(named('path'))
  await tabToNamed(page, 'Check the file')
  await page.keyboard.press('Enter')
  await card(page, named('path')).getByText('its digest matches').waitFor()
  await close(page)
  rmSync(folder, { recursive: true })
})

await check('a file that changed after it was installed is found out', async () => {
  must(home, 'FORGE_HOME does not name the server’s home')
  const { assets } = await ask('models')
  const { file } = assets.find((asset) => asset.name === named('choose'))
  const damaged = doubling(named('choose'))
  damaged[damaged.length - 1] = 1
  writeFileSync(join(home, 'models', 'upscalers', file), damaged)
  const page = await open('models')
  await card(page, named('choose')).getByRole('button', { name: 'Check the file' }).click()
  await card(page, named('choose')).getByText('is NOT as it was installed').waitFor()
  await close(page)
})
