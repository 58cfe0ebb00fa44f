// LoRAs and styles: words in and around a prompt.

import type { Style } from './types'

export interface Called {
  name: string
  weight: number
}

const lora = /\s*<lora:([^:<>]+)(?::([-+]?\d*\.?\d+))?[^<>]*>/g

/** The LoRAs that a prompt calls. */
export function lorasIn(prompt: string): Called[] {
  return Array.from(prompt.matchAll(lora), (match) => ({ name: match[1] ?? '', weight: match[2] === undefined ? 1 : Number(match[2]) }))
}

/** Calls a LoRA with this weight, whether or not it was called before; null takes it out. */
export function withLora(prompt: string, name: string, weight: number | null): string {
  const tag = weight === null ? '' : ` <lora:${name}:${weight}>`
  let found = false
  const next = prompt.replace(lora, (whole, called: string) => {
    if (called !== name) return whole
    const first = !found
    found = true
    return first ? tag : ''
  })
  return (found ? next : `${prompt}${tag}`).replace(/^\s+/, '')
}

function styled(text: string, around: string): string {
  if (around.trim() === '') return text
  if (around.includes('{prompt}')) return around.replaceAll('{prompt}', text)
  return text.trim() === '' ? around : `${text}, ${around}`
}

/** The prompts with the chosen styles around them, in their order. */
export function withStyles(prompt: string, negative: string, names: readonly string[], styles: readonly Style[]): { prompt: string; negative: string } {
  for (const style of styles.filter((one) => names.includes(one.name))) {
    prompt = styled(prompt, style.prompt)
    negative = styled(negative, style.negative_prompt)
  }
  return { prompt, negative }
}
