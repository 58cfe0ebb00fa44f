// Lays small pictures side by side with their prompts below and saves the sheet.
//
//   node contact.mjs OUT.png PICTURE.png…      a picture's prompt is its file name

import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { chromium } from 'playwright-core'

const [out, ...pictures] = process.argv.slice(2)
const cells = pictures.map((file) => {
  const data = readFileSync(file).toString('base64')
  return `<figure><img src="data:image/png;base64,${data}"><figcaption>${basename(file, '.png')}</figcaption></figure>`
})
const style = `body { margin: 0; width: max-content; background: #fff; font: 15px system-ui, sans-serif; color: #333 }
  main { padding: 16px; display: grid; grid-template-columns: repeat(4, 192px); gap: 16px }
  figure { margin: 0; text-align: center } img { width: 192px; height: 192px; border-radius: 12px } figcaption { padding-top: 4px }`

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
})
const page = await browser.newPage()
await page.setContent(`<style>${style}</style><main>${cells.join('')}</main>`)
await page.locator('main').screenshot({ path: out })
await browser.close()
