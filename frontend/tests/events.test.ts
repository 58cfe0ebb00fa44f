import { describe, expect, it } from 'vitest'
import { parseEvent, retryPause } from '../src/lib/events'
import { mergePictures, neighbour } from '../src/lib/history'
import { parsePicture, parseProblem, parseSeal, parseSelfTest, parseStatus } from '../src/lib/parse'
import { sealLevel } from '../src/lib/seal'
import type { Picture } from '../src/lib/types'

const settings = { model: 'spark', prompt: 'a car', negative_prompt: '', width: 64, height: 64, steps: 20, cfg_scale: 5, seed: 1, sampler: 'Euler' }
const job = { id: 'j1', state: 'running', settings, step: 3, steps: 20, picture: null, error: null, position: 0 }

describe('events', () => {
  it('become what they say', () => {
    expect(parseEvent('hello', JSON.stringify({ running: job, waiting: [] }))).toMatchObject({ kind: 'hello', line: { running: { id: 'j1' }, waiting: [], paused: false } })
    expect(parseEvent('job', JSON.stringify(job))).toMatchObject({ kind: 'job', job: { state: 'running', step: 3 } })
    expect(parseEvent('progress', '{"id":"j1","step":4,"steps":20,"seconds_left":1.2,"preview":null}')).toEqual({
      kind: 'progress',
      progress: { id: 'j1', step: 4, steps: 20, seconds_left: 1.2, preview: null },
    })
    expect(parseEvent('removed', '{"id":"p1"}')).toEqual({ kind: 'removed', id: 'p1' })
  })

  it('are dropped when damaged or unknown', () => {
    for (const [name, data] of [
      ['job', '{'],
      ['job', '{"id":"j1","state":"dancing"}'],
      ['job', 'null'],
      ['removed', 'null'],
      ['removed', '{"id":7}'],
      ['picture', '{"id":"p"}'],
      ['surprise', '{}'],
    ] as const) {
      expect(parseEvent(name, data)).toBeNull()
    }
  })

  it('show a preview only from inside the message', () => {
    const preview = (address: string) => parseEvent('progress', JSON.stringify({ id: 'j1', step: 1, steps: 2, preview: address }))
    expect(preview('https://example.org/a.png')).toMatchObject({ progress: { preview: null } })
    expect(preview('data:image/png;base64,AA==')).toMatchObject({ progress: { preview: 'data:image/png;base64,AA==' } })
  })

  it('are waited for longer after each failure', () => {
    expect([0, 1, 2, 3, 4, 5, 1000].map(retryPause)).toEqual([500, 1000, 2000, 4000, 8000, 8000, 8000])
  })
})

describe('the history', () => {
  const picture = (id: string): Picture => ({ id, url: `/outputs/${id}.png`, thumbnail: '', width: 64, height: 64, created: '', starred: false, settings, infotext: null, model_hash: null })
  const ids = (pictures: Picture[]) => pictures.map((one) => one.id)

  it('is newest first and has every picture once', () => {
    expect(ids(mergePictures([picture('b'), picture('a')], [picture('c'), picture('b')]))).toEqual(['c', 'b', 'a'])
  })

  it('goes to the older neighbour when a picture is removed, or to the newer one at the end', () => {
    const three = [picture('c'), picture('b'), picture('a')]
    expect(['c', 'b', 'a'].map((id) => neighbour(three, id))).toEqual(['b', 'a', 'b'])
    expect(neighbour([picture('a')], 'a')).toBeNull()
  })

  it('takes pictures from this server only', () => {
    for (const url of ['https://example.org/p.png', '//example.org/p.png', 'javascript:alert(1)', '']) {
      expect(parsePicture({ id: 'p', url, width: 1, height: 1 })).toBeNull()
    }
  })
})

describe('answers', () => {
  it('of any shape make a status', () => {
    for (const value of [null, 7, [], {}, { models: 'x', queue: 3, limits: { side_multiple: 0 } }]) {
      expect(parseStatus(value)).toMatchObject({ models: [], samplers: [], queue: { running: null, waiting: [], paused: false } })
      expect(parseStatus(value).limits.side_multiple).toBeGreaterThan(0)
    }
  })

  it('name a problem with its hint', () => {
    expect(parseProblem({ error: { code: 'queue_full', message: 'full', hint: 'wait' } })).toEqual({ code: 'queue_full', message: 'full', hint: 'wait' })
    expect(parseProblem('<html>')).toBeNull()
  })

  it('call nothing sealed that the page does not know to be sealed', () => {
    expect(['S3', 'S2', 'S1', 'S0', 'S9', '', null].map(sealLevel)).toEqual(['S3', 'S2', 'S1', 'S0', 'unknown', 'unknown', 'unknown'])
  })

  it('keep the facts of a seal and the result of a self-test', () => {
    const seal = parseSeal({ level: 'S2', sentence: 's', mechanisms: [{ name: 'seccomp', enforced: true, detail: '' }], kernel: 'Linux', filter_sha256: null, threads: 3 })
    expect(seal).toMatchObject({ level: 'S2', attempts: [], facts: [['kernel', 'Linux'], ['threads', '3']] })
    expect(parseSelfTest({ verdict: 'passed', picture: { prompt: 'a car', seconds: 2, comparison: 'equal bytes' }, picture_url: 'http://x/' })).toMatchObject({
      verdict: 'passed',
      prompt: 'a car',
      picture_url: null,
    })
  })

  it('read the self-test’s own record as well as a summary of it', () => {
    const record = {
      verdict: 'failed',
      reasons: ['the picture differs'],
      picture: { settings: { prompt: 'a car' }, draw_seconds: 0.4, comparison: { matches: false, text: 'PSNR 12.0 dB' } },
      picture_url: '/api/v1/self-test/picture.png',
    }
    expect(parseSelfTest(record)).toMatchObject({ prompt: 'a car', seconds: 0.4, comparison: 'PSNR 12.0 dB', reasons: ['the picture differs'] })
  })
})
