// Ctrl+Up and Ctrl+Down in a prompt, as in A1111: `(words:1.1)` for the selection or the word at the cursor,
// and the weight of a tag such as `<lora:name:0.8>`.

/** Replaces `from`..`to` by `insert` and selects `start`..`end` after. */
export interface Weighed {
  from: number
  to: number
  insert: string
  start: number
  end: number
}

const wordEnd = /[\s.,\\/!?%^*;:{}=`~()<>[\]|]/
const isEscaped = (text: string, at: number): boolean => text[at - 1] === '\\'
const rounded = (weight: number): number => Math.round(weight * 100) / 100

/** The innermost brackets around a range: the places of both, or null. */
function around(text: string, start: number, end: number, open: string, close: string): [number, number] | null {
  let depth = 0
  let left = start - 1
  for (; left >= 0; left--) {
    if (isEscaped(text, left)) continue
    if (text[left] === close) depth++
    else if (text[left] === open && depth-- === 0) break
  }
  depth = 0
  let right = end
  for (; right < text.length; right++) {
    if (isEscaped(text, right)) continue
    if (text[right] === open) depth++
    else if (text[right] === close && depth-- === 0) break
  }
  return left >= 0 && right < text.length ? [left, right] : null
}

function weighInside(text: string, [left, right]: [number, number], bare: number, by: number): Weighed {
  const body = text.slice(left + 1, right)
  const said = /^([\s\S]*):\s*([-+]?\d*\.?\d+)\s*$/.exec(body)
  const words = said?.[1] ?? body
  const weight = rounded((said === null ? bare : Number(said[2])) + by)
  if (weight === 1 && text[left] === '(') return { from: left, to: right + 1, insert: words, start: left, end: left + words.length }
  return { from: left, to: right + 1, insert: `${text[left]}${words}:${weight}${text[right]}`, start: left + 1, end: left + 1 + words.length }
}

/** Null when there is nothing to weigh. */
export function weigh(text: string, start: number, end: number, up: boolean): Weighed | null {
  const sign = up ? 1 : -1
  const tag = around(text, start, end, '<', '>')
  if (tag !== null && /^\w+:[^:]+/.test(text.slice(tag[0] + 1, tag[1]))) {
    const named = /^\w+:[^:]+:/.test(text.slice(tag[0] + 1, tag[1]))
    if (named) return weighInside(text, tag, 1, sign * 0.05)
    const body = text.slice(tag[0] + 1, tag[1])
    return { from: tag[0], to: tag[1] + 1, insert: `<${body}:${rounded(1 + sign * 0.05)}>`, start: tag[0] + 1, end: tag[0] + 1 + body.length }
  }
  const brackets = around(text, start, end, '(', ')')
  if (brackets !== null) return weighInside(text, brackets, 1.1, sign * 0.1)
  let [from, to] = [start, end]
  if (from === to) {
    while (from > 0 && !wordEnd.test(text[from - 1] ?? ' ')) from--
    while (to < text.length && !wordEnd.test(text[to] ?? ' ')) to++
  }
  while (from < to && /\s/.test(text[from] ?? '')) from++
  while (to > from && /\s/.test(text[to - 1] ?? '')) to--
  if (from === to) return null
  const words = text.slice(from, to)
  const whole = /^\(([\s\S]*)\)$/.exec(words)
  if (whole !== null && around(words, 1, 1, '(', ')')?.[1] === words.length - 1) {
    const inner = weighInside(text, [from, to - 1], 1.1, sign * 0.1)
    return { ...inner, start: inner.from, end: inner.from + inner.insert.length }
  }
  return { from, to, insert: `(${words}:${rounded(1 + sign * 0.1)})`, start: from + 1, end: from + 1 + words.length }
}

/** Does it in a field, in a way that the field's own undo knows. False when there was nothing to weigh. */
export function weighField(field: HTMLTextAreaElement, up: boolean): boolean {
  const change = weigh(field.value, field.selectionStart, field.selectionEnd, up)
  if (change === null) return false
  field.setSelectionRange(change.from, change.to)
  // Deprecated, and the one way to write into a field that keeps its history.
  if (!document.execCommand('insertText', false, change.insert)) {
    field.setRangeText(change.insert, change.from, change.to)
    field.dispatchEvent(new InputEvent('input', { bubbles: true }))
  }
  field.setSelectionRange(change.start, change.end)
  return true
}

/** For `onkeydown` of a prompt field. */
export function weighKeys(event: KeyboardEvent): void {
  if (!(event.ctrlKey || event.metaKey) || (event.key !== 'ArrowUp' && event.key !== 'ArrowDown')) return
  if (event.currentTarget instanceof HTMLTextAreaElement && weighField(event.currentTarget, event.key === 'ArrowUp')) event.preventDefault()
}
