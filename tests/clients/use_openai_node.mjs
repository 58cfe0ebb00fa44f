// openai (Apache-2.0), OpenAI's own client for Node.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const [address, packages] = process.argv.slice(2)
const { OpenAI, toFile, BadRequestError } = createRequire(`${packages}/`)('openai')
const client = new OpenAI({ baseURL: `${address}/v1`, apiKey: 'any', maxRetries: 0, timeout: 60_000 })

const bytes = (picture) => Buffer.from(picture.b64_json, 'base64')
function isPng(png, width, height) {
  assert.equal(png.toString('latin1', 1, 4), 'PNG')
  assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [width, height])
}

const models = []
for await (const model of await client.models.list()) models.push(model.id)
const [model] = models
assert.ok(model, 'no model')

const order = { model, prompt: 'a red apple', size: '64x64', response_format: 'b64_json', seed: 3, steps: 4 }
const drawn = await client.images.generate({ ...order, n: 2 })
const [first, second] = drawn.data.map(bytes)
isPng(first, 64, 64)
assert.notDeepEqual(first, second)
const again = await client.images.generate(order)
assert.deepEqual(bytes(again.data[0]), first, 'the same seed drew another picture')

const image = await toFile(first, 'apple.png', { type: 'image/png' })
const edited = await client.images.edit({ ...order, image, prompt: 'a green apple' })
isPng(bytes(edited.data[0]), 64, 64)

const events = []
for await (const event of await client.images.generate({ ...order, steps: 20, stream: true, partial_images: 2 })) events.push(event)
assert.equal(events.at(-1).type, 'image_generation.completed')
assert.ok(events.some((event) => event.type === 'image_generation.partial_image'), 'no partial picture')
isPng(bytes(events.at(-1)), 64, 64)

await assert.rejects(client.images.generate({ ...order, size: '63x64' }), (error) => error instanceof BadRequestError && error.message.includes('63'))
