// @saintno/comfyui-sdk (MIT), a client of ComfyUI's interface for Node: lists, an order, progress over the WebSocket, the
// picture.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const [address, packages] = process.argv.slice(2)
const { ComfyApi, CallWrapper, PromptBuilder } = createRequire(`${packages}/`)('@saintno/comfyui-sdk')

const api = await new ComfyApi(address).init(5, 500).waitForReady()
assert.ok((await api.getCheckpoints()).includes('spark'))
const samplers = await api.getSamplerInfo()
assert.ok(samplers.sampler.flat().includes('euler') && samplers.scheduler.flat().includes('karras'))
assert.ok((await api.getSystemStats()).system.ram_total > 0)

const graph = {
  1: { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'spark' } },
  2: { class_type: 'CLIPTextEncode', inputs: { text: 'a red apple', clip: ['1', 1] } },
  3: { class_type: 'CLIPTextEncode', inputs: { text: '', clip: ['1', 1] } },
  4: { class_type: 'EmptyLatentImage', inputs: { width: 64, height: 64, batch_size: 1 } },
  5: { class_type: 'KSampler', inputs: { seed: 1, steps: 20, cfg: 5, sampler_name: 'euler', scheduler: 'normal', denoise: 1, model: ['1', 0], positive: ['2', 0], negative: ['3', 0], latent_image: ['4', 0] } },
  6: { class_type: 'VAEDecode', inputs: { samples: ['5', 0], vae: ['1', 2] } },
  7: { class_type: 'SaveImage', inputs: { filename_prefix: 'x', images: ['6', 0] } },
}
const workflow = new PromptBuilder(graph, ['positive', 'seed'], ['images'])
  .setInputNode('positive', '2.inputs.text')
  .setInputNode('seed', '5.inputs.seed')
  .setOutputNode('images', '7')
  .input('positive', 'a blue car')
  .input('seed', 5)
let steps = 0
const found = await new Promise((resolve, reject) => {
  new CallWrapper(api, workflow)
    .onProgress(() => (steps += 1))
    .onFinished((data) => resolve(data))
    .onFailed((error) => reject(error))
    .run()
})
assert.ok(steps > 0, 'no progress was told')
const [image] = found.images.images
const png = Buffer.from(await (await api.getImage(image)).arrayBuffer())
assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [64, 64])
api.destroy?.()
process.exit(0)
