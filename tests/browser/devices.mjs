// A phone is paired with the computer and forgotten again. The server listens at 127.0.0.2 as if that were the network.

import { ask, browser, check, close, must, noSidewaysScrolling, noViolations, open, origin, shoot } from './harness.mjs'

const network = `http://127.0.0.2:${new URL(origin).port}`

/** What another device sees there. */
async function device(path, options = {}) {
  const context = await browser.newContext({ viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true, locale: 'en', ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(12_000)
  const answer = await page.goto(`${network}${path}`)
  return { page, status: answer.status() }
}

await check('other devices: a phone is paired by keyboard alone, draws nothing it may not, and is forgotten', async () => {
  const here = await open('system/devices')
  await here.getByRole('img', { name: /^QR code that opens/ }).waitFor()
  const { page: phone, status } = await device('/')
  must(status === 401, `an unpaired phone got ${status}`)
  await noViolations(phone, 'the pairing page')
  await noSidewaysScrolling(phone, 'the pairing page')
  await shoot(phone, 'pair-360-light')
  await phone.keyboard.type('1')
  await phone.keyboard.press('Enter')
  await phone.getByRole('alert').filter({ hasText: 'This is not the code' }).waitFor()
  // A wrong code costs its sender a second.
  await phone.waitForTimeout(1100)
  const { code } = await ask('lan')
  await phone.keyboard.type(code)
  await phone.keyboard.press('Enter')
  await phone.waitForURL(`${network}/`)
  await phone.locator('main').first().waitFor()
  must(/HttpOnly|true/.test(String((await phone.context().cookies())[0]?.httpOnly)), 'scripts can read the cookie')
  await phone.goto(`${network}/#/system/devices`)
  await phone.getByText('This device is paired.').waitFor()
  must((await phone.getByRole('img', { name: /QR/ }).count()) === 0, 'the phone shows a code')
  await phone.goto(`${network}/#/create`)

  await here.getByRole('link', { name: 'Proof', exact: true }).click()
  await here.getByText(`Paired devices reach it on the network, at ${new URL(network).host}.`).waitFor()
  await shoot(here, 'system-seal-network')
  await here.getByRole('link', { name: 'Other devices' }).click()
  await here.getByText(/ on Linux$/).waitFor()
  await shoot(here, 'system-devices-paired')
  await here.getByRole('button', { name: /^Forget: / }).click()
  await here.getByText('None yet.').waitFor()
  must((await phone.reload()).status() === 401, 'the phone is still let in')
  await close(phone)
  await close(here)
})

await check('other devices: the QR code fills in the form, in the language of the phone', async () => {
  const { code } = await ask('lan')
  const { page: phone } = await device(`/pair?code=${code.replace(' ', '')}`, { locale: 'de-DE', colorScheme: 'dark' })
  must((await phone.getByLabel('Code').inputValue()) === code.replace(' ', ''), 'the code is not filled in')
  await noViolations(phone, 'the pairing page in the dark')
  await shoot(phone, 'pair-360-dark')
  await phone.getByRole('button', { name: 'Koppeln' }).tap()
  await phone.waitForURL(`${network}/`)
  await close(phone)
  const { devices } = await ask('lan')
  await ask(`lan/devices/${devices[0].id}`, { method: 'DELETE' })
})
