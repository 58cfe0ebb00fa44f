import { describe, expect, it } from 'vitest'
import { noSteps, redone, undone, withStep } from '../src/lib/mask'

describe('a mask', () => {
  const painted = withStep(withStep(noSteps, { kind: 'invert' }), { kind: 'clear' })

  it('goes back and forth', () => {
    expect(undone(painted).done).toEqual([{ kind: 'invert' }])
    expect(redone(undone(painted))).toEqual(painted)
    expect(redone(redone(undone(undone(painted))))).toEqual(painted)
  })

  it('has ends', () => {
    expect(undone(noSteps)).toEqual(noSteps)
    expect(redone(painted)).toEqual(painted)
  })

  it('forgets what was undone once something new is done', () => {
    expect(withStep(undone(painted), { kind: 'invert' })).toEqual({ done: [{ kind: 'invert' }, { kind: 'invert' }], undone: [] })
  })
})
